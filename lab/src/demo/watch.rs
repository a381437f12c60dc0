//! The eyes that are not Pointsman's: the application's log of orders, the supervisor's log, and the public name
//! at both authoritative servers and through the resolver. They end when the story does.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::event::{Kill, Line, now_micros};
use super::goals::PLACES;
use super::screen::Tone;
use super::stage::Stage;
use crate::dns::ZONE;
use crate::pointsman::Record;
use crate::{Site, orders};

/// What an eye reports.
pub enum Sight {
    Record(Box<Record>),
    Served(i64, Line),
    Refused(i64, Line),
    Name(usize, i64, Line),
    Else(Line),
}

type To = UnboundedSender<Sight>;

/// The journal, followed again whenever the stream ends.
pub async fn journal(stage: &Stage, mut from: u64, to: To) {
    loop {
        if let Ok(mut follower) = stage.pointsman.client.follow(from).await {
            while let Ok(Some(record)) = follower.next().await {
                from = record.position + 1;
                let _ = to.send(Sight::Record(Box::new(record)));
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The first order that the shop in sbg got acknowledged by its own region's database after the primary was gone.
/// One that an old primary took when it came back is no recovery.
pub async fn orders(stage: &Stage, kill: &Kill, to: To) {
    let shop = stage.lab.apps().at(Site::Sbg);
    let wanted = Site::Sbg.postgres().to_string();
    let mut since = kill.gone;
    loop {
        let all = orders::acknowledged(stage.lab.apps()).unwrap_or_default();
        let first = all.iter().find(|order| order.acked_at_micros > since && order.site == Site::Sbg.name());
        if let Some(order) = first {
            let at = order.acked_at_micros;
            if shop.livez().await.is_ok_and(|facts| facts["database_host"] == wanted.as_str()) {
                let words = format!(
                    "the shop in sbg wrote its first order, {:.3} s after the kill",
                    kill.seconds(at)
                );
                let _ = to.send(Sight::Served(at, Line::new(at, "SERVED", words).tone(Tone::Good)));
                return std::future::pending().await;
            }
            since = at;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What the supervisor of the old primary does.
pub async fn supervisor(stage: &Stage, kill: &Kill, to: To) {
    let mut told = 0;
    loop {
        let lines = stage.lab.postgres().supervisor_log(Site::Gra).unwrap_or_default();
        let new: Vec<_> =
            lines.iter().filter(|line| (line.at * 1e6) as i64 >= kill.sent).skip(told).collect();
        told += new.len();
        for line in new {
            let at = (line.at * 1e6) as i64;
            let words = format!("supervisor of the old primary: {}", line.text);
            let line_out = Line::new(at, "machine", words);
            let _ = to.send(match line.text.starts_with("refused") {
                true => Sight::Refused(at, line_out.tone(Tone::Good)),
                false => Sight::Else(line_out),
            });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The public name, until it has the new address everywhere.
pub async fn names(stage: &Stage, to: To) {
    let (dns, resolver) = (stage.lab.dns(), stage.lab.resolver());
    let wanted = vec![Site::Sbg.app(0).to_string()];
    let mut moved = [false; 3];
    while moved.contains(&false) {
        for (n, place) in PLACES.iter().enumerate().filter(|(n, _)| !moved[*n]).collect::<Vec<_>>() {
            let seen = match n {
                0 => dns.values(dns.primary, ZONE, "A").await,
                1 => dns.values(dns.secondary, ZONE, "A").await,
                _ => resolver.lookup(ZONE, "A").await,
            };
            moved[n] = seen.is_ok_and(|values| values == wanted);
            if moved[n] {
                let at = now_micros();
                let words = format!("{ZONE} is {} at the {place}", wanted[0]);
                let _ = to.send(Sight::Name(n, at, Line::new(at, "dns", words).tone(Tone::Good)));
            }
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    std::future::pending().await
}
