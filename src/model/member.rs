//! One attempt at one model, whole: money is set aside, a permit taken, the target asked, the truth settled and the
//! attempt recorded.
//!
//! **Every request that left is recorded once**, whatever ends it: an answer, an error, the deadline, or the caller who
//! drops the future. What its record says of money:
//!
//! | what happened | amount | `price_status` |
//! | --- | --- | --- |
//! | answered, with usage | usage × price | `priced` |
//! | answered, usage not reported | likely tokens × price | `estimated` |
//! | refused (4xx, 5xx, an error in a 200) | zero | `priced` |
//! | timed out, cut off, not understood, cancelled | the ceiling | `unsettled` |
//! | any of these without a price | none | `unpriced` |
//!
//! A request that never left (no permit in time, connection refused, over budget) is no attempt and leaves no record.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::dialect::Operation;
use super::price::{Charge, Pricing, charge};
use super::target::{Answer, Bill, Target};
use super::tokens::{self, Estimate};
use super::{
    Call, ChatReply, ChatRequest, EmbedRequest, Hold, ModelError, ModelErrorKind, OverBudget,
};
use crate::base::clock::Clock;
use crate::event::cost::Attempt;
use crate::event::ids::AttemptId;
use crate::event::money::Money;
use crate::event::result::Decision;
use crate::event::usage::Usage;
use crate::journal::Intent;

/// A model that can be asked, with its price and its limits.
pub struct Member {
    /// Provider's name in the settings.
    pub provider: Arc<str>,
    /// Alias of the billed key.
    pub account: Arc<str>,
    /// The provider's name of the model.
    pub model: Arc<str>,
    /// What answers.
    pub target: Box<dyn Target>,
    /// What it costs.
    pub pricing: Pricing,
    /// Calls at a time: of the model, then of the provider, always taken in this order.
    pub permits: Vec<Arc<Semaphore>>,
    /// Wall time, and the draws that make attempt ids.
    pub clock: Arc<dyn Clock>,
}

impl Member {
    /// One attempt of a chat; `estimate` is what it may come to.
    pub async fn chat(
        &self,
        request: &ChatRequest,
        estimate: Estimate,
        call: &Call,
        decision: Option<Decision>,
    ) -> Result<ChatReply, ModelError> {
        let mut open = Open::new(self, call, Operation::Chat, estimate, decision)?;
        let _permits = open.permits().await?;
        open.intend().await?;
        let asked = self.target.chat(request, call);
        let answer = open.asked(asked).await;
        let output = answer.result.as_ref().map_or(0, |reply| tokens::of_text(&reply.text));
        open.close(answer, output)
    }

    /// One attempt of an embedding; `estimate` is what it may come to.
    pub async fn embed(
        &self,
        request: &EmbedRequest,
        estimate: Estimate,
        call: &Call,
        decision: Option<Decision>,
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        let mut open = Open::new(self, call, Operation::Embed, estimate, decision)?;
        let _permits = open.permits().await?;
        open.intend().await?;
        let asked = self.target.embed(request, call);
        let answer = open.asked(asked).await;
        open.close(answer, 0)
    }

    fn full_name(&self) -> String {
        format!("{}/{}", self.provider, self.model)
    }
}

/// An attempt under way. Dropped before it was closed, it settles and records itself.
struct Open<'a> {
    member: &'a Member,
    call: &'a Call,
    operation: Operation,
    estimate: Estimate,
    ceiling: Charge,
    decision: Option<Decision>,
    hold: Option<Hold>,
    id: AttemptId,
    intended: bool,
    /// When the request left.
    left: Option<(i64, Instant)>,
}

/// How an attempt ended, for its record.
struct Ending {
    outcome: &'static str,
    usage: Usage,
    charge: Charge,
    price_status: &'static str,
    response_model: Option<String>,
    request_id: Option<String>,
    finish_reason: Option<String>,
}

impl<'a> Open<'a> {
    fn new(
        member: &'a Member,
        call: &'a Call,
        operation: Operation,
        estimate: Estimate,
        decision: Option<Decision>,
    ) -> Result<Self, ModelError> {
        let none = Charge { amount: None, lines: Vec::new() };
        let price = member.pricing.at(member.clock.now());
        let ceiling = price.map_or(none, |price| price.ceiling(&estimate));
        if ceiling.amount.is_none() && call.purse.limited() {
            return Err(over_budget(OverBudget {
                limit: "unpriced",
                message: format!(
                    "`{}` has no price now, and a budget is set; give it one under `prices`, or `price: free`",
                    member.full_name()
                ),
                until: None,
                for_good: true,
            }));
        }
        let hold =
            call.purse.reserve(ceiling.amount.unwrap_or(Money::ZERO)).map_err(over_budget)?;
        let hold = Some(hold);
        let id = AttemptId::from_draw(member.clock.draw());
        Ok(Open {
            member,
            call,
            operation,
            estimate,
            ceiling,
            decision,
            hold,
            id,
            intended: false,
            left: None,
        })
    }

    /// Waits for a place, no longer than the deadline.
    async fn permits(&self) -> Result<Vec<OwnedSemaphorePermit>, ModelError> {
        let late = || ModelError {
            kind: ModelErrorKind::Timeout,
            message: format!(
                "no free place at `{}` in time: `max_in_flight` is reached",
                self.member.full_name()
            ),
            retry_after: None,
        };
        let mut permits = Vec::with_capacity(self.member.permits.len());
        for semaphore in &self.member.permits {
            let taken = timeout_at(self.call.deadline, Arc::clone(semaphore).acquire_owned()).await;
            permits.push(taken.map_err(|_| late())?.map_err(|_| late())?);
        }
        if Instant::now() >= self.call.deadline {
            return Err(late());
        }
        self.wanted()?;
        Ok(permits)
    }

