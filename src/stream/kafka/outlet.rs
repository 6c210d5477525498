//! Where the reader's thread puts what it has: a bounded queue, and what the queue did not take yet.

use std::collections::VecDeque;

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use crate::stream::{Delivery, Epoch, StreamError};

/// What leaves the thread.
pub(super) type Delivered = Result<Delivery, StreamError>;

/// What outlives a consumer: where deliveries go, and the count of assignments.
pub(super) struct Outlet {
    out: Sender<Delivered>,
    /// Not sent yet: the queue is full.
    unsent: VecDeque<Delivered>,
    epochs: u64,
}

impl Outlet {
    pub(super) fn new(out: Sender<Delivered>) -> Self {
        Outlet { out, unsent: VecDeque::new(), epochs: 0 }
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

    /// How much waits to be sent.
    pub(super) fn backlog(&self) -> usize {
        self.unsent.len()
    }

    /// Whether nobody reads any more.
    pub(super) fn is_closed(&self) -> bool {
        self.out.is_closed()
    }
}
