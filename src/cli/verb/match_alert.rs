//! `pointsman match`: which playbook an alert would start, and why not the others. Offline, but for `--against`, which asks
//! the server for alerts on record.

use crate::cli::client::read as typed;
use crate::cli::options::{Global, span};
use crate::cli::wire::AuditDoc;
use crate::cli::{Client, Exit, Fault, Talk, local, view};
use crate::config::{Config, Generic};
use crate::intake::{Alert, Format, Status};
use crate::kernel::domain::{Name, SourceKind, Span, Time};
use crate::kernel::port::World as _;
use crate::playbook::{self, AlertView, Playbook};
use crate::provider::{Ports, ProviderRegistry};
use crate::units::counted;
use crate::worker;
use anyhow::Context as _;
use clap::Args;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Pages of records that are read from the server.
const MOST_PAGES: u32 = 2_000;
const PAGE: &str = "1000";

#[derive(Clone, Debug, Args)]
pub struct MatchArgs {
    /// A body as its source sent it
    #[arg(value_name = "PAYLOAD", conflicts_with_all = ["label", "against"])]
    pub payload: Option<PathBuf>,
    /// A label of the alert, instead of a payload
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = pair, required_unless_present_any = ["payload", "against"])]
    pub label: Vec<(String, String)>,
    /// Kind of source that the payload or the labels come from: alertmanager, zabbix, generic
    #[arg(long, value_name = "KIND", value_parser = kind, default_value = "alertmanager", conflicts_with = "against")]
    pub from: SourceKind,
    /// A source of the configuration with a preset or a mapping, which reads the payload
    #[arg(long, value_name = "NAME", conflicts_with_all = ["from", "against"], requires = "config")]
    pub source: Option<String>,
    /// Alerts that the server recorded within this time: which of them would have started something
    #[arg(long, value_name = "TIME", value_parser = span, conflicts_with = "label")]
    pub against: Option<Span>,
    /// Configuration whose targets, probes and sources the playbooks name
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Playbooks, or directories of them
    #[arg(long, value_name = "FILE|DIR", default_value = "playbooks")]
    pub playbooks: Vec<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    if name.is_empty() { Err("the name is empty".into()) } else { Ok((name.into(), value.into())) }
}

fn kind(text: &str) -> Result<SourceKind, String> {
    let known = SourceKind::ALL.map(SourceKind::as_str).join(", ");
    SourceKind::of(text).ok_or_else(|| format!("there are: {known}"))
}

/// Exit 0 when a playbook would be chosen, 5 when none would.
pub async fn run(args: &MatchArgs, global: &Global, talk: &mut Talk) -> anyhow::Result<Exit> {
    let config = config(args)?;
    let playbooks = playbooks(args, &config)?;
    let matches = |alert: &AlertView| playbooks.iter().any(|p| playbook::match_alert(p, alert).is_ok());
    if let Some(against) = args.against {
        let since = worker::SystemWorld::new().now() - against;
        let alerts = recorded(&super::client(global, talk)?, since).await?;
        let any = alerts.iter().any(|(_, alert)| matches(alert));
        let told = view::matched::Recorded { playbooks: &playbooks, alerts: &alerts, against };
        told.show(talk)?;
        return Ok(if any { Exit::Done } else { Exit::NoSuchThing });
    }
    let source = source(args, &config)?;
    let alerts = match &args.payload {
        Some(path) => of_payload(path, &source, talk)?,
        None => vec![source.view(args.label.iter().cloned().collect(), BTreeMap::new())],
    };
    view::matched::trees(&playbooks, &alerts, talk)?;
    Ok(if alerts.iter().any(matches) { Exit::Done } else { Exit::NoSuchThing })
}

fn config(args: &MatchArgs) -> anyhow::Result<Arc<Config>> {
    Ok(Arc::new(match &args.config {
        None => Config::default(),
        Some(path) => match local::read_config(path)? {
            (Some(config), ..) => config,
            (None, _, problems) => return Err(local::invalid(path, &problems).into()),
        },
    }))
}

/// Where the alerts come from.
struct From<'a> {
    name: Name,
    kind: SourceKind,
    generic: Option<&'a Generic>,
}

impl From<'_> {
    fn view(&self, labels: Pairs, annotations: Pairs) -> AlertView {
        AlertView::new(self.name.clone(), self.kind, labels, annotations)
    }
}

