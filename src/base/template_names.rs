//! The names that a template or an expression uses, with their places: the one file that walks the syntax tree of
//! MiniJinja, whose interface is unstable (hence the exact version in `Cargo.toml`).
//!
//! A name is a path of literal steps from a free variable, such as `event.input.text`. What is behind an alias (a loop's
//! variable, `set`, `with`) or a computed subscript can't be proven; that such a place exists is told.

use minijinja::ErrorKind;
use minijinja::machinery::ast::{CallArg, Expr, Stmt};
use minijinja::machinery::{Span, Token, parse, parse_expr, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;

use super::nearest::suggestion;
use super::template::{LANGUAGE, TemplateError};

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

/// Filters that are offered when one is not known.
const FILTERS: &[&str] = &[
    "abs", "attr", "batch", "default", "first", "float", "int", "items", "join", "last", "length",
    "lines", "list", "lower", "map", "max", "min", "reject", "replace", "reverse", "round",
    "select", "slice", "sort", "split", "string", "sum", "title", "tojson", "trim", "unique",
    "upper",
];

/// Functions that may be called.
const FUNCTIONS: &[&str] = &["range", "dict", "namespace"];

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

#[derive(Default)]
struct Walk {
    names: Names,
    /// Names bound by the text itself, one list a block.
    bound: Vec<Vec<String>>,
}

impl Walk {
    fn binds(&self, name: &str) -> bool {
        self.bound.iter().flatten().any(|bound| bound == name)
    }

    fn bind(&mut self, target: &Expr<'_>) {
        match target {
            Expr::Var(var) => {
                if let Some(block) = self.bound.last_mut() {
                    block.push(var.id.to_owned());
                }
            }
            Expr::List(list) => list.items.iter().for_each(|item| self.bind(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.bind(item)),
            other => self.expression(other),
        }
    }

    fn refuse(&mut self, span: Span, message: impl Into<String>) {
        self.names.refused.push((byte(span), message.into()));
    }

    fn block(&mut self, body: &[Stmt<'_>], bind: impl FnOnce(&mut Self)) {
        self.bound.push(Vec::new());
        bind(self);
        body.iter().for_each(|statement| self.statement(statement));
        self.bound.pop();
    }

    fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(template) => self.block(&template.children, |_| {}),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::EmitRaw(_) => {}
            Stmt::ForLoop(each) => {
                self.expression(&each.iter);
                self.block(&each.body, |walk| {
                    walk.bind(&each.target);
                    walk.bound
                        .last_mut()
                        .into_iter()
                        .for_each(|block| block.push("loop".to_owned()));
                    each.filter_expr.iter().for_each(|filter| walk.expression(filter));
                });
                self.block(&each.else_body, |_| {});
            }
            Stmt::IfCond(cond) => {
                self.expression(&cond.expr);
                self.block(&cond.true_body, |_| {});
                self.block(&cond.false_body, |_| {});
            }
            Stmt::WithBlock(with) => {
                with.assignments.iter().for_each(|(_, value)| self.expression(value));
                self.block(&with.body, |walk| {
                    with.assignments.iter().for_each(|(target, _)| walk.bind(target));
                });
            }
            Stmt::Set(set) => {
                self.expression(&set.expr);
                self.bind(&set.target);
            }
            Stmt::SetBlock(set) => {
                set.filter.iter().for_each(|filter| self.expression(filter));
                self.block(&set.body, |_| {});
                self.bind(&set.target);
            }
            Stmt::AutoEscape(escape) => self.block(&escape.body, |_| {}),
            Stmt::FilterBlock(filter) => {
                self.expression(&filter.filter);
                self.block(&filter.body, |_| {});
            }
            Stmt::Block(block) => self.refuse(block.span(), "templates have no `block`"),
            Stmt::Import(import) => self.refuse(import.span(), "templates have no `import`"),
            Stmt::FromImport(import) => self.refuse(import.span(), "templates have no `import`"),
            Stmt::Extends(extends) => self.refuse(extends.span(), "templates have no `extends`"),
            Stmt::Include(include) => self.refuse(include.span(), "templates have no `include`"),
            Stmt::Macro(made) => self.refuse(made.span(), "templates have no `macro`"),
            Stmt::CallBlock(call) => self.refuse(call.span(), "templates have no `call`"),
            Stmt::Do(call) => self.refuse(call.span(), "templates have no `do`"),
        }
    }

    fn expression(&mut self, expression: &Expr<'_>) {
        match expression {
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => self.path(expression),
            Expr::Const(_) => {}
            Expr::Slice(slice) => {
                self.expression(&slice.expr);
                let parts = [&slice.start, &slice.stop, &slice.step];
                parts.into_iter().flatten().for_each(|part| self.expression(part));
            }
            Expr::UnaryOp(op) => self.expression(&op.expr),
            Expr::BinOp(op) => {
                self.expression(&op.left);
                self.expression(&op.right);
            }
            Expr::Compare(compare) => {
                self.expression(&compare.expr);
                compare.ops.iter().for_each(|op| self.expression(&op.expr));
            }
            Expr::IfExpr(cond) => {
                self.expression(&cond.test_expr);
                self.expression(&cond.true_expr);
                cond.false_expr.iter().for_each(|other| self.expression(other));
            }
            Expr::Filter(filter) => {
                if !engine_knows(&format!("0|{}", filter.name), ErrorKind::UnknownFilter) {
                    let help = suggestion(filter.name, "some filters are", FILTERS.iter().copied());
                    let help = help.unwrap_or_default();
                    self.refuse(
                        filter.span(),
                        format!("there is no filter `{}`: {help}", filter.name),
                    );
                }
                filter.expr.iter().for_each(|inner| self.expression(inner));
                self.arguments(&filter.args);
            }
            Expr::Test(test) => {
                if !engine_knows(&format!("0 is {}", test.name), ErrorKind::UnknownTest) {
                    self.refuse(test.span(), format!("there is no test `is {}`", test.name));
                }
                self.expression(&test.expr);
                self.arguments(&test.args);
            }
            Expr::Call(call) => {
                match &call.expr {
                    Expr::Var(var) if FUNCTIONS.contains(&var.id) => {}
                    Expr::Var(var) => {
                        let functions = FUNCTIONS.join("`, `");
                        let message = format!(
                            "there is no function `{}`; functions are `{functions}`",
                            var.id
                        );
                        self.refuse(var.span(), message);
                    }
                    Expr::GetAttr(method) => {
                        self.expression(&method.expr);
                        self.names.unproven.push(byte(method.span()));
                    }
                    other => self.expression(other),
                }
                self.arguments(&call.args);
            }
            Expr::List(list) => list.items.iter().for_each(|item| self.expression(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.expression(item)),
            Expr::Map(map) => {
                map.keys.iter().chain(&map.values).for_each(|part| self.expression(part));
            }
        }
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) {
        for argument in arguments {
            let (CallArg::Pos(value)
            | CallArg::Kwarg(_, value)
            | CallArg::PosSplat(value)
            | CallArg::KwargSplat(value)) = argument;
            self.expression(value);
        }
    }

    /// A variable and what is taken of it, outermost last.
    fn path(&mut self, expression: &Expr<'_>) {
        let mut steps = Vec::new();
        let mut inner = expression;
        loop {
            match inner {
                Expr::GetAttr(get) => {
                    steps.push(Some(Step::Field(get.name.to_owned())));
                    inner = &get.expr;
                }
                Expr::GetItem(get) => {
                    steps.push(literal(&get.subscript_expr));
                    self.expression(&get.subscript_expr);
                    inner = &get.expr;
                }
                _ => break,
            }
        }
        steps.reverse();
        let computed = steps.iter().any(Option::is_none);
        let Expr::Var(var) = inner else {
            if !steps.is_empty() {
                self.names.unproven.push(byte(expression.span()));
            }
            return self.expression(inner);
        };
        if computed || (self.binds(var.id) && !steps.is_empty() && var.id != "loop") {
            self.names.unproven.push(byte(var.span()));
        }
        if !self.binds(var.id) {
            let steps = steps.into_iter().map_while(|step| step).collect();
            self.names.used.push(Name { root: var.id.to_owned(), steps, at: byte(var.span()) });
        }
    }
}

fn literal(subscript: &Expr<'_>) -> Option<Step> {
    let value = subscript.as_const()?;
    match (value.as_str(), value.kind()) {
        (Some(name), _) => Some(Step::Field(name.to_owned())),
        (None, ValueKind::Number) => Some(Step::Index),
        _ => None,
    }
}

fn byte(span: Span) -> usize {
    usize::try_from(span.start_offset).unwrap_or(0)
}

/// Asks the engine: a filter or test that it does not know fails with a kind of its own.
fn engine_knows(expression: &str, unknown: ErrorKind) -> bool {
    let said = LANGUAGE.compile_expression(expression).and_then(|compiled| compiled.eval(()));
    !matches!(said, Err(error) if error.kind() == unknown)
}

#[cfg(test)]
mod tests;
