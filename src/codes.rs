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
    "PM1301" "The body is too large"
    "PM1302" "The body is not JSON"
    "PM1303" "The body is not Alertmanager's webhook"
    "PM1304" "Too many alerts in one body"
    "PM1305" "An alert cannot be taken"
    "PM2001" "The data directory is in use"
    "PM2002" "The data directory cannot be used"
    "PM2003" "The database cannot be opened"
    "PM2004" "The database is newer than this program"
    "PM2005" "The built-in SQLite is too old"
    "PM2006" "The database cannot be brought up to date"
    "PM2007" "The journal cannot be read"
    "PM2008" "The head file cannot be written"
    "PM2009" "There is no journal there"
    "PM2010" "A token could not be kept or read"
    "PM2011" "The journal is shorter than it was"
    "PM2012" "A record is not as it was written"
    "PM2013" "A record was not written"
    "PM2014" "A cached row is not what its records say"
    "PM2015" "No token, or more than one, has that id"
    "PM2101" "The address cannot be listened on"
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
    "PM4001" "The journal cannot be used now"
    "PM4002" "There is no such thing"
    "PM4003" "No token, or not one that is known"
    "PM4004" "The token's role does not allow this"
    "PM4005" "The delivery was not understood"
    "PM4006" "The delivery is too large"
    "PM4007" "No playbook is active"
    "PM4008" "There is no such stream"
    "PM4009" "The playbook is not active"
    "PM4010" "The playbook cannot be made concrete"
    "PM4011" "The request cannot be read"
    "PM4012" "You may not decide that"
    "PM4013" "That does not fit where things stand"
    "PM4100" "What was recorded of a zone cannot be read"
    "PM4101" "An authoritative server gave no usable answer"
    "PM4102" "The authoritative servers do not hold the same"
    "PM4103" "An alias and other records cannot share a name"
    "PM4104" "The change on record is no set of DNS records"
    "PM4105" "The zone's server refused the update"
    "PM4106" "The update was not sent"
    "PM4107" "Whether the update took effect is not known"
    "PM4201" "Whether a command is done is not known"
    "PM4202" "The machine does not know or cannot run the command"
    "PM4203" "The command failed, and its check says that it is not done"
    "PM4204" "The command failed, and whether it is done is not known"
    "PM4205" "The command was not started"
    "PM4206" "What became of a command is not known"
    "PM4210" "What was read of a file cannot be understood"
    "PM4211" "The file cannot be changed safely"
    "PM4212" "The file does not exist"
    "PM4213" "The file cannot be worked on"
    "PM4214" "The file could not be read"
    "PM4215" "The change on record is no rewrite of a file"
    "PM4216" "Somebody changed the file meanwhile"
    "PM4217" "The file could not be replaced"
    "PM4218" "Whether the file was replaced is not known"
    "PM4301" "A page does not answer as it should"
    "PM4310" "A majority of vantages says the contrary"
    "PM4311" "Too few vantages say so"
    "PM4320" "No source of the alert can be reached"
    "PM4321" "The alert is silenced or inhibited"
    "PM4322" "The alert is resolved"
    "PM5101" "A check wanted to change something"
    "PM5102" "A step's need is not proven"
    "PM5103" "Nobody approved in time"
    "PM5104" "Things are not as they were planned"
    "PM5105" "A finished step is no longer as this run left it"
    "PM5106" "The alerts were resolved in the middle"
    "PM5107" "The run's time is over"
    "PM5201" "It could not be established whether the call took effect"
    "PM5202" "Applied, but not seen in effect"
    "PM5203" "The call was rejected"
    "PM5204" "It did not come about in its time"
    "PM5301" "A look gave nothing"
    "PM5302" "Nothing can judge what was seen"
    "PM5401" "The playbook is not active"
    "PM5402" "Another playbook comes first"
    "PM5403" "It has to be confirmed first"
    "PM5404" "The playbook only observes"
    "PM5405" "It was not confirmed"
    "PM5406" "It could not be confirmed"
    "PM5407" "The playbook cannot be made concrete for this alert"
    "PM5408" "It waits for a lock"
    "PM5409" "No playbook waits for this alert"
    "PM5410" "Frozen by people"
    "PM5411" "The cooldown is not over"
    "PM5412" "Nobody has acknowledged the last automatic run"
    "PM5413" "The budget of the day is used up"
    "PM5414" "The storm breaker has tripped"
    "PM5415" "As many automatic runs are open as may be"
    "PM5416" "Outside the windows of the playbook"
    "PM5417" "Too many automatic runs within an hour"
    "PM5418" "Too many services are sick at once"
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
