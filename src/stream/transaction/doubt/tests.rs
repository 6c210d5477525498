use proptest::prelude::*;

use super::{Decision, decide};
use crate::stream::{Batch, Epoch, Progress, TopicPartition};

fn at(partition: i32) -> TopicPartition {
    TopicPartition { topic: "in".into(), partition }
}

/// A group's committed progress of three partitions, after a batch of some of them was committed or not, and after other
/// members wrote over what they took from us since.
#[derive(Clone, Debug)]
struct Doubt {
    /// Partitions of the batch, each with whether it was taken, and whether the taker has committed since.
    parts: Vec<(bool, bool)>,
    committed: bool,
}

fn doubts() -> impl Strategy<Value = Doubt> {
    let part = (any::<bool>(), any::<bool>());
    (prop::collection::vec(part, 1..5), any::<bool>())
        .prop_map(|(parts, committed)| Doubt { parts, committed })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(10_000), ..ProptestConfig::default() })]

    #[test]
    fn a_doubt_is_judged_by_any_partition_that_can_tell(doubt in doubts()) {
        let (nonce, sequence) = (7, 5);
        let ours = Progress { nonce, sequence, ..Progress::starting_at(10) };
        let before = Progress { sequence: 4, ..ours.clone() };
        let numbered = || (0..).zip(&doubt.parts);
        let progress = numbered().map(|(n, _)| (at(n), Epoch(1), ours.clone())).collect();
        let batch = Batch { outputs: Vec::new(), progress };
        let found: Vec<Option<(i64, String)>> = numbered()
            .map(|(_, (taken, over))| {
                let left = if doubt.committed { &ours } else { &before };
                let now = Progress { nonce: 8, sequence: left.sequence + 1, ..left.clone() };
                let now = if *taken && *over { &now } else { left };
                Some((now.base, now.encode()))
            })
            .collect();
        let owns = |at: &TopicPartition, epoch| {
            epoch == Epoch(1) && !doubt.parts[at.partition as usize].0
        };
        let told = doubt.parts.iter().any(|(taken, over)| !(*taken && *over));
        let kept = doubt.parts.iter().any(|(taken, _)| !taken);
        let expected = match (doubt.committed && told, kept) {
            (true, _) => Decision::Committed,
            (false, true) => Decision::NotCommitted,
            (false, false) => Decision::NotOurs,
        };
        prop_assert_eq!(decide(&batch, &found, owns), expected);
    }
}

#[test]
fn what_was_committed_by_somebody_else_or_cannot_be_read_proves_nothing() {
    let ours = Progress { nonce: 7, sequence: 5, ..Progress::starting_at(10) };
    let batch = Batch { outputs: Vec::new(), progress: vec![(at(0), Epoch(1), ours.clone())] };
    let twin = Progress { nonce: 8, ..ours.clone() };
    for found in
        [None, Some((10, twin.encode())), Some((10, "?".to_owned())), Some((10, String::new()))]
    {
        let judged = decide(&batch, std::slice::from_ref(&found), |_, _| true);
        assert_eq!(judged, Decision::NotCommitted, "{found:?}");
    }
    assert_eq!(decide(&Batch::default(), &[], |_, _| true), Decision::Unknowable);
}
