//! Whether the names of a template can be there when it is rendered (S14, S16).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::diagnostic::{Diagnostic, Place, Severity};
use crate::base::nearest::{nearest, suggestion};
use crate::base::template_names::{KEYWORDS, Name, Names, Step};

use super::fields::{Fields, Missing};

/// Names that stages can't have: they mean something in templates, now or later.
pub(super) const RESERVED: [&str; 24] = [
    "event", "record", "stages", "item", "session", "profile", "window", "memory", "vars", "items",
    "now", "tenant", "user", "input", "output", "source", "sink", "cost", "feedback", "secret",
    "env", "none", "true", "false",
];
/// Fields of `record`.
const RECORD: [&str; 9] =
    ["id", "request_id", "time", "tenant", "user", "session", "key", "topic", "tombstone"];

/// Whether a text is a name: `[a-z][a-z0-9_]*`.
pub(super) fn well_formed(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Why a name can't be a stage's.
pub(super) fn reserved(name: &str) -> bool {
    RESERVED.contains(&name) || KEYWORDS.contains(&name)
}

/// What is in sight where a text is rendered.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    /// The stage whose text it is; none in `source` and `sink`.
    pub(super) stage: Option<Arc<str>>,
    /// Where it stands, for messages: ``stage `answer` ``, `source.filter`.
    pub(super) at: String,
    /// Value of the source topic.
    pub(super) event: Fields,
    /// The source topic.
    pub(super) topic: Arc<str>,
    /// Stages in sight with what is known of their values.
    pub(super) stages: BTreeMap<Arc<str>, Fields>,
    /// Every stage of the pipeline, in sight or not, in the author's order.
    pub(super) all: Vec<Arc<str>>,
    /// What the stage needs, as written.
    pub(super) needs: Vec<Arc<str>>,
    /// Whether stages can be named at all: not in `source.filter`.
    pub(super) staged: bool,
    /// Whether `item` is in sight; none where `each` could bring it in sight, for the help.
    pub(super) item: bool,
}

impl Scope {
    /// Every problem with the names of a text. `place` turns a byte into a place.
    pub(super) fn check(
        &self,
        file: &Arc<str>,
        names: &Names,
        place: &dyn Fn(usize) -> Place,
    ) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let mut push = |at: usize, severity, code, message: String, help: Option<String>| {
            let (file, place) = (Arc::clone(file), place(at));
            found.push(Diagnostic { code, severity, file, place, message, help });
        };
        for (at, message) in &names.refused {
            push(*at, Severity::Error, "bad-template", message.clone(), None);
        }
        for name in &names.used {
            let error = match name.root.as_str() {
                "event" => self.fields(&self.event, name, &self.event_title()),
                "record" => self.fields(&record(), name, "`record`"),
                "stages" if self.staged => self.run_record(name),
                "item" if self.item => None,
                "item" => {
                    let help = "`item` is there inside a stage with `each`, but not in its `when` and `of`";
                    let message = format!("{} names `item`, but has none", self.at);
                    Some((Severity::Error, "unknown-name", message, Some(help.to_owned())))
                }
                _ => self.stage_value(name),
            };
            if let Some((severity, code, message, help)) = error {
                push(name.at, severity, code, message, help);
            }
        }
        found
    }

    fn event_title(&self) -> String {
        format!("an event of topic `{}`", self.topic)
    }

    fn stage_value(&self, name: &Name) -> Option<Wrong> {
        match self.stages.get(name.root.as_str()) {
            Some(fields) => self.fields(fields, name, &format!("the value of `{}`", name.root)),
            None => Some(self.out_of_sight(&name.root)),
        }
    }

    /// `stages.<name>` is the run record, there when the stage is settled. Only by a literal name: a list of all would show
    /// what happens to have ended by then.
    fn run_record(&self, name: &Name) -> Option<Wrong> {
        let Some(Step::Field(stage)) = name.steps.first() else {
            let message = format!("{} names `stages` as a whole", self.at);
            let help = "write `stages.<name>.status` with the name of a stage".to_owned();
            return Some((Severity::Error, "unknown-name", message, Some(help)));
        };
        if !self.stages.contains_key(stage.as_str()) {
            return Some(self.out_of_sight(stage));
        }
        let record = Fields::record(&["status"]);
        let rest = Name {
            root: format!("stages.{stage}"),
            steps: name.steps.get(1..)?.to_vec(),
            at: name.at,
        };
        self.fields(&record, &rest, "the run record of a stage")
    }

    fn out_of_sight(&self, name: &str) -> Wrong {
        let declared = self.all.iter().any(|stage| &**stage == name);
        match (&self.stage, declared && self.staged) {
            (Some(stage), true) if &**stage == name => {
                let message = format!("stage `{stage}` names itself");
                (Severity::Error, "not-upstream", message, None)
            }
            (Some(stage), true) => {
                let needs: Vec<&str> =
                    self.needs.iter().map(|need| &**need).chain([name]).collect();
                let help = format!("write `needs: [{}]`", needs.join(", "));
                let message =
                    format!("stage `{stage}` names `{name}`, which is not upstream of it");
                (Severity::Error, "not-upstream", message, Some(help))
            }
            (None, true) => {
                let message = format!("{} names `{name}`, which is not in sight there", self.at);
                (Severity::Error, "not-upstream", message, None)
            }
            (_, false) => self.unknown(name, declared),
        }
    }

    fn unknown(&self, name: &str, declared: bool) -> Wrong {
        let message = format!("{} names `{name}`, which nothing defines", self.at);
        let roots = ["event", "record"].into_iter();
        let staged = self.staged.then_some(self.all.iter().map(|stage| &**stage));
        let known = roots.chain(staged.into_iter().flatten());
        let help = match name {
            _ if declared => {
                Some("no stage has run there yet; `event` and `record` are there".to_owned())
            }
            "session" | "profile" | "window" | "memory" | "vars" => {
                Some(format!("`{name}` belongs to a later version and is not built yet"))
            }
            "tenant" | "user" => Some(format!("write `record.{name}`")),
            _ => suggestion(name, "names are", known),
        };
        (Severity::Error, "unknown-name", message, help)
    }

    fn fields(&self, fields: &Fields, name: &Name, title: &str) -> Option<Wrong> {
        let Missing { path, instead, known, certain } =
            fields.follow(&name.root, &name.steps).err()?;
        let message = match instead.as_str() {
            "" => format!("{} names `{path}`, but {title} has no such field", self.at),
            what => format!("{} names `{path}`, but that is a field of {what}", self.at),
        };
        let last = path.rsplit('.').next().unwrap_or_default();
        let close = nearest(last, known.iter().map(String::as_str));
        let help = match (close, certain) {
            (Some(close), _) => Some(format!("did you mean `{close}`?")),
            (None, true) => suggestion(last, "fields are", known.iter().map(String::as_str)),
            (None, false) => Some(
                "the schema does not list it; `additionalProperties: false` would say so for good"
                    .into(),
            ),
        };
        let severity = if certain { Severity::Error } else { Severity::Warning };
        Some((severity, "unknown-field", message, help))
    }
}

type Wrong = (Severity, &'static str, String, Option<String>);

fn record() -> Fields {
    let Fields::Record { mut fields, open } = Fields::record(&RECORD) else { return Fields::Any };
    fields.insert("headers".to_owned(), Fields::Keys(Box::new(Fields::Any)));
    Fields::Record { fields, open }
}
