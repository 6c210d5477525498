//! The names that a template or an expression uses, with their places: the one room that walks the syntax tree
//! of MiniJinja, whose interface is unstable (hence the exact version in `Cargo.toml`).
//!
//! A name is a path of literal steps from a free variable, such as `event.input.text`. An alias (a loop's variable,
//! `set`, `with`) is followed where it stands for a name; what is behind any other, or behind a computed subscript, can't
//! be proven, and that such a place exists is told.

use minijinja::machinery::{Token, parse, parse_expr, tokenize};
use minijinja::syntax::SyntaxConfig;

use super::template::TemplateError;
use walk::Walk;

mod walk;

/// Tokens one expression may have.
const MAX_TOKENS: usize = 500;
/// `{% … %}` blocks one template may have.
const MAX_BLOCKS: usize = 500;

/// What a text uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    /// Names by free variable, in order.
    pub used: Vec<Name>,
    /// Where something can't be proven.
    pub unproven: Vec<usize>,
    /// What will not work: byte and sentence.
    pub refused: Vec<(usize, String)>,
}

/// A free variable and the literal steps from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// The variable.
    pub root: String,
    /// What follows, as far as it is literal.
    pub steps: Vec<Step>,
    /// Byte in the text.
    pub at: usize,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// `.name` or `["name"]`.
    Field(String),
    /// `[0]`.
    Index,
}

/// Names of a text with `{{ … }}`.
pub fn of_template(source: &str) -> Result<Names, TemplateError> {
    if !source.contains("{{") && !source.contains("{%") && !source.contains("{#") {
        return Ok(Names::default());
    }
    bounded(source, false)?;
    let tree = parse(source, "template", SyntaxConfig::default())?;
    let mut walk = Walk::default();
    walk.statement(&tree);
    Ok(walk.names)
}

/// Names of an expression.
pub fn of_expression(source: &str) -> Result<Names, TemplateError> {
    bounded(source, true)?;
    let tree = parse_expr(source)?;
    let mut walk = Walk::default();
    walk.expression(&tree);
    Ok(walk.names)
}

/// Words that are no names of stages: MiniJinja reads them otherwise.
pub const KEYWORDS: &[&str] = &[
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "elif",
    "else",
    "endif",
    "for",
    "endfor",
    "set",
    "endset",
    "with",
    "endwith",
    "filter",
    "endfilter",
    "autoescape",
    "endautoescape",
    "raw",
    "endraw",
    "block",
    "endblock",
    "extends",
    "include",
    "import",
    "from",
    "as",
    "macro",
    "endmacro",
    "call",
    "endcall",
    "do",
    "loop",
    "recursive",
    "true",
    "false",
    "none",
    "self",
    "super",
    "caller",
    "range",
    "dict",
    "debug",
    "namespace",
];

/// Refuses what would exhaust the stack: the engine's own recursion follows long chains of operators and of `elif`.
pub(super) fn bounded(source: &str, in_expression: bool) -> Result<(), TemplateError> {
    let tokens = tokenize(source, in_expression, SyntaxConfig::default());
    let (mut length, mut blocks) = (0, 0);
    for token in tokens {
        let (token, span) = token?;
        match token {
            Token::VariableStart => length = 0,
            Token::BlockStart => {
                length = 0;
                blocks += 1;
            }
            _ => length += 1,
        }
        if length > MAX_TOKENS || blocks > MAX_BLOCKS {
            let message = format!(
                "the template is too large: at most {MAX_TOKENS} words in an expression and {MAX_BLOCKS} blocks"
            );
            return Err(TemplateError { line: span.start_line.into(), message, undefined: false });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
