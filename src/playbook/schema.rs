//! The JSON Schema of playbooks, for editors: made of the table of actions and of the keys that the reader asks for. It is
//! looser than `check`, which alone decides; a test holds the two together over every shipped playbook.

use super::ActionInfo;
use crate::kernel::domain::ItemRole;
use crate::kernel::inject::Inject;
use serde_json::{Map, Value, json};

const SPAN: &str = "a length of time with its unit: 30s, 5m, 1h 30m";

pub fn schema() -> Value {
    let text = |says: &str| json!({ "type": "string", "description": says });
    let span = || text(SPAN);
    let root = object(
        &["playbook", "service", "sites", "from", "to", "steps"],
        [
            ("playbook", text("its name; `pointsman plan NAME`")),
            ("description", text("one sentence for whoever reads it at night")),
            ("service", text("what is moved; at most one run of a service at a time")),
            ("owner", text("who keeps it")),
            ("kind", words(&["failover", "switchover", "failback", "drill", "other"])),
            ("mode", words(&["observe", "approve", "auto"])),
            (
                "sites",
                json!({ "type": "object", "minProperties": 2, "additionalProperties": { "type": "object" },
                "description": "values per site, reachable as from.* and to.*" }),
            ),
            ("from", text("the site that is lost: a name, or an expression over the alert")),
            ("to", text("the site that takes over")),
            ("triggers", list(trigger())),
            ("limits", limits()),
            ("windows", windows()),
            ("objective", object(&[], [("rto", span()), ("rpo", span())])),
            ("guards", list(guard())),
            (
                "approval",
                object(
                    &[],
                    [
                        ("need", json!({ "type": "integer", "minimum": 1, "maximum": 9 })),
                        ("from", list(text("a group"))),
                        ("not_requester", json!({ "type": "boolean" })),
                        ("expires", span()),
                        ("on_expiry", words(&["escalate", "reject", "hold"])),
                        ("via", list(text("a surface"))),
                    ],
                ),
            ),
            ("steps", list(step())),
            ("verify", list(verification())),
            (
                "afterwards",
                object(&[], [("fence_watch", words(&["until_standby", "none"])), ("commit_window", span())]),
            ),
        ],
    );
    let mut root = root;
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("Pointsman playbook");
    root
}

fn limits() -> Value {
    let span = || json!({ "type": "string", "description": SPAN });
    let per_day = json!({ "type": "integer", "minimum": 1 });
    let keys = [
        ("cooldown", span()),
        ("per_day", per_day),
        ("unconfirmed_after", span()),
        ("resume_within", span()),
        ("min_live_targets", json!({ "type": "integer", "minimum": 0, "maximum": 100 })),
    ];
    object(&[], keys)
}

fn windows() -> Value {
    let text = |says: &str| json!({ "type": "string", "description": says });
    let keys = [
        ("zone", text("Europe/Berlin, UTC")),
        ("allow", list(text("Mon-Fri 08:00-18:00"))),
        ("block", list(text("Fri 16:00-24:00"))),
    ];
    object(&["zone"], keys)
}

/// A table that knows its keys. What begins with `x-` is the user's own.
pub fn object<const N: usize>(need: &[&str], keys: [(&str, Value); N]) -> Value {
    let properties: Map<String, Value> =
        keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    json!({ "type": "object", "properties": properties, "required": need,
        "patternProperties": { "^x-": {} }, "additionalProperties": false })
}

pub fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

pub fn words(all: &[&str]) -> Value {
    json!({ "enum": all })
}

fn trigger() -> Value {
    let labels = json!({ "type": "object", "minProperties": 1, "additionalProperties": { "type": "string" },
        "description": "label: value, or =~regex, !=value, !~regex" });
    let word = || json!({ "type": "string" });
    let mut zabbix = object(&[], super::zabbix::KEYS.map(|key| (key, word())));
    zabbix["patternProperties"]["^tag\\."] = word();
    zabbix["minProperties"] = json!(1);
    zabbix["description"] = json!("tag.NAME: value, severity: '>=high'; =~regex, !=value, !~regex as well");
    object(
        &[],
        [
            ("alertmanager", labels.clone()),
            ("zabbix", zabbix),
            ("generic", labels),
            ("when", json!({ "type": "string", "description": "a CEL expression over alert and service" })),
            ("confirmed_for", json!({ "type": "string", "description": SPAN })),
        ],
    )
}

