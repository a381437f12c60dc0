//! Zabbix' API as the configuration names it, for whoever asks it outside of a run: the words that are written back, the look for
//! what was never told, readiness.

use super::App;
use crate::config::Source;
use crate::kernel::domain::{Secret, Span};
use crate::provider::http::zabbix::{Asked, Trouble};

/// For one question.
const ASK: Span = Span::secs(5);

pub fn zabbix_token(source: &Source) -> Result<Option<Secret>, Trouble> {
    source.bearer.as_ref().map(|secret| secret.read()).transpose().map_err(|e| Trouble::Away(e.to_string()))
}

pub fn zabbix_of<'a>(app: &'a App, source: &'a Source, token: Option<&'a Secret>) -> Asked<'a> {
    Asked { port: app.registry.ports.http.as_ref(), urls: &source.zabbix, token, within: ASK }
}
