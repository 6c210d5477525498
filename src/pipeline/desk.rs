//! The desk at which stage kinds check their parameters: loads the files they name, compiles texts, and holds every name
//! against what is in sight.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::base::diagnostic::{Diagnostics, Place};
use crate::base::nearest::{nearest, suggestion};
use crate::base::template::{Expression, Shape, Template, TemplateError};
use crate::base::template_names::{self, Names, Step};
use crate::base::yaml::{self, Spanned, Text, Tree, TreeValue};
use crate::stage::desk::Desk;

use super::fields::Fields;
use super::known::Known;
use super::names::Scope;
use super::site::Site;

/// Files a pipeline may include, and bytes they may have together.
const MAX_INCLUDES: usize = 500;
const MAX_INCLUDED: usize = 16 << 20;

/// What a whole file's check shares.
pub(super) struct Bench<'a> {
    /// The pipeline file, as the user named it.
    pub(super) file: Arc<str>,
    /// Its text.
    pub(super) yaml: &'a str,
    /// Where it stands: paths in it are relative to this.
    pub(super) folder: PathBuf,
    /// What settings define.
    pub(super) known: &'a Known,
    /// What was found so far.
    pub(super) found: Diagnostics,
    /// Included files by path: their content enters the digest.
    pub(super) includes: BTreeMap<String, Arc<str>>,
    /// Whether it was said already that something could not be proven.
    pub(super) told_unproven: bool,
    /// Whether an edge or output could not be resolved: who uses what is then not known.
    pub(super) unresolved: bool,
    /// Stages that a text of the sink names: someone reads them.
    pub(super) read_by_sink: Vec<String>,
}

/// The desk of one stage, or of `source` and `sink`.
pub(super) struct StageDesk<'b, 'a> {
    /// The file's.
    pub(super) bench: &'b mut Bench<'a>,
    /// What is in sight.
    pub(super) scope: Scope,
    /// The JSON schema that was loaded here last.
    pub(super) schema: Option<Arc<Value>>,
    /// Place of the URL, model and so on are in the diagnostics; this is the stage's name for them.
    pub(super) name: Arc<str>,
}

impl Bench<'_> {
    pub(super) fn error(
        &mut self,
        place: Place,
        code: &'static str,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.found.error(&self.file, place, code, message, help);
    }

    pub(super) fn warning(
        &mut self,
        place: Place,
        code: &'static str,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.found.warning(&self.file, place, code, message, help);
    }

    /// Reads a file beside the pipeline once.
    fn include(&mut self, path: &Spanned<String>) -> Option<(Arc<str>, Arc<str>)> {
        let relative = Path::new(&path.value);
        let plain = |part: Component<'_>| {
            matches!(part, Component::Normal(_) | Component::CurDir | Component::ParentDir)
        };
        if path.value.is_empty() || !relative.components().all(plain) {
            let message = format!("`{}` is not a path relative to the pipeline file", path.value);
            self.error(path.place(), "unreadable-file", message, None);
            return None;
        }
        let full = self.folder.join(relative);
        let shown: Arc<str> = full.display().to_string().into();
        if let Some(text) = self.includes.get(&path.value) {
            return Some((shown, Arc::clone(text)));
        }
        let total: usize = self.includes.values().map(|text| text.len()).sum();
        let text = match yaml::read(&full) {
            Ok(text) if self.includes.len() < MAX_INCLUDES && total + text.len() < MAX_INCLUDED => {
                text
            }
            Ok(_) => {
                let message = "the pipeline includes too many or too large files";
                self.error(path.place(), "unreadable-file", message, None);
                return None;
            }
            Err(why) => {
                let message = format!("`{}` can't be read: {why}", path.value);
                let help = format!("paths are relative to the pipeline file: this is `{shown}`");
                self.error(path.place(), "unreadable-file", message, Some(help));
                return None;
            }
        };
        let text: Arc<str> = text.into();
        self.found.source(&shown, &text);
        self.includes.insert(path.value.clone(), Arc::clone(&text));
        Some((shown, text))
    }
}

impl StageDesk<'_, '_> {
    fn site(&self, start: Place) -> Site {
        Site { file: Arc::clone(&self.bench.file), start: Some(start) }
    }

    /// The text itself and where it stands.
    fn load(&mut self, text: &Text) -> Option<(Arc<str>, Site)> {
        match text {
            Text::Inline(inline) => Some((inline.value.as_str().into(), self.site(inline.place()))),
            Text::File(path) => {
                let (file, content) = self.bench.include(path)?;
                Some((content, Site { file, start: None }))
            }
        }
    }

