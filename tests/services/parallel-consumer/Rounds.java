import io.confluent.parallelconsumer.ParallelConsumerOptions;
import io.confluent.parallelconsumer.ParallelConsumerOptions.ProcessingOrder;
import io.confluent.parallelconsumer.ParallelStreamProcessor;
import java.util.List;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Does every record of a topic, each with 2.5 ms of work, in the order of their keys, so many at a time; in rounds, each
 * by a group of its own. Says of each round how many seconds lie between the first record handed over and the end of the
 * last one's work, and how many milliseconds the work took on average.
 *
 * <p>Arguments: brokers, topic, records, records at a time, rounds.
 */
public final class Rounds {
  private static final long WORK_NANOS = 2_500_000;
  private static final long ROUND_SECONDS = 60;

  public static void main(String[] arguments) throws InterruptedException {
    String brokers = arguments[0];
    String topic = arguments[1];
    int records = Integer.parseInt(arguments[2]);
    int flight = Integer.parseInt(arguments[3]);
    int rounds = Integer.parseInt(arguments[4]);
    for (int round = 0; round < rounds; round++) {
      if (!round(brokers, topic, records, flight)) {
        System.err.println("a round did not end within " + ROUND_SECONDS + " s");
        System.exit(1);
      }
    }
    System.exit(0);
  }

  private static boolean round(String brokers, String topic, int records, int flight)
      throws InterruptedException {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", brokers);
    settings.put("group.id", "parallel-consumer-" + UUID.randomUUID());
    settings.put("auto.offset.reset", "earliest");
    // It commits by itself, and refuses a consumer that does.
    settings.put("enable.auto.commit", "false");
    KafkaConsumer<byte[], byte[]> consumer =
        new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    ParallelConsumerOptions<byte[], byte[]> options =
        ParallelConsumerOptions.<byte[], byte[]>builder()
            .ordering(ProcessingOrder.KEY)
            .maxConcurrency(flight)
            .consumer(consumer)
            .build();
    ParallelStreamProcessor<byte[], byte[]> processor =
        ParallelStreamProcessor.createEosStreamProcessor(options);
    AtomicLong first = new AtomicLong(Long.MAX_VALUE);
    AtomicLong last = new AtomicLong(Long.MIN_VALUE);
    AtomicLong work = new AtomicLong();
    CountDownLatch left = new CountDownLatch(records);
    processor.subscribe(List.of(topic));
    processor.poll(
        record -> {
          long begun = System.nanoTime();
          first.accumulateAndGet(begun, Math::min);
          long until = begun + WORK_NANOS;
          long now = begun;
          while (now < until) {
            LockSupport.parkNanos(until - now);
            now = System.nanoTime();
          }
          work.addAndGet(now - begun);
          last.accumulateAndGet(now, Math::max);
          left.countDown();
        });
    boolean ended = left.await(ROUND_SECONDS, TimeUnit.SECONDS);
    if (ended) {
      double seconds = (last.get() - first.get()) / 1e9;
      System.out.println("round " + seconds + " " + work.get() / 1e6 / records);
    }
    processor.closeDontDrainFirst();
    return ended;
  }
}
