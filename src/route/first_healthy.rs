//! `first_healthy`: the first member, in the author's order, whose breaker is not open.
//!
//! ```yaml
//! models:
//!   writer: { first_healthy: [openai/gpt-4.1, small] }
//! ```

use super::{Candidate, RoutePolicy, Want};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct FirstHealthy;

impl RoutePolicy for FirstHealthy {
    fn name(&self) -> &'static str {
        "first_healthy"
    }

    fn rank(&self, _want: &Want<'_>, fleet: &[Candidate<'_>], _draw: u64) -> Vec<usize> {
        (0..fleet.len()).filter(|index| fleet.get(*index).is_some_and(|one| one.healthy)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_order_is_the_authors_without_the_unhealthy(
            healthy in proptest::collection::vec(any::<bool>(), 0..8), draw: u64
        ) {
            let fleet: Vec<Candidate<'_>> = healthy
                .iter()
                .map(|healthy| Candidate { name: "p/m", healthy: *healthy, rests: None })
                .collect();
            let want = Want { operation: "chat", tenant: "default", input_tokens: 1, max_tokens: 1 };
            let order = FirstHealthy.rank(&want, &fleet, draw);
            let expected: Vec<usize> = (0..healthy.len()).filter(|index| healthy[*index]).collect();
            prop_assert_eq!(order, expected);
        }
    }
}
