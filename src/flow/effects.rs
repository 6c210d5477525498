//! What a successful event does to memory: after its last stage, before the next event of its key starts. A store that
//! is down is waited for; the event's stages are not run again.

use std::sync::Arc;
use std::time::Duration;

use super::outage::Outages;
use super::refusal::Refusal;
use crate::base::clock::Clock;
use crate::base::retry::Backoff;
use crate::context::memory::MemoryErrorKind;
use crate::context::memory::shelf::{Collections, ShelfError};
use crate::stage::Effect;

const OUTAGE: Backoff = Backoff { base: Duration::from_millis(200), most: Duration::from_secs(15) };

/// What effects need.
pub struct Hands {
    /// Memory.
    pub collections: Arc<Collections>,
    /// Where a store that is down is named.
    pub outages: Outages,
    /// Draws for pauses.
    pub clock: Arc<dyn Clock>,
}

/// Does the writes of an event, in the order of its stages. Each is idempotent, so a second run does no harm.
pub async fn apply(hands: &Hands, effects: &[Effect]) -> Result<(), Refusal> {
    for effect in effects {
        let mut patience = hands.outages.patience();
        loop {
            let done = match effect {
                Effect::Publish(_) => break,
                Effect::Remember { collection, point } => {
                    hands.collections.remember(collection, vec![point.clone()]).await
                }
                Effect::Forget { collection, tenant, what } => {
                    hands.collections.forget(collection, tenant, what.clone()).await
                }
            };
            match done {
                Ok(()) => {
                    patience.answered();
                    break;
                }
                Err(ShelfError::Memory { store, error })
                    if error.kind != MemoryErrorKind::Invalid =>
                {
                    let draw = hands.clock.draw() as u64;
                    patience.turn(&store.into(), &error, &OUTAGE, draw).await;
                }
                Err(error) => {
                    patience.answered();
                    return Err(Refusal::Memory(error.to_string()));
                }
            }
        }
    }
    Ok(())
}
