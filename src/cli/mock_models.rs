//! `mock-models`: serves the OpenAI dialect without a model behind it.

use std::io::Write;
use std::path::PathBuf;

use clap::Parser;
use serde_json::json;

use super::{Failure, Outcome};
use crate::model::mock::{self, Config, Script};
use crate::model::simulated::behaviour::{Behaviour, Fault};
use crate::model::simulated::spread::Spread;

/// Serve the OpenAI dialect (chat, embeddings) with simulated answers, latencies and failures, and keep a ledger
#[derive(Debug, Parser)]
#[command(after_help = WORDS)]
pub struct Args {
    /// Address and port; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub listen: String,
    /// Time to an answer: `500ms`, or `200ms..2s` (log-normal by p50 and p99)
    #[arg(long, default_value = "0", value_parser = latency, value_name = "TIME")]
    pub latency: Spread,
    /// Tokens of an answer as reported: `300`, or `100..900`; the text's own when left out
    #[arg(long, value_parser = count, value_name = "TOKENS")]
    pub output_tokens: Option<Spread>,
    /// Share of the calls that fail, 0 to 1
    #[arg(long, value_parser = share, value_name = "SHARE")]
    pub error_rate: Option<f64>,
    /// How they fail: an HTTP status from 400, or `hang`, `cut`, `garbage`, `error-body`, `huge`; 503 when left out
    #[arg(long, value_parser = fault, value_name = "FAULT")]
    pub fault: Option<Fault>,
    /// Length of vectors for which none is asked
    #[arg(long, value_name = "N")]
    pub dimensions: Option<u32>,
    /// Seed of latencies and failures
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Rules for certain calls, YAML or JSON
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// Append each call to this file when it ends, as a line of JSON
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Calls that `GET /ledger` shows
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    pub keep: usize,
}

const WORDS: &str = "\
The name of the model that is asked for can say how the call goes, in words joined by `+`; other words mean nothing:
  slow-500ms  slow-200ms..2s          time to the answer
  tokens-300  tokens-100..900         tokens of the answer, as reported
  input-2000  cached-80  reasoning-40 tokens of the prompt; how many were cached; how many were reasoning
  status-429  status-503 …            it fails with that status
  retry-after-2s                      and that header
  hang  cut  garbage  error-body  huge
                                      it never answers; sends half a body; no JSON; an error under a 200; 50 MB
  rate-0.1                            it fails in one call of ten only
For example `gpt-4.1+slow-200ms..2s+status-429+rate-0.05`.

A script's rules come before the name:
  rules:
    - match: { model: writer, prompt: \"order 17\" }   # parts of both; may be left out
      times: 2                                       # only the first two that match
      do: { status: 503, retry_after: 2s }
    - do: { latency: 200ms, answer: \"Yes.\", output_tokens: 3, fault: cut, rate: 0.1 }

POST /v1/chat/completions  POST /v1/embeddings  GET /ledger  GET /ledger/summary  GET /
The first line printed is JSON: `url`, and `base_url` for a provider of the settings.";

/// Serves until the process is told to end.
pub async fn run(args: Args) -> Outcome {
    let script = match &args.script {
        Some(path) => Script::load(path).map_err(Failure::Usage)?,
        None => Script::default(),
    };
    let behaviour = Behaviour {
        latency: args.latency,
        fault: args.fault,
        error_rate: args.error_rate,
        output_tokens: args.output_tokens,
        ..Behaviour::default()
    };
    let config = Config {
        listen: args.listen,
        behaviour,
        script,
        seed: args.seed,
        dimensions: args.dimensions,
        ledger: args.ledger,
        keep: args.keep,
    };
    let failed =
        |error: std::io::Error| Failure::Runtime(format!("the mock server can't start: {error}"));
    let running = mock::start(config).await.map_err(failed)?;
    let first = json!({ "url": running.url, "base_url": running.base_url });
    let mut out = std::io::stdout();
    writeln!(out, "{first}").and_then(|()| out.flush()).map_err(failed)?;
    asked_to_end().await.map_err(failed)?;
    running.shutdown().await;
    Ok(())
}

/// Interrupt or, where there is one, the termination signal.
async fn asked_to_end() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = ended.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

fn latency(text: &str) -> Result<Spread, String> {
    Spread::parse_latency(text).ok_or_else(|| "expected such as `500ms` or `200ms..2s`".to_owned())
}

fn count(text: &str) -> Result<Spread, String> {
    Spread::parse_count(text).ok_or_else(|| "expected such as `300` or `100..900`".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

fn fault(text: &str) -> Result<Fault, String> {
    let status = text.parse().ok().filter(|code| (400..600).contains(code)).map(Fault::status);
    status.or_else(|| Fault::by_word(text)).ok_or_else(|| {
        "expected a status from 400 to 599, or `hang`, `cut`, `garbage`, `error-body`, `huge`"
            .to_owned()
    })
}
