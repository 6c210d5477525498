//! The corridor, one file per door, in the order an event meets them:
//!
//! `consume → decode → admit → enrich → run → emit → commit`
//!
//! Each door takes the previous door's type and gives the next: what was not run can't be emitted. [`carry`] is the way
//! of one event from its record to its outputs; [`member`] is one member of a consumer group, which takes records in,
//! starts what may run, and writes outputs and progress together.
//!
//! Reading on: [`tracker`] (which offsets are done), [`lanes`] (order per key), [`outbox`] (what is committed next),
//! [`schedule`] (which stage may start), [`refusal`] (every way to fail).

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::future::FutureExt;

use self::admit::{Admission, admit};
use self::consume::Consumed;
use self::decode::{Decoder, decode, identify};
use self::effects::Hands;
use self::emit::{Emitted, Emitter, Known};
use self::enrich::{Enrichment, enrich};
use self::headers::Stamped;
use self::identity::Who;
use self::refusal::Refusal;
use self::run::{Completed, Runner, run};
use crate::base::clock::Clock;
use crate::model::Purse;

pub mod admit;
pub mod attempt;
pub mod commit;
pub mod consume;
pub mod dead_letter;
pub mod decode;
pub mod effects;
pub mod emit;
pub mod enrich;
pub mod gate;
pub mod headers;
pub mod identity;
pub mod lanes;
mod late;
pub mod member;
pub mod meter;
pub mod notebook;
pub mod observe;
pub mod outage;
pub mod outbox;
pub mod partition;
pub mod readings;
pub mod recover;
pub mod refusal;
pub mod report;
mod resting;
pub mod run;
pub mod schedule;
pub mod scope;
pub mod tracker;
pub mod turns;
pub mod unit;
pub mod workers;

/// The doors of one pipeline.
pub struct Line {
    /// Second door.
    pub decoder: Decoder,
    /// Third door.
    pub admission: Admission,
    /// Fourth door.
    pub enrichment: Enrichment,
    /// Fifth door.
    pub runner: Runner,
    /// Whose money an event spends.
    pub purses: Box<dyn Fn() -> Arc<dyn Purse> + Send + Sync>,
    /// What successful events do to memory.
    pub hands: Hands,
    /// Sixth door.
    pub emitter: Emitter,
    /// Partitions of the call journal; 0 when it is not known, or none is kept.
    pub journal_partitions: i32,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
}

/// Carries one event from its record to its outputs. Whatever happens, something comes out: outputs, or the dead letter
/// that says why not. A panic costs the event, not the process.
pub async fn carry(line: &Line, consumed: Arc<Consumed>) -> Emitted {
    match AssertUnwindSafe(through(line, &consumed)).catch_unwind().await {
        Ok(Ok(emitted)) => emitted,
        Ok(Err(refusal)) => refused(line, &consumed, refusal).await,
        Err(_) => refused(line, &consumed, Refusal::Panic { stage: "-".to_owned() }).await,
    }
}

async fn through(line: &Line, consumed: &Arc<Consumed>) -> Result<Emitted, Refusal> {
    let decoded = decode(&line.decoder, consumed).await?;
    let admitted = admit(&line.admission, decoded, line.clock.now())?;
    let enriched = enrich(&line.enrichment, admitted);
    let completed = run(&line.runner, enriched, (line.purses)()).await;
    let emitted = match emit::emit(&line.emitter, &completed).await {
        Ok(emitted) => match effects::apply(&line.hands, &completed.effects).await {
            Ok(()) => emitted,
            Err(refusal) => undone(line, &completed, refusal).await,
        },
        Err(refusal) => undone(line, &completed, refusal).await,
    };
    Ok(Emitted { completed: Some(Arc::new(completed.told())), ..emitted })
}

/// An event that ran and whose outputs were refused: it fails, what it cost is told.
async fn undone(line: &Line, completed: &Completed, refusal: Refusal) -> Emitted {
    emit::refuse(&line.emitter, &Known::of(completed), refusal, Some(completed)).await
}

/// The dead letter of an event whose outputs the log will not take.
pub async fn unwritable(line: &Line, event: &Emitted, reason: String) -> Emitted {
    let refusal = Refusal::Unwritable(reason);
    match &event.completed {
        Some(completed) => undone(line, completed, refusal).await,
        None => refused(line, &event.consumed, refusal).await,
    }
}

/// An event that was refused before it ran.
async fn refused(line: &Line, consumed: &Arc<Consumed>, refusal: Refusal) -> Emitted {
    let (id, origin, replay_of) = identify(&line.decoder.cluster, consumed);
    let headers = &consumed.record.headers;
    let who = Who::of_headers(headers);
    let traceparent = identity::text_header(headers, "traceparent");
    let known = Known {
        consumed,
        id,
        origin: &origin,
        replay_of: replay_of.as_deref(),
        who: &who,
        hops: 0,
        traceparent: traceparent.as_ref(),
        stamped: Stamped::default(),
    };
    emit::refuse(&line.emitter, &known, refusal, None).await
}
