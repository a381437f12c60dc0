//! How a write ended, in the words of the journal; and one patient wait where a provider limits and says for how long.
//! Called by the record action and by the resources'.

use super::port::Written;
use crate::kernel::domain::{CallEnd, Span};
use crate::kernel::port::Ctx;
use serde_json::json;

/// Codes of the ends that are no success.
pub struct Codes {
    pub refused: &'static str,
    pub not_sent: &'static str,
    pub doubt: &'static str,
    pub limited: &'static str,
}

/// It takes no requests for that long; nothing was changed.
pub type Limited = (Option<Span>, String);

impl Codes {
    /// `window`: from the look right before until now, where the remote does not compare: what somebody else wrote in
    /// there is lost, and nothing at the remote can tell.
    pub fn end(&self, written: Written, window: Option<Span>) -> Result<CallEnd, Limited> {
        Ok(match written {
            Written::Done(mut detail) => {
                if let Some(window) = window {
                    detail["window_ms"] = json!(window.as_duration().as_millis() as u64);
                }
                CallEnd::applied(detail)
            }
            Written::Refused { says } => CallEnd::rejected(false, format!("{}: {says}", self.refused)),
            Written::Limited { after, says } => return Err((after, says)),
            Written::NotSent { retry, says } => {
                CallEnd::rejected(retry, format!("{}: nothing was sent: {says}", self.not_sent))
            }
            Written::Doubt(says) => CallEnd::indeterminate(format!("{}: {says}", self.doubt)),
        })
    }

    /// The provider named the time: waits for it once, if there is as much, and begins again with a new look.
    pub async fn patiently<F>(&self, ctx: &Ctx, call: Span, write: impl Fn() -> F) -> CallEnd
    where
        F: Future<Output = Result<CallEnd, Limited>>,
    {
        let (wait, says) = match write().await {
            Ok(end) => return end,
            Err(limited) => limited,
        };
        let wait = wait.filter(|wait| wait.0 + call.0 <= ctx.left().0);
        let again = match wait {
            Some(wait) if ctx.sleep(wait).await => write().await,
            _ => Err((None, says)),
        };
        again.unwrap_or_else(|(_, says)| CallEnd::rejected(true, format!("{}: {says}", self.limited)))
    }
}
