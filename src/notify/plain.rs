//! Text that came from alerts, remotes and people, made harmless before it is shown elsewhere: one line, bounded, nothing
//! that turns the reading direction, no address that a program makes a link of. Every text of a notice passes here.

/// Longest line of a notice.
const LINE: usize = 500;

pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LINE));
    let mut letters = 0;
    for letter in text.chars() {
        let letter = match letter {
            c if c.is_control() || c.is_whitespace() => ' ',
            c if is_hidden(c) => continue,
            c => c,
        };
        if letter == ' ' && (out.ends_with(' ') || out.is_empty()) {
            continue;
        }
        if letters == LINE {
            out.push('…');
            break;
        }
        out.push(letter);
        letters += 1;
    }
    // Readable, and no link: the only link in a notice is ours.
    out.trim_end().replace("://", "[:]//")
}

/// Marks that are not seen, and that can make a text read as another one.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{00AD}')
        || ('\u{E0000}'..='\u{E007F}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_label_cannot_dress_up() {
        assert_eq!(plain("a\r\nBcc: eve@example.org\t b"), "a Bcc: eve@example.org b");
        assert_eq!(plain("pay \u{202E}gnp.exe\u{200B}"), "pay gnp.exe");
        assert_eq!(plain("see https://evil.example/approve"), "see https[:]//evil.example/approve");
        assert_eq!(plain(&"x".repeat(9_000)).chars().count(), LINE + 1);
    }

    proptest! {
        #[test]
        fn one_line_and_bounded_whatever_comes(text in "\\PC{0,600}|[\\x00-\\x20a-z:/]{0,600}") {
            let said = plain(&text);
            prop_assert!(!said.contains("://") && !said.chars().any(char::is_control));
            // Each cut-off scheme grows by two characters.
            prop_assert!(said.chars().count() <= LINE * 2);
        }
    }
}
