//! `verify`: audits what pipelines left behind.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::tail::duration;
use super::which::{Which, time};
use super::{Common, Failure, Format, Outcome, print, runtime};
use crate::app::connect::{self, ConnectError};
use crate::app::verify::{Desk, Order, verify};
use crate::audit::{MOST_EVENTS, Report, Verdict};
use crate::base::clock::{Clock, SystemClock};
use crate::pipeline::plan::Plan;
use crate::stage::StageKind;

/// Audit what pipelines left behind, also while they run.
///
/// Reads inputs, results, dead letters, cost events and progress, committed data only, and says whether they fit together:
/// C1 every event that should have a result has one, once; C2 dead letters are what failed; C3 results and dead letters
/// are those of their inputs; C4 events of a key were answered in order; C5 progress never goes back; C6 nothing is visible
/// that is not committed; C7 cost events, totals, journal and provider agree; C8 nothing finished was paid twice.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which pipelines.
    #[command(flatten)]
    pub which: Which,
    /// Only events whose record is of this time or later, such as 2026-11-22T10:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<i64>,
    /// Only events whose record is of before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<i64>,
    /// Only events of this time until now, such as 24h
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with_all = ["from", "to"])]
    pub last: Option<Duration>,
    /// Everything should be done by now: what is not is a finding
    #[arg(long)]
    pub finished: bool,
    /// Compare with the ledger file of `mock-models`
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Hold at most so many events: each takes some 200 bytes, each call 100
    #[arg(long, value_name = "N", default_value_t = MOST_EVENTS)]
    pub most_events: usize,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// What most verbs take.
    #[command(flatten)]
    pub common: Common,
}

const EXAMPLES: &str = "\
Examples:
  vivremotion verify
  vivremotion verify pipelines/support-triage.yaml --last 24h
  vivremotion verify --from 2026-11-22T00:00:00Z --to 2026-11-23T00:00:00Z --format json

Exit codes: 0 nothing was found, 1 something was, 2 pipelines or settings are wrong, 64 the command line is wrong.";

/// Runs the verb.
pub fn run(args: Args) -> Outcome {
    let settings = args.common.open()?;
    let plans = args.which.plans(&settings)?;
    runtime()?.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let failed = |error: ConnectError| Failure::Runtime(error.message);
        let log = connect::log(&settings, &clock).await.map_err(failed)?;
        let codecs = connect::codecs(&settings).map_err(failed)?;
        let desk = Desk { settings: &settings, log: &*log, codecs: &codecs, clock: &clock };
        let since = args.last.map(|last| {
            clock.now().saturating_sub(i64::try_from(last.as_millis()).unwrap_or(i64::MAX))
        });
        let order = Order {
            period: (args.from.or(since), args.to),
            finished: args.finished,
            ledger: args.ledger.clone(),
            most_events: args.most_events,
        };
        let mut found = 0;
        for plan in &plans {
            let bar = bar("read");
            let report = verify(&desk, plan, &order, &mut telling(&bar)).await;
            bar.finish_and_clear();
            let report =
                report.map_err(|error| Failure::Runtime(format!("{}: {error}", plan.name)))?;
            found += report.found();
            print::line(match args.format {
                Format::Json => as_json(plan, &report),
                Format::Text => as_text(plan, &report),
            })?;
        }
        match found {
            0 => Ok(()),
            1 => Err(Failure::Runtime("1 thing is not as it must be".to_owned())),
            found => Err(Failure::Runtime(format!("{found} things are not as they must be"))),
        }
    })
}

/// A bar on standard error, and only when that is a terminal; says what is done with so many records.
pub fn bar(what: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    let template = format!("{{bar:40}} {{pos}}/{{len}} {what}, {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

/// Moves a bar.
pub fn telling(bar: &ProgressBar) -> impl FnMut(u64, u64) + Send + '_ {
    |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    }
}

fn as_json(plan: &Plan<StageKind>, report: &Report) -> String {
    let Report { events, done, attempts, outside, lag, verdicts } = report;
    let checks = verdicts.iter().map(|Verdict { check, judged, found, findings, notes }| {
        json!({
            "check": check,
            "title": check.title(),
            "judged": judged,
            "found": found,
            "findings": findings,
            "notes": notes,
        })
    });
    json!({
        "pipeline": &*plan.name,
        "group": &*plan.group,
        "topic": &*plan.source.topic,
        "events": events,
        "done": done,
        "lag": lag,
        "attempts": attempts,
        "outside": outside,
        "found": report.found(),
        "checks": checks.collect::<Vec<_>>(),
    })
    .to_string()
}

fn as_text(plan: &Plan<StageKind>, report: &Report) -> String {
    let Report { events, done, attempts, outside, lag, verdicts } = report;
    let mut text = format!(
        "{}  group {}  topic {}\n  {events} events, {done} done before, {lag} not done, {attempts} attempts of calls",
        plan.name, plan.group, plan.source.topic
    );
    if *outside > 0 {
        text.push_str(&format!(", {outside} outputs of events outside of what was read"));
    }
    for Verdict { check, judged, found, findings, notes } in verdicts {
        let (mark, verdict) = match (found, judged) {
            (0, 0) => ("·", "nothing to judge".to_owned()),
            (0, judged) => ("✓", format!("{judged} judged")),
            (found, judged) => ("✗", format!("{found} found, {judged} judged")),
        };
        text.push_str(&format!("\n  {mark} {check:?} {:<15} {verdict}", check.title()));
        for note in notes {
            text.push_str(&format!("\n      {note}"));
        }
        for finding in findings {
            text.push_str(&format!("\n      {finding}"));
        }
        let more = found.saturating_sub(findings.len() as u64);
        if more > 0 {
            text.push_str(&format!("\n      and {more} more"));
        }
    }
    text
}
