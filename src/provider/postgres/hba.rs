//! The text of a pg_hba that locks clients out and keeps replication, Pointsman and the people on the
//! machine.
//!
//! Built from the rules as the server parsed them (includes, continuations and quotes are its business), each
//! narrowed in its place so that the first match stays the first match. The old text rides along as comments:
//! a host that comes back can be restored from its own disk. Catalogue ways (NOLOGIN, ALLOW_CONNECTIONS) are
//! never used: they replicate to the standby and would fence the new primary too.

use super::node::{Hba, HbaRule};
use crate::kernel::domain::{Digest, RunId};

/// First words of a fenced file.
pub const MARK: &str = "# pointsman-fence";
const OLD: &str = "#pm| ";
/// A larger file is left alone: its text goes on the record.
const LARGEST: usize = 32 * 1024;

/// The text from before any fence of ours, also when the file is fenced by now.
pub fn original(text: &str) -> String {
    if !text.starts_with(MARK) {
        return text.to_owned();
    }
    let old = |line: &str| line.strip_prefix(OLD).or(line.strip_prefix(OLD.trim_end())).map(str::to_owned);
    text.lines().filter_map(old).map(|line| line + "\n").collect()
}

/// The original with passwords inside options cut out, for the record.
pub fn redacted(text: &str) -> String {
    const SECRET_OPTIONS: [&str; 3] = ["ldapbindpasswd", "radiussecrets", "ldapurl"];
    let holds_one = |line: &str| SECRET_OPTIONS.iter().any(|option| line.contains(option));
    let cut = |line: &str| {
        if !holds_one(line) {
            return format!("{line}\n");
        }
        let kept: Vec<&str> = line.split_whitespace().take_while(|word| !holds_one(word)).collect();
        format!("{} *** (whole line in the file's own comments)\n", kept.join(" "))
    };
    original(text).lines().map(cut).collect()
}

pub fn digest(text: &str) -> String {
    Digest::of(original(text).as_bytes()).to_string()
}

/// The fenced text, or why there can be none.
pub fn fenced(
    hba: &Hba,
    ours: &str,
    superusers: &[String],
    app: &str,
    run: &RunId,
) -> Result<String, String> {
    if hba.text.len() > LARGEST {
        return Err(format!("{} has {} bytes, more than Pointsman rewrites", hba.path, hba.text.len()));
    }
    let people: Vec<&str> =
        superusers.iter().map(String::as_str).filter(|name| *name != app && *name != ours).collect();
    let mut lines = Vec::new();
    let mut admits_us = false;
    for rule in &hba.rules {
        if rule.database.iter().any(|name| name == "replication") {
            lines.push(line(rule, "replication", &names(&rule.user_name)));
        }
        if rule.database.iter().all(|name| name == "replication") {
            continue;
        }
        if matches_user(rule, ours) {
            lines.push(line(rule, &names(&rule.database), &quoted(ours)));
            admits_us |= rule.auth_method != "reject";
        }
        let known: Vec<&str> = people.iter().copied().filter(|name| matches_user(rule, name)).collect();
        if rule.kind == "local" && !known.is_empty() {
            let users: Vec<String> = known.into_iter().map(quoted).collect();
            lines.push(line(rule, &names(&rule.database), &users.join(",")));
        }
    }
    if !admits_us {
        return Err(format!(
            "no rule of {} that can be read admits {ours}: it would lock itself out",
            hba.path
        ));
    }
    let old: String = original(&hba.text).lines().map(|line| format!("{OLD}{line}\n")).collect();
    Ok(format!(
        "{MARK} run {run}: clients are refused, replication goes on.\n\
         # To take it back: {}\n{}\nlocal all all reject\nhost all all all reject\n# As it was:\n{old}",
        restore_file(&hba.path),
        lines.join("\n"),
    ))
}

/// The shell command that puts the old text back, from the fenced file alone; owner and mode stay.
pub fn restore_file(path: &str) -> String {
    let path = path.replace('\'', "'\\''");
    format!("sed -n 's/^#pm| \\{{0,1\\}}//p' '{path}' > '{path}.old' && cat '{path}.old' > '{path}'")
}

