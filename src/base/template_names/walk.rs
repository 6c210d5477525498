//! The walk itself: what is bound, what is used, what is refused.

use minijinja::ErrorKind;
use minijinja::machinery::Span;
use minijinja::machinery::ast::{CallArg, Expr, Spanned, Stmt, Var};
use minijinja::value::ValueKind;

use super::{Name, Names, Step};
use crate::base::nearest::suggestion;
use crate::base::template::LANGUAGE;

/// Filters that are offered when one is not known.
pub(super) const FILTERS: &[&str] = &[
    "abs", "attr", "batch", "default", "first", "float", "int", "items", "join", "last", "length",
    "lines", "list", "lower", "map", "max", "min", "reject", "replace", "reverse", "round",
    "select", "slice", "sort", "split", "string", "sum", "title", "tojson", "trim", "unique",
    "upper",
];

/// Functions that may be called.
const FUNCTIONS: &[&str] = &["range", "dict", "namespace"];

#[derive(Default)]
pub(super) struct Walk {
    pub(super) names: Names,
    /// Names bound by the text itself, one list a block, with what they stand for where that is a name.
    bound: Vec<Vec<(String, Option<Name>)>>,
}

impl Walk {
    /// The innermost binding of a name, and what it stands for.
    fn bound(&self, name: &str) -> Option<Option<&Name>> {
        let mut all = self.bound.iter().rev().flat_map(|block| block.iter().rev());
        all.find(|(bound, _)| bound == name).map(|(_, stands_for)| stands_for.as_ref())
    }

    fn bind(&mut self, target: &Expr<'_>, stands_for: Option<Name>) {
        match target {
            Expr::Var(var) => {
                if let Some(block) = self.bound.last_mut() {
                    block.push((var.id.to_owned(), stands_for));
                }
            }
            Expr::List(list) => list.items.iter().for_each(|item| self.bind(item, None)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.bind(item, None)),
            other => self.expression(other),
        }
    }

    /// The name that an expression is, if it is nothing but a name.
    fn name(&self, expression: &Expr<'_>) -> Option<Name> {
        let (var, steps) = taken(expression);
        let steps: Vec<Step> = steps.into_iter().map(|(step, _)| step).collect::<Option<_>>()?;
        let var = var?;
        match self.bound(var.id) {
            None => Some(Name { root: var.id.to_owned(), steps, at: 0 }),
            Some(Some(name)) => {
                let mut name = name.clone();
                name.steps.extend(steps);
                Some(name)
            }
            Some(None) => None,
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

    /// What is set here is there afterwards, but perhaps it was never set: it stands for nothing certain.
    fn branch(&mut self, body: &[Stmt<'_>]) {
        let before = self.bound.last().map_or(0, Vec::len);
        body.iter().for_each(|statement| self.statement(statement));
        let set = self.bound.last_mut().into_iter().flat_map(|block| block.iter_mut().skip(before));
        set.for_each(|(_, stands_for)| *stands_for = None);
    }

    pub(super) fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(template) => self.block(&template.children, |_| {}),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::EmitRaw(_) => {}
            Stmt::ForLoop(each) => {
                self.expression(&each.iter);
                let item = self.name(&each.iter).map(|mut list| {
                    list.steps.push(Step::Index);
                    list
                });
                self.block(&each.body, |walk| {
                    walk.bind(&each.target, item);
                    let block = walk.bound.last_mut().into_iter();
                    block.for_each(|block| block.push(("loop".to_owned(), None)));
                    each.filter_expr.iter().for_each(|filter| walk.expression(filter));
                });
                self.branch(&each.else_body);
            }
            Stmt::IfCond(cond) => {
                self.expression(&cond.expr);
                self.branch(&cond.true_body);
                self.branch(&cond.false_body);
            }
            Stmt::WithBlock(with) => {
                self.block(&with.body, |walk| {
                    for (target, value) in &with.assignments {
                        walk.expression(value);
                        let stands_for = walk.name(value);
                        walk.bind(target, stands_for);
                    }
                });
            }
            Stmt::Set(set) => {
                self.expression(&set.expr);
                let stands_for = self.name(&set.expr);
                self.bind(&set.target, stands_for);
            }
            Stmt::SetBlock(set) => {
                set.filter.iter().for_each(|filter| self.expression(filter));
                self.branch(&set.body);
                self.bind(&set.target, None);
            }
            Stmt::AutoEscape(escape) => self.branch(&escape.body),
            Stmt::FilterBlock(filter) => {
                self.expression(&filter.filter);
                self.branch(&filter.body);
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

    pub(super) fn expression(&mut self, expression: &Expr<'_>) {
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

    /// A variable and what is taken of it.
    fn path(&mut self, expression: &Expr<'_>) {
        let (var, steps) = taken(expression);
        for (_, subscript) in &steps {
            subscript.iter().for_each(|inner| self.expression(inner));
        }
        let Some(var) = var else {
            self.names.unproven.push(byte(expression.span()));
            return self.expression(innermost(expression));
        };
        let computed = steps.iter().any(|(step, _)| step.is_none());
        let steps: Vec<Step> = steps.into_iter().map_while(|(step, _)| step).collect();
        let at = byte(var.span());
        let used = match self.bound(var.id) {
            None => Some(Name { root: var.id.to_owned(), steps, at }),
            Some(Some(name)) if !steps.is_empty() => {
                let steps = name.steps.iter().cloned().chain(steps).collect();
                Some(Name { root: name.root.clone(), steps, at })
            }
            Some(None) if !steps.is_empty() && var.id != "loop" => {
                self.names.unproven.push(at);
                None
            }
            Some(_) => None,
        };
        self.names.used.extend(used);
        if computed {
            self.names.unproven.push(at);
        }
    }
}

/// What stands at the bottom of attributes and subscripts.
fn innermost<'e, 's>(expression: &'e Expr<'s>) -> &'e Expr<'s> {
    let mut inner = expression;
    loop {
        inner = match inner {
            Expr::GetAttr(get) => &get.expr,
            Expr::GetItem(get) => &get.expr,
            other => return other,
        };
    }
}

type Taken<'e, 's> = (Option<&'e Spanned<Var<'s>>>, Vec<(Option<Step>, Option<&'e Expr<'s>>)>);

/// The variable at the bottom, if it is one, and the steps from it: literal, and as written where they were computed.
fn taken<'e, 's>(expression: &'e Expr<'s>) -> Taken<'e, 's> {
    let mut steps = Vec::new();
    let mut inner = expression;
    loop {
        match inner {
            Expr::GetAttr(get) => {
                steps.push((Some(Step::Field(get.name.to_owned())), None));
                inner = &get.expr;
            }
            Expr::GetItem(get) => {
                steps.push((literal(&get.subscript_expr), Some(&get.subscript_expr)));
                inner = &get.expr;
            }
            _ => break,
        }
    }
    steps.reverse();
    match inner {
        Expr::Var(var) => (Some(var), steps),
        _ => (None, steps),
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
