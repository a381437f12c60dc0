//! What an exporter's answer means.

use super::*;

fn probe(status: Option<u16>) -> Probe {
    Probe { http: Some("https://shop.test/healthz".into()), resolve_to: None, status, tcp: None, sql: None }
}

fn text(success: u8, status: u16, rest: &str) -> String {
    format!("# HELP probe_success x\nprobe_success {success}\nprobe_http_status_code {status}\n{rest}\n")
}

#[test]
fn statuses_count_as_for_the_local_vantage() {
    assert_eq!(judge(&text(1, 200, ""), &probe(None)), Answer::Up);
    assert_eq!(
        judge(&text(0, 503, ""), &probe(Some(503))),
        Answer::Up,
        "our expectation counts, not the module's"
    );
    assert!(matches!(judge(&text(0, 503, ""), &probe(None)), Answer::Down(f) if f.layer == Layer::Http));
    assert!(matches!(judge(&text(0, 404, ""), &probe(None)), Answer::Blind(_)));
    let regex = text(0, 200, "probe_failed_due_to_regex 1");
    assert!(matches!(judge(&regex, &probe(Some(200))), Answer::Down(_)));
    assert!(matches!(judge(&text(0, 200, ""), &probe(None)), Answer::Blind(_)));
}

#[test]
fn without_an_answer_the_log_tells_the_layer() {
    let log = |err: &str, protocol: u8| {
        text(0, 0, &format!("level=error msg=x err=\"{err}\"\nprobe_ip_protocol {protocol}"))
    };
    assert!(matches!(
        judge(&log("Get: x509: certificate signed by unknown authority", 4), &probe(None)),
        Answer::Blind(_)
    ));
    assert!(
        matches!(judge(&log("dial tcp: connection refused", 4), &probe(None)), Answer::Down(f) if f.layer == Layer::Tcp)
    );
    assert!(matches!(judge(&log("no such host", 0), &probe(None)), Answer::Down(f) if f.layer == Layer::Dns));
}

#[test]
fn a_pinned_probe_asks_the_address_by_its_name() {
    let place =
        Vantage { blackbox: None, http_module: None, tcp_module: None, domain: "x".into(), control: None };
    let pinned = |url: &str, pin: &str| {
        let probe = Probe { resolve_to: Some(pin.parse().unwrap()), ..probe(None) };
        let asked = Url::parse(&http_question("http://bb/probe", &place, &probe, url).unwrap()).unwrap();
        let pair = |key: &str| asked.query_pairs().find(|(k, _)| k == key).unwrap().1.into_owned();
        (pair("target"), pair("hostname"))
    };
    assert_eq!(
        pinned("https://shop.test:8443/h", "192.0.2.1"),
        ("https://192.0.2.1:8443/h".into(), "shop.test".into())
    );
    assert_eq!(
        pinned("http://shop.test:81/h", "2001:db8::1"),
        ("http://[2001:db8::1]:81/h".into(), "shop.test:81".into())
    );
}
