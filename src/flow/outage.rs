//! Which services are down. Whoever waits for one says so here; while anybody waits, intake is paused and `/ready`
//! names the service.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by the corridor, the intake and the probes.
#[derive(Clone, Debug, Default)]
pub struct Outages(Arc<Mutex<BTreeMap<Arc<str>, usize>>>);

/// While it lives, the service counts as down.
#[derive(Debug)]
#[must_use = "the outage ends when this is dropped"]
pub struct Outage {
    outages: Outages,
    service: Arc<str>,
}

impl Outages {
    /// Someone waits for that service. The first to do so is told.
    pub fn enter(&self, service: &Arc<str>) -> (Outage, bool) {
        let mut waiting = self.lock();
        let count = waiting.entry(Arc::clone(service)).or_insert(0);
        *count += 1;
        (Outage { outages: self.clone(), service: Arc::clone(service) }, *count == 1)
    }

    /// Whether anybody waits for anything.
    pub fn any(&self) -> bool {
        !self.lock().is_empty()
    }

    /// What is down.
    pub fn list(&self) -> Vec<Arc<str>> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        let mut waiting = self.outages.lock();
        if let Some(count) = waiting.get_mut(&self.service) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.service);
            }
        }
    }
}
