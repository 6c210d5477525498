//! Who may run beside whom after the process has died: an event that was running at two deaths is a *suspect*. Suspects
//! run apart from all others, sixty-four at a time after two deaths, alone after three; so the one that kills is found,
//! and those that were merely in flight are never blamed. Pure but for the count it keeps.
//!
//! One gate for the whole process: what kills it does not look which group it belongs to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Deaths that make a suspect.
pub const SUSPECT: usize = 2;
/// Suspects that run together before the last ones of them run alone.
const TOGETHER: usize = 64;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Events that run, suspects among them.
    flying: usize,
    suspects: usize,
    /// How many suspects may run together now.
    together: usize,
    /// Suspects that wait for the others to end.
    waiting: usize,
}

/// Leave to run, given back when it is dropped.
#[derive(Debug)]
pub struct Pass {
    gate: Gate,
    suspect: bool,
    /// Suspects that may run beside it, itself included; 0 when it is none.
    pub cohort: u32,
}

/// A suspect waits: nobody else starts meanwhile.
#[derive(Debug)]
pub struct Waiting(Gate);

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for leave to run an event that was running at so many deaths.
    pub fn enter(&self, deaths: usize) -> Option<Pass> {
        let mut state = self.state();
        let suspect = deaths >= SUSPECT;
        let together = if deaths > SUSPECT { 1 } else { TOGETHER };
        let free = match suspect {
            false => state.suspects == 0 && state.waiting == 0,
            true if state.flying > state.suspects => false,
            true => {
                state.suspects == 0 || (state.together == together && state.suspects < together)
            }
        };
        if !free {
            return None;
        }
        state.flying += 1;
        if suspect {
            state.suspects += 1;
            state.together = together;
        }
        let cohort = if suspect { u32::try_from(together).unwrap_or(u32::MAX) } else { 0 };
        Some(Pass { gate: self.clone(), suspect, cohort })
    }

    /// A suspect that had no leave: keeps others from starting until it has.
    pub fn wait(&self) -> Waiting {
        self.state().waiting += 1;
        Waiting(self.clone())
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.flying -= 1;
        state.suspects -= usize::from(self.suspect);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_run_as_they_like() {
        let gate = Gate::default();
        let passes: Vec<Pass> = (0..100).filter_map(|n| gate.enter(n % SUSPECT)).collect();
        assert_eq!(passes.len(), 100);
        assert!(passes.iter().all(|pass| pass.cohort == 0));
    }

    #[test]
    fn a_suspect_waits_until_the_others_have_ended_and_nobody_else_starts() {
        let gate = Gate::default();
        let other = gate.enter(0).unwrap();
        assert!(gate.enter(2).is_none());
        let waiting = gate.wait();
        assert!(gate.enter(0).is_none());
        drop(other);
        drop(waiting);
        let suspect = gate.enter(2).unwrap();
        assert_eq!(suspect.cohort, 64);
        assert!(gate.enter(0).is_none());
        assert!(gate.enter(3).is_none());
        assert!(gate.enter(2).is_some());
        drop(suspect);
        assert!(gate.enter(0).is_some());
    }

    #[test]
    fn after_three_deaths_it_runs_alone() {
        let gate = Gate::default();
        let alone = gate.enter(3).unwrap();
        assert_eq!(alone.cohort, 1);
        assert!([0, 2, 3, 7].iter().all(|deaths| gate.enter(*deaths).is_none()));
        drop(alone);
        assert!(gate.enter(7).is_some());
    }

    #[test]
    fn a_cohort_is_bounded() {
        let gate = Gate::default();
        let cohort: Vec<Pass> = (0..100).map_while(|_| gate.enter(2)).collect();
        assert_eq!(cohort.len(), 64);
    }
}
