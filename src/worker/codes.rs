//! A code to sign in with, sent to the person whose it is. The sign-in page leaves a wish here and answers the same to everybody
//! at once: who is known, and how they are reached, is for nobody to find out.

use super::App;
use crate::config::{Carrier, Reach};
use crate::kernel::domain::{Name, Secret, Span};
use crate::notify::{Delivery, Notice, open_personal};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const WAITING: usize = 64;
const AT_ONCE: usize = 16;
/// A person stands at the door: what does not arrive soon is asked for again.
const TRIES: u32 = 4;
const PAUSE: Span = Span::secs(2);
const PATIENCE: Duration = Duration::from_secs(15);

/// Somebody wants this person to get a code.
#[derive(Clone, Debug)]
pub struct Wish {
    pub person: Name,
    pub by: Carrier,
    /// The address of who asks.
    pub from: String,
}

pub struct Wishes {
    to: mpsc::Sender<Wish>,
    from: Mutex<Option<mpsc::Receiver<Wish>>>,
}

impl Default for Wishes {
    fn default() -> Self {
        let (to, from) = mpsc::channel(WAITING);
        Wishes { to, from: Mutex::new(Some(from)) }
    }
}

impl App {
    /// False: too many, from there or altogether.
    pub fn wish_for_code(&self, wish: Wish) -> bool {
        self.doors.wishes.try_once(&wish.from, self.world.now()) && self.wishes.to.try_send(wish).is_ok()
    }
}

/// `serve` runs it until `stop`.
pub async fn send_codes(app: Arc<App>, stop: CancellationToken) {
    let taken = app.wishes.from.lock().expect("invariant: no panic while holding the lock").take();
    let Some(mut wishes) = taken else { return };
    let mut tasks = JoinSet::new();
    loop {
        let wish = tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            wish = wishes.recv(), if tasks.len() < AT_ONCE => wish,
        };
        let Some(wish) = wish else { return };
        let app = app.clone();
        tasks.spawn(async move {
            if let Err(why) = app.send_code(&wish).await {
                tracing::warn!(person = %wish.person, from = %wish.from, %why, "a code was asked for, and none was sent");
            }
        });
    }
}

impl App {
    async fn send_code(&self, wish: &Wish) -> Result<(), String> {
        let person = self.config.people.get(&wish.person).ok_or("there is no such person")?;
        let reach = self.config.reach(person).into_iter().find(|reach| reach.carrier() == wish.by);
        let reach = reach.ok_or_else(|| format!("they are not reached by {}", wish.by.as_str()))?;
        if !self.doors.sent.try_once(wish.person.as_str(), self.world.now()) {
            return Err("they were sent many lately".to_owned());
        }
        let code = self.store.make_code(&wish.person, self.world.now()).await.map_err(|e| e.to_string())?;
        self.deliver_code(wish, &reach, &code).await?;
        tracing::info!(person = %wish.person, from = %wish.from, by = wish.by.as_str(), "a code to sign in was sent");
        Ok(())
    }

    async fn deliver_code(&self, wish: &Wish, reach: &Reach, code: &Secret) -> Result<(), String> {
        let notice = self.with_code(wish, code);
        let channel = open_personal(reach, &self.tools());
        let mut last = String::new();
        for n in 0..TRIES {
            if n > 0 {
                self.world.sleep_until(self.world.now() + PAUSE).await;
            }
            let tried = tokio::time::timeout(PATIENCE, channel.deliver(&notice)).await;
            match tried.unwrap_or_else(|_| Delivery::unreachable("it did not answer in time")) {
                Delivery::Done => return Ok(()),
                Delivery::Refused(says) => return Err(says),
                Delivery::Failed { says, .. } => last = says,
            }
        }
        Err(last)
    }

    fn with_code(&self, wish: &Wish, code: &Secret) -> Notice {
        let id = format!("code-{:016x}", self.world.random());
        let at = self.config.web.url.as_deref().and_then(|url| url.split_once("://"));
        let at = at.map_or_else(|| "Pointsman".to_owned(), |(_, at)| format!("Pointsman at {at}"));
        let lines = vec![
            format!("Code: {}", code.expose()),
            format!("To sign in to {at}, as {}. Good for ten minutes, and for one time.", wish.person),
            format!(
                "It was asked for from {}. If that was not you, do nothing, and give it to nobody.",
                wish.from
            ),
        ];
        Notice::by_itself(id, self.world.now(), "Your code to sign in to Pointsman".to_owned(), lines)
    }
}
