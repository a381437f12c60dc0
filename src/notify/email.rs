//! E-mail over SMTP: one conversation for each run, plain text, and no link that acts.

use super::{Channel, Delivery, Notice};
use crate::config::{Email, EmailTls};
use futures_util::future::BoxFuture;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use std::time::Duration;

/// For each step of the conversation; the outbox bounds the whole.
const STEP: Duration = Duration::from_secs(8);

pub struct Mailer(Email);

/// Machines do not answer a machine.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }
    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(AutoSubmitted)
    }
    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Mailer {
    pub fn new(email: Email) -> Mailer {
        Mailer(email)
    }

    /// Ids are made of the notice's, so that a mail that comes twice is known as one.
    fn message(&self, notice: &Notice) -> Result<Message, String> {
        let from: Mailbox = self.0.from.parse().map_err(|e| format!("from: {e}"))?;
        let domain = from.email.domain().to_owned();
        let thread = format!("<{}@{domain}>", notice.thread);
        let mut message = Message::builder()
            .from(from)
            .message_id(Some(format!("<{}@{domain}>", notice.id)))
            .in_reply_to(thread.clone())
            .references(thread)
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN)
            .subject(format!("{}{}", if notice.pages() { "[PAGE] " } else { "" }, notice.title));
        for to in &self.0.to {
            message = message.to(to.parse().map_err(|e| format!("to: {e}"))?);
        }
        message.body(notice.body()).map_err(|e| e.to_string())
    }

    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
        let Email { smtp, tls, ca, user, password, .. } = &self.0;
        let (host, port) = smtp.rsplit_once(':').ok_or("\"smtp\" is not host:port")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let encryption = match tls {
            EmailTls::None => Tls::None,
            EmailTls::Starttls => Tls::Required(parameters(host, ca.as_deref())?),
            EmailTls::Tls => Tls::Wrapper(parameters(host, ca.as_deref())?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(port.parse().map_err(|_| "\"smtp\" is not host:port")?)
            .tls(encryption)
            .timeout(Some(STEP));
        if let Some((user, password)) = user.as_ref().zip(password.as_ref()) {
            let password = password.read().map_err(|e| e.to_string())?;
            builder = builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
        }
        Ok(builder.build())
    }
}

fn parameters(host: &str, ca: Option<&std::path::Path>) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(ca) = ca {
        let pem = std::fs::read(ca).map_err(|e| format!("{}: {e}", ca.display()))?;
        let certificate = Certificate::from_pem(&pem).map_err(|e| format!("{}: {e}", ca.display()))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|e| e.to_string())
}

impl Channel for Mailer {
    fn deliver<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let message = match self.message(notice) {
                Ok(message) => message,
                Err(says) => return Delivery::Refused(says),
            };
            let transport = match self.transport() {
                Ok(transport) => transport,
                Err(says) => return Delivery::unreachable(says),
            };
            match transport.send(message).await {
                Ok(_) => Delivery::Done,
                Err(error) => judged(&error),
            }
        })
    }
}

/// Only a refusal of the text itself is final. Of sender, recipients or password: people mend that.
fn judged(error: &lettre::transport::smtp::Error) -> Delivery {
    let code = error.status().map(|code| code.to_string());
    let says = super::plain::plain(&crate::provider::http::words(error));
    match code.as_deref() {
        Some("552" | "554" | "500" | "501") => Delivery::Refused(says),
        Some(_) => Delivery::Failed { says, after: None, answered: true },
        None => Delivery::unreachable(says),
    }
}
