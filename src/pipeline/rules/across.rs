//! Rules that hold between the pipelines of one engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::diagnostic::{Diagnostics, Place};
use crate::pipeline::check::Checked;

/// Within a group a topic is read by exactly one pipeline (S1), and a name is used once.
pub(in crate::pipeline) fn pipelines(checked: &[Checked], found: &mut Diagnostics) {
    let mut names: BTreeMap<Arc<str>, &Checked> = BTreeMap::new();
    let mut topics: BTreeMap<(Arc<str>, Arc<str>), &Checked> = BTreeMap::new();
    for one in checked {
        let plan = &one.plan;
        if let Some(first) = names.get(&plan.name) {
            let message = format!("there is another pipeline `{}`, in {}", plan.name, first.file);
            let help = "names are part of ids and topics: choose another".to_owned();
            found.error(&one.file, one.name_place, "pipeline-twice", message, Some(help));
            continue;
        }
        names.insert(Arc::clone(&plan.name), one);
        let key = (Arc::clone(&plan.group), Arc::clone(&plan.source.topic));
        if let Some(first) = topics.get(&key) {
            let message = format!(
                "group `{}` reads topic `{}` twice: here and in pipeline `{}`",
                plan.group, plan.source.topic, first.plan.name
            );
            let help = "leave `group` out, so that each pipeline has its own".to_owned();
            let place: Place = one.topic_place;
            found.error(&one.file, place, "topic-read-twice", message, Some(help));
            continue;
        }
        topics.insert(key, one);
    }
}
