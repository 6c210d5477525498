//! Where the journal tells of events: one range of offsets for each time an event ran.

use std::collections::HashMap;

use crate::event::ids::EventId;
use crate::journal::Range;
use crate::journal::entry::Place;

/// Runs of an event that are named; older ones are left out.
const MOST_RUNS: usize = 8;

/// The ranges of each event: some 60 bytes a run.
#[derive(Clone, Debug, Default)]
pub struct Ranges(HashMap<EventId, Vec<(i64, Range)>>);

impl Ranges {
    /// That partition and offset of the journal tell of an event; `place` is the input record that ran.
    pub fn take(&mut self, event: EventId, place: &Place, (partition, offset): (i32, i64)) {
        let Place { offset: Some(input), .. } = *place else { return };
        let runs = self.0.entry(event).or_default();
        let known =
            runs.iter_mut().find(|(run, range)| *run == input && range.partition == partition);
        match known {
            Some((_, range)) => {
                range.from = range.from.min(offset);
                range.until = range.until.max(offset + 1);
            }
            None => {
                runs.push((input, Range { partition, from: offset, until: offset + 1 }));
                if runs.len() > MOST_RUNS {
                    runs.remove(0);
                }
            }
        }
    }

    /// Those of an event, the oldest first.
    pub fn of(&self, event: EventId) -> Vec<Range> {
        let runs = self.0.get(&event).into_iter().flatten();
        runs.map(|(_, range)| *range).collect()
    }
}
