//! The one small language: MiniJinja templates for text, MiniJinja expressions for conditions, and shapes, which are
//! YAML values with templates in their leaves. Undefined names are errors, fuel bounds the work, there are no includes,
//! no clock and no randomness; what is rendered in is a value, never a template.

use std::fmt;
use std::sync::{Arc, LazyLock};

use minijinja::{Environment, ErrorKind, Expression as Compiled, UndefinedBehavior, Value};

mod part;

pub use part::shared;

use super::template_names::{Name, Names, Step, bounded, of_expression, of_template};

/// Instructions one render may take.
const FUEL: u64 = 200_000;
/// Bytes one render may give.
const MAX_OUTPUT: usize = 4 << 20;

/// The language's constant definition: no state, never changed.
pub(super) static LANGUAGE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.set_fuel(Some(FUEL));
    env.set_debug(false);
    // A skipped stage is none, and none renders as nothing.
    env.set_formatter(|out, state, value| match value.is_none() {
        true => Ok(()),
        false => minijinja::escape_formatter(out, state, value),
    });
    env
});

/// Why a template does not compile or render. The message names no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Line in the template, from 1; 0 when not known.
    pub line: usize,
    /// One sentence.
    pub message: String,
    /// Whether the only trouble is a name that is not there.
    pub undefined: bool,
}

impl TemplateError {
    fn new(message: String) -> Self {
        TemplateError { line: 0, message, undefined: false }
    }

    /// The same, with the first name on its line that is not there in the scope: the author's word, not an event's.
    fn named(self, what: &str, source: &str, names: Names, scope: &Value) -> Self {
        let line = |name: &&Name| {
            let before = source.get(..name.at).unwrap_or_default();
            self.line == 0 || before.matches('\n').count() + 1 == self.line
        };
        match names.used.iter().filter(line).find_map(|name| absent(name, scope)) {
            Some(path) => {
                let message = format!("{what} names `{path}`, which is not there");
                TemplateError { message, ..self }
            }
            None => self,
        }
    }
}

/// The path of a name up to the step that leads nowhere; none when it leads somewhere, or on through a list.
fn absent(name: &Name, scope: &Value) -> Option<String> {
    let mut path = name.root.clone();
    let mut value = scope.get_attr(&name.root).ok()?;
    for step in &name.steps {
        if value.is_undefined() {
            break;
        }
        let Step::Field(field) = step else { return None };
        path = format!("{path}.{field}");
        value = value.get_attr(field).ok()?;
    }
    value.is_undefined().then_some(path)
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TemplateError {}

impl From<minijinja::Error> for TemplateError {
    fn from(error: minijinja::Error) -> Self {
        let what = match error.kind() {
            ErrorKind::UndefinedError => "names something that is not there",
            ErrorKind::OutOfFuel => "takes too many steps",
            ErrorKind::SyntaxError => "is not valid",
            _ => "can't be rendered",
        };
        let message = match error.detail() {
            Some(detail) => format!("the template {what}: {detail}"),
            None => format!("the template {what}"),
        };
        let undefined = error.kind() == ErrorKind::UndefinedError;
        TemplateError { line: error.line().unwrap_or(0), message, undefined }
    }
}

/// A text with `{{ … }}` and `{% … %}`.
#[derive(Clone)]
pub struct Template {
    source: Arc<str>,
    /// None when the text has no markers: it is rendered as it is.
    env: Option<Arc<Environment<'static>>>,
}

impl Template {
    /// Compiles a text.
    pub fn compile(source: &str) -> Result<Self, TemplateError> {
        if !source.contains("{{") && !source.contains("{%") && !source.contains("{#") {
            return Ok(Template { source: source.into(), env: None });
        }
        bounded(source, false)?;
        let mut env = LANGUAGE.clone();
        env.add_template_owned("template", source.to_owned())?;
        Ok(Template { source: source.into(), env: Some(Arc::new(env)) })
    }

    /// The text as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Renders it with the names of `scope`.
    pub fn render(&self, scope: &Value) -> Result<String, TemplateError> {
        let Some(env) = &self.env else { return Ok(self.source.to_string()) };
        let rendered = env.get_template("template")?.render(scope.clone());
        let text = rendered.map_err(|error| {
            let error = TemplateError::from(error);
            match of_template(&self.source) {
                Ok(names) if error.undefined => {
                    error.named("the template", &self.source, names, scope)
                }
                Ok(_) | Err(_) => error,
            }
        })?;
        match text.len() > MAX_OUTPUT {
            true => {
                Err(TemplateError::new(format!("the template gives more than {MAX_OUTPUT} bytes")))
            }
            false => Ok(text),
        }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.source)
    }
}

