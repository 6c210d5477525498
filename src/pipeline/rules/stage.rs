//! The keys that every stage may have, and how they go with its kind.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::base::yaml::Spanned;
use crate::pipeline::desk::{Bench, StageDesk};
use crate::pipeline::names::Scope;
use crate::pipeline::plan::{EachPlan, MinSuccess, OnDown, Recovery};
use crate::pipeline::spec::{Common, EachSpec, Least, Reaction, StageEntry};
use crate::stage::StageKind;
use crate::stage::desk::{Desk, optional};

use super::head::positive;

/// Time a stage has when nothing is written.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Attempts when nothing is written.
const ATTEMPTS: u32 = 3;
const MAX_ATTEMPTS: u32 = 100;
/// Items at a time and in all when nothing is written.
const IN_FLIGHT: u32 = 8;
const ITEMS: u32 = 1_000;
const MAX_IN_FLIGHT: u32 = 10_000;
const MAX_ITEMS: u32 = 100_000;

/// What became of a stage's keys.
pub(in crate::pipeline) struct Keys {
    pub(in crate::pipeline) kind: StageKind,
    pub(in crate::pipeline) fallback: Option<StageKind>,
    pub(in crate::pipeline) when: Option<crate::base::template::Expression>,
    pub(in crate::pipeline) each: Option<EachPlan>,
    pub(in crate::pipeline) timeout: Duration,
    pub(in crate::pipeline) attempts: u32,
    pub(in crate::pipeline) on_error: Recovery,
    pub(in crate::pipeline) on_down: OnDown,
    /// The JSON schema that the kind loaded.
    pub(in crate::pipeline) schema: Option<Arc<Value>>,
}

/// Checks one stage. `scope` is what it sees, without `item`.
pub(in crate::pipeline) fn keys(
    entry: &StageEntry,
    scope: Scope,
    deadline: Duration,
    bench: &mut Bench<'_>,
) -> Option<Keys> {
    let name: Arc<str> = entry.name.value.as_str().into();
    let mut desk = StageDesk { bench, scope, schema: None, name };
    let none = Common::default();
    let common = entry.common.as_ref().unwrap_or(&none);
    let when = optional(common.when.as_ref().map(|when| desk.expression(when)));
    let each = optional(common.each.as_ref().map(|each| each_plan(each, &mut desk)));
    desk.scope.item = common.each.is_some();
    let timeout = timeout(common, deadline, desk.bench);
    let attempts = attempts(common, desk.bench);
    let kind = entry.kind.as_ref().and_then(|(_, spec)| spec.check(&mut desk));
    let schema = desk.schema.take();
    let on_error = on_error(common, kind.as_ref(), &mut desk);
    let on_down = on_down(common, entry, kind.as_ref(), desk.bench);
    let (on_error, fallback) = on_error?;
    let _ = entry.common.as_ref()?;
    Some(Keys {
        kind: kind?,
        fallback,
        when: when?,
        each: each?,
        timeout,
        attempts,
        on_error,
        on_down: on_down?,
        schema,
    })
}

fn timeout(common: &Common, deadline: Duration, bench: &mut Bench<'_>) -> Duration {
    let Some(written) = common.timeout else { return TIMEOUT };
    let timeout = positive(&written, "timeout", bench);
    if timeout > deadline {
        let message = format!(
            "`timeout` is {}, longer than the event's deadline of {}",
            written.value,
            crate::base::quantity::Span(deadline)
        );
        let help = format!("write `deadline: {}` or more at the top of the file", written.value);
        bench.warning(written.place(), "timeout-over-deadline", message, Some(help));
    }
    timeout
}

fn attempts(common: &Common, bench: &mut Bench<'_>) -> u32 {
    let written = common.retry.as_ref().map(|retry| &retry.attempts);
    within("attempts", written, ATTEMPTS, MAX_ATTEMPTS, bench)
}

fn within(
    key: &str,
    written: Option<&Spanned<u32>>,
    default: u32,
    most: u32,
    bench: &mut Bench<'_>,
) -> u32 {
    let Some(written) = written else { return default };
    if !(1..=most).contains(&written.value) {
        let message = format!("`{key}` is {}, expected 1 to {most}", written.value);
        let help = format!("the default is {default}");
        bench.error(written.place(), "out-of-range", message, Some(help));
    }
    written.value
}

