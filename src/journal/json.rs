//! Entries as JSON. What a call writes goes the straight way, what is rare the general one; outcomes have their own, in
//! [`batch`](super::batch).

use super::entry::{Intent, What};
use crate::base::json::{Any, Put, Unwritable, object};

type Done = Result<(), Unwritable>;

impl Put for What {
    fn put(&self, out: &mut Vec<u8>) -> Done {
        match self {
            What::Intent(intent) => object!(out; "intent": intent),
            rare => Any(rare).put(out),
        }
    }
}

impl Put for Intent {
    fn put(&self, out: &mut Vec<u8>) -> Done {
        object!(out;
            "attempt": self.attempt,
            "stage": self.stage,
            "item"?: self.item,
            "operation": self.operation,
            "provider": self.provider,
            "account": self.account,
            "model": self.model,
            "ceiling"?: self.ceiling,
            "catalogue"?: self.catalogue,
            "started_at": self.started_at
        )
    }
}

#[cfg(test)]
mod tests;
