//! Probes, vantages and alert sources against real applications, Blackbox exporters and Alertmanagers.

use crate::remote::{Remote, is_nothing, is_unknown, why};
use lab::{Lab, PostgresOptions, Site};
use pointsman::kernel::domain::*;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

fn vantages(lab: &Lab) -> String {
    let one = |name: &str, site: Site| {
        format!("[vantages.{name}]\nblackbox = {:?}\ndomain = {name:?}\n", lab.blackbox(site).probe_url())
    };
    [one("bb-par", Site::Par), one("bb-sbg", Site::Sbg)].concat()
}

fn down(probes: &[&str]) -> Value {
    json!({ "probes": probes, "vantages": ["local", "bb-par", "bb-sbg"], "down": "majority", "site": "gra" })
}

#[tokio::test(flavor = "multi_thread")]
async fn three_vantages_vote_on_a_real_application_and_its_database() {
    let options = PostgresOptions { restart_after: None, ..PostgresOptions::default() };
    let mut lab = Lab::builder().postgres_with(options).apps().blackbox().start().await.expect("a shop");
    let (app, pg) = (lab.apps().at(Site::Gra).addr, lab.postgres().address(Site::Gra));
    let config = format!(
        "{}[probes.app]\nhttp = \"http://shop.example.test:{}/livez\"\nresolve_to = \"{}\"\nstatus = 200\n\
         [probes.db]\ntcp = \"{pg}\"\n[probes.never]\ntcp = \"127.0.0.1:1\"\n",
        vantages(&lab),
        app.port(),
        app.ip(),
    );
    let remote = Remote::new(&config);
    let origin = remote.bind("quorum", "origin", down(&["app", "db"]));
    let up = json!({ "probes": ["app"], "vantages": ["local", "bb-par", "bb-sbg"], "up": "all" });
    assert!(is_nothing(&remote.plan(&remote.bind("quorum", "up", up)).await));
    let alive = remote.plan(&origin).await;
    assert!(why(&alive).contains("PM4310: 3 of 3 vantages say up"), "{alive:?}");

    lab.apps_mut().at_mut(Site::Gra).stop();
    let mixed = remote.plan(&origin).await;
    assert!(is_unknown(&mixed) && why(&mixed).contains("bb-par says mixed"), "the database lives: {mixed:?}");
    let app_alone = remote.plan(&remote.bind("quorum", "origin", down(&["app"]))).await;
    let StepPlan::Nothing { gives, says, .. } = &app_alone else { panic!("{app_alone:?}") };
    assert_eq!(gives, &[Fact::Down { site: "gra".into() }]);
    assert!(says.contains("3 of 3") && says.contains("connection refused"), "{says}");

    lab.postgres_mut().kill9(Site::Gra).unwrap();
    let both = remote.plan(&origin).await;
    assert!(is_nothing(&both), "{both:?}");
    let never = remote.plan(&remote.bind("quorum", "origin", down(&["never"]))).await;
    assert!(is_unknown(&never) && why(&never).contains("not said up within a day"), "{never:?}");
}

