//! Which alert a playbook waits for, and why it does not wait for this one.

use super::model::{Playbook, Trigger};
use crate::expr::{Matcher, Vars};
use crate::kernel::domain::{Name, Reason, SourceKind, Span};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An alert as matchers and expressions see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertView {
    /// Name of the source that delivered it.
    pub source: Name,
    pub kind: SourceKind,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

impl AlertView {
    pub fn new(
        source: Name,
        kind: SourceKind,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
    ) -> AlertView {
        let name = labels.get(kind.name_label()).cloned().unwrap_or_default();
        AlertView { source, kind, name, labels, annotations }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "source": self.source, "name": self.name, "labels": self.labels, "annotations": self.annotations,
        })
    }
}

/// A trigger that accepts the alert, with what must hold before a run may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerMatch {
    /// Index among the playbook's triggers.
    pub trigger: usize,
    /// Confirmed continuously for that long; zero: at once.
    pub confirmed_for: Span,
    /// Not confirmed for that long: not acted upon any more.
    pub unconfirmed_after: Option<Span>,
}

/// The first trigger that accepts the alert; else, for each trigger, the first condition that failed.
pub fn match_alert(playbook: &Playbook, alert: &AlertView) -> Result<TriggerMatch, Reason> {
    if playbook.triggers.is_empty() {
        return Err(Reason::new("PM1260", "the playbook has no triggers: only a person starts it"));
    }
    let mut why = vec![];
    for (index, trigger) in playbook.triggers.iter().enumerate() {
        match accepts(playbook, trigger, alert) {
            Ok(()) => {
                return Ok(TriggerMatch {
                    trigger: index,
                    confirmed_for: trigger.confirmed_for,
                    unconfirmed_after: playbook.unconfirmed_after,
                });
            }
            Err(reason) => why.push(reason),
        }
    }
    match why.as_slice() {
        [only] => Err(only.clone()),
        _ => {
            let each: Vec<String> = why
                .iter()
                .enumerate()
                .map(|(i, reason)| format!("trigger {}: {}", i + 1, reason.says))
                .collect();
            let failed = why.iter().any(|reason| reason.code == "PM1262");
            Err(Reason::new(if failed { "PM1262" } else { "PM1261" }, each.join("; ")))
        }
    }
}

/// One condition of a trigger, as it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// As the playbook writes it.
    pub says: String,
    /// `Err`: why it does not hold.
    pub holds: Result<(), String>,
}

/// Every condition of every trigger, looked at, also those behind one that fails. What starts a run is `match_alert`.
pub fn match_tree(playbook: &Playbook, alert: &AlertView) -> Vec<Vec<Looked>> {
    let conditions = |trigger: &Trigger| {
        let mut looked = vec![];
        let from = |kind: SourceKind, says: &str| Looked {
            says: says.to_owned(),
            holds: (alert.kind == kind).then_some(()).ok_or_else(|| format!("it came from {}", alert.kind)),
        };
        if let Some(matchers) = &trigger.alertmanager {
            looked.push(from(SourceKind::Alertmanager, "it comes from an Alertmanager"));
            looked.extend(matchers.iter().map(|(label, matcher)| Looked {
                says: format!("{label}{matcher}"),
                holds: label_holds(alert, label, matcher),
            }));
        }
        if let Some(conditions) = &trigger.zabbix {
            looked.push(from(SourceKind::Zabbix, "it comes from a Zabbix"));
            looked.extend(conditions.iter().map(|(label, condition)| Looked {
                says: format!("{label}{condition}"),
                holds: condition.holds(alert, label),
            }));
        }
        if let Some(matchers) = &trigger.generic {
            looked.push(from(SourceKind::Generic, "it comes from a source of /hooks/generic"));
            looked.extend(matchers.iter().map(|(label, matcher)| Looked {
                says: format!("{label}{matcher}"),
                holds: label_holds(alert, label, matcher),
            }));
        }
        if let Some(when) = &trigger.when {
            let holds = expression_holds(playbook, when, alert).map_err(|reason| reason.says);
            looked.push(Looked { says: when.source().to_owned(), holds });
        }
        looked
    };
    playbook.triggers.iter().map(conditions).collect()
}

