//! Every answer that Zabbix gives, over a modelled API.

use super::super::memory::ProbeMemory;
use super::super::port::{Failed, Layer, Pinged, Reply};
use super::*;
use crate::kernel::domain::Name;
use futures_util::future::{BoxFuture, FutureExt as _};
use std::sync::Mutex;

/// Answers each question in turn, and keeps what was asked.
struct Api {
    answers: Mutex<Vec<Result<Reply, Failed>>>,
    asked: Mutex<Vec<Value>>,
    memory: ProbeMemory,
}

impl Port for Api {
    fn get<'a>(&'a self, get: &'a Get, _within: Span) -> BoxFuture<'a, Result<Reply, Failed>> {
        self.asked.lock().unwrap().push(serde_json::from_str(get.question.as_ref().unwrap()).unwrap());
        assert!(matches!(&get.auth, Some(Auth::Bearer(_))));
        let answer = self.answers.lock().unwrap().remove(0);
        async move { answer }.boxed()
    }
    fn tcp<'a>(&'a self, _address: &'a str, _within: Span) -> BoxFuture<'a, Result<(), Failed>> {
        async { Ok(()) }.boxed()
    }
    fn sql_ping<'a>(&'a self, _target: &'a Name, _within: Span) -> BoxFuture<'a, Pinged> {
        async { Pinged::Up }.boxed()
    }
    fn memory(&self) -> &ProbeMemory {
        &self.memory
    }
}

fn reply(body: Value) -> Result<Reply, Failed> {
    Ok(Reply { status: 200, body: body.to_string() })
}

fn result(events: Value) -> Result<Reply, Failed> {
    reply(json!({ "jsonrpc": "2.0", "result": events, "id": 1 }))
}

async fn asked(
    answers: Vec<Result<Reply, Failed>>,
    labels: &[(&str, &str)],
) -> (Result<Standing, String>, Vec<Value>) {
    let api = Api { answers: Mutex::new(answers), asked: Mutex::default(), memory: ProbeMemory::new() };
    let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let (token, urls) = (Secret::new("token"), ["http://z.test/api_jsonrpc.php".to_owned()]);
    let asked = Asked { port: &api, urls: &urls, token: Some(&token), within: Span::secs(1) };
    let standing = asked.standing(&labels).await;
    assert!(api.answers.lock().unwrap().is_empty(), "every answer was asked for");
    (standing, api.asked.into_inner().unwrap())
}

const EVENT: [(&str, &str); 2] = [("event_id", "10"), ("tag.cluster", "shop")];

fn problem(r_eventid: &str, suppressed: &str) -> Value {
    json!({ "eventid": "10", "r_eventid": r_eventid, "suppressed": suppressed })
}

#[tokio::test]
async fn a_problem_stands_is_suppressed_or_is_over() {
    let cases = [
        (json!([problem("0", "0")]), Standing::Firing),
        (json!([problem("0", "1")]), Standing::Suppressed),
        (json!([problem("11", "0")]), Standing::Resolved),
        (json!([problem("11", "1")]), Standing::Resolved),
    ];
    for (events, wanted) in cases {
        let (standing, questions) = asked(vec![result(events)], &EVENT).await;
        assert_eq!(standing, Ok(wanted));
        assert_eq!(questions[0]["params"]["eventids"], json!(["10"]));
    }
}

#[tokio::test]
async fn what_the_token_may_not_read_is_not_over() {
    let event = json!([{ "eventid": "10", "r_eventid": "11" }]);
    let (over, questions) = asked(vec![result(json!([])), result(event)], &EVENT).await;
    assert_eq!((over, &questions[1]["method"]), (Ok(Standing::Resolved), &json!("event.get")));
    let open = json!([{ "eventid": "10", "r_eventid": "0" }]);
    let (odd, _) = asked(vec![result(json!([])), result(open)], &EVENT).await;
    assert!(odd.unwrap_err().contains("contradict"));
    let (unseen, _) = asked(vec![result(json!([])), result(json!([]))], &EVENT).await;
    assert!(unseen.unwrap_err().contains("may not read"));
}

#[tokio::test]
async fn older_servers_get_the_token_as_they_want_it() {
    let refused = || {
        reply(json!({ "error": { "code": -32602, "message": "Invalid params.", "data": "Not authorised." } }))
    };
    let (standing, questions) = asked(vec![refused(), result(json!([problem("0", "0")]))], &EVENT).await;
    assert_eq!(standing, Ok(Standing::Firing));
    assert_eq!((questions[0].get("auth"), questions[1]["auth"].as_str()), (None, Some("token")));
    let (standing, _) = asked(vec![refused(), refused()], &EVENT).await;
    let says = standing.unwrap_err();
    assert!(says.contains("Not authorised.") && !says.contains("token"), "{says}");
}

