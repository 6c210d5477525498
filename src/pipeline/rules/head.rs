//! What stands above the stages: grammar, name, group, deadline, source.

use std::sync::Arc;
use std::time::Duration;

use crate::base::quantity::Span;
use crate::base::yaml::Spanned;
use crate::pipeline::desk::{Bench, StageDesk};
use crate::pipeline::plan::{Source, Tombstones};
use crate::pipeline::spec::{Order, SourceSpec, Spec, Start, TombstonesSpec};
use crate::stage::desk::Desk;
use crate::stream::From;

/// The grammar this engine reads.
const GRAMMAR: u32 = 1;
/// Time an event has when nothing is written.
const DEADLINE: Duration = Duration::from_secs(300);

/// Checks the grammar's version.
pub(in crate::pipeline) fn grammar(spec: &Spec, bench: &mut Bench<'_>) {
    if let Some(written) = spec.grammar.filter(|written| written.value != GRAMMAR) {
        let message = format!("version {} of the grammar is not known", written.value);
        let help = format!("this engine reads `vivremotion: {GRAMMAR}`");
        bench.error(written.place(), "grammar-version", message, Some(help));
    }
}

/// The pipeline's name: it becomes a part of group and topic names.
pub(in crate::pipeline) fn name(spec: &Spec, bench: &mut Bench<'_>) -> Option<Arc<str>> {
    let name = spec.name.as_ref()?;
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let text = name.value.as_str();
    let starts = text.starts_with(|c: char| c.is_ascii_lowercase());
    if !starts || text.len() > 100 || !text.bytes().all(legal) {
        let message = format!("`{text}` can't be the name of a pipeline");
        let help = "use a lower-case letter, then lower-case letters, digits and `-`; at most 100";
        bench.error(name.place(), "bad-name", message, Some(help.into()));
        return None;
    }
    Some(text.into())
}

/// The consumer group.
pub(in crate::pipeline) fn group(spec: &Spec, name: &str, bench: &mut Bench<'_>) -> Arc<str> {
    let Some(group) = &spec.group else {
        return format!("{}.{name}", bench.known.group_prefix).into();
    };
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    // The journal's topic is named after it, with eight characters more.
    if group.value.is_empty() || group.value.len() > 200 || !group.value.bytes().all(legal) {
        let message = format!("`{}` can't be the name of a group", group.value);
        let help = "use letters, digits, `.`, `_` and `-`, at most 200 of them";
        bench.error(group.place(), "bad-name", message, Some(help.into()));
    }
    group.value.as_str().into()
}

/// The event's deadline.
pub(in crate::pipeline) fn deadline(spec: &Spec, bench: &mut Bench<'_>) -> Duration {
    match spec.deadline {
        Some(written) => positive(&written, "deadline", bench),
        None => DEADLINE,
    }
}

/// A duration above zero.
pub(super) fn positive(written: &Spanned<Span>, key: &str, bench: &mut Bench<'_>) -> Duration {
    if written.value.0.is_zero() {
        let message = format!("`{key}` is 0, expected more");
        bench.error(written.place(), "out-of-range", message, None);
    }
    written.value.0
}

/// Where events come from. The filter sees `event` and `record` alone.
pub(in crate::pipeline) fn source(
    spec: &SourceSpec,
    mut desk: StageDesk<'_, '_>,
) -> Option<Source> {
    let topic = desk.topic(&spec.topic);
    let filter = crate::stage::desk::optional(spec.filter.as_ref().map(|f| desk.expression(f)));
    Some(Source {
        topic: topic?,
        from: match spec.from.value {
            Start::Earliest => From::Earliest,
            Start::Latest => From::Latest,
            Start::Time(time) => From::Time(time),
        },
        ordered: spec.order != Some(Order::None),
        filter: filter?,
        tombstones: match spec.tombstones {
            None | Some(TombstonesSpec::Skip) => Tombstones::Skip,
            Some(TombstonesSpec::Deliver) => Tombstones::Deliver,
            Some(TombstonesSpec::DeadLetter) => Tombstones::DeadLetter,
        },
    })
}
