//! Reads `synchronous_standby_names`: would commits wait for ever once this server is the primary?

use super::node::Connected;

/// Whether no set of the standbys that are connected satisfies it. Text that cannot be read counts as a trap.
pub fn is_trap(names: &str, connected: &[Connected]) -> bool {
    let text = names.trim();
    if text.is_empty() {
        return false;
    }
    let Some((need, list)) = parse(text) else { return true };
    let streams = |standby: &&Connected| standby.state.as_deref() == Some("streaming");
    let matched = connected.iter().filter(streams).filter(|standby| {
        standby
            .name
            .as_deref()
            .is_some_and(|name| list.iter().any(|one| one == "*" || one.eq_ignore_ascii_case(name)))
    });
    matched.count() < need
}

/// `a,b` is one of them; `2 (a,b)`, `FIRST 2 (a,b)` and `ANY 2 (a,b)` are two.
fn parse(text: &str) -> Option<(usize, Vec<String>)> {
    let (need, list) = match text.split_once('(') {
        None => (1, text),
        Some((head, rest)) => {
            (head.split_whitespace().last()?.parse().ok()?, rest.trim_end().strip_suffix(')')?)
        }
    };
    let names: Vec<String> = list.split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect();
    (!names.iter().any(String::is_empty)).then_some((need, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standby(name: &str, state: &str) -> Connected {
        Connected { name: Some(name.into()), state: Some(state.into()) }
    }

    #[test]
    fn commits_would_wait_unless_enough_named_standbys_stream() {
        let one = [standby("b", "streaming")];
        let two = [standby("b", "streaming"), standby("c", "streaming")];
        assert!(!is_trap("", &[]) && is_trap("b", &[]) && !is_trap("b", &one) && is_trap("c", &one));
        assert!(is_trap("*", &[]) && !is_trap("*", &one) && !is_trap("FIRST 1 (\"B\", d)", &one));
        assert!(is_trap("ANY 2 (b, c)", &one) && !is_trap("ANY 2 (b, c)", &two) && is_trap("2 (b,d)", &two));
        assert!(is_trap("b", &[standby("b", "catchup")]), "it has not caught up");
        assert!(is_trap("ANY x (b)", &one) && is_trap("b,", &one), "what cannot be read is a trap");
    }
}