fn matches_user(rule: &HbaRule, name: &str) -> bool {
    // A group (`+role`), a pattern or a list in a file may hold it; narrowed to the one name this admits
    // nobody else.
    rule.user_name.iter().any(|user| user == "all" || user == name || user.starts_with(['+', '/', '@']))
}

fn line(rule: &HbaRule, databases: &str, users: &str) -> String {
    let mut out = format!("{} {databases} {users}", rule.kind);
    for part in [&rule.address, &rule.netmask].into_iter().flatten() {
        out.push(' ');
        out.push_str(part);
    }
    out.push(' ');
    // The view tells `sha-256` names as they are written in the file.
    out.push_str(&rule.auth_method);
    for option in rule.options.iter().flatten() {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        out.push_str(&format!(" {key}=\"{}\"", value.replace('"', "\"\"")));
    }
    out
}

/// Key words keep their meaning only without quotes.
fn names(list: &[String]) -> String {
    const KEYWORDS: [&str; 6] = ["all", "sameuser", "samerole", "samegroup", "replication", ""];
    let one = |name: &String| {
        let plain = KEYWORDS.contains(&name.as_str()) || name.starts_with(['+', '/', '@']);
        if plain { name.clone() } else { quoted(name) }
    };
    list.iter()
        .filter(|name| *name != "replication" || list.len() == 1)
        .map(one)
        .collect::<Vec<_>>()
        .join(",")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kind: &str, database: &str, user: &str, address: Option<&str>, method: &str) -> HbaRule {
        let list = |text: &str| text.split(',').map(str::to_owned).collect();
        HbaRule {
            kind: kind.into(),
            database: list(database),
            user_name: list(user),
            address: address.map(str::to_owned),
            netmask: None,
            auth_method: method.into(),
            options: None,
        }
    }

    fn old() -> Hba {
        Hba {
            path: "/etc/pg_hba.conf".into(),
            text: "# mine\n\nlocal all all peer\nhost all all all md5\nhost replication repl all md5\n"
                .into(),
            rules: vec![
                rule("local", "all", "all", None, "peer"),
                rule("host", "all", "shop,bo", Some("10.0.0.0"), "md5"),
                rule("host", "all,replication", "all", Some("all"), "md5"),
            ],
        }
    }

    #[test]
    fn clients_are_refused_and_replication_people_and_pointsman_are_kept() {
        let text = fenced(&old(), "pm", &["postgres".into(), "shop".into()], "shop", &"R".into()).unwrap();
        let live: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            live,
            [
                r#"local all "pm" peer"#,
                r#"local all "postgres" peer"#,
                "host replication all all md5",
                r#"host all "pm" all md5"#,
                "local all all reject",
                "host all all all reject",
            ]
        );
    }

    #[test]
    fn the_old_text_comes_back_whole_also_from_a_fence_over_a_fence() {
        let hba = old();
        let once = fenced(&hba, "pm", &[], "shop", &"R".into()).unwrap();
        assert_eq!(original(&once), hba.text);
        let again = fenced(&Hba { text: once, ..hba.clone() }, "pm", &[], "shop", &"S".into()).unwrap();
        assert_eq!(original(&again), hba.text);
        assert_eq!(digest(&again), digest(&hba.text));
    }

    #[test]
    fn it_never_locks_itself_out() {
        let rules =
            vec![rule("host", "all", "shop", Some("all"), "md5"), rule("host", "all", "pm", None, "reject")];
        let refused = fenced(&Hba { rules, ..old() }, "pm", &[], "shop", &"R".into());
        assert!(refused.unwrap_err().contains("lock itself out"));
    }

    #[test]
    fn a_password_in_an_option_stays_out_of_the_record() {
        let text =
            "host all all all ldap ldapserver=x ldapbindpasswd=\"hush hush\" p=1\nlocal all all peer\n";
        let shown = redacted(text);
        assert!(!shown.contains("hush") && shown.contains("ldapserver=x") && shown.ends_with("peer\n"));
    }
}
