//! Where a kind's parameters are checked: the desk loads texts, compiles them, knows the names, and takes down what is
//! wrong. The pipeline's `check` is the desk; a kind only says what its parameters are meant to be.

use std::sync::Arc;

use serde_json::Value;

use crate::base::diagnostic::Place;
use crate::base::template::{Expression, Shape, Template};
use crate::base::yaml::{Spanned, Text, Tree, place};

/// Every method that gives an `Option` has already taken down why it is none, with place and mend.
pub trait Desk {
    /// Loads a text; its content enters the pipeline's digest.
    fn text(&mut self, text: &Text) -> Option<Arc<str>>;
    /// Loads and compiles a template, and checks the names it uses against what is upstream of this stage.
    fn template(&mut self, text: &Text) -> Option<Template>;
    /// Compiles an expression and checks its names.
    fn expression(&mut self, text: &Spanned<String>) -> Option<Expression>;
    /// Compiles a value with templates in its leaves and checks their names.
    fn shape(&mut self, tree: &Tree) -> Option<Shape>;
    /// Loads a JSON schema, from a file or inline, and checks that it is one.
    fn json_schema(&mut self, tree: &Tree) -> Option<Arc<Value>>;
    /// A model or route of the settings.
    fn model(&mut self, name: &Spanned<String>) -> Option<Arc<str>>;
    /// A collection.
    fn collection(&mut self, name: &Spanned<String>) -> Option<Arc<str>>;
    /// A topic that the stage writes. A literal: templates in it are refused.
    fn topic(&mut self, name: &Spanned<String>) -> Option<Arc<str>>;
    /// An HTTP address whose scheme, host and port are literal; the path may have templates.
    fn url(&mut self, url: &Spanned<String>) -> Option<Template>;
    /// Takes down an error at a place of the pipeline file.
    fn error(&mut self, place: Place, code: &'static str, message: String, help: Option<String>);
    /// Name of the stage being checked.
    fn stage(&self) -> Arc<str>;
}

/// A number of at least 1, or its default.
pub fn positive(
    desk: &mut dyn Desk,
    name: &str,
    written: Option<&Spanned<u32>>,
    default: u32,
) -> Option<u32> {
    let Some(written) = written else { return Some(default) };
    if written.value > 0 {
        return Some(written.value);
    }
    let help = format!("the default is {default}");
    let message = format!("`{name}` is 0, expected at least 1");
    desk.error(place(written), "out-of-range", message, Some(help));
    None
}

/// Turns what checking a parameter brought, if it was written, inside out: none when it was written and is wrong.
pub fn optional<T>(checked: Option<Option<T>>) -> Option<Option<T>> {
    match checked {
        Some(written) => written.map(Some),
        None => Some(None),
    }
}
