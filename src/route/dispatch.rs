//! A route at work: ranks its members, asks the first, and goes on to the next only when one is *down* (nobody listens, or
//! the key is refused): that costs nothing and no second attempt. Any other failure goes back to the stage, whose next
//! attempt is ranked anew.
//!
//! When every member is down or its breaker open, the route is: `NoRoute`, or the one member's own error.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::breaker::{Breaker, Pass, Verdict};
use super::{Candidate, RoutePolicy, Want};
use crate::base::clock::Clock;
use crate::event::result::Decision;
use crate::model::member::Member;
use crate::model::tokens::{self, Estimate};
use crate::model::{Call, ChatReply, ChatRequest, EmbedRequest, Model, ModelError, ModelErrorKind};

/// The health of one model of one provider, shared by all routes that have it as a member.
#[derive(Debug)]
pub struct Health {
    breaker: Mutex<Breaker>,
    began: Instant,
}

/// A member with its health.
pub struct Lane {
    /// `provider/model`.
    pub name: String,
    /// The model.
    pub member: Member,
    /// Its health.
    pub health: Arc<Health>,
}

/// What answers for a name.
pub struct Route {
    /// Name in the settings.
    pub name: Arc<str>,
    /// How members are chosen.
    pub policy: Box<dyn RoutePolicy>,
    /// Members, in the author's order.
    pub lanes: Vec<Lane>,
    /// Where draws come from.
    pub clock: Arc<dyn Clock>,
}

impl Default for Health {
    fn default() -> Self {
        Health { breaker: Mutex::default(), began: Instant::now() }
    }
}

impl Health {
    /// Time on this breaker's clock.
    fn now(&self) -> Duration {
        Instant::now().duration_since(self.began)
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) -> Option<Passage<'_>> {
        let now = self.now();
        let pass = self.breaker().enter(now)?;
        Some(Passage { health: self, pass: Some(pass), verdict: Verdict::Neutral })
    }
}

/// A pass that is given back whatever happens.
struct Passage<'a> {
    health: &'a Health,
    pass: Option<Pass>,
    verdict: Verdict,
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            let now = self.health.now();
            self.health.breaker().leave(pass, self.verdict, now);
        }
    }
}

/// What an attempt says of the service.
fn verdict<T>(result: &Result<T, ModelError>) -> Verdict {
    use ModelErrorKind::{
        Budget, ContentFiltered, Halted, InvalidRequest, Malformed, NoRoute, Overloaded,
        RateLimited, Timeout, Transport, Unauthorised, Unreachable,
    };
    match result.as_ref().map_err(|error| &error.kind) {
        Ok(_) | Err(InvalidRequest | ContentFiltered) => Verdict::Success,
        Err(RateLimited | Budget(_) | NoRoute | Halted) => Verdict::Neutral,
        Err(Overloaded | Timeout | Unauthorised | Malformed | Transport | Unreachable) => {
            Verdict::Failure
        }
    }
}

impl Route {
    async fn dispatch<'a, T, F>(
        &'a self,
        want: Want<'_>,
        ask: impl Fn(&'a Member, Option<Decision>) -> F,
    ) -> Result<T, ModelError>
    where
        F: Future<Output = Result<T, ModelError>>,
    {
        let fleet: Vec<Candidate<'_>> = self.lanes.iter().map(Lane::candidate).collect();
        // The low half of the bits.
        let order = self.policy.rank(&want, &fleet, self.clock.draw() as u64);
        let mut down = None;
        for lane in order.into_iter().filter_map(|index| self.lanes.get(index)) {
            let Some(mut passage) = lane.health.enter() else { continue };
            let result = ask(&lane.member, self.decision(lane)).await;
            passage.verdict = verdict(&result);
            match result {
                Err(error) if error.kind.is_down() => down = Some(error),
                result => return result,
            }
        }
        Err(down.filter(|_| self.lanes.len() == 1).unwrap_or_else(|| self.no_route(&fleet)))
    }

    /// A single model decides nothing.
    fn decision(&self, chosen: &Lane) -> Option<Decision> {
        (self.lanes.len() > 1).then(|| Decision {
            policy: self.policy.name().to_owned(),
            chosen: chosen.name.clone(),
            probability: None,
            candidates: self.lanes.iter().map(|lane| lane.name.clone()).collect(),
        })
    }

    /// Its text is the same as long as the route is down: whoever waits for it is counted by it.
    fn no_route(&self, fleet: &[Candidate<'_>]) -> ModelError {
        let message = match fleet {
            [only] => {
                format!("model `{}` is down: too many calls of `{}` failed", self.name, only.name)
            }
            _ => format!("model `{}` is down: none of its members is healthy", self.name),
        };
        let retry_after = fleet.iter().filter_map(|one| one.rests).min();
        ModelError { kind: ModelErrorKind::NoRoute, message, retry_after }
    }
}

impl Lane {
    fn candidate(&self) -> Candidate<'_> {
        let now = self.health.now();
        let breaker = self.health.breaker();
        Candidate {
            name: &self.name,
            healthy: breaker.is_healthy(now),
            rests: breaker.opens_again().map(|then| then.saturating_sub(now)),
        }
    }
}

fn want<'a>(operation: &'static str, call: &'a Call, estimate: &Estimate) -> Want<'a> {
    Want {
        operation,
        tenant: &call.tenant,
        input_tokens: estimate.input_likely,
        max_tokens: estimate.output_upper,
    }
}

#[async_trait]
impl Model for Route {
    async fn chat(&self, request: &ChatRequest, call: &Call) -> Result<ChatReply, ModelError> {
        let estimate = tokens::of_chat(request);
        let want = want("chat", call, &estimate);
        self.dispatch(want, |member, decision| member.chat(request, estimate, call, decision)).await
    }

    async fn embed(
        &self,
        request: &EmbedRequest,
        call: &Call,
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        let estimate = tokens::of_embed(request);
        let want = want("embeddings", call, &estimate);
        self.dispatch(want, |member, decision| member.embed(request, estimate, call, decision))
            .await
    }
}
