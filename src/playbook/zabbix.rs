//! Conditions of a `zabbix:` trigger: matchers over the problem's name, host and tags, and an order over its severity.
//! Read with the playbook, asked by `matching`.

use super::AlertView;
use crate::expr::{Matcher, MatcherError};
use crate::kernel::domain::{TAGS_UNKNOWN, ZABBIX_SEVERITIES};
use std::fmt;

/// Keys, beside `tag.NAME`.
pub(super) const KEYS: [&str; 5] = ["severity", "name", "host", "host_name", "trigger_id"];
const TAG: &str = "tag.";

#[derive(Clone, Debug)]
pub struct Condition(Form);

#[derive(Clone, Debug)]
enum Form {
    Severity(Order, usize),
    Text(Matcher),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    AtLeast,
    Above,
    AtMost,
    Below,
}

/// Longer ones before those that they begin with.
const ORDERS: [(&str, Order); 4] =
    [(">=", Order::AtLeast), ("<=", Order::AtMost), (">", Order::Above), ("<", Order::Below)];

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConditionError {
    #[error("a zabbix trigger cannot look at {0:?}")]
    Key(String),
    #[error("{0:?} is no severity of Zabbix; there are: {list}", list = ZABBIX_SEVERITIES.join(", "))]
    Severity(String),
    #[error("{0:?} compares, and only \"severity\" has an order")]
    Ordered(String),
    #[error(transparent)]
    Matcher(#[from] MatcherError),
}

impl Condition {
    pub(super) fn parse(key: &str, text: &str) -> Result<Condition, ConditionError> {
        let is_tag = key.strip_prefix(TAG).is_some_and(|name| !name.is_empty());
        if !is_tag && !KEYS.contains(&key) {
            return Err(ConditionError::Key(key.to_owned()));
        }
        let ordered = ORDERS.into_iter().find_map(|(sign, order)| Some((order, text.strip_prefix(sign)?)));
        match ordered {
            Some((order, word)) if key == "severity" => {
                Ok(Condition(Form::Severity(order, rank(word.trim())?)))
            }
            Some(_) => Err(ConditionError::Ordered(text.to_owned())),
            None => {
                let matcher = Matcher::parse(text)?;
                if let (true, Matcher::Equal(word) | Matcher::NotEqual(word)) = (key == "severity", &matcher)
                {
                    rank(word)?;
                }
                Ok(Condition(Form::Text(matcher)))
            }
        }
    }

    /// `Err`: why not. What is not known holds nothing.
    pub(super) fn holds(&self, alert: &AlertView, key: &str) -> Result<(), String> {
        if key.starts_with(TAG) && alert.labels.contains_key(TAGS_UNKNOWN) {
            return Err(format!("{key} is not known: the message has no tags that can be read"));
        }
        let value = alert.labels.get(key).map(String::as_str);
        let holds = match &self.0 {
            Form::Text(matcher) => matcher.matches_any(value.unwrap_or_default()),
            Form::Severity(order, wanted) => {
                let known = value.and_then(|word| rank(word).ok());
                let known = known.ok_or_else(|| format!("{key} is not known, wanted {key}{self}"))?;
                match order {
                    Order::AtLeast => known >= *wanted,
                    Order::Above => known > *wanted,
                    Order::AtMost => known <= *wanted,
                    Order::Below => known < *wanted,
                }
            }
        };
        if holds {
            return Ok(());
        }
        let is = value.map_or("missing".to_owned(), |value| format!("{value:?}"));
        Err(format!("{key} is {is}, wanted {key}{self}"))
    }

    /// The one value that it accepts.
    pub(super) fn equal(&self) -> Option<&str> {
        match &self.0 {
            Form::Text(matcher) => matcher.only(),
            Form::Severity(..) => None,
        }
    }

    /// One value that it accepts, where it names one.
    pub(super) fn only(&self) -> Option<&str> {
        match &self.0 {
            Form::Text(matcher) => matcher.only(),
            Form::Severity(Order::AtLeast | Order::AtMost, rank) => Some(ZABBIX_SEVERITIES[*rank]),
            Form::Severity(Order::Above | Order::Below, _) => None,
        }
    }
}

fn rank(word: &str) -> Result<usize, ConditionError> {
    let found = ZABBIX_SEVERITIES.iter().position(|severity| *severity == word);
    found.ok_or_else(|| ConditionError::Severity(word.to_owned()))
}

/// To be put behind the key.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Text(matcher) => matcher.fmt(f),
            Form::Severity(order, rank) => {
                let sign = ORDERS.iter().find(|(_, known)| known == order).map_or("", |(sign, _)| *sign);
                write!(f, "{sign}{}", ZABBIX_SEVERITIES[*rank])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::domain::SourceKind;
    use std::collections::BTreeMap;

    fn problem(labels: &[(&str, &str)]) -> AlertView {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        AlertView::new("zabbix".into(), SourceKind::Zabbix, labels, BTreeMap::new())
    }

    fn holds(key: &str, text: &str, labels: &[(&str, &str)]) -> bool {
        Condition::parse(key, text).unwrap().holds(&problem(labels), key).is_ok()
    }

    #[test]
    fn severities_have_an_order_and_an_unknown_one_none() {
        for (rank, word) in ZABBIX_SEVERITIES.iter().enumerate() {
            let severity = [("severity", *word)];
            assert_eq!(holds("severity", ">=high", &severity), rank >= 4, "{word}");
            assert_eq!(holds("severity", "> high", &severity), rank > 4, "{word}");
            assert_eq!(holds("severity", "<=warning", &severity), rank <= 2, "{word}");
            assert_eq!(holds("severity", "<warning", &severity), rank < 2, "{word}");
            assert_eq!(holds("severity", "high", &severity), rank == 4, "{word}");
            assert_eq!(holds("severity", "=~high|disaster", &severity), rank >= 4, "{word}");
        }
        for labels in [&[][..], &[("severity", "Katastrophe")]] {
            for text in [">=not_classified", "<=disaster", "<high"] {
                assert!(!holds("severity", text, labels), "{text} {labels:?}");
            }
        }
    }

    #[test]
    fn one_of_several_values_is_enough_and_none_may_be_the_excluded_one() {
        let two = [("tag.service", "billing\nshop")];
        assert!(holds("tag.service", "shop", &two) && holds("tag.service", "=~b.*", &two));
        assert!(!holds("tag.service", "!=shop", &two) && !holds("tag.service", "!~sh.*", &two));
        assert!(holds("tag.service", "!=mail", &two) && !holds("tag.service", "mail", &two));
        assert!(!holds("tag.service", "billing\nshop", &two), "it is two values, not one");
        assert!(holds("tag.env", "!=staging", &[]), "known to have no such tag");
    }

    #[test]
    fn tags_that_cannot_be_read_are_not_missing_tags() {
        let unknown = [(TAGS_UNKNOWN, "yes"), ("severity", "high")];
        for text in ["!=staging", "!~st.*", "=~.*", ""] {
            assert!(!holds("tag.env", text, &unknown), "{text}");
        }
        assert!(holds("severity", "high", &unknown), "what is known is known");
    }

    #[test]
    fn what_is_no_condition_says_why() {
        let says = |key: &str, text: &str| Condition::parse(key, text).unwrap_err().to_string();
        insta::assert_snapshot!([
            says("alertname", "Down"),
            says("tag.", "x"),
            says("severity", ">=hgih"),
            says("severity", "High"),
            says("tag.env", ">=prod"),
            says("name", "=~(a"),
        ].join("\n"), @r#"
        a zabbix trigger cannot look at "alertname"
        a zabbix trigger cannot look at "tag."
        "hgih" is no severity of Zabbix; there are: not_classified, information, warning, average, high, disaster
        "High" is no severity of Zabbix; there are: not_classified, information, warning, average, high, disaster
        ">=prod" compares, and only "severity" has an order
        "(a" is not a regular expression: unclosed group
        "#);
    }
}
