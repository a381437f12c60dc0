//! Every code that an error can carry, with its page. `pointsman explain` prints the pages; they are
//! compiled in, so that they can be read when the network is what failed.

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
    "PM3100" "A database cannot be asked, for a reason of ours"
    "PM3101" "The primary is alive"
    "PM3102" "The old primary does not answer"
    "PM3103" "The server to fence is a standby"
    "PM3104" "The fence by SQL does not reach the rung that is asked for"
    "PM3105" "The server to fence is run by a failover manager"
    "PM3106" "The server to fence holds other data"
    "PM3109" "An observation on record cannot be read"
    "PM3201" "The standby does not answer"
    "PM3202" "The standby holds other data"
    "PM3203" "Two servers would take writes"
    "PM3204" "The fence was taken back"
    "PM3205" "The standby does not tell what it is"
    "PM3206" "Another standby has more of the log"
    "PM3207" "The standby is run by a failover manager"
    "PM3208" "Commits would wait for ever"
    "PM3209" "The promoted server would refuse writes"
    "PM3210" "Pointsman may not promote"
    "PM3211" "It is a primary already, of unknown origin"
    "PM3301" "How far the standby is behind is unknown"
    "PM3302" "The last sample is too old"
    "PM3303" "The server is not a standby"
    "PM3304" "The standby is too far behind"
    "PM3401" "The write probe could not ask"
    "PM3402" "The server cannot take a write yet"
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
