//! Figures that vary: fixed, or log-normal by their median and 99th percentile, as latencies and answer lengths are.
//! Written `500ms` or `200ms..2s`, `300` or `100..900`. Pure: a draw goes in.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};

use crate::base::quantity::Span;

/// A figure that varies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// Always this.
    Fixed(f64),
    /// Log-normal.
    LogNormal {
        /// Half are below.
        p50: f64,
        /// Ninety-nine in a hundred are below.
        p99: f64,
    },
}

/// The 99th percentile of a standard normal distribution.
const Z99: f64 = 2.326_347_874;
/// Nothing drawn is larger than this many times the 99th percentile: an endless wait is no latency.
const TAIL: f64 = 4.0;

impl Spread {
    /// None at all.
    pub const ZERO: Spread = Spread::Fixed(0.0);

    /// One figure for a draw of random bits.
    pub fn sample(self, draw: u64) -> f64 {
        match self {
            Spread::Fixed(figure) => figure,
            Spread::LogNormal { p50, p99 } => {
                let normal: f64 = StandardNormal.sample(&mut StdRng::seed_from_u64(draw));
                let sigma = (p99 / p50).ln() / Z99;
                (p50 * (sigma * normal).exp()).min(p99 * TAIL)
            }
        }
    }

    /// From `500ms` or `200ms..2s`; the figure is in seconds.
    pub fn parse_latency(text: &str) -> Option<Spread> {
        Spread::parse(text, |part| match part {
            "0" => Some(0.0),
            part => Some(Span::parse(part)?.0.as_secs_f64()),
        })
    }

    /// From `300` or `100..900`.
    pub fn parse_count(text: &str) -> Option<Spread> {
        Spread::parse(text, |part| part.parse::<u32>().ok().map(f64::from))
    }

    fn parse(text: &str, figure: impl Fn(&str) -> Option<f64>) -> Option<Spread> {
        let Some((p50, p99)) = text.split_once("..") else {
            return figure(text).map(Spread::Fixed);
        };
        let (p50, p99) = (figure(p50)?, figure(p99)?);
        (p50 > 0.0 && p99 >= p50).then_some(Spread::LogNormal { p50, p99 })
    }

    /// A drawn latency.
    pub fn latency(self, draw: u64) -> Duration {
        Duration::try_from_secs_f64(self.sample(draw)).unwrap_or(Duration::ZERO)
    }

    /// A drawn count.
    pub fn count(self, draw: u64) -> u64 {
        // Counts are far below 2^52, and never negative.
        self.sample(draw).round().max(0.0) as u64
    }
}
