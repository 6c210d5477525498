//! Where the reader's thread puts what it has: a bounded queue, and what the queue did not take yet.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use crate::stream::{Delivery, Epoch, StreamError};

const MINUTE: Duration = Duration::from_secs(60);

/// What leaves the thread.
pub(super) type Delivered = Result<Delivery, StreamError>;

/// What outlives a consumer: where deliveries go, and the count of assignments.
pub(super) struct Outlet {
    out: Sender<Delivered>,
    /// Not sent yet: the queue is full.
    unsent: VecDeque<Delivered>,
    epochs: u64,
    /// When a session was last seen to end.
    expired: Option<Instant>,
    /// When being fenced was last taken for our own doing.
    fenced: Option<Instant>,
}

impl Outlet {
    pub(super) fn new(out: Sender<Delivered>) -> Self {
        Outlet { out, unsent: VecDeque::new(), epochs: 0, expired: None, fenced: None }
    }

    pub(super) fn deliver(&mut self, delivery: Delivered) {
        self.unsent.push_back(delivery);
    }

    /// Sends what the queue takes. Says whether that was everything.
    pub(super) fn send(&mut self) -> bool {
        while let Some(delivery) = self.unsent.pop_front() {
            match self.out.try_send(delivery) {
                Ok(()) => {}
                Err(TrySendError::Full(delivery)) => {
                    self.unsent.push_front(delivery);
                    return false;
                }
                Err(TrySendError::Closed(_)) => self.unsent.clear(),
            }
        }
        true
    }

    /// The number of the next assignment.
    pub(super) fn next_epoch(&mut self) -> Epoch {
        self.epochs += 1;
        Epoch(self.epochs)
    }

    /// A session has ended.
    pub(super) fn session_ended(&mut self, now: Instant) {
        self.expired = Some(now);
    }

    /// Whether being fenced can be our own doing: after a session ended, a late request of ours to join may have taken the
    /// place of the one that was answered, also of the one by which we came back. A clone is fenced, too, when we join
    /// anew; so each time must have a session of ours that ended since the last time.
    pub(super) fn has_fenced_itself(&mut self, now: Instant) -> bool {
        let own = self.expired.is_some_and(|expired| {
            now.duration_since(expired) < MINUTE
                && self.fenced.is_none_or(|fenced| fenced < expired)
        });
        if own {
            self.fenced = Some(now);
        }
        own
    }

    /// How much waits to be sent.
    pub(super) fn backlog(&self) -> usize {
        self.unsent.len()
    }

    /// Whether nobody reads any more.
    pub(super) fn is_closed(&self) -> bool {
        self.out.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_that_ended_explains_one_fence() {
        let mut outlet = Outlet::new(tokio::sync::mpsc::channel(1).0);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!outlet.has_fenced_itself(at(0)), "nothing had ended: there is a clone");
        outlet.session_ended(at(1));
        assert!(outlet.has_fenced_itself(at(2)));
        assert!(!outlet.has_fenced_itself(at(3)), "once more is once too often");
        outlet.session_ended(at(4));
        assert!(outlet.has_fenced_itself(at(63)));
        outlet.session_ended(at(70));
        assert!(!outlet.has_fenced_itself(at(130)), "that long ago explains nothing");
    }
}
