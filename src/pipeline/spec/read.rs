//! Reads a pipeline file's tree section by section.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::base::diagnostic::{Diagnostics, Place};
use crate::base::nearest::suggestion;
use crate::base::yaml::{Spanned, Tree, TreeValue, from_tree_under, words};
use crate::stage::StageSpec;

use super::{BudgetSpec, Common, SinkSpec, Spec, StageEntry};

/// Keys of a pipeline file.
pub const KEYS: [&str; 9] = [
    "vivremotion",
    "pipeline",
    "version",
    "group",
    "deadline",
    "source",
    "budget",
    "stages",
    "sink",
];
/// Keys that must be there.
const REQUIRED: [&str; 5] = ["vivremotion", "pipeline", "source", "stages", "sink"];
/// Keys and kinds that belong to the grammar but are not built yet.
const LATER: [&str; 12] = [
    "context", "cases", "window", "active", "tier", "detect", "approve", "judge", "dedupe",
    "history", "guard", "tools",
];
/// Stages of one pipeline.
const MAX_STAGES: usize = 200;

struct Reader<'a> {
    file: &'a Arc<str>,
    tree: &'a Tree,
    found: &'a mut Diagnostics,
}

pub(super) fn spec(file: &Arc<str>, tree: &Tree, found: &mut Diagnostics) -> Spec {
    let mut reader = Reader { file, tree, found };
    reader.keys();
    let spec = Spec {
        grammar: reader.section("vivremotion"),
        name: reader.section("pipeline"),
        version: reader.section("version"),
        group: reader.section("group"),
        deadline: reader.section("deadline"),
        source: reader.section("source"),
        budget: reader.section::<BudgetSpec>("budget").unwrap_or_default(),
        budget_place: reader.key("budget"),
        stages: reader.stages(),
        sink: reader.sink(),
        sink_place: reader.key("sink"),
    };
    found.amend(|item| {
        let named = LATER.iter().find(|later| item.message.starts_with(&format!("`{later}` ")));
        if let ("unknown-key" | "unknown-kind", Some(later)) = (item.code, named) {
            item.help = Some(format!("`{later}` belongs to a later version and is not built yet"));
        }
        if item.code == "missing-key" && item.message.starts_with("the key `from` ") {
            item.help = Some("write `from: earliest`, `from: latest`, or a time".to_owned());
        }
    });
    spec
}