/// A process that is ended with the test.
struct Ended(Child);
impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A TLS server whose certificate nobody trusts.
fn untrusted(lab: &Lab, port: u16) -> Ended {
    let file = |name: &str| lab.dir().join(name).display().to_string();
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=shop.example.test",
        ])
        .args(["-keyout", &file("tls.key"), "-out", &file("tls.crt")])
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let server = Command::new("openssl")
        .args(["s_server", "-quiet", "-www", "-accept", &format!("127.0.0.1:{port}")])
        .args(["-key", &file("tls.key"), "-cert", &file("tls.crt")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let server = Ended(server.unwrap());
    for _ in 0..100 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return server;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("openssl does not listen on {port}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_layer_has_its_word_and_tls_is_never_down() {
    let lab = Lab::builder().blackbox().start().await.expect("probes");
    let port = lab.spare_port(0);
    let _server = untrusted(&lab, port);
    let hung = TcpListener::bind("127.0.0.1:0").unwrap();
    let hung_at = hung.local_addr().unwrap();
    let config = format!(
        "{}[vantages.lost]\nblackbox = \"http://127.0.0.1:1/probe\"\ndomain = \"lost\"\n\
         [probes.tls]\nhttp = \"https://shop.example.test:{port}/\"\nresolve_to = \"127.0.0.1\"\n",
        vantages(&lab)
    );
    let remote = Remote::new(&config);
    let expect = |url: String, pin: bool, vantage: &str| {
        let mut with = json!({ "url": url, "vantages": [vantage], "within": "60s" });
        if pin {
            with["resolve_to"] = json!("127.0.0.1");
        }
        remote.bind("http.expect", "it", with)
    };
    for vantage in ["local", "bb-par"] {
        for (url, pin, words) in [
            (format!("https://shop.example.test:{port}/"), true, "fails in TLS"),
            ("http://127.0.0.1:1/".to_owned(), false, "down (tcp"),
            ("http://no-such-name.invalid/".to_owned(), false, "down (dns"),
        ] {
            let seen = remote.plan(&expect(url.clone(), pin, vantage)).await;
            assert!(is_unknown(&seen) && why(&seen).contains(words), "{vantage} {url}: {seen:?}");
        }
        let started = Instant::now();
        let seen = remote.plan(&expect(format!("http://{hung_at}/"), false, vantage)).await;
        assert!(is_unknown(&seen) && why(&seen).contains("down ("), "hung, {vantage}: {seen:?}");
        assert!(started.elapsed() < Duration::from_secs(7), "{vantage}: {:?}", started.elapsed());
        println!("a hung server from {vantage}: {}", why(&seen));
    }
    let lost = remote.plan(&expect("http://127.0.0.1:1/".into(), false, "lost")).await;
    assert!(why(&lost).contains("the exporter is not reached"), "{lost:?}");
    let votes = remote.plan(&remote.bind("quorum", "origin", down(&["tls"]))).await;
    assert!(is_unknown(&votes) && why(&votes).contains("only 0 of 3"), "{votes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_passes_several_times_pinned_to_its_new_address() {
    let options = PostgresOptions { restart_after: None, ..PostgresOptions::default() };
    let lab = Lab::builder().postgres_with(options).apps().blackbox().start().await.expect("a shop");
    let remote = Remote::new(&vantages(&lab));
    let app = lab.apps().at(Site::Sbg).addr;
    let with = |extra: Value| {
        let mut with = json!({
            "url": format!("http://shop.example.test:{}/healthz?deep=1", app.port()),
            "resolve_to": app.ip().to_string(), "status": 200, "passes": 3, "within": "60s", "site": "sbg",
        });
        with.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        remote.bind("http.expect", "app", with)
    };
    let passed = remote.plan(&with(json!({ "contains": "sbg" }))).await;
    let serves = Fact::Serves { site: "sbg".into() };
    assert!(matches!(&passed, StepPlan::Nothing { gives, .. } if gives == &[serves]), "{passed:?}");
    let outside = remote.plan(&with(json!({ "vantages": ["local", "bb-par", "bb-sbg"] }))).await;
    assert!(is_nothing(&outside), "{outside:?}");
    let other = remote.plan(&with(json!({ "contains": "another site" }))).await;
    assert!(is_unknown(&other) && why(&other).contains("does not contain"), "{other:?}");
    let wrong = remote.plan(&with(json!({ "status": 204 }))).await;
    assert!(is_unknown(&wrong) && why(&wrong).contains("status 200"), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_itself_says_firing_suppressed_resolved_or_nothing() {
    let mut lab = Lab::builder().start().await.expect("a lab");
    let mut options = lab::AlertingOptions::new("http://127.0.0.1:1/");
    options.alertmanagers = 2;
    lab.start_alertmanagers(&options).await.unwrap();
    let urls: Vec<String> = lab.alertmanagers().iter().map(|am| am.url()).collect();
    let remote = Remote::new(&format!("[sources.am]\napi = {urls:?}\n"));
    let with =
        json!({ "source": "am", "labels": { "alertname": "SiteDown", "site": "gra" }, "or_site": "gra" });
    let check = remote.bind("still_firing", "am", with);
    let absent = remote.plan(&check).await;
    assert!(why(&absent).contains("PM4322"), "nobody has it: {absent:?}");

    let labels = [("alertname", "SiteDown"), ("site", "gra"), ("severity", "critical")];
    #[expect(clippy::disallowed_methods, reason = "the alert's own clock")]
    let started = SystemTime::now();
    lab.alertmanagers()[1].fire(&labels, started).await.unwrap();
    let firing = wait(&remote, &check, is_nothing).await;
    assert!(matches!(&firing, StepPlan::Nothing { says, .. } if says.contains(&urls[1])), "{firing:?}");

    let silence = silence(&urls[1]).await;
    let silenced = wait(&remote, &check, |plan| why(plan).contains("PM4321")).await;
    assert!(matches!(silenced, StepPlan::Refuse(_)));
    let http = client();
    http.delete(format!("{}/api/v2/silence/{silence}", urls[1]))
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();
    wait(&remote, &check, is_nothing).await;

    lab.alertmanagers()[1].resolve(&labels, started).await.unwrap();
    wait(&remote, &check, |plan| why(plan).contains("PM4322")).await;
    lab.alertmanagers()[1].fire(&labels, started).await.unwrap();
    wait(&remote, &check, is_nothing).await;
    lab.alertmanagers_mut()[0].kill9();
    assert!(is_nothing(&remote.plan(&check).await), "one of two is gone, the other still says so");
    lab.alertmanagers_mut()[1].kill9();
    let gone = remote.plan(&check).await;
    assert!(is_unknown(&gone) && why(&gone).contains("PM4320"), "{gone:?}");
    let given = [Fact::Down { site: "gra".into() }];
    assert!(is_nothing(&remote.plan_given(&check, &given).await));
}

async fn wait(
    remote: &Remote,
    check: &pointsman::kernel::port::Bound,
    good: impl Fn(&StepPlan) -> bool,
) -> StepPlan {
    let mut last = None;
    for _ in 0..100 {
        let plan = remote.plan(check).await;
        if good(&plan) {
            return plan;
        }
        last = Some(plan);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it never came: {last:?}");
}

fn client() -> reqwest::Client {
    // Another test of this process may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::new()
}

async fn silence(api: &str) -> String {
    let body = json!({
        "matchers": [{ "name": "alertname", "value": "SiteDown", "isRegex": false, "isEqual": true }],
        "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2100-01-01T00:00:00Z", "createdBy": "bo", "comment": "known",
    });
    let http = client();
    let made = http.post(format!("{api}/api/v2/silences")).json(&body).send().await.unwrap();
    let made: Value = made.error_for_status().unwrap().json().await.unwrap();
    made["silenceID"].as_str().unwrap().to_owned()
}