/// A condition or a value, such as `classify.label != "spam"`.
#[derive(Clone)]
pub struct Expression {
    source: Arc<str>,
    compiled: Arc<Compiled<'static, 'static>>,
}

impl Expression {
    /// Compiles an expression.
    pub fn compile(source: &str) -> Result<Self, TemplateError> {
        bounded(source, true)?;
        let compiled = LANGUAGE.compile_expression_owned(source.to_owned())?;
        Ok(Expression { source: source.into(), compiled: Arc::new(compiled) })
    }

    /// The text as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its value; undefined is an error (MiniJinja would return it in silence).
    pub fn eval(&self, scope: &Value) -> Result<Value, TemplateError> {
        let undefined = || TemplateError {
            line: 0,
            message: format!("the expression `{}` names something that is not there", self.source),
            undefined: true,
        };
        let value = match self.compiled.eval(scope.clone()) {
            Ok(value) if value.is_undefined() => Err(undefined()),
            Ok(value) => Ok(value),
            Err(error) => Err(TemplateError::from(error)),
        };
        value.map_err(|error| match of_expression(&self.source) {
            Ok(names) if error.undefined => {
                let told = format!("the expression `{}`", self.source);
                error.named(&told, &self.source, names, scope)
            }
            Ok(_) | Err(_) => error,
        })
    }

    /// Its truth.
    pub fn test(&self, scope: &Value) -> Result<bool, TemplateError> {
        self.eval(scope).map(|value| value.is_true())
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.source)
    }
}

/// A YAML value with templates in its leaves. A leaf that is wholly one `{{ … }}` gives a typed value, any other text.
#[derive(Clone, Debug)]
pub enum Shape {
    /// As it is.
    Constant(serde_json::Value),
    /// Text.
    Text(Template),
    /// Typed.
    Typed(Expression),
    /// List.
    List(Vec<Shape>),
    /// Mapping, in the author's order.
    Map(Vec<(String, Shape)>),
}

impl Shape {
    /// Compiles a value. Keys are literal.
    pub fn compile(value: &serde_json::Value) -> Result<Self, TemplateError> {
        use serde_json::Value as Json;
        Ok(match value {
            Json::String(text) => match whole_expression(text) {
                Some(expression) => Shape::Typed(Expression::compile(expression)?),
                None => Shape::Text(Template::compile(text)?),
            },
            Json::Array(items) => {
                Shape::List(items.iter().map(Shape::compile).collect::<Result<_, _>>()?)
            }
            Json::Object(map) => Shape::Map(
                map.iter()
                    .map(|(key, value)| Shape::compile(value).map(|shape| (key.clone(), shape)))
                    .collect::<Result<_, _>>()?,
            ),
            Json::Null | Json::Bool(_) | Json::Number(_) => Shape::Constant(value.clone()),
        })
    }

    /// Renders it with the names of `scope`.
    pub fn render(&self, scope: &Value) -> Result<serde_json::Value, TemplateError> {
        use serde_json::Value as Json;
        Ok(match self {
            Shape::Constant(value) => value.clone(),
            Shape::Text(template) => Json::String(template.render(scope)?),
            Shape::Typed(expression) => to_json(&expression.eval(scope)?)?,
            Shape::List(items) => {
                Json::Array(items.iter().map(|i| i.render(scope)).collect::<Result<_, _>>()?)
            }
            Shape::Map(entries) => Json::Object(
                entries
                    .iter()
                    .map(|(key, shape)| shape.render(scope).map(|value| (key.clone(), value)))
                    .collect::<Result<_, _>>()?,
            ),
        })
    }
}

/// The inside of a text that is wholly one `{{ … }}`.
pub fn whole_expression(text: &str) -> Option<&str> {
    let inside = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    match inside.contains("{{") || inside.contains("}}") || inside.contains("{%") {
        true => None,
        false => Some(inside.trim_matches('-').trim()),
    }
}

/// A MiniJinja value as JSON.
pub fn to_json(value: &Value) -> Result<serde_json::Value, TemplateError> {
    serde_json::to_value(value)
        .map_err(|e| TemplateError::new(format!("the value is not JSON: {e}")))
}

/// A JSON value as a MiniJinja value: it is cheap to clone.
pub fn from_json(value: &serde_json::Value) -> Value {
    Value::from(minijinja::value::Serde(value))
}

#[cfg(test)]
mod tests;
