//! Entries as JSON. What every call writes goes the straight way, what is rare the general one.

use super::entry::{Answer, Intent, Outcome, What};
use crate::base::json::{Any, Put, Unwritable, object};

type Done = Result<(), Unwritable>;

impl Put for What {
    fn put(&self, out: &mut Vec<u8>) -> Done {
        match self {
            What::Intent(intent) => object!(out; "intent": intent),
            What::Outcome(outcome) => object!(out; "outcome": outcome),
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

impl Put for Outcome {
    fn put(&self, out: &mut Vec<u8>) -> Done {
        match (&self.attempt, &self.answer) {
            (Some(attempt), answer) => object!(out; "attempt": attempt, "answer"?: answer),
            (None, Some(answer)) => object!(out; "answer": answer),
            (None, None) => Any(self).put(out),
        }
    }
}

impl Put for Answer {
    fn put(&self, out: &mut Vec<u8>) -> Done {
        object!(out;
            "stage": self.stage,
            "item"?: self.item,
            "operation": self.operation,
            "ordinal": self.ordinal,
            "digest": self.digest,
            "value"?: self.value,
            "parts"?: self.parts
        )
    }
}

#[cfg(test)]
mod tests;
