//! How a simulated or mocked model behaves: how long it takes, how many tokens it says it used, how and how often it
//! fails. A model's name can say so, in words joined by `+`:
//!
//! | word | meaning |
//! | --- | --- |
//! | `slow-500ms`, `slow-200ms..2s` | latency: fixed, or log-normal by p50 and p99 |
//! | `tokens-300`, `tokens-100..900` | tokens of the answer, as reported |
//! | `input-2000` | tokens of the prompt, as reported |
//! | `cached-80`, `reasoning-40` | how many of them came from the cache, were hidden reasoning |
//! | `status-429`, `status-503` … | it fails with that status |
//! | `retry-after-2s` | with that `Retry-After` (a 429 has 1 s without it) |
//! | `hang` `cut` `garbage` `error-body` `huge` | it never answers; sends half a body; sends no JSON; sends an error under a 200; sends 50 MB |
//! | `rate-0.1` | it fails in one call of ten only |
//!
//! Other words are part of a name and mean nothing: `gpt-4.1+slow-500ms`. One that begins as these do, with a number that
//! can't be read, such as `slow-2500us`, is refused in settings.

use std::time::Duration;

use super::answer::Said;
use super::mix;
use super::spread::Spread;
use crate::base::quantity::Span;
use crate::event::usage::Usage;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// Time to the answer, in seconds.
    pub latency: Spread,
    /// How it fails.
    pub fault: Option<Fault>,
    /// Share of the calls that fail, 0 to 1; with none, all do that have a fault.
    pub error_rate: Option<f64>,
    /// Tokens of the answer as reported; none counts the text.
    pub output_tokens: Option<Spread>,
    /// Tokens of the prompt as reported; none counts the text.
    pub input_tokens: Option<u64>,
    /// How many of the prompt's came from the cache.
    pub cached: u64,
    /// How many of the answer's were reasoning.
    pub reasoning: u64,
    /// Instead of the usual answer.
    pub answer: Option<String>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Behaviour {
            latency: Spread::ZERO,
            fault: None,
            error_rate: None,
            output_tokens: None,
            input_tokens: None,
            cached: 0,
            reasoning: 0,
            answer: None,
        }
    }
}

/// A way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this status.
    Status {
        /// HTTP status.
        code: u16,
        /// Header of that name.
        retry_after: Option<Duration>,
    },
    /// Takes the request and never answers.
    Hang,
    /// Sends half a body and closes.
    Cut,
    /// Sends something that is no JSON.
    Garbage,
    /// Sends an error under a 200.
    ErrorBody,
    /// Sends 50 MB.
    Huge,
}

impl Fault {
    /// A status; a 429 asks for one second.
    pub fn status(code: u16) -> Self {
        let retry_after = (code == 429).then_some(Duration::from_secs(1));
        Fault::Status { code, retry_after }
    }

    /// By its word: `hang`, `cut`, `garbage`, `error-body`, `huge`.
    pub fn by_word(word: &str) -> Option<Fault> {
        Some(match word {
            "hang" => Fault::Hang,
            "cut" => Fault::Cut,
            "garbage" => Fault::Garbage,
            "error-body" => Fault::ErrorBody,
            "huge" => Fault::Huge,
            _ => return None,
        })
    }
}

/// What is drawn for one call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// Time to the answer.
    pub latency: Duration,
    /// Whether and how it fails.
    pub fault: Option<Fault>,
}

impl Behaviour {
    /// What happens to one call.
    pub fn draw(&self, draw: u64) -> Drawn {
        let fault = match self.error_rate {
            None => self.fault,
            Some(rate) => {
                let fails = unit(mix(draw ^ 1)) < rate;
                fails.then(|| self.fault.unwrap_or(Fault::status(503)))
            }
        };
        Drawn { latency: self.latency.latency(draw), fault }
    }

    /// What it says it used: what was counted, where nothing else is set. Never more than the ceiling of the answer.
    pub fn usage(&self, counted: u64, said: &Said, max_tokens: u32, draw: u64) -> Usage {
        let input = self.input_tokens.unwrap_or(counted);
        let output = self.output_tokens.map_or(said.tokens, |tokens| tokens.count(draw));
        let output = (output + if self.output_tokens.is_none() { self.reasoning } else { 0 })
            .min(u64::from(max_tokens));
        let (cache_read, reasoning) = (self.cached.min(input), self.reasoning.min(output));
        Usage {
            input: input - cache_read,
            cache_read,
            cache_write: 0,
            output: output - reasoning,
            reasoning,
        }
    }

    /// The same with what the words of a name say.
    pub fn by_name(&self, name: &str) -> Behaviour {
        let mut behaviour = self.clone();
        let mut asked = None;
        for word in name.rsplit('/').next().unwrap_or(name).split('+') {
            asked = behaviour.take(word).or(asked);
        }
        if let (Some(Fault::Status { retry_after, .. }), Some(asked)) =
            (&mut behaviour.fault, asked)
        {
            *retry_after = Some(asked);
        }
        behaviour
    }

    /// The first word of a name that begins as one of those that mean something, and whose number can't be read.
    pub fn misread(name: &str) -> Option<&str> {
        const NUMBERED: [&str; 8] = [
            "slow-",
            "tokens-",
            "input-",
            "cached-",
            "reasoning-",
            "status-",
            "retry-after-",
            "rate-",
        ];
        // Nobody says so: whatever a word says differs.
        let unsaid = Behaviour {
            latency: Spread::Fixed(-1.0),
            fault: Some(Fault::Hang),
            error_rate: Some(-1.0),
            output_tokens: Some(Spread::Fixed(-1.0)),
            input_tokens: Some(u64::MAX),
            cached: u64::MAX,
            reasoning: u64::MAX,
            answer: None,
        };
        name.rsplit('/').next().unwrap_or(name).split('+').find(|word| {
            let number = NUMBERED.iter().find_map(|before| word.strip_prefix(before));
            let mut said = unsaid.clone();
            number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
                && said.take(word).is_none()
                && said == unsaid
        })
    }

    /// Takes one word in; gives back what only makes sense beside another.
    fn take(&mut self, word: &str) -> Option<Duration> {
        if let Some(fault) = Fault::by_word(word) {
            self.fault = Some(fault);
        } else if let Some(latency) = word.strip_prefix("slow-").and_then(Spread::parse_latency) {
            self.latency = latency;
        } else if let Some(tokens) = word.strip_prefix("tokens-").and_then(Spread::parse_count) {
            self.output_tokens = Some(tokens);
        } else if let Some(tokens) = number(word, "input-") {
            self.input_tokens = Some(tokens);
        } else if let Some(tokens) = number(word, "cached-") {
            self.cached = tokens;
        } else if let Some(tokens) = number(word, "reasoning-") {
            self.reasoning = tokens;
        } else if let Some(code) = number(word, "status-").and_then(|code| u16::try_from(code).ok())
        {
            if (400..600).contains(&code) {
                self.fault = Some(Fault::status(code));
            }
        } else if let Some(rate) =
            word.strip_prefix("rate-").and_then(|rate| rate.parse::<f64>().ok())
        {
            if (0.0..=1.0).contains(&rate) {
                self.error_rate = Some(rate);
            }
        } else if let Some(asked) = word.strip_prefix("retry-after-").and_then(Span::parse) {
            return Some(asked.0);
        }
        None
    }
}

fn number(word: &str, prefix: &str) -> Option<u64> {
    word.strip_prefix(prefix)?.parse::<u32>().ok().map(u64::from)
}

/// A draw as a number in [0, 1).
fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1u64 << 53) as f64
}