    /// Checks the names of a text; none when it is not valid at all.
    fn names(
        &mut self,
        site: &Site,
        text: &str,
        names: Result<Names, TemplateError>,
    ) -> Option<()> {
        let names = match names {
            Ok(names) => names,
            Err(error) => {
                self.bad_template(site, text, &error);
                return None;
            }
        };
        let yaml = self.bench.yaml;
        let place = |byte: usize| site.place(yaml, text, byte);
        let wrong = self.scope.check(&site.file, &names, &place);
        let errors =
            wrong.iter().any(|item| item.severity == crate::base::diagnostic::Severity::Error);
        wrong.into_iter().for_each(|item| self.bench.found.push(item));
        if self.scope.stage.is_none() {
            let read = names.used.iter().map(|name| match name.steps.first() {
                Some(Step::Field(stage)) if name.root == "stages" => stage.clone(),
                _ => name.root.clone(),
            });
            self.bench.read_by_sink.extend(read);
        }
        if let (Some(at), false) = (names.unproven.first(), self.bench.told_unproven) {
            self.bench.told_unproven = true;
            let message = "fields of loop variables and computed names are not checked here; a wrong one \
                           fails the event";
            self.bench.found.note(&site.file, place(*at), "unproven-name", message);
        }
        (!errors).then_some(())
    }

    fn bad_template(&mut self, site: &Site, text: &str, error: &TemplateError) {
        let before: usize =
            text.split_inclusive('\n').take(error.line.saturating_sub(1)).map(str::len).sum();
        let place = site.place(self.bench.yaml, text, before);
        self.bench.found.error(&site.file, place, "bad-template", error.message.clone(), None);
    }

    fn compiled<T>(
        &mut self,
        site: &Site,
        text: &str,
        compiled: Result<T, TemplateError>,
    ) -> Option<T> {
        compiled.map_err(|error| self.bad_template(site, text, &error)).ok()
    }

    /// What is wrong with a literal name: templates and references have no place in it.
    fn literal(&mut self, name: &Spanned<String>, what: &str) -> Option<()> {
        let computed = ["{{", "{%", "{#", "${"].iter().any(|mark| name.value.contains(mark));
        if computed {
            let message = format!("{what} is a template, expected a literal name");
            let help = "events never choose where they go; use a stage with `when` for each place";
            self.error(name.place(), "template-in-literal", message, Some(help.into()));
            return None;
        }
        Some(())
    }

    fn leaf_names(&mut self, tree: &Tree) -> Option<()> {
        let mut leaves = Vec::new();
        tree.texts(&mut |text, place| leaves.push((text.to_owned(), place)));
        let mut fine = Some(());
        for (text, place) in leaves {
            let site = self.site(place);
            let names = template_names::of_template(&text);
            fine = self.names(&site, &text, names).and(fine);
        }
        fine
    }
}

impl Desk for StageDesk<'_, '_> {
    fn text(&mut self, text: &Text) -> Option<Arc<str>> {
        self.load(text).map(|(text, _)| text)
    }

    fn template(&mut self, text: &Text) -> Option<Template> {
        let (text, site) = self.load(text)?;
        let fine = self.names(&site, &text, template_names::of_template(&text));
        fine?;
        self.compiled(&site, &text, Template::compile(&text))
    }

    fn expression(&mut self, text: &Spanned<String>) -> Option<Expression> {
        let site = self.site(text.place());
        if let Some(inner) = crate::base::template::whole_expression(&text.value) {
            let message = "an expression stands without `{{ }}`";
            let help = format!("write `{inner}`");
            self.error(text.place(), "bad-template", message.into(), Some(help));
            return None;
        }
        self.names(&site, &text.value, template_names::of_expression(&text.value))?;
        self.compiled(&site, &text.value, Expression::compile(&text.value))
    }

    fn shape(&mut self, tree: &Tree) -> Option<Shape> {
        self.leaf_names(tree)?;
        let site = self.site(tree.place());
        self.compiled(&site, "", Shape::compile(&tree.to_json()))
    }

    fn json_schema(&mut self, tree: &Tree) -> Option<Arc<Value>> {
        let refuse = |desk: &mut Self, place, message: String| {
            desk.error(place, "invalid-schema", message, None);
            None
        };
        let schema = match Text::try_from(tree.clone()) {
            Ok(Text::File(path)) => {
                let (file, text) = self.bench.include(&path)?;
                match serde_json::from_str::<Value>(&text) {
                    Ok(schema) => schema,
                    Err(why) => {
                        let at = |n: usize| u32::try_from(n).unwrap_or(0);
                        let place = Place { line: at(why.line()), column: at(why.column()) };
                        let message = "the schema is not valid JSON";
                        self.bench.found.error(&file, place, "invalid-schema", message, None);
                        return None;
                    }
                }
            }
            Ok(Text::Inline(text)) => {
                let help = format!("to read it from a file, write `{{ file: {} }}`", text.value);
                let message = "a schema is a mapping, not a text".to_owned();
                self.error(text.place(), "invalid-schema", message, Some(help));
                return None;
            }
            Err(_) => tree.to_json(),
        };
        if !schema.is_object() {
            return refuse(self, tree.place(), "a JSON schema is a mapping".to_owned());
        }
        if let Err(why) = jsonschema::meta::validate(&schema) {
            let at = why.instance_path().to_string();
            return refuse(
                self,
                tree.place(),
                format!("this is not a JSON schema: at `{at}`: {why}"),
            );
        }
        let schema = Arc::new(schema);
        self.schema = Some(Arc::clone(&schema));
        Some(schema)
    }