fn guard() -> Value {
    let mut guard = object(
        &["name"],
        [
            ("name", json!({ "type": "string" })),
            ("timeout", json!({ "type": "string", "description": SPAN })),
        ],
    );
    for info in of(ItemRole::Guard) {
        guard["properties"][info.kind] = parameters(info);
    }
    // Its name, its check, and perhaps its time.
    guard["minProperties"] = json!(2);
    guard
}

fn step() -> Value {
    let string = || json!({ "type": "string" });
    let span = || json!({ "type": "string", "description": SPAN });
    let rung = with_actions(
        object(
            &[],
            [
                ("action", actions(ItemRole::Step)),
                ("with", json!({ "type": "object" })),
                ("manual", string()),
                ("proves", proves()),
            ],
        ),
        ItemRole::Step,
    );
    let roles = words(&["approver", "operator", "incident-lead", "admin"]);
    let step = object(
        &["name"],
        [
            ("name", string()),
            ("action", actions(ItemRole::Step)),
            ("with", json!({ "type": "object" })),
            ("manual", json!({ "type": "string", "description": "a person does it and confirms" })),
            ("proves", proves()),
            (
                "any_of",
                json!({ "type": "array", "items": rung, "minItems": 1, "maxItems": 8,
            "description": "a ladder: the first rung that is proven is enough" }),
            ),
            ("for_each", json!({ "type": "object", "minProperties": 1, "maxProperties": 1 })),
            ("shift", shift()),
            ("after", list(json!({ "type": "string", "description": "a step that must be green before" }))),
            ("optional", json!({ "type": "boolean" })),
            ("commit_point", json!({ "type": "boolean", "description": "from here on only forward" })),
            ("accept_unfenced", object(&["role"], [("role", roles)])),
            ("inject", words(&Inject::ALL.map(Inject::as_str))),
            ("on_failure", words(&["pause", "undo", "continue"])),
            (
                "retry",
                object(
                    &["attempts"],
                    [
                        ("attempts", json!({ "type": "integer", "minimum": 1, "maximum": 20 })),
                        ("backoff", json!({ "type": "string", "description": "2s..30s" })),
                    ],
                ),
            ),
            ("timeout", span()),
        ],
    );
    with_actions(step, ItemRole::Step)
}

fn shift() -> Value {
    let share = json!({ "type": "integer", "minimum": 1, "maximum": 100 });
    let verify = with_actions(
        object(
            &["action"],
            [
                ("action", actions(ItemRole::Verify)),
                ("with", json!({ "type": "object" })),
                ("timeout", json!({ "type": "string", "description": SPAN })),
            ],
        ),
        ItemRole::Verify,
    );
    let mut shift = object(&["verify"], [("shares", list(share)), ("verify", verify)]);
    shift["description"] = json!("share by share, with a look after each; ${share} and ${rest} in \"with\"");
    shift
}

fn proves() -> Value {
    object(
        &["fenced", "rung"],
        [
            ("fenced", json!({ "type": "string" })),
            ("rung", words(&["read_only", "lockout", "stopped", "powered_off"])),
        ],
    )
}

fn verification() -> Value {
    let verification = object(
        &["action"],
        [
            ("name", json!({ "type": "string" })),
            ("action", actions(ItemRole::Verify)),
            ("with", json!({ "type": "object" })),
            ("timeout", json!({ "type": "string", "description": SPAN })),
        ],
    );
    with_actions(verification, ItemRole::Verify)
}

fn of(role: ItemRole) -> impl Iterator<Item = &'static ActionInfo> {
    super::actions().iter().filter(move |info| info.roles.contains(&role))
}

fn actions(role: ItemRole) -> Value {
    let each = |info: &ActionInfo| json!({ "const": info.kind, "description": info.says });
    json!({ "oneOf": of(role).map(each).collect::<Vec<_>>() })
}

/// What the values must look like is the business of each provider.
fn parameters(info: &ActionInfo) -> Value {
    let keys = info.need.iter().chain(info.may);
    let properties: Map<String, Value> = keys.map(|key| ((*key).to_owned(), json!({}))).collect();
    json!({ "type": "object", "properties": properties, "required": info.need, "description": info.says,
        "patternProperties": { "^x-": {} }, "additionalProperties": false })
}

/// `with` has the parameters of its `action`.
fn with_actions(mut object: Value, role: ItemRole) -> Value {
    let each = |info: &ActionInfo| {
        json!({ "if": { "properties": { "action": { "const": info.kind } }, "required": ["action"] },
            "then": { "properties": { "with": parameters(info) } } })
    };
    object["allOf"] = Value::Array(of(role).map(each).collect());
    object
}