    /// Whoever waited long, for a place or for the journal, may be asking for nobody.
    fn wanted(&self) -> Result<(), ModelError> {
        if !self.call.halt.is_set() {
            return Ok(());
        }
        let message = "the answer is not wanted any more".to_owned();
        Err(ModelError { kind: ModelErrorKind::Halted, message, retry_after: None })
    }

    /// Tells the journal, before the first byte leaves.
    async fn intend(&mut self) -> Result<(), ModelError> {
        let intent = Intent {
            attempt: self.id,
            stage: Arc::clone(&self.call.key.stage),
            item: self.call.key.item,
            operation: self.operation.name(),
            provider: Arc::clone(&self.member.provider),
            account: Arc::clone(&self.member.account),
            model: Arc::clone(&self.member.model),
            ceiling: self.ceiling.amount,
            catalogue: self.member.pricing.catalogue().cloned(),
            started_at: self.member.clock.now(),
        };
        self.intended = true;
        let told = timeout_at(self.call.deadline, self.call.journal.intend(intent)).await;
        let message = match told {
            Ok(Ok(())) => return self.wanted(),
            Ok(Err(error)) => format!("the journal can't be written: {error}"),
            Err(_) => "the journal did not take the call's intent in time".to_owned(),
        };
        Err(ModelError { kind: ModelErrorKind::Transport, message, retry_after: None })
    }

    /// The answer, or that it did not come in time.
    async fn asked<T>(&mut self, ask: impl Future<Output = Answer<T>>) -> Answer<T> {
        self.left = Some((self.member.clock.now(), Instant::now()));
        timeout_at(self.call.deadline, ask).await.unwrap_or_else(|_| {
            let error = ModelError {
                kind: ModelErrorKind::Timeout,
                message: format!("provider `{}` did not answer in time", self.member.provider),
                retry_after: None,
            };
            Answer::failed(error, Bill::Unknown)
        })
    }

    fn close<T>(mut self, answer: Answer<T>, output_tokens: u64) -> Result<T, ModelError> {
        let Answer { result, bill, response_model, request_id, finish_reason } = answer;
        let outcome = result.as_ref().map_or_else(|error| error.kind.code(), |_| "ok");
        let price = self.left.and_then(|(started, _)| self.member.pricing.at(started));
        let (usage, charge, price_status) = match bill {
            Bill::NeverSent => {
                self.left = None;
                (Usage::default(), None, "priced")
            }
            Bill::Nothing => (Usage::default(), None, "priced"),
            Bill::Used(usage) => (usage, Some(charge(price, &usage)), "priced"),
            Bill::Unreported => {
                let usage = Usage {
                    input: self.estimate.input_likely,
                    output: output_tokens,
                    ..Usage::default()
                };
                (usage, Some(charge(price, &usage)), "estimated")
            }
            Bill::Unknown => (Usage::default(), Some(self.ceiling.clone()), "unsettled"),
        };
        let charge = charge.unwrap_or(Charge { amount: Some(Money::ZERO), lines: Vec::new() });
        let price_status = if charge.amount.is_some() { price_status } else { "unpriced" };
        self.end(Ending {
            outcome,
            usage,
            charge,
            price_status,
            response_model,
            request_id,
            finish_reason,
        });
        result
    }

    /// Settles and records, the first time it is called.
    fn end(&mut self, ending: Ending) {
        let Some(hold) = self.hold.take() else { return };
        let Some((started_at, began)) = self.left else {
            self.call.purse.settle(hold, Money::ZERO);
            if self.intended {
                self.call.journal.withdraw(self.id);
            }
            return;
        };
        self.call.purse.settle(hold, ending.charge.amount.unwrap_or(Money::ZERO));
        let attempt = Attempt {
            id: self.id,
            stage: Arc::clone(&self.call.key.stage),
            item: self.call.key.item,
            number: self.call.attempt,
            operation: self.operation.name(),
            provider: Arc::clone(&self.member.provider),
            account: Arc::clone(&self.member.account),
            request_model: Arc::clone(&self.member.model),
            response_model: ending.response_model.map(Arc::from),
            provider_request_id: ending.request_id,
            batch_id: None,
            usage: ending.usage,
            amount: ending.charge.amount,
            lines: ending.charge.lines,
            price_status: ending.price_status,
            catalogue: self.member.pricing.catalogue().cloned(),
            outcome: ending.outcome.into(),
            finish_reason: ending.finish_reason.map(Arc::from),
            started_at,
            duration_us: micros(Instant::now().duration_since(began)),
            ttfc_us: None,
            decision: self.decision.take(),
        };
        self.call.journal.ended(&attempt);
        self.call.meter.record(attempt);
    }
}

/// The caller went away: nobody knows what the provider does with the request.
impl Drop for Open<'_> {
    fn drop(&mut self) {
        let charge = self.ceiling.clone();
        let price_status = if charge.amount.is_some() { "unsettled" } else { "unpriced" };
        self.end(Ending {
            outcome: "cancelled",
            usage: Usage::default(),
            charge,
            price_status,
            response_model: None,
            request_id: None,
            finish_reason: None,
        });
    }
}

fn over_budget(over: OverBudget) -> ModelError {
    let message = over.message.clone();
    ModelError { kind: ModelErrorKind::Budget(over), message, retry_after: None }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
