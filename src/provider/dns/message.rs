//! DNS messages, built and read. Pure: bytes and values, no sockets. Only `wire` calls it.

use super::port::{NoAnswer, Update, Updated};
use super::rrset::{Question, RrSet, RrType};
use hickory_proto::op::update_message::UpdateMessage;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

pub(super) fn name(text: &str) -> Result<Name, String> {
    let mut name = Name::from_ascii(text).map_err(|e| format!("{text:?} is not a domain name: {e}"))?;
    name.set_fqdn(true);
    Ok(name)
}

pub(super) fn wire_type(kind: RrType) -> RecordType {
    match kind {
        RrType::A => RecordType::A,
        RrType::Aaaa => RecordType::AAAA,
        RrType::Cname => RecordType::CNAME,
        RrType::Txt => RecordType::TXT,
    }
}

/// Asks a server for what it holds itself: no recursion.
pub(super) fn query(owner: &Name, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = false;
    message.add_query(Query::query(owner.clone(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    message.set_edns(edns);
    message
}

/// Asks a resolver to find the answer, or to give the one that it keeps.
pub(super) fn recursive(owner: &Name, kind: RrType) -> Message {
    let mut message = query(owner, wire_type(kind));
    message.metadata.recursion_desired = true;
    message
}

/// "This zone has changed" (RFC 1996).
pub(super) fn notify(zone: &str) -> Result<Message, String> {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Notify;
    message.metadata.recursion_desired = false;
    message.metadata.authoritative = true;
    message.add_query(Query::query(name(zone)?, RecordType::SOA));
    Ok(message)
}

/// The conditional update of RFC 2136: every old set exactly as it was seen, every new one whole.
pub(super) fn update(zone: &str, update: &Update) -> Result<Message, String> {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Update;
    message.metadata.recursion_desired = false;
    message.add_zone(Query::query(name(zone)?, RecordType::SOA));
    for set in &update.before {
        if set.exists() {
            // A whole RRset must match; in prerequisites the TTL is zero and does not count.
            message.add_pre_requisites(records(set, 0)?);
        } else {
            message.add_pre_requisite(absent(&set.name, wire_type(set.r#type))?);
        }
    }
    for set in &update.after {
        // An alias beside other data is not written by the server, silently: make it say no instead.
        let rivals: &[RrType] = if set.r#type == RrType::Cname {
            &[RrType::A, RrType::Aaaa, RrType::Txt]
        } else {
            &[RrType::Cname]
        };
        for rival in rivals {
            let rival = Question { name: set.name.clone(), r#type: *rival };
            if !update.before.iter().any(|old| old.question() == rival) {
                message.add_pre_requisite(absent(&rival.name, wire_type(rival.r#type))?);
            }
        }
    }
    for set in &update.after {
        let mut delete = Record::update0(name(&set.name)?, 0, wire_type(set.r#type));
        delete.dns_class = DNSClass::ANY;
        message.add_update(delete);
        message.add_updates(records(set, set.ttl.unwrap_or(0))?);
    }
    Ok(message)
}

/// An update that finds nothing to do: each set exactly as it was seen, and one value less of it that it does not have.
/// Servers judge key, name and type as for any other.
pub(super) fn rehearsal(zone: &str, held: &[RrSet]) -> Result<Message, String> {
    let mut message = update(zone, &Update { before: held.to_vec(), after: vec![] })?;
    for set in held {
        let value = nobodys(set.r#type);
        if set.values.iter().any(|held| held == value) {
            return Err(format!("{set} holds the value that the question is asked with"));
        }
        let mut delete = Record::from_rdata(name(&set.name)?, 0, rdata(set.r#type, value)?);
        delete.dns_class = DNSClass::NONE;
        message.add_update(delete);
    }
    Ok(message)
}

/// In normal form.
fn nobodys(kind: RrType) -> &'static str {
    match kind {
        RrType::A => "0.0.0.0",
        RrType::Aaaa => "::",
        RrType::Cname => "pointsman-rehearsal.invalid.",
        RrType::Txt => "pointsman rehearsal",
    }
}

fn absent(owner: &str, kind: RecordType) -> Result<Record, String> {
    let mut record = Record::update0(name(owner)?, 0, kind);
    record.dns_class = DNSClass::NONE;
    Ok(record)
}

fn records(set: &RrSet, ttl: u32) -> Result<Vec<Record>, String> {
    let owner = name(&set.name)?;
    let one = |value: &String| Ok(Record::from_rdata(owner.clone(), ttl, rdata(set.r#type, value)?));
    set.values.iter().map(one).collect()
}

fn rdata(kind: RrType, value: &str) -> Result<RData, String> {
    let value = kind.normal(value)?;
    let bad = |_| format!("{value:?} is not an address");
    Ok(match kind {
        RrType::A => RData::A(A(value.parse().map_err(bad)?)),
        RrType::Aaaa => RData::AAAA(AAAA(value.parse().map_err(bad)?)),
        RrType::Cname => RData::CNAME(CNAME(name(&value)?)),
        RrType::Txt => RData::TXT(TXT::new(vec![value])),
    })
}

/// A record of a type we know, as name, type and text. `None`: another type.
fn text(record: &Record) -> Option<(RrType, String)> {
    Some(match &record.data {
        RData::A(a) => (RrType::A, a.0.to_string()),
        RData::AAAA(a) => (RrType::Aaaa, a.0.to_string()),
        RData::CNAME(c) => (RrType::Cname, owner(&c.0)),
        RData::TXT(t) => {
            let parts = t.txt_data.iter().map(|part| String::from_utf8_lossy(part).into_owned());
            // Several strings are kept apart: joined they would look like a set that we could have written.
            (RrType::Txt, parts.collect::<Vec<_>>().join("\" \""))
        }
        _ => return None,
    })
}

fn owner(name: &Name) -> String {
    let text = name.to_lowercase().to_ascii();
    if text.ends_with('.') { text } else { format!("{text}.") }
}

/// Whether `reply` answers `asked` at all; anything else on the socket is ignored.
pub(super) fn answers(reply: &Message, asked: &Message) -> bool {
    reply.id == asked.id && reply.message_type == MessageType::Response && reply.queries == asked.queries
}

/// The server knows an answer, or that there is none.
pub(super) fn answered(reply: &Message) -> Result<(), NoAnswer> {
    if !matches!(reply.response_code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return Err(NoAnswer { layer: "dns", says: format!("it answered {}", rcode(reply.response_code)) });
    }
    Ok(())
}

/// A reply usable as this server's own word.
pub(super) fn authoritative(reply: &Message) -> Result<(), NoAnswer> {
    answered(reply)?;
    if !reply.authoritative {
        return Err(NoAnswer { layer: "dns", says: "its answer is not authoritative for the zone".into() });
    }
    Ok(())
}

/// What the reply says about one question, and whether the name is an alias.
pub(super) fn read_set(reply: &Message, question: &Question) -> (RrSet, bool) {
    let of_name = reply.answers.iter().filter(|record| owner(&record.name) == question.name);
    let known: Vec<(RrType, String, u32)> =
        of_name.filter_map(|record| text(record).map(|(kind, value)| (kind, value, record.ttl))).collect();
    let alias = known.iter().any(|(kind, ..)| *kind == RrType::Cname);
    let of_type: Vec<_> = known.into_iter().filter(|(kind, ..)| *kind == question.r#type).collect();
    let set = match of_type.iter().map(|(.., ttl)| *ttl).min() {
        Some(ttl) => RrSet::new(question, ttl, of_type.into_iter().map(|(_, value, _)| value).collect()),
        None => RrSet::absent(question),
    };
    (set, alias)
}

/// What a resolver gives. Of what does not exist the TTL is how long it remembers that (RFC 2308), where it says so.
pub(super) fn read_cached(reply: &Message, question: &Question) -> Result<RrSet, NoAnswer> {
    answered(reply)?;
    if !reply.recursion_available {
        return Err(NoAnswer { layer: "dns", says: "it is no resolver: it offers no recursion".into() });
    }
    let (mut set, _) = read_set(reply, question);
    if !set.exists() {
        let negative = reply.authorities.iter().find_map(|record| match &record.data {
            RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
            _ => None,
        });
        set.ttl = negative;
    }
    Ok(set)
}

/// Serial and negative TTL out of the answer to an SOA question.
pub(super) fn read_soa(reply: &Message) -> Result<(u32, u32), NoAnswer> {
    let soa = reply.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some((soa.serial, record.ttl.min(soa.minimum))),
        _ => None,
    });
    soa.ok_or_else(|| NoAnswer { layer: "dns", says: "it does not serve the zone: no SOA".into() })
}

/// The sets in the messages of one zone transfer.
pub(super) fn read_zone(messages: &[Message]) -> Vec<RrSet> {
    let mut sets = std::collections::BTreeMap::<Question, (u32, Vec<String>)>::new();
    for record in messages.iter().flat_map(|message| &message.answers) {
        if let Some((kind, value)) = text(record) {
            let question = Question { name: owner(&record.name), r#type: kind };
            sets.entry(question).or_insert((record.ttl, vec![])).1.push(value);
        }
    }
    sets.into_iter().map(|(question, (ttl, values))| RrSet::new(&question, ttl, values)).collect()
}

/// How the update ended. `signed`: the reply carries the key's signature; without it only refusals that a server
/// gives before it trusts anybody are believed.
pub(super) fn judge_update(reply: &Message, signed: bool) -> Updated {
    let refused = |says: &str| Updated::Refused { rcode: rcode(reply.response_code), says: says.to_owned() };
    match reply.response_code {
        ResponseCode::NotAuth => {
            let tsig = reply.signature().and_then(|record| record.data.error);
            let why = tsig
                .map_or("it is not authoritative, or the key is not allowed".into(), |e| format!("{e:?}"));
            let says =
                format!("the server does not accept our signature or is not the zone's primary: {why}");
            Updated::Refused { rcode: "NOTAUTH".into(), says }
        }
        ResponseCode::Refused => refused("the key may not change these names or types"),
        ResponseCode::FormErr | ResponseCode::NotImp => refused("the server does not take dynamic updates"),
        code if !signed => Updated::Doubt(format!("the answer {} was not signed with the key", rcode(code))),
        ResponseCode::NoError => Updated::Done,
        ResponseCode::NXRRSet | ResponseCode::YXRRSet | ResponseCode::NXDomain | ResponseCode::YXDomain => {
            refused("somebody changed the records since they were read; nothing was written")
        }
        ResponseCode::NotZone => refused("a name lies outside the zone"),
        code => Updated::Doubt(format!("the server answered {}", rcode(code))),
    }
}

fn rcode(code: ResponseCode) -> String {
    match code {
        ResponseCode::NXRRSet => "NXRRSET".into(),
        ResponseCode::YXRRSet => "YXRRSET".into(),
        ResponseCode::NXDomain => "NXDOMAIN".into(),
        ResponseCode::YXDomain => "YXDOMAIN".into(),
        ResponseCode::Refused => "REFUSED".into(),
        ResponseCode::ServFail => "SERVFAIL".into(),
        ResponseCode::NotAuth => "NOTAUTH".into(),
        ResponseCode::NotZone => "NOTZONE".into(),
        ResponseCode::FormErr => "FORMERR".into(),
        ResponseCode::NotImp => "NOTIMP".into(),
        other => format!("{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(kind: RrType, ttl: u32, values: &[&str]) -> RrSet {
        let question = Question { name: "app.shop.test.".into(), r#type: kind };
        RrSet::new(&question, ttl, values.iter().map(|v| (*v).to_owned()).collect())
    }

    #[test]
    fn an_update_demands_every_old_record_and_writes_whole_sets() {
        let aaaa = Question { name: "app.shop.test.".into(), r#type: RrType::Aaaa };
        let built = update(
            "shop.test.",
            &Update {
                before: vec![set(RrType::A, 60, &["192.0.2.1", "192.0.2.2"]), RrSet::absent(&aaaa)],
                after: vec![set(RrType::A, 30, &["192.0.2.9"]), set(RrType::Aaaa, 30, &["2001:db8::9"])],
            },
        );
        let sent = Message::from_vec(&built.unwrap().to_vec().unwrap()).unwrap();
        let classes = |class| sent.prerequisites().iter().filter(|r| r.dns_class == class).count();
        assert_eq!(classes(DNSClass::IN), 2, "both old addresses");
        assert_eq!(classes(DNSClass::NONE), 3, "no AAAA, and no alias for either new set");
        assert!(sent.prerequisites().iter().all(|record| record.ttl == 0));
        let deletes = sent.updates().iter().filter(|r| r.dns_class == DNSClass::ANY).count();
        let adds: Vec<u32> =
            sent.updates().iter().filter(|r| r.dns_class == DNSClass::IN).map(|r| r.ttl).collect();
        assert_eq!((deletes, adds), (2, vec![30, 30]));
    }

    #[test]
    fn a_rehearsal_demands_what_is_there_and_takes_away_what_is_not() {
        let aaaa = Question { name: "app.shop.test.".into(), r#type: RrType::Aaaa };
        let held = [set(RrType::A, 60, &["192.0.2.1", "192.0.2.2"]), RrSet::absent(&aaaa)];
        let sent = Message::from_vec(&rehearsal("shop.test.", &held).unwrap().to_vec().unwrap()).unwrap();
        assert_eq!(sent.prerequisites().len(), 3);
        assert_eq!(sent.updates().len(), 2);
        for record in sent.updates() {
            assert_eq!(
                (record.dns_class, record.ttl),
                (DNSClass::NONE, 0),
                "one value, and no other, is taken away"
            );
            let (kind, value) = text(record).unwrap();
            assert!(held.iter().all(|set| !set.values.contains(&value)), "{kind:?} {value}");
        }
        assert!(rehearsal("shop.test.", &[set(RrType::A, 60, &["0.0.0.0"])]).is_err());
    }

    #[test]
    fn success_is_believed_only_when_signed() {
        let reply = |code| Message::error_msg(1, OpCode::Update, code);
        assert_eq!(judge_update(&reply(ResponseCode::NoError), true), Updated::Done);
        assert!(matches!(judge_update(&reply(ResponseCode::NoError), false), Updated::Doubt(_)));
        assert!(matches!(judge_update(&reply(ResponseCode::NXRRSet), true), Updated::Refused { .. }));
        assert!(matches!(judge_update(&reply(ResponseCode::ServFail), true), Updated::Doubt(_)));
        assert!(matches!(judge_update(&reply(ResponseCode::Refused), false), Updated::Refused { .. }));
    }
}
