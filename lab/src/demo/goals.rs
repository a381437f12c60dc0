//! What has to be observed for the demo to have shown what it claims. Eyes fill it in; the end reads it.

use serde_json::Value;

use super::screen::{Screen, Tone};

/// Where the public name is asked.
pub const PLACES: [&str; 3] = ["primary", "secondary", "resolver"];

#[derive(Debug, Default)]
pub struct Goals {
    /// The alert, as Pointsman opened it.
    pub alert: Option<i64>,
    pub run: Option<String>,
    /// Guards that the plan found to hold, by name, of how many there are.
    pub guards: (usize, usize),
    pub planned: bool,
    /// Highest rung of the fence whose call ended as applied.
    pub fence_rung: Option<String>,
    /// Promotions that ended as applied.
    pub promotions: usize,
    /// The supervisor wanted to start the old primary, and the mask refused.
    pub refused: Option<i64>,
    /// The first order of the other region that was acknowledged after the primary was gone.
    pub served: Option<i64>,
    /// When the public name had the new address at each of [`PLACES`].
    pub names: [Option<i64>; 3],
    /// Body of the record that ended the run.
    pub finished: Option<(i64, Value)>,
    /// A person is wanted.
    pub asked: Option<i64>,
}

impl Goals {
    fn outcome(&self) -> &str {
        self.finished.as_ref().and_then(|(_, body)| body["outcome"].as_str()).unwrap_or("not finished")
    }

    /// Everything that only the story itself can show.
    pub fn story_is_over(&self) -> bool {
        self.finished.is_some()
            && self.refused.is_some()
            && self.served.is_some()
            && self.names.iter().all(Option::is_some)
    }

    fn of_the_story(&self, told_by: &str) -> Vec<(String, bool)> {
        let (held, of) = self.guards;
        let mut list = vec![
            (format!("the alert came from {told_by}"), self.alert.is_some()),
            ("a run opened for it".to_owned(), self.run.is_some()),
            (format!("all {of} guards held"), of > 0 && held == of),
            ("the plan was made before anything changed".to_owned(), self.planned),
            ("the fence reached the rung stopped".to_owned(), self.fence_rung.as_deref() == Some("stopped")),
            ("the standby was promoted exactly once".to_owned(), self.promotions == 1),
            ("the application wrote again in the other region".to_owned(), self.served.is_some()),
            ("the old primary's supervisor was refused by the mask".to_owned(), self.refused.is_some()),
        ];
        let places = PLACES.iter().zip(&self.names);
        list.extend(places.map(|(place, at)| (format!("the name moved, seen at the {place}"), at.is_some())));
        list.push((format!("the run succeeded (it is: {})", self.outcome()), self.outcome() == "succeeded"));
        list
    }

    /// Says what was observed, or names what was not.
    pub fn report(&self, screen: &Screen, accounts: Vec<(String, bool)>, told_by: &str) -> bool {
        let all: Vec<(String, bool)> = self.of_the_story(told_by).into_iter().chain(accounts).collect();
        report(screen, &all)
    }
}

/// Prints the verdict over a list of claims.
pub fn report(screen: &Screen, claims: &[(String, bool)]) -> bool {
    let missing: Vec<&str> =
        claims.iter().filter(|(_, seen)| !seen).map(|(claim, _)| claim.as_str()).collect();
    screen.gap();
    if missing.is_empty() {
        let words = format!("All {} things that this demo claims were observed.", claims.len());
        screen.plain(&screen.paint("32;1", &words));
        return true;
    }
    let words = format!("NOT all was observed: {} of {} claims are missing.", missing.len(), claims.len());
    screen.plain(&screen.paint("31;1", &words));
    for claim in missing {
        screen.row("missing", claim);
    }
    false
}

/// The tone of something that is good when it holds.
pub fn tone_of(good: bool) -> Tone {
    if good { Tone::Good } else { Tone::Bad }
}