fn each_plan(each: &EachSpec, desk: &mut StageDesk<'_, '_>) -> Option<EachPlan> {
    let of = desk.expression(&each.of);
    let bench = &mut *desk.bench;
    let in_flight =
        within("max_in_flight", each.max_in_flight.as_ref(), IN_FLIGHT, MAX_IN_FLIGHT, bench);
    let items = within("max_items", each.max_items.as_ref(), ITEMS, MAX_ITEMS, bench);
    let least = match each.min_success.map(|least| (least.place(), least.value)) {
        None => MinSuccess::Share(1.0),
        Some((_, Least::Share(share))) if (0.0..=1.0).contains(&share) => MinSuccess::Share(share),
        Some((_, Least::Count(count))) if count <= u64::from(items) => {
            MinSuccess::Count(usize::try_from(count).unwrap_or(usize::MAX))
        }
        Some((place, Least::Share(share))) => {
            let message = format!("`min_success` is {share}, expected a share from 0.0 to 1.0");
            let help = "without a decimal point it is a count of items".to_owned();
            bench.error(place, "out-of-range", message, Some(help));
            return None;
        }
        Some((place, Least::Count(count))) => {
            let message = format!("`min_success` is {count} items, but `max_items` is {items}");
            let help = "with a decimal point it is a share, such as `0.8`".to_owned();
            bench.error(place, "out-of-range", message, Some(help));
            return None;
        }
    };
    Some(EachPlan {
        of: of?,
        max_in_flight: usize::try_from(in_flight).unwrap_or(usize::MAX),
        max_items: usize::try_from(items).unwrap_or(usize::MAX),
        min_success: least,
    })
}

/// Refuses a word that means nothing at this key.
pub(super) fn not_allowed(
    written: &Spanned<Reaction>,
    key: &str,
    allowed: &str,
    bench: &mut Bench<'_>,
) {
    let message = format!("`{key}` can't be `{}`", written.value.word());
    bench.error(
        written.place(),
        "word-not-allowed",
        message,
        Some(format!("allowed are {allowed}")),
    );
}

fn on_error(
    common: &Common,
    kind: Option<&StageKind>,
    desk: &mut StageDesk<'_, '_>,
) -> Option<(Recovery, Option<StageKind>)> {
    let Some(written) = &common.on_error else { return Some((Recovery::Fail, None)) };
    match &written.value {
        Reaction::Fail => Some((Recovery::Fail, None)),
        Reaction::Skip => Some((Recovery::Skip, None)),
        Reaction::Value(tree) => desk.shape(tree).map(|shape| (Recovery::Value(shape), None)),
        Reaction::Model(model) => {
            let name = desk.model(model)?;
            let kind = kind?;
            let same = kind.facts().models.contains(&name);
            match kind.with_model(Arc::clone(&name)) {
                Some(_) if same => {
                    let message = format!("`on_error` asks model `{name}`, which has just failed");
                    let help = "name another model, or raise `retry.attempts`".to_owned();
                    desk.error(model.place(), "model-not-allowed", message, Some(help));
                    None
                }
                Some(twin) => Some((Recovery::Model, Some(twin))),
                None => {
                    let message = format!("stage `{}` asks no model", desk.name);
                    let help = "allowed are `fail`, `skip` and `{ value: … }`".to_owned();
                    desk.error(model.place(), "model-not-allowed", message, Some(help));
                    None
                }
            }
        }
        Reaction::Wait => {
            let allowed = "`fail`, `skip`, `{ value: … }` and `{ model: … }`";
            not_allowed(written, "on_error", allowed, desk.bench);
            None
        }
    }
}

fn on_down(
    common: &Common,
    entry: &StageEntry,
    kind: Option<&StageKind>,
    bench: &mut Bench<'_>,
) -> Option<OnDown> {
    let Some(written) = &common.on_down else { return Some(OnDown::Wait) };
    if kind.is_some_and(|kind| !kind.facts().service) {
        let message = format!("stage `{}` calls no service that could be down", entry.name.value);
        bench.error(
            written.place(),
            "word-not-allowed",
            message,
            Some("leave `on_down` out".into()),
        );
    }
    match &written.value {
        Reaction::Wait => Some(OnDown::Wait),
        Reaction::Fail => Some(OnDown::Fail),
        Reaction::Value(tree) => {
            let mut literal = true;
            tree.texts(&mut |text, place| {
                if ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
                    literal = false;
                    let message = "the value of `on_down` is a literal, not a template";
                    bench.error(place, "template-in-literal", message, None);
                }
            });
            literal.then(|| OnDown::Value(tree.to_json()))
        }
        Reaction::Skip | Reaction::Model(_) => {
            not_allowed(written, "on_down", "`wait`, `fail` and `{ value: … }`", bench);
            None
        }
    }
}
