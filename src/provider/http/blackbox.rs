//! A Blackbox exporter as a vantage: what it is asked, and what its metrics mean. No agent of ours is needed there.

use super::look::{Answer, judge_status};
use super::port::{Failed, Get, Layer, Port, Reply};
use crate::config::{Probe, Vantage};
use crate::kernel::domain::Span;
use url::Url;

/// Time that the exporter keeps for itself out of the scrape's time-out, and that its answer needs to come back.
const OVERHEAD: Span = Span::millis(1000);

pub async fn look(port: &dyn Port, exporter: &str, place: &Vantage, probe: &Probe, within: Span) -> Answer {
    let question = match (&probe.http, &probe.tcp) {
        (Some(url), _) => http_question(exporter, place, probe, url),
        (None, Some(address)) => {
            let module = place.tcp_module.as_deref().unwrap_or("tcp_connect");
            build(exporter, &[("module", module), ("target", address)])
        }
        (None, None) => Err("a Blackbox exporter cannot ask a database with a query".to_owned()),
    };
    let text = match question {
        Ok(url) => ask(port, url, within).await,
        Err(why) => return Answer::Blind(why),
    };
    match text {
        Ok(text) => judge(&text, probe),
        Err(why) => Answer::Blind(why),
    }
}

/// Whether the exporter's place can reach anything: any HTTP answer of the control target.
pub async fn reaches(
    port: &dyn Port,
    exporter: &str,
    place: &Vantage,
    url: &str,
    within: Span,
) -> Result<(), String> {
    let module = place.http_module.as_deref().unwrap_or("http_2xx");
    let text = ask(port, build(exporter, &[("module", module), ("target", url)])?, within).await?;
    let answered = metric(&text, "probe_http_status_code").is_some_and(|status| status > 0.0);
    if answered || metric(&text, "probe_success") == Some(1.0) { Ok(()) } else { Err(reason(&text)) }
}

fn build(exporter: &str, query: &[(&str, &str)]) -> Result<String, String> {
    let mut url = Url::parse(exporter).map_err(|e| format!("{exporter:?}: {e}"))?;
    // With debug the exporter adds its log to the metrics: the only place that tells TLS from TCP.
    url.query_pairs_mut().extend_pairs(query).append_pair("debug", "true");
    Ok(url.into())
}

/// A pinned probe asks the address, with the URL's name as Host and SNI.
fn http_question(exporter: &str, place: &Vantage, probe: &Probe, url: &str) -> Result<String, String> {
    let module = place.http_module.as_deref().unwrap_or("http_2xx");
    let Some(address) = probe.resolve_to else {
        return build(exporter, &[("module", module), ("target", url)]);
    };
    let mut target = Url::parse(url).map_err(|e| format!("{url:?}: {e}"))?;
    let name = target.host_str().ok_or_else(|| format!("{url:?} has no host"))?.to_owned();
    // In a Host header the port belongs to the name; as SNI it would be wrong.
    let name = match (target.scheme(), target.port()) {
        ("http", Some(port)) => format!("{name}:{port}"),
        _ => name,
    };
    target.set_ip_host(address).map_err(|()| format!("{url:?} takes no address"))?;
    build(exporter, &[("module", module), ("target", target.as_str()), ("hostname", &name)])
}

async fn ask(port: &dyn Port, url: String, within: Span) -> Result<String, String> {
    let theirs = Span(within.0.saturating_sub(OVERHEAD.0).max(500_000));
    let header = ("X-Prometheus-Scrape-Timeout-Seconds", format!("{:.1}", theirs.as_secs_f64() + 0.5));
    let get = Get { headers: vec![header], ..Get::of(url) };
    match port.get(&get, within).await {
        Ok(Reply { status: 200, body }) if metric(&body, "probe_success").is_some() => Ok(body),
        Ok(Reply { status, body }) => {
            let first = body.lines().next().unwrap_or_default().chars().take(200).collect::<String>();
            Err(format!("the exporter answered {status}: {first}"))
        }
        Err(failed) => {
            Err(format!("the exporter is not reached ({}: {})", failed.layer.as_str(), failed.says))
        }
    }
}

/// The value of a metric without labels.
fn metric(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The exporter's own words for a failure, out of its log.
fn reason(text: &str) -> String {
    let err = text.lines().filter_map(|line| line.split_once("err=").map(|(_, rest)| rest)).next_back();
    err.map_or("it gave no reason".to_owned(), |text| {
        text.trim().trim_matches('"').chars().take(300).collect()
    })
}

fn judge(text: &str, probe: &Probe) -> Answer {
    let success = metric(text, "probe_success") == Some(1.0);
    let status = metric(text, "probe_http_status_code").filter(|code| (100.0..600.0).contains(code));
    let down = |layer, says| Answer::Down(Failed { layer, says });
    if probe.http.is_some()
        && let Some(status) = status
    {
        // Our own expectation of the status counts, the module's only for what the body says.
        let answer = judge_status(probe.status, status as u16);
        let regex = metric(text, "probe_failed_due_to_regex") == Some(1.0);
        return match answer {
            Answer::Up if regex => down(Layer::Http, "the body is not what the module expects".into()),
            Answer::Up if !success && probe.status.is_none() => {
                Answer::Blind(format!("status {status}, but the module is not content: {}", reason(text)))
            }
            answer => answer,
        };
    }
    let why = reason(text);
    match () {
        () if success => Answer::Up,
        () if why.contains("x509: ") || why.contains("tls: ") => {
            Answer::Blind(format!("it fails in TLS: {why}"))
        }
        () if metric(text, "probe_ip_protocol") == Some(0.0) => down(Layer::Dns, why),
        () => down(Layer::Tcp, why),
    }
}

#[cfg(test)]
#[path = "blackbox_tests.rs"]
mod tests;
