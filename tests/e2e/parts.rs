//! The services themselves: that they are what the other stories take them for.

use std::process::{Command, Stdio};
use std::time::Duration;

use ::qdrant_client::qdrant;
use futures::FutureExt;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::{Value, json};

use crate::client::{create, read_all};
use crate::services::{Need, keep_command, until};
use crate::story::{Story, World};

const WAIT: Duration = Duration::from_secs(30);

/// This file's stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story {
            name: "a_killed_run_leaves_no_process_behind",
            needs: &[],
            run: |world| killed_run(world).boxed_local(),
        },
        Story {
            name: "a_broker_killed_and_restarted_keeps_what_was_committed",
            needs: &[Need::OwnKafka],
            run: |world| restarted_broker(world).boxed_local(),
        },
        Story {
            name: "a_broker_takes_a_record_only_for_a_topic_that_was_created",
            needs: &[Need::Kafka],
            run: |world| unknown_topic(world).boxed_local(),
        },
        Story {
            name: "the_registry_refuses_a_schema_that_breaks_its_readers",
            needs: &[Need::Registry],
            run: |world| incompatible_schema(world).boxed_local(),
        },
        Story {
            name: "qdrant_fuses_words_and_vectors_and_keeps_them_over_a_kill",
            needs: &[Need::OwnQdrant],
            run: |world| hybrid_query(world).boxed_local(),
        },
    ]
}

async fn killed_run(world: &World) {
    // Stands for the run: it holds the one end of the pipe, and is killed.
    let mut run = Command::new("sleep").arg("600").stdout(Stdio::piped()).spawn().unwrap();
    let log = world.dir().join("kept");
    let mut keeper = keep_command(Command::new("sleep").arg("600"), &log)
        .stdin(run.stdout.take().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pid = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(keeper.stdout.take().unwrap()),
        &mut pid,
    )
    .unwrap();
    let lives = || {
        let probe = Command::new("kill").args(["-0", pid.trim()]).stderr(Stdio::null()).status();
        probe.unwrap().success()
    };
    assert!(lives());
    run.kill().unwrap();
    run.wait().unwrap();
    until(WAIT, || if lives() { Err("it still runs".to_owned()) } else { Ok(()) }).unwrap();
    keeper.wait().unwrap();
}

async fn restarted_broker(world: &World) {
    let kafka = world.own_kafka();
    let topic = world.name("kept");
    create(&kafka.brokers(), &[(&topic, 1)]).await;
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", kafka.brokers())
        .set("transactional.id", world.name("writer"))
        .create()
        .unwrap();
    producer.init_transactions(WAIT).unwrap();
    for (text, commit) in [("1", true), ("2", false)] {
        producer.begin_transaction().unwrap();
        producer.send(BaseRecord::to(&topic).key("k").payload(text)).unwrap();
        match commit {
            true => producer.commit_transaction(WAIT).unwrap(),
            false => producer.abort_transaction(WAIT).unwrap(),
        }
    }
    kafka.kill();
    kafka.restart();
    let found: Vec<String> =
        read_all(&kafka.brokers(), &topic).iter().map(|record| record.value.to_string()).collect();
    assert_eq!(found, ["1"]);
}

async fn unknown_topic(world: &World) {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", world.kafka().brokers()).create().unwrap();
    let topic = world.name("nobody-made-it");
    let metadata = consumer.fetch_metadata(Some(&topic), WAIT).unwrap();
    let error = metadata
        .topics()
        .first()
        .and_then(|t| t.error())
        .map(rdkafka::types::RDKafkaErrorCode::from);
    assert_eq!(error, Some(rdkafka::types::RDKafkaErrorCode::UnknownTopicOrPartition));
}

