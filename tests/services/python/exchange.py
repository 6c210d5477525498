"""Sends one request as JSON and reads the result that answers it; an application with nothing but a Kafka client."""

import json
import os
import sys
import time
import uuid

from confluent_kafka import Consumer, Producer

brokers, tickets, answers = (os.environ[name] for name in ("KAFKA_BROKERS", "TICKETS", "ANSWERS"))

consumer = Consumer({
    "bootstrap.servers": brokers,
    "group.id": f"exchange-{uuid.uuid4()}",
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
})
consumer.subscribe([answers])

request = {"id": str(uuid.uuid4()), "source": "app/exchange", "type": "vivremotion.request",
           "input": {"text": "Where is my parcel?"}}
producer = Producer({"bootstrap.servers": brokers})
# The identity goes in headers too, as CloudEvents has it.
producer.produce(tickets, key="customer-17", value=json.dumps(request), headers={"ce_id": request["id"]})
producer.flush()

end = time.monotonic() + 60
while time.monotonic() < end:
    record = consumer.poll(1.0)
    if record is None or record.error():
        continue
    result = json.loads(record.value())
    if result["request_id"] == request["id"]:
        print(result["status"], *result["outputs"])
        consumer.close()
        sys.exit()
sys.exit("no answer came")
