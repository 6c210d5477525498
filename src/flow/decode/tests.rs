use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::{event_id, identify};
use crate::event::identity::Origin;
use crate::flow::consume::Consumed;
use crate::flow::enrich::trace_id;
use crate::flow::identity::text_header;
use crate::stream::{Epoch, Record, TopicPartition};

const NAMES: [&str; 9] = [
    "vivremotion.group",
    "vivremotion.event_id",
    "vivremotion.origin",
    "vivremotion.replay_of",
    "vivremotion.replay_count",
    "vivremotion.hops",
    "traceparent",
    "ce_id",
    "",
];

/// Anything, texts of the right letters, and true ones.
fn value() -> impl Strategy<Value = Option<Bytes>> {
    let origin = Origin {
        cluster: "there".to_owned(),
        topic: "in".to_owned(),
        partition: 1,
        offset: 2,
        timestamp: 3,
    };
    let id = event_id(&origin).to_string();
    prop_oneof![
        Just(None),
        prop::collection::vec(any::<u8>(), 0..60).prop_map(|bytes| Some(bytes.into())),
        "[0-9a-f/-]{0,70}".prop_map(|text| Some(text.into())),
        "([a-z]{0,3}/){0,5}-?[0-9]{0,22}".prop_map(|text| Some(text.into())),
        Just(Some(origin.to_string().into())),
        Just(Some(id.into())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(10_000), ..ProptestConfig::default() })]

    /// Whoever writes to the source writes these headers too.
    #[test]
    fn any_headers_are_read_and_only_an_origin_that_proves_itself_is_believed(
        headers in prop::collection::vec((prop::sample::select(&NAMES[..]), value()), 0..8),
    ) {
        let headers = headers.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let at = TopicPartition { topic: "in".into(), partition: 0 };
        let record = Record { at, offset: 9, timestamp: 8, key: None, value: None, headers };
        let consumed = Consumed::new(record, Epoch(1), 0);
        let (id, origin, replay_of) = identify(&Arc::from("here"), &consumed);
        prop_assert_eq!(id, event_id(&origin));
        let own = (&*origin.cluster, origin.offset) == ("here", 9);
        prop_assert_eq!(replay_of.is_none(), own);
        for name in NAMES {
            let text = text_header(&consumed.record.headers, name);
            let trace = text.as_deref().and_then(trace_id);
            prop_assert!(trace.is_none_or(|trace| trace.len() == 32));
        }
    }
}