/// A missing label is the empty text, as in Prometheus.
fn label_holds(alert: &AlertView, label: &str, matcher: &Matcher) -> Result<(), String> {
    let value = alert.labels.get(label);
    let text = value.map_or("", String::as_str);
    let holds = match alert.kind {
        SourceKind::Generic => matcher.matches_any(text),
        SourceKind::Alertmanager | SourceKind::Zabbix => matcher.matches(text),
    };
    if holds {
        return Ok(());
    }
    let is = value.map_or("missing".to_owned(), |value| format!("{value:?}"));
    Err(format!("{label} is {is}, wanted {label}{matcher}"))
}

fn expression_holds(playbook: &Playbook, when: &crate::expr::Expr, alert: &AlertView) -> Result<(), Reason> {
    let vars = Vars::default().with("alert", alert.json()).with("service", json!(playbook.service));
    match when.eval_bool(&vars) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Reason::new("PM1261", format!("{} is false", when.source()))),
        // Fails closed, and is told apart: an expression that cannot be evaluated is a mistake.
        Err(error) => Err(Reason::new("PM1262", format!("{}: {error}", when.source()))),
    }
}

fn accepts(playbook: &Playbook, trigger: &Trigger, alert: &AlertView) -> Result<(), Reason> {
    let from = |kind: SourceKind| match alert.kind == kind {
        true => Ok(()),
        false => Err(Reason::new("PM1261", format!("it came from {}, wanted {kind}", alert.kind))),
    };
    if let Some(matchers) = &trigger.alertmanager {
        from(SourceKind::Alertmanager)?;
        for (label, matcher) in matchers {
            label_holds(alert, label, matcher).map_err(|says| Reason::new("PM1261", says))?;
        }
    }
    if let Some(conditions) = &trigger.zabbix {
        from(SourceKind::Zabbix)?;
        for (label, condition) in conditions {
            condition.holds(alert, label).map_err(|says| Reason::new("PM1261", says))?;
        }
    }
    if let Some(matchers) = &trigger.generic {
        from(SourceKind::Generic)?;
        for (label, matcher) in matchers {
            label_holds(alert, label, matcher).map_err(|says| Reason::new("PM1261", says))?;
        }
    }
    if let Some(when) = &trigger.when {
        expression_holds(playbook, when, alert)?;
    }
    Ok(())
}

/// What stands in for an alert where a person starts the run: the equalities of the first trigger that has
/// any.
pub(super) fn stand_in(playbook: &Playbook) -> AlertView {
    let equal = |trigger: &Trigger| -> (SourceKind, BTreeMap<String, String>) {
        let matchers = trigger.alertmanager.iter().flatten();
        let of_alertmanager = matchers.filter_map(|(label, matcher)| Some((label, matcher.only()?)));
        let conditions = trigger.zabbix.iter().flatten();
        let of_zabbix = conditions.filter_map(|(label, condition)| Some((label, condition.only()?)));
        let generic = trigger.generic.iter().flatten();
        let of_generic = generic.filter_map(|(label, matcher)| Some((label, matcher.only()?)));
        let kind = match (&trigger.zabbix, &trigger.generic) {
            (Some(_), _) => SourceKind::Zabbix,
            (None, Some(_)) => SourceKind::Generic,
            (None, None) => SourceKind::Alertmanager,
        };
        let labels = of_alertmanager
            .chain(of_zabbix)
            .chain(of_generic)
            .map(|(label, only)| (label.clone(), only.to_owned()));
        (kind, labels.collect())
    };
    let found = playbook.triggers.iter().map(equal).find(|(_, labels)| !labels.is_empty());
    let found = found.or_else(|| playbook.triggers.first().map(equal));
    let (kind, labels) = found.unwrap_or_default();
    AlertView::new(Name::from(kind.as_str()), kind, labels, BTreeMap::new())
}
