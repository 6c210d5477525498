//! The groups of one process: they start together and end together.

use std::time::Duration;

use serde_json::json;
use vivremotion::flow::member::Bounds;
use vivremotion::stream::Log;

use super::{PRICED, membership, one};
use crate::support::driver::Driver;

#[tokio::test(start_paused = true)]
async fn when_one_group_fails_the_others_finish_what_runs_and_leave() {
    let other = "source: { topic: in-other, from: earliest }\n\
                 stages: { answer: { generate: { model: small, prompt: \"{{ event.text }}\" } } }\n\
                 sink: { topic: out-other }\n";
    let pipelines = [("test", &*one("slow")), ("other", other)];
    let mut driver = Driver::many(PRICED, &pipelines, 1, Bounds::default(), Vec::new()).await;
    driver.pipe(None, json!({ "text": "x" })).await;
    driver.advance(Duration::from_secs(1)).await;
    let clone = membership("vivremotion.other", "one", "in-other");
    let clone = driver.log.join(clone).await.unwrap();
    let error = driver.ended().await.unwrap_err();
    assert!(error.message.contains("no longer in its group"), "{}", error.message);
    assert_eq!(driver.log.records("out").len(), 1, "the call that ran was not thrown away");
    drop(clone);
}
