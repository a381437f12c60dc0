//! The shipped example, and a file full of mistakes.

use super::*;
use crate::document::has_errors;
use crate::kernel::domain::{Name, Role};

const EXAMPLE: &str = include_str!("../../playbooks/pointsman.example.toml");

fn shown(text: &str) -> String {
    parse(text, "pointsman.toml").1.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn the_example_is_read_whole() {
    let (config, problems) = parse(EXAMPLE, "pointsman.toml");
    assert_eq!(problems, []);
    let config = config.unwrap();
    assert_eq!(config.site, Some("par".into()));
    assert_eq!(config.targets.len(), 29);
    let pg = config.postgres(&"pg-gra".into()).unwrap();
    assert_eq!((pg.port, pg.tls, pg.database.as_str()), (5432, TlsMode::VerifyFull, "postgres"));
    assert_eq!(pg.password, Some(SecretRef::File("/run/credentials/pg".into())));
    assert_eq!(pg.app_role.as_ref().unwrap().database, "shop");
    assert_eq!(config.zone(&"zone-shop".into()).unwrap().servers.len(), 2);
    assert!(matches!(config.targets[&Name::from("app-sbg")].kind, TargetKind::Hosts(_)));
    assert_eq!(config.vantages[&Name::from("local")].domain.as_str(), "par");
    assert_eq!(config.people[&Name::from("bo")].roles, [Role::Approver]);
}

#[test]
fn nothing_at_all_is_a_configuration_and_local_always_exists() {
    let (config, problems) = parse("", "pointsman.toml");
    assert_eq!(problems, []);
    assert_eq!(config.unwrap().vantages[&Name::from("local")].domain.as_str(), "local");
}

#[test]
fn public_halves_hold_no_credential() {
    let targets = parse(EXAMPLE, "pointsman.toml").0.unwrap().public_targets();
    assert_eq!(targets["pg-gra"]["host"], "pg-gra-host");
    assert_eq!(targets["pg-gra-host"]["address"], "198.51.100.5");
    assert_eq!(targets["app-sbg"]["hosts"], serde_json::json!(["shop-sbg-1", "shop-sbg-2"]));
    let all = serde_json::to_string(&targets).unwrap();
    for hidden in ["password", "SHOP_PG", "credentials", "TSIG", "user", "fence@"] {
        assert!(!all.contains(hidden), "{hidden}");
    }
}

#[test]
fn all_mistakes_at_once() {
    let text = r#"
sit = "par"
[targets.pg]
kind = "postgres"
site = 7
adress = "192.0.2.1"
user = "pointsman"
port = 99999
password = "hunter2"
host = "app"
tls = "off"
[targets.app]
kind = "hosts"
hosts = ["h1", "h3"]
[targets.h1]
kind = "host"
ssh = "a@b"
local = true
[targets.h2]
kind = "hoist"
anything = 1
[targets.zone]
kind = "rfc2136"
zone = "example.com"
servers = ["ns1.example.com"]
tsig = { name = "k", algorithm = "hmac-md5", secret = { env = "A", file = "/b" } }
[probes.p1]
http = "https://user:pw@example.com/"
tcp = "192.0.2.1:1"
[probes.p2]
sql = "h1"
status = 200
[probes.p3]
tcp = "nowhere"
[vantages.far]
domain = "x"
[vantages.far2]
blackbox = "ftp://x"
[sources.am]
api = ["http://am:9093", "am:9093"]
user = "x"
[people.bo]
roles = ["aprover"]
[people.bo]
groups = []
"#;
    assert!(parse(text, "pointsman.toml").0.is_none());
    let shown = shown(text);
    assert!(!shown.contains("hunter2") && !shown.contains("user:pw"), "{shown}");
    insta::assert_snapshot!("mistakes", shown);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn damaged_configurations_never_panic(at in 0usize..3000, length in 0usize..40, put in "\\PC{0,12}") {
        let mut chars: Vec<char> = EXAMPLE.chars().collect();
        let at = at.min(chars.len());
        let end = (at + length).min(chars.len());
        chars.splice(at..end, put.chars());
        let text: String = chars.into_iter().collect();
        let (config, problems) = parse(&text, "pointsman.toml");
        proptest::prop_assert_eq!(config.is_none(), has_errors(&problems));
        problems.iter().for_each(|problem| { let _ = problem.to_string(); });
    }
}

#[test]
fn limits_of_a_storm_have_safe_defaults_and_are_read() {
    use super::Storm;
    assert_eq!(for_test("").storm, Storm { concurrent: 1, per_hour: 3, sick_share: 30 });
    let text = "[limits.storm]\nconcurrent = 4\nper_hour = 9\nsick_share = \"50%\"\n";
    assert_eq!(for_test(text).storm, Storm { concurrent: 4, per_hour: 9, sick_share: 50 });
    assert_eq!((for_test(text).changes_per_hour, Config::default().changes_per_hour), (200, 200));
    assert_eq!(for_test("[limits]\nchanges_per_hour = 7\n").changes_per_hour, 7);
    assert!(parse("[limits]\nchanges_per_hour = 0\n", "x.toml").0.is_none(), "no way to switch it off");
    for wrong in
        ["sick_share = \"0%\"", "sick_share = \"101%\"", "per_hour = 0", "per_day = 3", "sick_share = 0.3"]
    {
        let (config, problems) = parse(&format!("[limits.storm]\n{wrong}\n"), "x.toml");
        assert!(config.is_none() && problems.len() == 1, "{wrong}: {problems:?}");
    }
}

#[test]
fn people_have_roles_for_all_services_and_for_some() {
    let text =
        "[people.bo]\nroles = [\"viewer\"]\ngroups = [\"oncall\"]\nservices = { shop = [\"approver\"] }\n";
    let bo = &for_test(text).people[&Name::from("bo")];
    assert_eq!(bo.roles_for(&"shop".into()), [Role::Viewer, Role::Approver]);
    assert_eq!(bo.roles_for(&"bank".into()), [Role::Viewer]);
    let wrong = shown("[people.bo]\nservices = { shop = [\"aprover\"] }\nservice = \"shop\"\n");
    assert!(wrong.contains("did you mean \"approver\"") && wrong.contains("PM1203"), "{wrong}");
}

#[test]
fn cookies_are_secure_where_the_way_is() {
    let tls = "tls = { certificate = \"/c\", key = \"/k\" }\n";
    assert!(
        !for_test("").web.is_secure() && !for_test("[web]\nurl = \"http://pm.example\"\n").web.is_secure()
    );
    assert!(for_test(&format!("[web]\n{tls}")).web.is_secure());
    let web = for_test("[web]\nurl = \"https://pm.example/\"\n").web;
    assert!(web.is_secure() && web.url.as_deref() == Some("https://pm.example"));
    assert!(shown(&format!("[web]\nurl = \"http://pm.example\"\n{tls}")).contains("speaks TLS"));
    assert!(shown("[web]\ntls = { certificate = \"/c\" }\n").contains("has no \"key\""));
}

#[test]
fn resources_are_read_and_their_mistakes_are_told() {
    let good = r#"
[targets.lb]
kind = "haproxy"
sockets = ["/run/haproxy/admin.sock", "10.0.0.5:9999"]
[targets.vm]
kind = "ovh_instance"
site = "gra"
region = "GRA11"
instance = "6f70656e-0001"
user = "u"
password = { env = "OS" }
project = "p"
[targets.droplet]
kind = "digitalocean_droplet"
droplet = 3164494
token = { env = "DO" }
"#;
    let (config, problems) = parse(good, "pointsman.toml");
    assert_eq!(problems, []);
    let config = config.unwrap();
    let socket = HaproxySocket::Tcp("10.0.0.5:9999".into());
    let Some(ResourceTarget::Haproxy { sockets }) = config.resource(&"lb".into()) else { panic!() };
    assert_eq!(sockets[1], socket);
    assert!(matches!(
        config.resource(&"droplet".into()),
        Some(ResourceTarget::DigitaloceanDroplet { droplet: 3_164_494, .. })
    ));
    let bad = r#"
[targets.lb]
kind = "haproxy"
sockets = ["admin.sock", "10.0.0.5:99999", "/a", "/a"]
[targets.none]
kind = "haproxy"
sockets = []
[targets.vm]
kind = "ovh_instance"
auth_url = "http://auth.example.test/v3"
region = "GRA11"
instance = "pg gra/1"
application_credential_id = "c"
[targets.both]
kind = "ovh_instance"
region = "GRA11"
instance = "a"
user = "u"
application_credential_id = "c"
[targets.droplet]
kind = "digitalocean_droplet"
droplet = 0
token = "literal-secret"
"#;
    let said = shown(bad);
    for part in [
        "must be a path or address:port",
        "/a is listed twice",
        "\"sockets\" must name at least one",
        "\"auth_url\" must be https",
        "the id of a machine, not its name",
        "\"application_credential_secret\"",
        "has either \"application_credential_id\"",
        "\"droplet\"",
        "\"token\" is a credential",
    ] {
        assert!(said.contains(part), "{part} not in {said}");
    }
    assert_eq!(said.matches("must be a path or address:port").count(), 2);
    assert!(!said.contains("literal-secret"), "{said}");
}

#[test]
fn servers_lost_with_a_site_leave_one_that_can_be_asked_and_written_to() {
    let zone = |lost: &str| {
        format!(
            "[targets.z]\nkind = \"rfc2136\"\nzone = \"shop.test\"\nservers = [\"192.0.2.1:53\", \"192.0.2.2:53\"]\n\
             tsig = {{ name = \"k\", algorithm = \"hmac-sha256\", secret = {{ env = \"K\" }} }}\nlost_with = {{ gra = {lost} }}\n"
        )
    };
    assert_eq!(shown(&zone("[\"192.0.2.2:53\"]")), "");
    let said = shown(&zone("[\"192.0.2.1:53\"]"));
    assert!(said.contains("192.0.2.1:53 takes the updates"), "{said}");
    let said = shown(&zone("[\"192.0.2.3:53\", \"here\"]"));
    assert!(said.contains("none of \"servers\"") && said.contains("must be IP:port"), "{said}");
    let said = shown(
        &zone("[]").replace("rfc2136", "powerdns").replace("[]", "[\"192.0.2.1:53\", \"192.0.2.2:53\"]"),
    );
    assert!(said.contains("every server is lost with gra"), "{said}");
}

#[test]
fn resolvers_are_others_than_the_servers_and_few() {
    let zone = |resolvers: &str| {
        format!(
            "[targets.z]\nkind = \"rfc2136\"\nzone = \"shop.test\"\nservers = [\"192.0.2.1:53\"]\nresolvers = {resolvers}\n\
             tsig = {{ name = \"k\", algorithm = \"hmac-sha256\", secret = {{ env = \"K\" }} }}\n"
        )
    };
    assert_eq!(shown(&zone("[\"192.0.2.9:53\", \"[2001:db8::9]:53\"]")), "");
    assert!(shown(&zone("[\"192.0.2.1:53\"]")).contains("says nothing about what users are given"));
    let many: Vec<String> = (1..=9).map(|n| format!("192.0.2.{}:53", n + 10)).collect();
    assert!(shown(&zone(&format!("{many:?}"))).contains("at most 8"));
    assert!(shown(&zone("[\"resolver.example\"]")).contains("must be IP:port"));
}
