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
    "PM1101" "A credential cannot be read"
    "PM1200" "The file cannot be read"
    "PM1201" "The file is not YAML or TOML"
    "PM1202" "A key is given twice"
    "PM1203" "A key is not known"
    "PM1204" "Something is missing"
    "PM1205" "A value is of the wrong type"
    "PM1206" "A value cannot be taken"
    "PM1207" "Not yet in this version"
    "PM1208" "Recorded, but not enforced"
    "PM1209" "Aliases, anchors and tags are not allowed"
    "PM1210" "A name names nothing"
    "PM1211" "A target is of the wrong kind"
    "PM1212" "A probe has the wrong form"
    "PM1213" "Only mode observe is allowed without a site"
    "PM1220" "An expression cannot be compiled"
    "PM1221" "An expression uses an unknown variable"
    "PM1222" "An expression gives no usable value"
    "PM1224" "A matcher cannot be used"
    "PM1230" "An action is not known here"
    "PM1231" "An action does not accept its parameters"
    "PM1232" "A step that does not exist is waited for"
    "PM1233" "Steps wait for each other"
    "PM1234" "The order is said for some steps only"
    "PM1235" "A name is used twice"
    "PM1240" "A promote without a sufficient fence"
    "PM1241" "No write is verified after a promote"
    "PM1242" "DNS is changed before the promote"
    "PM1243" "An irreversible command comes too early"
    "PM1244" "A verification is shorter than the TTL"
    "PM1245" "Mode auto without guards"
    "PM1246" "Mode auto without a cooldown"
    "PM1247" "Votes that do not make a majority"
    "PM1248" "This instance runs at the site to move away from"
    "PM1249" "The commit point is not where it must be"
    "PM1250" "A step that must not be optional"
    "PM1251" "The times do not fit together"
    "PM1252" "The sites do not fit together"
    "PM1253" "Nothing asks whether the origin is down"
    "PM1254" "Mode auto without a drill"
    "PM1260" "The playbook has no triggers"
    "PM1261" "The alert does not match"
    "PM1262" "A trigger could not be evaluated"
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
