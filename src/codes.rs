//! Every code that an error can carry, with its page. `pointsman explain` prints the pages; they are compiled in,
//! so that they can be read when the network is what failed.

pub struct Code {
    pub code: &'static str,
    pub title: &'static str,
    pub page: &'static str,
}

macro_rules! pages {
    ($($code:literal $title:literal)*) => {
        /// In order of their numbers.
        pub static CODES: &[Code] = &[$(Code {
            code: $code,
            title: $title,
            page: include_str!(concat!("../docs/codes/", $code, ".md")),
        }),*];
    };
}

pages! {
    "PM0001" "This command stopped for a reason of its own"
    "PM0002" "The command line cannot be understood"
    "PM0003" "The server cannot be reached"
    "PM0004" "Not signed in, or not allowed"
    "PM0005" "The answer cannot be understood"
    "PM0006" "It is not known whether the request took effect"
    "PM0007" "The name of the service was not confirmed"
    "PM0008" "The plan is not the one that was named"
    "PM0009" "No approval is asked for"
    "PM0010" "The run has no such step"
    "PM0011" "The plan is blocked"
    "PM0012" "There is no such code"
    "PM0013" "Contact with the server was lost while watching"
    "PM0014" "The server refused without a reason of its own"
}

pub fn find(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|c| c.code.eq_ignore_ascii_case(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_once_each_and_their_pages_begin_with_them() {
        assert!(CODES.is_sorted_by(|a, b| a.code < b.code));
        for code in CODES {
            let first = code.page.lines().next().unwrap_or_default();
            assert_eq!(first, format!("# {}: {}", code.code, code.title));
            for part in ["## What happened", "## State", "## What to do"] {
                assert!(code.page.contains(part), "{}: no part {part:?}", code.code);
            }
        }
    }
}
