//! What an input is due, asked of the corridor's own doors: decoding, tombstones, identity and the source's filter are not
//! judged a second time here.

use std::sync::Arc;

use minijinja::Value;

use super::fact::{Due, Input, Spot};
use super::records::bytes_of;
use crate::base::template::Expression;
use crate::base::template_names::of_expression;
use crate::flow::admit::{Admission, admit};
use crate::flow::consume::Consumed;
use crate::flow::decode::{Decoder, decode, identify};
use crate::flow::refusal::{Disposition, Refusal};
use crate::stream::{Epoch, Record};

/// What is asked of each input.
pub struct Expecting {
    /// Second door.
    pub decoder: Decoder,
    /// Third door.
    pub admission: Admission,
    /// `sink.when`.
    pub when: Option<Expression>,
}

impl Expecting {
    /// The fact of a record of the source. Waits for a registry that is down, as the engine does.
    pub async fn input(&self, record: Record) -> Input {
        let timestamp = record.timestamp;
        let (spot, bytes) = (Spot::of(&record), bytes_of(&record));
        let consumed = Arc::new(Consumed::new(record, Epoch(0), timestamp));
        let (event, _, replay_of) = identify(&self.decoder.cluster, &consumed);
        let due = self.due(&consumed).await;
        Input { spot, event, replay: replay_of.is_some(), timestamp, due, bytes, answer: None }
    }

    async fn due(&self, consumed: &Arc<Consumed>) -> Due {
        let admitted = |now| async move {
            let decoded = decode(&self.decoder, consumed).await?;
            admit(&self.admission, decoded, now)
        };
        match admitted(i64::MIN).await {
            Ok(admitted) => match &self.when {
                None => Due::Result,
                Some(when) => wanted(when, admitted.scope.into_value()),
            },
            // One that expires may have done so before the filter was asked.
            Err(Refusal::FilteredOut) => match admitted(i64::MAX).await {
                Err(Refusal::Expired) => Due::Perhaps,
                _ => Due::Nothing,
            },
            Err(refusal) => match refusal.disposition() {
                Disposition::Skip => Due::Nothing,
                Disposition::DeadLetter => Due::Letter,
                Disposition::Fail => Due::Result,
            },
        }
    }
}

/// Whether a completed event is to have a result: known if the condition asks for nothing that stages make. If it is
/// false, one that failed still has its result; if it can't be evaluated, the event has failed.
fn wanted(when: &Expression, scope: Value) -> Due {
    let known = of_expression(when.source()).is_ok_and(|names| {
        let outside = |root: &str| root == "event" || root == "record";
        names.unproven.is_empty() && names.used.iter().all(|name| outside(&name.root))
    });
    match when.test(&scope) {
        Ok(true) | Err(_) if known => Due::Result,
        _ => Due::Perhaps,
    }
}