fn source<'a>(args: &MatchArgs, config: &'a Config) -> anyhow::Result<From<'a>> {
    let Some(named) = &args.source else {
        if args.from == SourceKind::Generic && args.payload.is_some() {
            let says = "a payload of the kind generic is read as its source is described";
            let fault = Fault::new(Exit::Usage, "PM0002", says).state("nothing was matched");
            return Err(fault.into());
        }
        return Ok(From { name: args.from.as_str().into(), kind: args.from, generic: None });
    };
    let found = config.sources.iter().find(|(name, _)| name.as_str() == named);
    match found.and_then(|(name, source)| Some((name, source.generic.as_ref()?))) {
        Some((name, generic)) => {
            Ok(From { name: name.clone(), kind: SourceKind::Generic, generic: Some(generic) })
        }
        None => {
            let says = format!("the configuration has no source {named:?} with a preset or a mapping");
            Err(Fault::new(Exit::Invalid, "PM1210", says).state("nothing was matched").into())
        }
    }
}

/// All of them, or none: a playbook that cannot be read cannot be said not to match.
fn playbooks(args: &MatchArgs, config: &Arc<Config>) -> anyhow::Result<Vec<Playbook>> {
    let registry = ProviderRegistry { config: config.clone(), ports: Ports::real(config.clone()) };
    let files = worker::playbook_files(&args.playbooks).context("the playbooks cannot be listed")?;
    let mut all = vec![];
    for file in files {
        let text = crate::document::read_file(&file).map_err(|e| {
            Fault::new(Exit::Invalid, "PM1200", format!("{} cannot be read: {e}", file.display()))
        })?;
        match playbook::check(&text, &file.display().to_string(), config, &registry) {
            (Some(playbook), _) => all.push(playbook),
            (None, problems) => return Err(local::invalid(&file, &problems).into()),
        }
    }
    Ok(all)
}

type Pairs = BTreeMap<String, String>;

/// The alerts that fire; one that is resolved starts nothing, whatever its labels are.
fn of_payload(path: &Path, from: &From<'_>, talk: &mut Talk) -> anyhow::Result<Vec<AlertView>> {
    let body = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let delivery = Format::read_file(from.kind, from.generic, &body).map_err(|e| {
        Fault::new(Exit::Invalid, e.code(), format!("{}: {e}", path.display())).state("nothing was matched")
    })?;
    let (firing, resolved): (Vec<Alert>, Vec<Alert>) =
        delivery.alerts.into_iter().partition(|alert| alert.status == Status::Firing);
    if !resolved.is_empty() {
        talk.say(&format!("{} left out: resolved, which starts nothing", counted(resolved.len(), "alert")));
    }
    if let (true, true, Some(why)) = (firing.is_empty(), resolved.is_empty(), &delivery.reason) {
        talk.say(&format!("no alert in it: {why}"));
    }
    Ok(firing.into_iter().map(|alert| from.view(alert.labels, alert.annotations)).collect())
}

/// Every alert that fired since then, oldest first.
async fn recorded(client: &Client, since: Time) -> anyhow::Result<Vec<(Time, AlertView)>> {
    let mut alerts = vec![];
    let mut from = 1;
    for _ in 0..MOST_PAGES {
        let query = [
            ("kind", "occurrence_opened".to_owned()),
            ("from", from.to_string()),
            ("limit", PAGE.to_owned()),
        ];
        let page: AuditDoc = typed(&client.get(&["audit"], &query).await?, "audit")?;
        for record in page.records.into_iter().filter(|record| record.at >= since) {
            let texts = |key: &str| -> BTreeMap<String, String> {
                serde_json::from_value(record.body[key].clone()).unwrap_or_default()
            };
            let kind: SourceKind = serde_json::from_value(record.body["kind"].clone()).unwrap_or_default();
            // The source's name begins the occurrence's.
            let occurrence = record.body["occurrence"].as_str().unwrap_or_default();
            let source =
                occurrence.split('/').next().filter(|name| !name.is_empty()).unwrap_or(kind.as_str());
            let alert = AlertView::new(source.into(), kind, texts("labels"), texts("annotations"));
            alerts.push((record.at, alert));
        }
        match page.next {
            Some(next) => from = next,
            None => return Ok(alerts),
        }
    }
    Err(anyhow::anyhow!("the journal has more records than `match --against` reads"))
}