    fn model(&mut self, name: &Spanned<String>) -> Option<Arc<str>> {
        let known = self.bench.known;
        if known.open || known.models.contains_key(name.value.as_str()) {
            return Some(name.value.as_str().into());
        }
        let message = format!(
            "stage `{}` asks for model `{}`, which settings do not define",
            self.name, name.value
        );
        let models = known.models.keys().map(|model| &**model);
        let help = suggestion(&name.value, "defined models are", models)
            .unwrap_or_else(|| "settings define no models: add one under `models`".to_owned());
        self.error(name.place(), "unknown-model", message, Some(help));
        None
    }

    fn collection(&mut self, name: &Spanned<String>) -> Option<Arc<str>> {
        let known = self.bench.known;
        self.literal(name, "`collection`")?;
        if known.open || known.collections.contains_key(name.value.as_str()) {
            return Some(name.value.as_str().into());
        }
        let message = format!(
            "stage `{}` uses collection `{}`, which settings do not define",
            self.name, name.value
        );
        let collections = known.collections.keys().map(|collection| &**collection);
        let help =
            suggestion(&name.value, "defined collections are", collections).unwrap_or_else(|| {
                "settings define no collections: add one under `memory.collections`".to_owned()
            });
        self.error(name.place(), "unknown-collection", message, Some(help));
        None
    }

    fn topic(&mut self, name: &Spanned<String>) -> Option<Arc<str>> {
        self.literal(name, "a topic")?;
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let text = name.value.as_str();
        if text.is_empty()
            || text.len() > 249
            || !text.bytes().all(legal)
            || matches!(text, "." | "..")
        {
            let message = format!("`{text}` can't be the name of a topic");
            let help = "use letters, digits, `.`, `_` and `-`, at most 249 of them".to_owned();
            self.error(name.place(), "bad-name", message, Some(help));
            return None;
        }
        let listed = &self.bench.known.topics;
        let close = match listed.contains_key(text) {
            true => None,
            false => nearest(text, listed.keys().map(|topic| &**topic)).map(str::to_owned),
        };
        if let Some(close) = close {
            let message = format!("settings list topic `{close}`, but not `{text}`");
            let help = format!("did you mean `{close}`? If not, list `{text}` under `topics`");
            self.error(name.place(), "unknown-topic", message, Some(help));
            return None;
        }
        Some(text.into())
    }

    fn url(&mut self, url: &Spanned<String>) -> Option<Template> {
        let help =
            || Some("write `http://host:port/path`; only the path may have templates".to_owned());
        let rest = ["http://", "https://"].iter().find_map(|scheme| url.value.strip_prefix(scheme));
        let Some(rest) = rest else {
            let message = "the address does not start with `http://` or `https://`".to_owned();
            self.error(url.place(), "bad-url", message, help());
            return None;
        };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if host.contains(['{', '}', '$', '%']) {
            let message = "the host of an address is a literal, not a template".to_owned();
            self.error(url.place(), "template-in-literal", message, help());
            return None;
        }
        if host.is_empty() || host.contains(['@', ' ', '\\']) {
            let message = "the address has no host, or a user name in it".to_owned();
            self.error(url.place(), "bad-url", message, help());
            return None;
        }
        self.template(&Text::Inline(url.clone()))
    }

    fn error(&mut self, place: Place, code: &'static str, message: String, help: Option<String>) {
        self.bench.error(place, code, message, help);
    }

    fn stage(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }
}

/// What is known of a stage's value, by its kind and what the desk loaded for it.
pub(super) fn output(verb: &str, tree: Option<&Tree>, schema: Option<&Value>) -> Fields {
    match verb {
        "generate" => Fields::Leaf("a text"),
        "embed" => Fields::List(Box::new(Fields::Leaf("a number"))),
        "extract" => schema.map_or(Fields::Any, Fields::from_json_schema),
        "retrieve" => Fields::passages(),
        "remember" | "forget" => Fields::record(&["id"]),
        "call" => Fields::record(&["status", "body"]),
        "publish" => Fields::record(&["topic", "key"]),
        "map" => match tree.map(|tree| (&tree.value, tree)) {
            Some((TreeValue::Map(_), tree)) => Fields::from_value(&tree.to_json()),
            _ => Fields::Any,
        },
        _ => Fields::Any,
    }
}
