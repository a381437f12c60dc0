//! The JSON Schema of test files, for editors: made of the same words as the reader knows.

use super::words::{
    self, BY_HAND, ENDINGS, FAULTS, HANDS, PATRONI, POWER_OFF, PRIMARY, SAYS, SENTINELS, STANDBYS, STEPS,
};
use crate::kernel::domain::SourceKind;
use crate::playbook::schema_parts::{list, object, words as any_of};
use serde_json::{Value, json};

pub fn schema() -> Value {
    let text = || json!({ "type": "string" });
    let mode = || any_of(&["observe", "approve", "auto"]);
    let mut root = object(
        &["playbook", "cases"],
        [
            ("playbook", json!({ "type": "string", "description": "the playbook's file, beside this one" })),
            (
                "config",
                json!({ "type": "string", "description": "the configuration's file, beside this one" }),
            ),
            ("mode", mode()),
            (
                "cases",
                list(object(
                    &["name", "expect"],
                    [
                        ("name", text()),
                        ("mode", mode()),
                        ("alerts", list(alert())),
                        ("started_by", text()),
                        ("world", world()),
                        ("faults", list(fault())),
                        ("meanwhile", list(deed())),
                        ("people", list(word())),
                        ("patience", text()),
                        ("expect", expect()),
                    ],
                )),
            ),
        ],
    );
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("Pointsman test file");
    root
}

fn pairs() -> Value {
    json!({ "type": "object", "additionalProperties": { "type": "string" } })
}

fn alert() -> Value {
    let payload =
        json!({ "type": "string", "description": "a body as its source sent it, in a file beside this one" });
    let from = any_of(&SourceKind::ALL.map(SourceKind::as_str));
    let source = json!({ "type": "string", "description": "the configured source that sent it" });
    let of = [
        ("from", from),
        ("source", source),
        ("labels", pairs()),
        ("annotations", pairs()),
        ("payload", payload),
    ];
    object(&[], of)
}

fn world() -> Value {
    let count = || json!({ "type": "integer", "minimum": 0, "maximum": 1000 });
    object(
        &[],
        [
            ("primary", any_of(&PRIMARY)),
            ("app", any_of(&["alive", "dead"])),
            ("machine", any_of(&["answers", "cut off"])),
            ("orders", json!({ "type": "boolean" })),
            ("replication", any_of(&["flows", "cut"])),
            ("behind", json!({ "type": "string", "description": "64MiB" })),
            ("standby", any_of(&words::names(&STANDBYS))),
            ("patroni", any_of(&words::names(&PATRONI))),
            ("sentinels", any_of(&words::names(&SENTINELS))),
            ("new_app", any_of(&["alive", "dead"])),
            ("source", any_of(&["answers", "silent"])),
            ("second_name_server", any_of(&["answers", "silent"])),
            ("resolvers", any_of(&["answer", "silent"])),
            ("promote_looks", count()),
            ("dns_lag", count()),
            ("latency", json!({ "type": "string" })),
        ],
    )
}

fn hands(more: Option<&'static str>) -> Value {
    let all: Vec<&str> = words::names(&HANDS).into_iter().chain(more).collect();
    any_of(&all)
}

fn fault() -> Value {
    let all: Vec<&str> = words::names(&FAULTS).into_iter().chain([BY_HAND]).collect();
    object(
        &["step", "fault"],
        [
            ("step", json!({ "type": "string" })),
            ("fault", any_of(&all)),
            ("hand", hands(None)),
            ("times", json!({ "type": "integer", "minimum": 1, "maximum": 100 })),
        ],
    )
}

fn deed() -> Value {
    object(&["after", "hand"], [("after", json!({ "type": "string" })), ("hand", hands(Some(POWER_OFF)))])
}

fn word() -> Value {
    let text = || json!({ "type": "string" });
    object(
        &["who", "says"],
        [
            ("who", text()),
            ("as", list(text())),
            ("says", any_of(&words::names(&SAYS))),
            ("step", text()),
            ("after", text()),
            ("at", text()),
            ("powers_off", json!({ "type": "boolean" })),
            ("refused", text()),
        ],
    )
}

fn expect() -> Value {
    let text = || json!({ "type": "string" });
    let some =
        || json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] });
    object(
        &["outcome"],
        [
            ("outcome", any_of(&ENDINGS)),
            ("says", some()),
            ("steps", json!({ "type": "object", "additionalProperties": any_of(&STEPS) })),
            ("order", list(text())),
            ("journal", some()),
            ("never", some()),
            ("within", text()),
            ("loses_at_most", text()),
            ("writers", list(text())),
        ],
    )
}
