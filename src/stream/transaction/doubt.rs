//! What became of a batch whose commit is in doubt, by what the group's committed progress says (R8). Pure.

use super::Decision;
use crate::stream::{Batch, Epoch, Progress, TopicPartition};

#[cfg(test)]
mod tests;

/// Judges by `committed`: offset and text of each partition of the batch, in its order, read when the old transaction
/// was over. `owns` must be asked after that read: while a partition is ours nobody else can have written over it.
///
/// Partitions of a batch go together, so any one that bears the batch's nonce and sequence proves the commit, ours or
/// not; one that is ours and does not disproves it.
pub(in crate::stream) fn decide(
    batch: &Batch,
    committed: &[Option<(i64, String)>],
    owns: impl Fn(&TopicPartition, Epoch) -> bool,
) -> Decision {
    if batch.progress.is_empty() {
        return Decision::Unknowable;
    }
    let mut ours = false;
    for ((at, epoch, attempted), found) in batch.progress.iter().zip(committed) {
        let found = found.as_ref().and_then(|(base, text)| Progress::decode(*base, text).ok());
        let same = |found: Progress| {
            (found.nonce, found.sequence) == (attempted.nonce, attempted.sequence)
        };
        if found.is_some_and(same) {
            return Decision::Committed;
        }
        ours |= owns(at, *epoch);
    }
    if ours { Decision::NotCommitted } else { Decision::NotOurs }
}
