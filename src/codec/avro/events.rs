//! The events that we write, field by field in the order of `schemas/result.avsc` and `schemas/cost.avsc`: no tree in
//! between, since every event has one of each. A test reads every field back.

use uuid::Uuid;

use crate::codec::avro::logical::integer_bytes;
use crate::codec::avro::write::{put_bytes, put_long};
use crate::event::cost::{CostEvent, CostLine};
use crate::event::identity::Identity;
use crate::event::money::Money;
use crate::event::result::{Decision, Failure, ResultEvent, StageRun};

/// A datum in the making.
struct Datum<'a>(&'a mut Vec<u8>);

impl Datum<'_> {
    fn text(&mut self, text: &str) {
        put_bytes(self.0, text.as_bytes());
    }

    fn id(&mut self, id: Uuid) {
        self.text(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    }

    fn long(&mut self, number: i64) {
        put_long(self.0, number);
    }

    fn truth(&mut self, truth: bool) {
        self.0.push(u8::from(truth));
    }

    fn double(&mut self, number: f64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn money(&mut self, money: Money) {
        put_bytes(self.0, &integer_bytes(money.0));
    }

    /// A union of null and something.
    fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.long(0),
            Some(value) => {
                self.long(1);
                write(self, value);
            }
        }
    }

    fn maybe_text(&mut self, text: Option<&str>) {
        self.maybe(text, |datum, text| datum.text(text));
    }

    fn maybe_money(&mut self, money: Option<Money>) {
        self.maybe(money, Self::money);
    }

    /// A list or a map: one block, then the end.
    fn each<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        if items.len() > 0 {
            self.long(items.len() as i64);
            items.for_each(|item| write(self, item));
        }
        self.long(0);
    }
}

/// Appends a result.
pub(super) fn result(event: &ResultEvent<'_>, out: &mut Vec<u8>) {
    let mut datum = Datum(out);
    identity(&mut datum, &event.identity);
    datum.id(event.event_id.0);
    datum.maybe_text(event.request_id);
    datum.text(&event.origin.cluster);
    datum.text(&event.origin.topic);
    datum.long(event.origin.partition.into());
    datum.long(event.origin.offset);
    datum.long(event.origin.timestamp);
    datum.maybe_text(event.replay_of);
    datum.text(event.pipeline);
    datum.maybe_text(event.version);
    datum.text(event.digest);
    datum.text(event.group);
    datum.text(event.status);
    datum.truth(event.degraded);
    datum.long(event.index.into());
    datum.truth(event.is_final);
    datum.maybe(event.error.as_ref(), failure);
    datum.each(event.outputs.iter(), |datum, (name, output)| {
        datum.text(name);
        datum.text(output.content_type);
        datum.text(&output.value);
    });
    datum.each(event.stages.iter(), stage);
    datum.maybe_money(event.amount);
    datum.text(event.currency);
    datum.long(event.unpriced_calls.into());
    datum.maybe_text(event.catalogue);
    datum.long(event.received_at);
    datum.long(event.duration_us);
    datum.long(event.queue_us);
    datum.long(event.overhead_us);
    datum.maybe_text(event.trace_id);
}

/// Appends a cost event.
pub(super) fn cost(event: &CostEvent<'_>, out: &mut Vec<u8>) {
    let mut datum = Datum(out);
    identity(&mut datum, &event.identity);
    datum.long(event.time);
    datum.text(event.kind);
    datum.maybe(event.adjusts, |datum, attempt| datum.id(attempt.0));
    datum.maybe_text(event.batch_id);
    datum.id(event.event_id.0);
    datum.maybe_text(event.request_id);
    datum.text(event.pipeline);
    datum.maybe_text(event.version);
    datum.text(event.digest);
    datum.text(event.stage);
    datum.maybe(event.item, |datum, item| datum.long(item.into()));
    datum.long(event.attempt.into());
    datum.text(event.operation);
    datum.text(event.provider);
    datum.text(event.account);
    datum.maybe_text(event.region);
    datum.text(event.request_model);
    datum.maybe_text(event.response_model);
    datum.text(event.service_tier);
    datum.maybe_text(event.provider_request_id);
    datum.each(event.lines.iter(), line);
    datum.maybe_money(event.amount);
    datum.text(event.currency);
    datum.text(event.price_status);
    datum.maybe_text(event.catalogue);
    datum.truth(event.cached);
    datum.maybe_money(event.saved);
    datum.text(event.outcome);
    datum.maybe_text(event.finish_reason);
    datum.long(event.duration_us);
    datum.maybe(event.ttfc_us, Datum::long);
}

fn identity(datum: &mut Datum<'_>, identity: &Identity<'_>) {
    datum.id(identity.id);
    datum.text(identity.source);
    datum.text(identity.kind);
    datum.maybe_text(identity.subject);
    datum.maybe_text(identity.tenant);
    datum.maybe_text(identity.user);
    datum.maybe_text(identity.session);
    datum.each(identity.attributes.iter(), |datum, (name, value)| {
        datum.text(name);
        datum.text(value);
    });
}

fn failure(datum: &mut Datum<'_>, failure: &Failure) {
    datum.text(&failure.class);
    datum.text(&failure.code);
    datum.maybe_text(failure.stage.as_deref());
    datum.text(&failure.message);
    datum.truth(failure.retryable);
}

fn stage(datum: &mut Datum<'_>, stage: &StageRun) {
    datum.text(&stage.name);
    datum.text(stage.kind);
    datum.text(stage.status);
    datum.maybe_text(stage.reason.as_deref());
    datum.maybe(stage.item, |datum, item| datum.long(item.into()));
    datum.long(stage.started_at);
    datum.long(stage.duration_us);
    datum.maybe_text(stage.provider.as_deref());
    datum.maybe_text(stage.request_model.as_deref());
    datum.maybe_text(stage.response_model.as_deref());
    datum.maybe_text(stage.prompt_digest.as_deref());
    datum.maybe_text(stage.finish_reason.as_deref());
    datum.long(stage.attempts.into());
    datum.truth(stage.cached);
    datum.maybe(stage.decision.as_ref(), decision);
    datum.each(stage.passages.iter(), |datum, passage| {
        datum.text(&passage.id);
        datum.double(passage.score);
    });
    datum.each(stage.usage.iter(), |datum, (part, tokens)| {
        datum.text(part);
        datum.long(*tokens);
    });
    datum.maybe_money(stage.amount);
}

fn decision(datum: &mut Datum<'_>, decision: &Decision) {
    datum.text(&decision.policy);
    datum.text(&decision.chosen);
    datum.maybe(decision.probability, Datum::double);
    datum.each(decision.candidates.iter(), |datum, candidate| datum.text(candidate));
}

fn line(datum: &mut Datum<'_>, line: &CostLine) {
    datum.text(&line.unit);
    datum.long(line.quantity);
    datum.maybe_money(line.unit_price);
    datum.long(line.per);
}
