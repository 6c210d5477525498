//! C4: what was written about events of one key stands in the order of their records. Read as each topic holds it,
//! partition by partition: a key's records share one.

use std::collections::HashMap;
use std::sync::Arc;

use super::fact::Spot;
use super::finding::{Check, Findings};
use crate::event::identity::Origin;
use crate::event::ids::EventId;

/// The last origin of each key, by topic: some 40 bytes a key.
#[derive(Debug, Default)]
pub(super) struct Order {
    last: HashMap<Arc<str>, HashMap<(i32, u64), i64>>,
}

impl Order {
    /// The next record of a topic about an event with that key. Replays come later by intent and are not asked about.
    pub fn next(
        &mut self,
        key: Option<u64>,
        origin: &Origin,
        spot: &Spot,
        event: EventId,
        findings: &mut Findings,
    ) {
        let Some(key) = key else { return };
        findings.judged(Check::C4, 1);
        if !self.last.contains_key(&spot.topic) {
            self.last.insert(Arc::clone(&spot.topic), HashMap::new());
        }
        let Some(last) = self.last.get_mut(&spot.topic) else { return };
        let last = last.entry((origin.partition, key)).or_insert(origin.offset);
        // The same once more is another check's business.
        if *last > origin.offset {
            let message = format!(
                "it answers {}/{}@{}, which stands before the record of its key answered last (@{last})",
                origin.topic, origin.partition, origin.offset
            );
            findings.add(Check::C4, "out-of-order", Some(spot.clone()), Some(event), message);
        } else {
            *last = origin.offset;
        }
    }
}
