//! Real alerts from a real Prometheus through real Alertmanagers into a small receiver; and probes from
//! elsewhere.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use axum::extract::State;
use axum::http::HeaderMap;
use lab::net::wait_until;
use lab::{AlertingOptions, Lab, PostgresOptions, Site};
use serde_json::Value;

type Heard = Arc<Mutex<Vec<(Option<String>, Value)>>>;

/// A receiver that keeps what it was sent.
async fn receiver(port: u16) -> Heard {
    let heard = Heard::default();
    let keep = |State(heard): State<Heard>, headers: HeaderMap, body: String| async move {
        let auth = headers.get("authorization").map(|value| value.to_str().expect("text").to_owned());
        heard.lock().expect("a lock").push((auth, serde_json::from_str(&body).expect("JSON")));
    };
    let router =
        axum::Router::new().route("/hooks/alertmanager", axum::routing::post(keep)).with_state(heard.clone());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
    tokio::spawn(async move { axum::serve(listener, router).await });
    heard
}

fn count(heard: &Heard, status: &str) -> usize {
    heard.lock().expect("a lock").iter().filter(|(_, body)| body["status"] == status).count()
}

#[tokio::test]
async fn two_alertmanagers_without_gossip_deliver_the_same_alert_twice_and_its_end() {
    let mut lab = Lab::builder().start().await.expect("an empty lab");
    let heard = receiver(lab.spare_port(0)).await;
    let url = format!("http://127.0.0.1:{}/hooks/alertmanager", lab.spare_port(0));
    let mut options = AlertingOptions::new(url).bearer("example-token");
    options.alertmanagers = 2;
    lab.start_alertmanagers(&options).await.expect("two Alertmanagers");
    let labels = [("alertname", "SiteDown"), ("site", "gra"), ("severity", "critical")];
    let since = SystemTime::now() - Duration::from_secs(5);
    for alertmanager in lab.alertmanagers() {
        alertmanager.fire(&labels, since).await.expect("fired");
    }
    let twice = || async { Ok(count(&heard, "firing") == 2) };
    wait_until("two deliveries", Duration::from_secs(10), twice).await.expect("delivered");
    {
        let heard = heard.lock().expect("a lock");
        assert_eq!(heard[0].0.as_deref(), Some("Bearer example-token"));
        let [one, two] = [0, 1].map(|n| &heard[n].1["alerts"][0]);
        assert_eq!(one["fingerprint"], two["fingerprint"]);
        assert_eq!(one["startsAt"], two["startsAt"]);
    }
    for alertmanager in lab.alertmanagers() {
        alertmanager.resolve(&labels, since).await.expect("resolved");
    }
    let ended = || async { Ok(count(&heard, "resolved") == 2) };
    wait_until("two ends", Duration::from_secs(10), ended).await.expect("delivered");
}

#[tokio::test]
async fn the_death_of_the_primary_becomes_a_real_alert() {
    let options = PostgresOptions { restart_after: None, ..PostgresOptions::default() };
    let mut lab = Lab::builder().postgres_with(options).apps().start().await.expect("a lab");
    let heard = receiver(lab.spare_port(0)).await;
    let url = format!("http://127.0.0.1:{}/hooks/alertmanager", lab.spare_port(0));
    lab.start_alertmanagers(&AlertingOptions::new(url)).await.expect("Alertmanager");
    lab.start_prometheus().await.expect("Prometheus");
    let started = Instant::now();
    lab.postgres().kill9(Site::Gra).expect("killed");
    let fired = || async { Ok(count(&heard, "firing") >= 1) };
    wait_until("the alert", Duration::from_secs(30), fired).await.expect("fired");
    eprintln!("from SIGKILL to the webhook: {:?}", started.elapsed());
    let heard = heard.lock().expect("a lock").clone();
    let labels = &heard[0].1["alerts"][0]["labels"];
    assert_eq!(
        [&labels["alertname"], &labels["site"], &labels["severity"], &labels["service"]],
        ["SiteDown", "gra", "critical", "shop"]
    );
    assert!(
        heard.iter().all(|(_, body)| body["alerts"].as_array().is_some_and(|all| all.len() == 1)),
        "{heard:?}"
    );
}

#[tokio::test]
async fn probes_from_elsewhere_see_the_shop_and_its_absence() {
    let mut lab = Lab::builder().postgres().apps().blackbox().start().await.expect("a lab");
    let port = lab.apps().port();
    let url = format!("http://127.0.1.80:{port}/healthz");
    let name = Some("shop.example.test");
    for site in [Site::Par, Site::Sbg] {
        assert!(lab.blackbox(site).probe("http_2xx", &url, name).await.expect("a verdict"));
        let tcp = lab.postgres().address(Site::Gra).to_string();
        assert!(lab.blackbox(site).probe("tcp_connect", &tcp, None).await.expect("a verdict"));
    }
    lab.apps_mut().at_mut(Site::Gra).stop();
    assert!(!lab.blackbox(Site::Par).probe("http_2xx", &url, name).await.expect("a verdict"));
}