async fn incompatible_schema(world: &World) {
    let record = |fields: Value| json!({ "type": "record", "name": "Reading", "fields": fields });
    let first = record(json!([{ "name": "value", "type": "double" }]));
    let wider = record(json!([
        { "name": "value", "type": "double" },
        { "name": "unit", "type": ["null", "string"], "default": null },
    ]));
    let breaking = record(json!([{ "name": "reading", "type": "string" }]));
    let url = format!("{}/subjects/{}/versions", world.registry().url(), world.name("readings"));
    let client = reqwest::Client::new();
    let register = async |schema: &Value| {
        let body = json!({ "schema": schema.to_string() }).to_string();
        let request = client.post(&url).header("content-type", "application/json").body(body);
        let reply = request.send().await.unwrap();
        (
            reply.status().as_u16(),
            serde_json::from_slice::<Value>(&reply.bytes().await.unwrap()).unwrap(),
        )
    };
    let (status, one) = register(&first).await;
    assert_eq!(status, 200, "{one}");
    let (status, two) = register(&wider).await;
    assert_eq!(status, 200, "{two}");
    assert_ne!(one["id"], two["id"]);
    let (status, refused) = register(&breaking).await;
    assert_eq!((status, &refused["error_code"]), (409, &json!(409)), "{refused}");
    let (status, again) = register(&first).await;
    assert_eq!((status, again), (200, one));
}

async fn hybrid_query(world: &World) {
    use qdrant::{
        CreateCollectionBuilder, Distance, Modifier, PointStruct, PrefetchQueryBuilder, Query,
        QueryPointsBuilder, RrfBuilder, SparseVectorParamsBuilder, SparseVectorsConfigBuilder,
        UpsertPointsBuilder, VectorParamsBuilder, VectorsConfigBuilder,
    };
    let store = world.own_qdrant();
    let client = ::qdrant_client::Qdrant::from_url(&store.url()).build().unwrap();
    let collection = world.name("passages");
    let mut dense = VectorsConfigBuilder::default();
    dense.add_named_vector_params("dense", VectorParamsBuilder::new(2, Distance::Cosine));
    let mut sparse = SparseVectorsConfigBuilder::default();
    sparse.add_named_vector_params(
        "words",
        SparseVectorParamsBuilder::default().modifier(Modifier::Idf),
    );
    let create = CreateCollectionBuilder::new(&collection);
    client
        .create_collection(create.vectors_config(dense).sparse_vectors_config(sparse))
        .await
        .unwrap();
    let point = |id: u64, vector: [f32; 2], word: u32| {
        let vectors = qdrant::NamedVectors::default()
            .add_vector("dense", vector.to_vec())
            .add_vector("words", qdrant::Vector::new_sparse(vec![word], vec![1.0]));
        PointStruct::new(id, vectors, [("tenant", "acme".into())])
    };
    let points = vec![point(1, [1.0, 0.0], 7), point(2, [0.9, 0.1], 8), point(3, [0.0, 1.0], 7)];
    client.upsert_points(UpsertPointsBuilder::new(&collection, points).wait(true)).await.unwrap();
    store.kill();
    store.restart();
    let client = ::qdrant_client::Qdrant::from_url(&store.url()).build().unwrap();
    // Each side alone has two candidates; only point 1 is good in both.
    let near = PrefetchQueryBuilder::default()
        .query(Query::new_nearest(vec![1.0, 0.0]))
        .using("dense")
        .limit(2u64);
    let words = PrefetchQueryBuilder::default()
        .query(Query::new_nearest(qdrant::VectorInput::new_sparse(vec![7], vec![1.0])))
        .using("words")
        .limit(2u64);
    let filter = qdrant::Filter::must([qdrant::Condition::matches("tenant", "acme".to_owned())]);
    let query = QueryPointsBuilder::new(&collection)
        .add_prefetch(near)
        .add_prefetch(words)
        .query(Query::new_rrf(RrfBuilder::default()))
        .filter(filter)
        .limit(3);
    let found = client.query(query).await.unwrap().result;
    let first = found.first().and_then(|p| p.id.clone()).unwrap();
    assert_eq!(first, 1u64.into());
    assert_eq!(found.len(), 3);
}
