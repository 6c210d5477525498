//! A mark that work is not wanted any more, seen by everybody who holds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set once, never taken back. Set, too, as soon as what it stands within is: that of an event within that of its
/// partition's assignment.
#[derive(Debug, Default)]
pub struct Halt {
    own: AtomicBool,
    outer: Option<Arc<Halt>>,
}

impl Halt {
    /// One that is set when `outer` is, or by itself.
    pub fn within(outer: &Arc<Halt>) -> Arc<Halt> {
        Arc::new(Halt { own: AtomicBool::new(false), outer: Some(Arc::clone(outer)) })
    }

    /// From now on nothing new is to be begun.
    pub fn set(&self) {
        self.own.store(true, Ordering::Relaxed);
    }

    /// Whether nothing new is to be begun.
    pub fn is_set(&self) -> bool {
        self.own.load(Ordering::Relaxed) || self.outer.as_ref().is_some_and(|outer| outer.is_set())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
}
