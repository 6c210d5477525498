//! M1: the local memory.

use super::Stage;
use crate::memory;
use crate::report::Report;

/// M1.
pub fn asked(stage: &Stage, report: &mut Report) {
    memory::run(&stage.services.dir("memory"), stage.pick(&[10_000, 100_000], &[1_000]), report);
}
