//! The events that we write as JSON, field by field in the order of their types.

use super::cost::{Attempt, CostEvent, CostLine};
use super::identity::{Identity, Origin};
use super::ids::{AttemptId, Digest, EventId};
use super::money::{Money, Room};
use super::result::{Decision, Failure, OutputValue, PassageScore, ResultEvent, StageRun};
use super::time::moment;
use super::usage::Usage;
use crate::base::json::{Put, Shown, Unwritable, begin, fields, object};

type Done = Result<(), Unwritable>;

impl Put for ResultEvent<'_> {
    fn put(&self, out: &mut Vec<u8>) -> Done {
        identity(&self.identity, out)?;
        fields!(out;
            "event_id": self.event_id,
            "request_id"?: self.request_id,
            "origin": *self.origin,
            "replay_of"?: self.replay_of,
            "pipeline": self.pipeline,
            "version"?: self.version,
            "digest": self.digest,
            "group": self.group,
            "status": self.status,
            "degraded": self.degraded,
            "index": self.index,
            "final": self.is_final,
            "error"?: self.error,
            "outputs": self.outputs,
            "stages": *self.stages,
            "amount"?: self.amount,
            "currency": self.currency,
            "unpriced_calls": self.unpriced_calls,
            "catalogue"?: self.catalogue,
            "received_at": Time(self.received_at),
            "duration_us": self.duration_us,
            "queue_us": self.queue_us,
            "overhead_us": self.overhead_us,
            "trace_id"?: self.trace_id
        );
        out.push(b'}');
        Ok(())
    }
}

impl Put for CostEvent<'_> {
    fn put(&self, out: &mut Vec<u8>) -> Done {
        identity(&self.identity, out)?;
        fields!(out;
            "time": Time(self.time),
            "kind": self.kind,
            "adjusts"?: self.adjusts,
            "batch_id"?: self.batch_id,
            "event_id": self.event_id,
            "request_id"?: self.request_id,
            "pipeline": self.pipeline,
            "version"?: self.version,
            "digest": self.digest,
            "stage": self.stage,
            "item"?: self.item,
            "attempt": self.attempt,
            "operation": self.operation,
            "provider": self.provider,
            "account": self.account,
            "region"?: self.region,
            "request_model": self.request_model,
            "response_model"?: self.response_model,
            "service_tier": self.service_tier,
            "provider_request_id"?: self.provider_request_id,
            "lines": *self.lines,
            "amount"?: self.amount,
            "currency": self.currency,
            "price_status": self.price_status,
            "catalogue"?: self.catalogue,
            "cached": self.cached,
            "saved"?: self.saved,
            "outcome": self.outcome,
            "finish_reason"?: self.finish_reason,
            "duration_us": self.duration_us,
            "ttfc_us"?: self.ttfc_us
        );
        out.push(b'}');
        Ok(())
    }
}

/// The common head, without its end.
fn identity(identity: &Identity<'_>, out: &mut Vec<u8>) -> Done {
    begin!(out;
        "id": identity.id,
        "source": identity.source,
        "type": identity.kind,
        "subject"?: identity.subject,
        "tenant"?: identity.tenant,
        "user"?: identity.user,
        "session"?: identity.session,
        "attributes": identity.attributes
    );
    Ok(())
}

impl Put for Origin {
    fn put(&self, out: &mut Vec<u8>) -> Done {
        object!(out;
            "cluster": self.cluster,
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "timestamp": Time(self.timestamp)
        )
    }
}

impl Put for Failure {
    fn put(&self, out: &mut Vec<u8>) -> Done {
        object!(out;
            "class": self.class,
            "code": self.code,
            "stage"?: self.stage,
            "message": self.message,
            "retryable": self.retryable
        )
    }
}

impl Put for OutputValue<'_> {
    fn put(&self, out: &mut Vec<u8>) -> Done {
        object!(out; "content_type": self.content_type, "value": self.value)
    }
}

impl Put for StageRun {
    fn put(&self, out: &mut Vec<u8>) -> Done {
        object!(out;
            "name": self.name,
            "kind": self.kind,
            "status": self.status,
            "reason"?: self.reason,
            "item"?: self.item,
            "started_at": Time(self.started_at),
            "duration_us": self.duration_us,
            "provider"?: self.provider,
            "request_model"?: self.request_model,
            "response_model"?: self.response_model,
            "prompt_digest"?: self.prompt_digest,
            "finish_reason"?: self.finish_reason,
            "attempts": self.attempts,
            "cached": self.cached,
            "decision"?: self.decision,
            "passages": self.passages,
            "usage": self.usage,
            "amount"?: self.amount
        )
    }
}

impl Put for Decision {
    fn put(&self, out: &mut Vec<u8>) -> Done {
        object!(out;
            "policy": self.policy,
            "chosen": self.chosen,
            "probability"?: self.probability,
            "candidates": self.candidates
        )
    }
}

impl Put for PassageScore {
    fn put(&self, out: &mut Vec<u8>) -> Done {
        object!(out; "id": self.id, "score": self.score)
    }
}

/// As the journal tells it.
impl Put for Attempt {
    fn put(&self, out: &mut Vec<u8>) -> Done {
        object!(out;
            "id": self.id,
            "stage": self.stage,
            "item"?: self.item,
            "number": self.number,
            "operation": self.operation,
            "provider": self.provider,
            "account": self.account,
            "request_model": self.request_model,
            "response_model"?: self.response_model,
            "provider_request_id"?: self.provider_request_id,
            "batch_id"?: self.batch_id,
            "usage": self.usage,
            "amount"?: self.amount,
            "lines": self.lines,
            "price_status": self.price_status,
            "catalogue"?: self.catalogue,
            "outcome": self.outcome,
            "finish_reason"?: self.finish_reason,
            "started_at": self.started_at,
            "duration_us": self.duration_us,
            "ttfc_us"?: self.ttfc_us,
            "decision"?: self.decision
        )
    }
}

impl Put for CostLine {
    fn put(&self, out: &mut Vec<u8>) -> Done {
        object!(out;
            "unit": self.unit,
            "quantity": self.quantity,
            "unit_price"?: self.unit_price,
            "per": self.per
        )
    }
}

impl Put for Usage {
    fn put(&self, out: &mut Vec<u8>) -> Done {
        object!(out;
            "input": self.input,
            "cache_read": self.cache_read,
            "cache_write": self.cache_write,
            "output": self.output,
            "reasoning": self.reasoning
        )
    }
}

impl Put for Money {
    fn put(&self, out: &mut Vec<u8>) -> Done {
        out.push(b'"');
        for piece in self.pieces(&mut Room::default()) {
            out.extend_from_slice(piece.as_bytes());
        }
        out.push(b'"');
        Ok(())
    }
}

/// Milliseconds since the epoch, as RFC 3339 text.
struct Time(i64);

impl Put for Time {
    fn put(&self, out: &mut Vec<u8>) -> Done {
        Shown(moment(self.0).map_err(Unwritable)?).put(out)
    }
}

macro_rules! ids {
    ($($id:ident),*) => {$(
        impl Put for $id {
            fn put(&self, out: &mut Vec<u8>) -> Done {
                self.0.put(out)
            }
        }
    )*};
}
ids!(EventId, AttemptId, Digest);
