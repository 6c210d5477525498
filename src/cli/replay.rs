//! `replay`: brings dead letters, or events of a period, back to their topic.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use super::verify::{bar, telling};
use super::which::{Which, time};
use super::{Common, Failure, Format, Outcome, print, runtime};
use crate::app::connect::{self, ConnectError};
use crate::app::replay::{Dry, Order, bring_back, by_number, look};
use crate::app::verify::Desk;
use crate::base::clock::{Clock, SystemClock};
use crate::pipeline::plan::Plan;
use crate::replay::Filter;
use crate::replay::pick::condition;
use crate::stage::StageKind;
use crate::stream::StreamError;

/// Bring dead letters, or events of a period, back to the topic they came from.
///
/// Says first what it would do, and stops: how many events, why they failed, what they may cost. With --yes it does it. An
/// event that was brought back since, and is on its way or was answered, is left out. It is the same event as before, with
/// the same id: its stages that are finished and still stand in the journal are not paid again.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which pipelines.
    #[command(flatten)]
    pub which: Which,
    /// Only dead letters with this code, such as rate-limited; may be given several times
    #[arg(long, value_name = "CODE")]
    pub code: Vec<String>,
    /// Only dead letters of events that failed in this stage; may be given several times
    #[arg(long, value_name = "STAGE")]
    pub stage: Vec<String>,
    /// Only records with this key
    #[arg(long)]
    pub key: Option<String>,
    /// Only dead letters (or records) of this time or later, such as 2026-11-22T10:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<i64>,
    /// Only dead letters (or records) of before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<i64>,
    /// Only events for which this is true; sees `event`, `record` and `dead_letter` (code, class, stage, message, attempts, cost, time)
    #[arg(long = "where", value_name = "EXPRESSION")]
    pub condition: Option<String>,
    /// Records of the input topic, however they ended, instead of dead letters
    #[arg(long, requires_all = ["from", "pipeline"], conflicts_with_all = ["code", "stage"])]
    pub inputs: bool,
    /// Also events that were brought back already, and answered
    #[arg(long)]
    pub again: bool,
    /// At most this many of each pipeline
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Records a second
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: u32,
    /// Do it
    #[arg(long)]
    pub yes: bool,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// What most verbs take.
    #[command(flatten)]
    pub common: Common,
}

const EXAMPLES: &str = "\
Examples:
  vivremotion replay
  vivremotion replay --code rate-limited --from 2026-11-22T00:00:00Z --yes
  vivremotion replay --where 'event.priority > 3 and dead_letter.attempts < 9' --limit 10 --yes
  vivremotion replay --inputs --pipeline support-triage --from 2026-11-22T10:00:00Z --to 2026-11-22T11:00:00Z";

/// Runs the verb.
pub fn run(args: Args) -> Outcome {
    let wrong = |error: crate::replay::WhereError| Failure::Usage(format!("--where: {error}"));
    let filter = Filter {
        codes: args.code.clone(),
        stages: args.stage.clone(),
        key: args.key.clone(),
        period: (args.from, args.to),
        condition: args.condition.as_deref().map(condition).transpose().map_err(wrong)?,
    };
    let settings = args.common.open()?;
    let plans = args.which.plans(&settings)?;
    let order = Order {
        filter,
        inputs: args.inputs,
        again: args.again,
        limit: args.limit,
        rate: args.rate,
    };
    runtime()?.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let failed = |error: ConnectError| Failure::Runtime(error.message);
        let log = connect::log(&settings, &clock).await.map_err(failed)?;
        let codecs = connect::codecs(&settings).map_err(failed)?;
        let desk = Desk { settings: &settings, log: &*log, codecs: &codecs, clock: &clock };
        let mut waiting = 0;
        for plan in &plans {
            let trouble = |error: StreamError| Failure::Runtime(format!("{}: {error}", plan.name));
            let reading = bar("read");
            let dry = look(&desk, plan, &order, &mut telling(&reading)).await;
            reading.finish_and_clear();
            let dry = dry.map_err(trouble)?;
            let sent = match args.yes {
                true => {
                    let bar = bar("brought back");
                    let sent = bring_back(&desk, plan, &order, &dry, &mut telling(&bar)).await;
                    bar.finish_and_clear();
                    Some(sent.map_err(trouble)?)
                }
                false => None,
            };
            waiting += if args.yes { 0 } else { dry.events };
            print::line(match args.format {
                Format::Json => as_json(plan, &order, &dry, sent).to_string(),
                Format::Text => as_text(plan, &order, &dry, sent),
            })?;
        }
        if waiting > 0 {
            print::note("nothing was written: with --yes it is");
        }
        Ok(())
    })
}

fn as_json(plan: &Plan<StageKind>, order: &Order, dry: &Dry, sent: Option<u64>) -> Value {
    json!({
        "pipeline": &*plan.name,
        "from": if order.inputs { &*plan.source.topic } else { &*plan.dead_letters },
        "to": &*plan.source.topic,
        "read": dry.read,
        "events": dry.events,
        "counts": dry.counts,
        "untold": dry.untold.0,
        "unreadable": dry.unreadable.0,
        "estimate": dry.estimate,
        "sent": sent,
    })
}

fn as_text(plan: &Plan<StageKind>, order: &Order, dry: &Dry, sent: Option<u64>) -> String {
    let Dry { counts, read, untold, unreadable, events, .. } = dry;
    let (from, what) = match order.inputs {
        true => (&plan.source.topic, "records"),
        false => (&plan.dead_letters, "dead letters"),
    };
    let to = &plan.source.topic;
    let mut text = format!("{}  {from} → {to}  {read} {what} read, {events} events", plan.name);
    if !order.inputs {
        for (code, events) in by_number(&counts.codes) {
            let _ = write!(text, "\n  {events:>8}  {code}");
        }
    }
    if *events < counts.events {
        let _ = write!(text, "\n  the first {events} of {} (--limit)", counts.events);
    }
    let left_out = [
        (
            if order.again { 0 } else { counts.answered },
            "were brought back and answered since (--again takes them too)",
        ),
        (counts.on_their_way, "were brought back and are on their way"),
        (counts.waiting, "are not done for the first time"),
        (counts.superseded, "older ones of events that came again"),
    ];
    for (events, why) in left_out.into_iter().filter(|(events, _)| *events > 0) {
        let _ = write!(text, "\n  left out: {events} {why}");
    }
    if let (events @ 1.., Some(why)) = untold {
        let _ = write!(text, "\n  left out: {events} of which --where can't be told, first {why}");
    }
    if let (letters @ 1.., Some(why)) = unreadable {
        let _ = write!(text, "\n  left out: {letters} that can't be read, first {why}");
    }
    if *events > 0 {
        text.push_str(&costs(dry));
    }
    if let Some(sent) = sent {
        let _ = write!(text, "\n  {sent} brought back");
    }
    text
}

fn costs(dry: &Dry) -> String {
    let estimate = &dry.estimate;
    let currency = &estimate.currency;
    let mut text = match estimate.likely {
        Some(likely) => format!(
            "\n  about {likely} {currency}, by {} events of the last 7 days; less, where the journal still holds finished calls",
            estimate.from_events
        ),
        None => "\n  cost unknown: no event of the last 7 days tells".to_owned(),
    };
    if estimate.unpriced_calls > 0 {
        let _ = write!(text, "; {} calls among them have no price", estimate.unpriced_calls);
    }
    if let Some(most) = estimate.most {
        let _ = write!(text, "; at most {most} {currency} by `budget.per_event`");
    }
    text
}
