//! A mark that work is not wanted any more, seen by everybody who holds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Set once, never taken back. Set, too, as soon as what it stands within is: that of an event within that of its
/// partition's assignment, that of an assignment within that of the process' membership.
#[derive(Debug, Default)]
pub struct Halt {
    own: AtomicBool,
    outer: Option<Arc<Halt>>,
    pulse: Option<Pulse>,
}

/// Says that somebody is there who would set the mark.
#[derive(Debug)]
struct Pulse {
    begin: Instant,
    /// Milliseconds from `begin` to the last beat; [`RESTING`] while none is due.
    last: AtomicU64,
    most: Duration,
}

const RESTING: u64 = u64::MAX;

impl Halt {
    /// One that is set when `outer` is, or by itself.
    pub fn within(outer: &Arc<Halt>) -> Arc<Halt> {
        Arc::new(Halt { outer: Some(Arc::clone(outer)), ..Halt::default() })
    }

    /// One that is set, too, when it did not [beat](Halt::beat) for that long. It rests until the first beat.
    pub fn unless_beating(most: Duration) -> Arc<Halt> {
        let pulse = Pulse { begin: Instant::now(), last: AtomicU64::new(RESTING), most };
        Arc::new(Halt { pulse: Some(pulse), ..Halt::default() })
    }

    /// From now on nothing new is to be begun.
    pub fn set(&self) {
        self.own.store(true, Ordering::SeqCst);
    }

    /// Whether nothing new is to be begun. Whoever is the first to find a beat overdue makes it so for all, the one who
    /// comes late to beat included: a process that stood still wakes everywhere at once.
    pub fn is_set(&self) -> bool {
        if self.own.load(Ordering::SeqCst)
            || self.outer.as_ref().is_some_and(|outer| outer.is_set())
        {
            return true;
        }
        let overdue = self.pulse.as_ref().is_some_and(Pulse::is_overdue);
        if overdue {
            self.set();
        }
        overdue
    }

    /// Says that all is well until the next beat is due. False when it is too late for that, or it was set.
    pub fn beat(&self) -> bool {
        if self.is_set() {
            return false;
        }
        if let Some(Pulse { begin, last, .. }) = &self.pulse {
            last.store(millis(begin.elapsed()), Ordering::SeqCst);
        }
        true
    }

    /// No beat is due before the next one: what comes now may take long. False as for a beat.
    pub fn rest(&self) -> bool {
        if self.is_set() {
            return false;
        }
        if let Some(pulse) = &self.pulse {
            pulse.last.store(RESTING, Ordering::SeqCst);
        }
        true
    }
}

impl Pulse {
    fn is_overdue(&self) -> bool {
        let last = self.last.load(Ordering::SeqCst);
        last != RESTING && millis(self.begin.elapsed()).saturating_sub(last) >= millis(self.most)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(RESTING - 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::advance;

    use super::Halt;

    #[test]
    fn the_outer_one_halts_what_stands_within_and_not_the_other_way_round() {
        let outer = Arc::<Halt>::default();
        let (one, other) = (Halt::within(&outer), Halt::within(&outer));
        one.set();
        assert_eq!((one.is_set(), other.is_set(), outer.is_set()), (true, false, false));
        outer.set();
        assert!(other.is_set());
    }

    #[tokio::test(start_paused = true)]
    async fn a_beat_that_does_not_come_halts_and_a_late_one_changes_nothing() {
        let session = Duration::from_secs(10);
        let outer = Halt::unless_beating(session);
        let inner = Halt::within(&outer);
        advance(session * 2).await;
        assert!(!inner.is_set(), "it rests until the first beat");
        assert!(outer.beat());
        advance(session - Duration::from_millis(1)).await;
        assert!(!inner.is_set());
        assert!(outer.rest());
        advance(session * 2).await;
        assert!(outer.beat(), "no beat was due");
        advance(session).await;
        assert!(!outer.beat(), "too late, though nobody looked");
        assert!(inner.is_set());
    }
}