impl Reader<'_> {
    fn error(&mut self, place: Place, code: &'static str, message: String, help: Option<String>) {
        self.found.error(self.file, place, code, message, help);
    }

    fn key(&self, name: &str) -> Place {
        let entry = self.tree.entries().iter().find(|(key, _)| key.value == name);
        entry.map(|(key, _)| key.place()).unwrap_or_default()
    }

    fn keys(&mut self) {
        if !matches!(self.tree.value, TreeValue::Map(_)) {
            let help = "start with `vivremotion: 1` and `pipeline: <name>`".to_owned();
            let message = "a pipeline file is a mapping".to_owned();
            return self.error(self.tree.place(), "wrong-type", message, Some(help));
        }
        for (key, _) in self.tree.entries() {
            if !KEYS.contains(&key.value.as_str()) {
                let free = KEYS.iter().copied().filter(|known| self.tree.get(known).is_none());
                let help = suggestion(&key.value, "keys that can stand here are", free);
                let message = format!("`{}` is not a key known in a pipeline file", key.value);
                self.error(key.place(), "unknown-key", message, help);
            }
        }
        for name in REQUIRED {
            if self.tree.get(name).is_none() {
                let message = format!("the key `{name}` is missing");
                let help = match name {
                    "vivremotion" => "write `vivremotion: 1`, the version of the grammar",
                    "pipeline" => "write `pipeline: <name>`",
                    "source" => "write `source: { topic: <name>, from: earliest }`",
                    "stages" => "write at least one stage under `stages:`",
                    _ => "write `sink: { topic: <name>, outputs: [<stage>] }`, or `sink: none`",
                };
                self.error(self.tree.place(), "missing-key", message, Some(help.into()));
            }
        }
    }

    fn section<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let (key, tree) = self.tree.entries().iter().find(|(key, _)| key.value == name)?;
        from_tree_under(self.file, key, tree, self.found)
    }

    fn sink(&mut self) -> Option<SinkSpec> {
        match self.tree.get("sink") {
            Some(tree) if SinkSpec::is_none(tree) => Some(SinkSpec::None),
            Some(_) => self.section("sink").map(|sink| SinkSpec::Topic(Box::new(sink))),
            None => None,
        }
    }

    fn stages(&mut self) -> Vec<StageEntry> {
        let Some(tree) = self.tree.get("stages") else { return Vec::new() };
        let entries = tree.entries();
        if entries.is_empty() {
            let message = "`stages` holds no stage".to_owned();
            let help = "write `<name>: { <kind>: { … } }` for each".to_owned();
            self.error(tree.place(), "no-stages", message, Some(help));
        }
        if entries.len() > MAX_STAGES {
            let message = format!("{} stages, expected at most {MAX_STAGES}", entries.len());
            self.error(tree.place(), "too-many-stages", message, None);
        }
        entries.iter().take(MAX_STAGES).map(|(name, tree)| self.stage(name, tree)).collect()
    }

    fn stage(&mut self, name: &Spanned<String>, tree: &Tree) -> StageEntry {
        let mut entry = StageEntry { name: name.clone(), common: None, kind: None };
        if !matches!(tree.value, TreeValue::Map(_)) {
            let message = format!("stage `{}` is not a mapping", name.value);
            let help = format!("write `{}: {{ <kind>: {{ … }} }}`", name.value);
            self.error(tree.place(), "wrong-type", message, Some(help));
            return entry;
        }
        let commons = words::<Common>();
        let (mut common, mut kinds) = (Vec::new(), Vec::new());
        for (key, value) in tree.entries() {
            let word = key.value.as_str();
            if commons.contains(&word) {
                common.push((key.clone(), value.clone()));
            } else if StageSpec::KINDS.contains(&word) {
                kinds.push((key, value));
            } else {
                self.unknown(name, key, commons);
                // Whatever it was meant to be, one complaint is enough.
                entry.kind = None;
            }
        }
        let unknown = tree.entries().len() > common.len() + kinds.len();
        let common = Tree::new(TreeValue::Map(common), tree.place());
        entry.common = from_tree_under(self.file, name, &common, self.found);
        match kinds.as_slice() {
            [(key, value)] => {
                let kind = vec![((*key).clone(), (*value).clone())];
                let kind = Tree::new(TreeValue::Map(kind), tree.place());
                let spec = from_tree_under(self.file, name, &kind, self.found);
                entry.kind = spec.map(|spec| (key.place(), spec));
            }
            [] if unknown => {}
            [] => {
                let message = format!("stage `{}` has no kind", name.value);
                let help = suggestion("", "add one of", StageSpec::KINDS);
                self.error(name.place(), "missing-kind", message, help);
            }
            [(first, _), (second, _), ..] => {
                let message = format!(
                    "stage `{}` has two kinds, `{}` and `{}`",
                    name.value, first.value, second.value
                );
                let help = "make two stages of it; the second `needs` the first".to_owned();
                self.error(second.place(), "two-kinds", message, Some(help));
            }
        }
        entry
    }

    fn unknown(&mut self, stage: &Spanned<String>, key: &Spanned<String>, commons: &[&str]) {
        let message =
            format!("`{}` is neither a kind nor a key of stage `{}`", key.value, stage.value);
        let all = StageSpec::KINDS.into_iter().chain(commons.iter().copied());
        let close = crate::base::nearest::nearest(&key.value, all.clone());
        let help = match close {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!(
                "kinds are `{}`; other keys are `{}`",
                StageSpec::KINDS.join("`, `"),
                commons.join("`, `")
            ),
        };
        self.error(key.place(), "unknown-kind", message, Some(help));
    }
}