#[tokio::test]
async fn without_an_event_the_tags_are_asked_for() {
    let labels = [("tag.cluster", "shop\nbilling"), ("severity", "high")];
    let two = json!([problem("0", "0"), problem("0", "1")]);
    let (standing, questions) = asked(vec![result(two)], &labels).await;
    assert_eq!(standing, Ok(Standing::Suppressed), "one that is suppressed counts most");
    assert_eq!(questions[0]["params"]["tags"].as_array().unwrap().len(), 2);
    assert_eq!(asked(vec![result(json!([]))], &labels).await.0, Ok(Standing::Absent));
    for vague in [&[("severity", "high")][..], &[(TAGS_UNKNOWN, "yes"), ("tag.a", "b")]] {
        assert!(asked(vec![], vague).await.0.is_err(), "{vague:?}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_not_known() {
    let odd = [
        Ok(Reply { status: 502, body: String::new() }),
        Ok(Reply { status: 200, body: "<html>".into() }),
        reply(json!({ "jsonrpc": "2.0", "id": 1 })),
        reply(json!({ "result": true })),
        Err(Failed { layer: Layer::Tcp, says: "refused".into() }),
    ];
    for answer in odd {
        assert!(asked(vec![answer.clone()], &EVENT).await.0.is_err(), "{answer:?}");
    }
}

/// At two addresses of the same Zabbix; each answer belongs to one question, in turn.
async fn left(answers: Vec<Result<Reply, Failed>>) -> (Result<Left, Trouble>, Vec<String>) {
    let api = Api { answers: Mutex::new(answers), asked: Mutex::default(), memory: ProbeMemory::new() };
    let urls = ["http://z1.test/api_jsonrpc.php".to_owned(), "http://z2.test/api_jsonrpc.php".to_owned()];
    let token = Secret::new("token");
    let asked = Asked { port: &api, urls: &urls, token: Some(&token), within: Span::secs(1) };
    let word = Word {
        mark: "run A opened".into(),
        text: "Pointsman: run A opened for shop".into(),
        acknowledge: true,
    };
    let left = leave(&asked, "10", &word).await;
    assert!(api.answers.lock().unwrap().is_empty(), "every answer was asked for");
    let asked = api.asked.into_inner().unwrap();
    (left, asked.iter().map(|question| question["method"].as_str().unwrap().to_owned()).collect())
}

fn said(messages: &[&str]) -> Result<Reply, Failed> {
    let all: Vec<Value> = messages.iter().map(|message| json!({ "message": message })).collect();
    result(json!([{ "eventid": "10", "acknowledges": all }]))
}

fn lost(layer: Layer) -> Result<Reply, Failed> {
    Err(Failed { layer, says: "gone".into() })
}

#[tokio::test]
async fn a_word_is_looked_for_before_it_is_said() {
    let done = || result(json!({ "eventids": ["10"] }));
    let (now, asked) = left(vec![said(&["hm", "Pointsman: run B opened"]), done()]).await;
    assert_eq!((now, asked), (Ok(Left::Now), vec!["event.get".to_owned(), "event.acknowledge".into()]));
    let (before, asked) = left(vec![said(&["Pointsman: run A opened for shop"])]).await;
    assert_eq!((before, asked.len()), (Ok(Left::Before), 1), "it stands there: nothing is written");
    assert_eq!(left(vec![result(json!([]))]).await.0, Ok(Left::NotShown));
    // Newer ones know the list by another name; one that tells it by none is not written to.
    let nameless = || result(json!([{ "eventid": "10" }]));
    assert_eq!(left(vec![nameless(), said(&[]), done()]).await.0, Ok(Left::Now));
    let (unknown, asked) = left(vec![nameless(), nameless()]).await;
    assert!(matches!(unknown, Err(Trouble::Refused(_))) && !asked.contains(&"event.acknowledge".to_owned()));
}

#[tokio::test]
async fn a_word_that_may_have_been_heard_is_not_said_at_the_next_address() {
    let done = || result(json!({ "eventids": ["10"] }));
    let (now, asked) = left(vec![lost(Layer::Http), said(&[]), lost(Layer::Tcp), done()]).await;
    assert_eq!((now, asked.len()), (Ok(Left::Now), 4), "a question goes on, and what nobody heard");
    let (doubt, asked) = left(vec![said(&[]), lost(Layer::Http)]).await;
    assert!(matches!(doubt, Err(Trouble::Lost(_))), "{doubt:?}");
    assert_eq!(asked.last().unwrap(), "event.acknowledge");
    assert!(matches!(left(vec![lost(Layer::Tcp), lost(Layer::Dns)]).await.0, Err(Trouble::Away(_))));
}

#[tokio::test]
async fn all_pages_are_read_and_an_end_is_what_its_event_says() {
    let page = |from: u64, count: u64| {
        let one = |id: u64| json!({ "eventid": id.to_string(), "severity": "5", "suppressed": "0" });
        result((from..from + count).map(one).collect())
    };
    let event = |id: &str, ended: Value| json!({ "eventid": id, "r_eventid": ended });
    let events = json!([event("1", json!("0")), event("2", json!("9")), event("3", json!(""))]);
    let answers = vec![page(1, 1_000), page(1_001, 2), result(events)];
    let api = Api { answers: Mutex::new(answers), asked: Mutex::default(), memory: ProbeMemory::new() };
    let (token, urls) = (Secret::new("token"), ["http://z.test/api_jsonrpc.php".to_owned()]);
    let asked = Asked { port: &api, urls: &urls, token: Some(&token), within: Span::secs(1) };
    let listing = open_problems(&asked).await.unwrap();
    assert_eq!((listing.problems.len(), listing.cut), (1_002, false));
    let wanted: Vec<String> = ["1", "2", "3", "4"].map(str::to_owned).to_vec();
    let details = details(&asked, &wanted).await.unwrap();
    assert_eq!((details.standing.len(), details.over), (2, vec![("2".to_owned(), "9".to_owned())]));
    let questions = api.asked.into_inner().unwrap();
    assert_eq!(questions[1]["params"]["eventid_from"], "1001");
}
