//! The fields of a step that have a form of their own: `proves`, `for_each`, `accept_unfenced`, `retry`.

use super::model::Proves;
use super::read::compile;
use crate::document::{At, Table, code};
use crate::expr::Template;
use crate::kernel::domain::{FenceRung, Retry, Role, Span};
use crate::units;

pub(super) fn proves(table: &Table<'_>) -> Option<Proves> {
    let inner = table.table("proves")?;
    let fenced = inner.need("fenced");
    inner.need("rung");
    let rung = inner.word("rung", &["read_only", "lockout", "stopped", "powered_off"]);
    let fenced = fenced.filter(|node| inner.sink.text(node, "\"fenced\"").is_some());
    let proves =
        fenced.map(|node| (compile(inner.sink, node), node.at.clone())).zip(rung.and_then(FenceRung::parse));
    inner.finish();
    proves.map(|((fenced, at), rung)| Proves { fenced, rung, at })
}

pub(super) fn for_each(table: &Table<'_>) -> Option<(String, Template, At)> {
    let inner = table.table("for_each")?;
    let [one] = inner.entries() else {
        let says = "\"for_each\" takes exactly one variable: { host: \"${…}\" }";
        inner.sink.error(code::BAD_VALUE, inner.at.clone(), says);
        return None;
    };
    let fine = one.key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !one.key.starts_with(|c: char| c.is_ascii_digit())
        && !["from", "to", "alert", "service", "target"].contains(&one.key.as_str());
    if !fine {
        let says = format!("{:?} cannot be the name of a variable", one.key);
        inner.sink.error(code::BAD_VALUE, one.key_at.clone(), says);
        return None;
    }
    Some((one.key.clone(), compile(inner.sink, &one.value), one.value.at.clone()))
}

pub(super) fn accept_unfenced(table: &Table<'_>) -> Option<Role> {
    let inner = table.table("accept_unfenced")?;
    inner.need("role");
    let roles = Role::ALL.map(Role::as_str);
    let role = inner.word("role", &roles).and_then(Role::parse);
    if matches!(role, Some(Role::Source | Role::Viewer)) {
        let says = "this role decides nothing; name approver, operator, incident-lead or admin";
        inner.sink.error(code::BAD_VALUE, inner.at.clone(), says);
    }
    inner.finish();
    role
}

pub(super) fn retry(table: &Table<'_>) -> Retry {
    let default = Retry::default();
    let Some(inner) = table.table("retry") else { return default };
    inner.need("attempts");
    let attempts = inner.integer("attempts", 1, 20).and_then(|n| u32::try_from(n).ok());
    let backoff = inner.text("backoff").zip(inner.get("backoff")).and_then(|(text, node)| {
        let parsed = backoff(text);
        if parsed.is_none() {
            let says = "\"backoff\" is a length of time, or two of them like 2s..30s, the shorter first";
            inner.sink.error(code::BAD_VALUE, node.at.clone(), says);
        }
        parsed
    });
    inner.finish();
    let (from, to) = backoff.unwrap_or((default.backoff_from, default.backoff_to));
    Retry { attempts: attempts.unwrap_or(1), backoff_from: from, backoff_to: to }
}

fn backoff(text: &str) -> Option<(Span, Span)> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let (from, to) = (units::parse_span(from).ok()?, units::parse_span(to).ok()?);
    (from <= to && from > Span::ZERO).then_some((from, to))
}
