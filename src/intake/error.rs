//! Why a body was not understood. `http` answers 400 (413 for too large) with this text, which the sender writes into
//! its own log: it says what is wrong and where, and is short whatever the body holds.

/// Nothing of such a body is taken: a sender that gets no 2xx sends it again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    #[error(
        "PM1301: the body has {bytes} bytes; at most {limit} are taken. Group more finely in Alertmanager (group_by)"
    )]
    TooLarge { bytes: usize, limit: usize },
    #[error("PM1302: the body is not JSON: {why}")]
    NotJson { why: String },
    #[error("PM1303: the body is not an Alertmanager webhook of version 4: {why}. Remove a custom payload")]
    WrongShape { why: String },
    #[error(
        "PM1304: the body holds {alerts} alerts; at most {limit} are taken. Group more finely in Alertmanager (group_by)"
    )]
    TooMany { alerts: usize, limit: usize },
    #[error("PM1305: alert {index} (counted from 1) cannot be taken: {why}")]
    BadAlert { index: usize, why: String },
    #[error("PM1306: the body is not of Pointsman's media type nor of a connector of events: {why}")]
    NotZabbix { why: String },
    #[error("PM1308: the body cannot be read as its source is described: {place}: {why}")]
    Unmapped { place: String, why: String },
    #[error("PM1309: the request is not a CloudEvent: {why}")]
    NotAnEvent { why: String },
    #[error("PM1307: this version cannot read bodies of the format {format:?}")]
    UnknownFormat { format: String },
}

impl IntakeError {
    /// The stable code, for metrics and documentation.
    pub fn code(&self) -> &'static str {
        match self {
            IntakeError::TooLarge { .. } => "PM1301",
            IntakeError::NotJson { .. } => "PM1302",
            IntakeError::WrongShape { .. } => "PM1303",
            IntakeError::TooMany { .. } => "PM1304",
            IntakeError::BadAlert { .. } => "PM1305",
            IntakeError::NotZabbix { .. } => "PM1306",
            IntakeError::UnknownFormat { .. } => "PM1307",
            IntakeError::Unmapped { .. } => "PM1308",
            IntakeError::NotAnEvent { .. } => "PM1309",
        }
    }
}
