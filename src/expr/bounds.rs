//! What is refused before the compiler sees it, and what is refused or rewritten after: CEL itself has no
//! limits.

use super::{ExprError, MAX_LOOPS, MAX_NESTING, MAX_SOURCE};
use cel::common::ast::operators::ADD;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr};

/// Every loop's range goes through this function, which counts and puts map keys in order.
pub(super) const RANGE: &str = "@range";
/// In the place of `+`, which would put together gigabytes within a loop.
pub(super) const JOIN: &str = "@join";
/// In the place of `matches`, which compiles whatever it is given.
pub(super) const MATCHES: &str = "@matches";

/// Most opening brackets at all, wherever they stand: a stop that does not depend on reading strings right.
const MAX_BRACKETS: usize = 128;

/// The parser recurses with its input: 90 nested parentheses end a process with a small stack.
pub(super) fn before_compile(source: &str) -> Result<(), ExprError> {
    if source.len() > MAX_SOURCE {
        return Err(ExprError::TooLong(source.len()));
    }
    if source.bytes().filter(|b| b"([{".contains(b)).count() > MAX_BRACKETS || nesting(source) > MAX_NESTING {
        return Err(ExprError::TooDeep);
    }
    Ok(())
}

/// Deepest nesting of brackets outside strings.
fn nesting(source: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let mut quote: Option<u8> = None;
    let mut escaped = false;
    for byte in source.bytes() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if byte == b'\\' => escaped = true,
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None => match byte {
                b'"' | b'\'' => quote = Some(byte),
                b'(' | b'[' | b'{' => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            },
        }
    }
    deepest
}

/// Refuses deep loops and wraps each loop's range in [`RANGE`].
pub(super) fn after_compile(expr: &mut IdedExpr) -> Result<(), ExprError> {
    walk(expr, 0)
}

fn walk(expr: &mut IdedExpr, loops: usize) -> Result<(), ExprError> {
    match &mut expr.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Ok(()),
        Expr::Call(call) => {
            call.target.iter_mut().try_for_each(|target| walk(target, loops))?;
            call.args.iter_mut().try_for_each(|arg| walk(arg, loops))?;
            counted(call);
            Ok(())
        }
        Expr::List(list) => list.elements.iter_mut().try_for_each(|element| walk(element, loops)),
        Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| walk_entry(&mut entry.expr, loops)),
        Expr::Struct(fields) => {
            fields.entries.iter_mut().try_for_each(|entry| walk_entry(&mut entry.expr, loops))
        }
        Expr::Select(select) => walk(&mut select.operand, loops),
        Expr::Comprehension(comp) => {
            // A loop in the range counts as nested too: chains of `map` double what they carry.
            let loops = loops + 1;
            if loops > MAX_LOOPS || comp.iter_var2.is_some() {
                return Err(ExprError::TooManyLoops);
            }
            for part in [
                &mut comp.iter_range,
                &mut comp.accu_init,
                &mut comp.loop_cond,
                &mut comp.loop_step,
                &mut comp.result,
            ] {
                walk(part, loops)?;
            }
            let range = std::mem::take(&mut comp.iter_range);
            comp.iter_range = IdedExpr {
                id: range.id,
                expr: Expr::Call(CallExpr { func_name: RANGE.to_owned(), target: None, args: vec![range] }),
            };
            Ok(())
        }
    }
}

/// Puts the counted form in the place of CEL's own.
fn counted(call: &mut CallExpr) {
    // The result of a loop grows in place, by an element for each that was counted; its name cannot be written.
    let grows =
        matches!(call.args.first().map(|arg| &arg.expr), Some(Expr::Ident(name)) if name.starts_with('@'));
    match (call.func_name.as_str(), call.args.len() + usize::from(call.target.is_some())) {
        (ADD, 2) if !grows => call.func_name = JOIN.to_owned(),
        ("matches", 2) => {
            call.func_name = MATCHES.to_owned();
            if let Some(text) = call.target.take() {
                call.args.insert(0, *text);
            }
        }
        _ => {}
    }
}

fn walk_entry(entry: &mut EntryExpr, loops: usize) -> Result<(), ExprError> {
    match entry {
        EntryExpr::StructField(field) => walk(&mut field.value, loops),
        EntryExpr::MapEntry(entry) => {
            walk(&mut entry.key, loops)?;
            walk(&mut entry.value, loops)
        }
    }
}

/// Names that the expression takes from outside and functions that it calls, loop variables excluded.
pub(super) fn references(expr: &IdedExpr) -> (Vec<String>, Vec<String>) {
    let mut found = Found::default();
    found.collect(expr, &mut vec![]);
    found.variables.sort();
    found.variables.dedup();
    found.functions.sort();
    found.functions.dedup();
    (found.variables, found.functions)
}

#[derive(Default)]
struct Found {
    variables: Vec<String>,
    functions: Vec<String>,
}

impl Found {
    fn collect(&mut self, expr: &IdedExpr, bound: &mut Vec<String>) {
        match &expr.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => {
                if !bound.contains(name) {
                    self.variables.push(name.clone());
                }
            }
            Expr::Call(call) => {
                self.functions.push(call.func_name.clone());
                call.target.iter().for_each(|target| self.collect(target, bound));
                call.args.iter().for_each(|arg| self.collect(arg, bound));
            }
            Expr::List(list) => list.elements.iter().for_each(|element| self.collect(element, bound)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr, bound)),
            Expr::Struct(fields) => fields.entries.iter().for_each(|entry| self.entry(&entry.expr, bound)),
            Expr::Select(select) => self.collect(&select.operand, bound),
            Expr::Comprehension(comp) => {
                self.collect(&comp.iter_range, bound);
                self.collect(&comp.accu_init, bound);
                let outside = bound.len();
                bound.push(comp.iter_var.clone());
                bound.push(comp.accu_var.clone());
                for part in [&comp.loop_cond, &comp.loop_step, &comp.result] {
                    self.collect(part, bound);
                }
                bound.truncate(outside);
            }
        }
    }
    fn entry(&mut self, entry: &EntryExpr, bound: &mut Vec<String>) {
        match entry {
            EntryExpr::StructField(field) => self.collect(&field.value, bound),
            EntryExpr::MapEntry(entry) => {
                self.collect(&entry.key, bound);
                self.collect(&entry.value, bound);
            }
        }
    }
}
