//! Route 53 by its SDK. One batch of DELETE (exactly what was seen) and CREATE is one transaction and a compare-and-set.
//! The SDK's own retries are off: a second try after a lost reply would be refused, and look like a clean no.

use super::api::Answer;
use super::port::{Look, Seen, Write, Written};
use super::powerdns::{quoted, unquoted};
use super::set::{Alias, Failover, Held, Key, Routing};
use crate::config::{AwsKeys, HostedTarget};
use crate::kernel::domain::Span;
use crate::provider::dns::{NoAnswer, Question, RrSet, RrType, normal_name};
use aws_sdk_route53::Client as Sdk;
use aws_sdk_route53::config::retry::RetryConfig;
use aws_sdk_route53::config::timeout::TimeoutConfig;
use aws_sdk_route53::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_route53::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_route53::operation::list_resource_record_sets::ListResourceRecordSetsOutput as Page;
use aws_sdk_route53::types::{
    AliasTarget, Change, ChangeAction, ChangeBatch, ChangeStatus, ResourceRecord, ResourceRecordSet,
    ResourceRecordSetFailover, RrType as AwsType,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Five requests a second for a whole account.
const PACE: Duration = Duration::from_millis(200);
const PAGE: i32 = 300;
/// A zone larger than this is asked name by name.
const PAGES: usize = 20;
const FEW_NAMES: usize = 4;

type Http = aws_sdk_route53::config::http::HttpResponse;

#[derive(Default)]
pub struct Client {
    /// One for each endpoint and way in.
    sdks: tokio::sync::Mutex<BTreeMap<String, Sdk>>,
    next: tokio::sync::Mutex<Option<Instant>>,
    /// Zone → the change that we last made there and have not seen in sync. Forgotten by a restart.
    changes: Mutex<BTreeMap<String, String>>,
}

/// How the SDK is reached for one call.
pub struct Ready {
    pub sdk: Sdk,
    keys: Option<Credentials>,
}

struct Call<'a> {
    ready: Ready,
    zone_id: &'a str,
}

impl Ready {
    /// Credentials of the configuration are read for each call, and kept nowhere.
    pub fn with(&self) -> aws_sdk_route53::config::Builder {
        let config = Config::builder();
        match &self.keys {
            Some(keys) => config.credentials_provider(keys.clone()),
            None => config,
        }
    }
}

impl Client {
    fn changes(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.changes.lock().expect("invariant: no panic while holding the lock")
    }

    /// Waits until the account may be asked again.
    pub async fn pace(&self) {
        let mut next = self.next.lock().await;
        let at = next.filter(|at| *at > Instant::now()).unwrap_or_else(Instant::now);
        *next = Some(at + PACE);
        drop(next);
        sleep_until(at).await;
    }

    /// At this endpoint, with these keys or by the SDK's own chain.
    pub async fn ready(&self, api: &str, keys: Option<&AwsKeys>, within: Duration) -> Result<Ready, Answer> {
        let given = match keys {
            Some(keys) => {
                let secret = super::api::secret(&keys.secret)?;
                Some(Credentials::new(&keys.id, secret.expose(), None, None, "pointsman.toml"))
            }
            None => None,
        };
        let mut sdks = self.sdks.lock().await;
        let key = format!("{api} {}", given.is_some());
        if !sdks.contains_key(&key) {
            sdks.insert(key.clone(), sdk(api, given.is_some(), within).await);
        }
        let sdk = sdks.get(&key).cloned().expect("invariant: it was put there just now");
        Ok(Ready { sdk, keys: given })
    }

    pub async fn read(
        &self,
        zone: &HostedTarget,
        zone_id: &str,
        keys: Option<&AwsKeys>,
        look: Look<'_>,
        within: Duration,
    ) -> Result<Seen, NoAnswer> {
        let call = match self.ready(&zone.api, keys, within).await {
            Ok(ready) => Call { ready, zone_id },
            Err(answer) => return Err(no_answer(answer)),
        };
        let pending = self.pending(&call).await?;
        let (sets, whole) = self.list(&call, look.names).await?;
        let held: Vec<Held> = sets.iter().filter_map(held).collect();
        let stale = |set: &RrSet| set.values.iter().any(|value| look.stale.contains(value));
        let others = match look.stale {
            [] => Ok(vec![]),
            _ if whole => Ok(held.iter().map(Held::rrset).filter(stale).collect()),
            _ => Err("the zone is too large to list".to_owned()),
        };
        let count = whole.then_some(sets.len() as u64);
        let sets = held.into_iter().filter(|set| look.names.contains(&set.name)).collect();
        Ok(Seen { sets, others, count, pending, handle: Value::Null })
    }

    /// The id of our last change, while Route 53 says PENDING.
    async fn pending(&self, call: &Call<'_>) -> Result<Option<String>, NoAnswer> {
        let Some(id) = self.changes().get(call.zone_id).cloned() else { return Ok(None) };
        self.pace().await;
        let asked =
            call.ready.sdk.get_change().id(&id).customize().config_override(call.ready.with()).send().await;
        match asked {
            Ok(said) if said.change_info().is_some_and(|info| *info.status() == ChangeStatus::Insync) => {}
            Ok(_) => return Ok(Some(id)),
            Err(e) if e.code() == Some("NoSuchChange") => {}
            Err(e) => return Err(no_answer(ended(&e))),
        }
        self.changes().remove(call.zone_id);
        Ok(None)
    }

    async fn page(
        &self,
        call: &Call<'_>,
        from: Option<(&str, Option<&AwsType>, Option<&str>)>,
    ) -> Result<Page, NoAnswer> {
        self.pace().await;
        let mut ask = call.ready.sdk.list_resource_record_sets().hosted_zone_id(call.zone_id).max_items(PAGE);
        if let Some((name, kind, set)) = from {
            ask = ask.start_record_name(name);
            ask =
                ask.set_start_record_type(kind.cloned()).set_start_record_identifier(set.map(str::to_owned));
        }
        ask.customize().config_override(call.ready.with()).send().await.map_err(|e| no_answer(ended(&e)))
    }

    /// The whole zone where it is small or many names are asked for; else name by name. True: the whole zone.
    async fn list(
        &self,
        call: &Call<'_>,
        names: &[String],
    ) -> Result<(Vec<ResourceRecordSet>, bool), NoAnswer> {
        let mut page = self.page(call, None).await?;
        let mut sets = page.resource_record_sets.clone();
        if page.is_truncated && names.len() <= FEW_NAMES {
            let mut of_names = vec![];
            for name in names {
                of_names.extend(self.of_name(call, name).await?);
            }
            return Ok((of_names, false));
        }
        for _ in 1..PAGES {
            let Some(next) = page.next_record_name.clone().filter(|_| page.is_truncated) else { break };
            let (kind, set) = (page.next_record_type.clone(), page.next_record_identifier.clone());
            page = self.page(call, Some((&next, kind.as_ref(), set.as_deref()))).await?;
            sets.extend(page.resource_record_sets.iter().cloned());
        }
        if page.is_truncated {
            return Err(NoAnswer {
                layer: "api",
                says: format!("the zone has more than {} sets", sets.len()),
            });
        }
        Ok((sets, true))
    }

    /// A list begins at the name and goes on beyond it.
    async fn of_name(&self, call: &Call<'_>, name: &str) -> Result<Vec<ResourceRecordSet>, NoAnswer> {
        let page = self.page(call, Some((name, None, None))).await?;
        let ours = |set: &&ResourceRecordSet| normal_name(&set.name).is_ok_and(|it| it == name);
        let of_name: Vec<ResourceRecordSet> =
            page.resource_record_sets.iter().filter(ours).cloned().collect();
        if page.is_truncated && of_name.len() == page.resource_record_sets.len() {
            return Err(NoAnswer { layer: "api", says: format!("{name} has more than {PAGE} sets") });
        }
        Ok(of_name)
    }

    pub async fn write(
        &self,
        zone: &HostedTarget,
        zone_id: &str,
        keys: Option<&AwsKeys>,
        write: Write<'_>,
        within: Duration,
    ) -> Written {
        let call = match self.ready(&zone.api, keys, within).await {
            Ok(ready) => Call { ready, zone_id },
            Err(answer) => return answer.written().err().unwrap_or_else(|| Written::Doubt("no call".into())),
        };
        let batch = match batch(write) {
            Ok(batch) => batch,
            Err(says) => return Written::NotSent { retry: false, says },
        };
        self.pace().await;
        let send = call.ready.sdk.change_resource_record_sets().hosted_zone_id(zone_id).change_batch(batch);
        match send.customize().config_override(call.ready.with()).send().await {
            Ok(said) => {
                let Some(info) = said.change_info() else {
                    return Written::Doubt("the answer names no change".into());
                };
                self.changes().insert(zone_id.to_owned(), info.id().to_owned());
                Written::Done(json!({ "change": info.id(), "status": info.status().as_str() }))
            }
            Err(e) => ended(&e).written().err().unwrap_or_else(|| Written::Doubt("no answer".into())),
        }
    }
}

async fn sdk(api: &str, own_keys: bool, within: Duration) -> Sdk {
    let timeouts =
        TimeoutConfig::builder().connect_timeout(Duration::from_secs(2)).operation_timeout(within).build();
    let config = if own_keys {
        Config::builder().behavior_version(BehaviorVersion::latest()).region(Region::new("us-east-1"))
    } else {
        let region = Region::new("us-east-1");
        let loaded = aws_config::defaults(BehaviorVersion::latest()).region(region).load().await;
        aws_sdk_route53::config::Builder::from(&loaded)
    };
    let config = config.retry_config(RetryConfig::disabled()).timeout_config(timeouts).endpoint_url(api);
    Sdk::from_conf(config.build())
}

/// All that is taken away, then all that is put there; what stays is not mentioned.
fn batch(write: Write<'_>) -> Result<ChangeBatch, String> {
    let changed: Vec<(&Held, &Held)> =
        write.before.iter().zip(write.after).filter(|(before, after)| before != after).collect();
    let one = |action: ChangeAction, set: &Held| -> Result<Change, String> {
        let set = record_set(set).map_err(|e| e.to_string())?;
        Change::builder().action(action).resource_record_set(set).build().map_err(|e| e.to_string())
    };
    let old = changed.iter().filter(|(before, _)| before.exists());
    let old = old.map(|(before, _)| one(ChangeAction::Delete, before));
    let new = changed.iter().map(|(_, after)| one(ChangeAction::Create, after));
    let changes = old.chain(new).collect::<Result<Vec<Change>, String>>()?;
    let comment = "pointsman: exactly these, or nothing";
    ChangeBatch::builder().comment(comment).set_changes(Some(changes)).build().map_err(|e| e.to_string())
}

fn record_set(held: &Held) -> Result<ResourceRecordSet, aws_sdk_route53::error::BuildError> {
    let mut set = ResourceRecordSet::builder().name(&held.name).r#type(held.r#type.as_str().into());
    match &held.alias {
        Some(alias) => {
            let target = AliasTarget::builder().dns_name(&alias.name).hosted_zone_id(&alias.zone_id);
            set = set.alias_target(target.evaluate_target_health(alias.evaluate_health).build()?);
        }
        None => {
            set = set.set_ttl(held.ttl.map(i64::from));
            for value in &held.values {
                let value = if held.r#type == RrType::Txt { quoted(value) } else { value.clone() };
                set = set.resource_records(ResourceRecord::builder().value(value).build()?);
            }
        }
    }
    if let Some(routing) = &held.routing {
        set = set.set_identifier(&routing.set).set_weight(routing.weight.map(i64::from));
        set = set.set_health_check_id(routing.health_check.clone());
        set = set.set_failover(routing.failover.map(|failover| match failover {
            Failover::Primary => ResourceRecordSetFailover::Primary,
            Failover::Secondary => ResourceRecordSetFailover::Secondary,
        }));
    }
    set.build()
}

/// `None`: of a type or a name that we do not write.
fn held(set: &ResourceRecordSet) -> Option<Held> {
    let kind = super::powerdns::kind(set.r#type.as_str())?;
    let question = Question { name: normal_name(&set.name).ok()?, r#type: kind };
    let value = |record: &ResourceRecord| {
        let text = if kind == RrType::Txt { unquoted(&record.value) } else { record.value.clone() };
        kind.normal(&text).unwrap_or(text)
    };
    let values = set.resource_records().iter().map(value).collect();
    let alias = set.alias_target().map(|alias| Alias {
        name: normal_name(alias.dns_name()).unwrap_or_else(|_| alias.dns_name().to_owned()),
        zone_id: alias.hosted_zone_id().to_owned(),
        evaluate_health: alias.evaluate_target_health(),
    });
    let key: Key = (question.clone(), None);
    let mut held = match set.ttl.and_then(|ttl| u32::try_from(ttl).ok()) {
        Some(ttl) => Held::plain(RrSet::new(&question, ttl, values)),
        None => Held { values, ..Held::absent(&key) },
    };
    held.alias = alias;
    held.routing = set.set_identifier().map(|id| Routing {
        set: id.to_owned(),
        weight: set.weight.and_then(|weight| u8::try_from(weight).ok()),
        failover: set.failover.as_ref().map(|failover| match failover {
            ResourceRecordSetFailover::Primary => Failover::Primary,
            _ => Failover::Secondary,
        }),
        health_check: set.health_check_id.clone(),
        other: other_policy(set).map(str::to_owned),
    });
    Some(held)
}

fn other_policy(set: &ResourceRecordSet) -> Option<&'static str> {
    let policies = [
        (set.region.is_some(), "latency"),
        (set.geo_location.is_some(), "geography"),
        (set.geo_proximity_location.is_some(), "nearness"),
        (set.multi_value_answer.is_some(), "many values"),
        (set.cidr_routing_config.is_some(), "networks"),
    ];
    policies.into_iter().find_map(|(is, name)| is.then_some(name))
}

/// What the end of a call proves.
pub fn ended<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &SdkError<E, Http>) -> Answer {
    let says = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => deepest(error),
    };
    match error {
        SdkError::ConstructionFailure(_) => Answer::NotSent { retry: false, says },
        SdkError::DispatchFailure(_) if never_connected(error) => Answer::NotSent { retry: true, says },
        SdkError::ServiceError(service) => {
            let raw = service.raw();
            let after = raw.headers().get("retry-after").and_then(|text| text.parse().ok()).map(Span::secs);
            let limits =
                ["Throttling", "ThrottlingException", "PriorRequestNotComplete", "TooManyRequestsException"];
            match raw.status().as_u16() {
                _ if error.code().is_some_and(|code| limits.contains(&code)) => {
                    Answer::Limited { after, says }
                }
                429 => Answer::Limited { after, says },
                status @ 400..=499 => Answer::No { status, says },
                _ => Answer::Doubt(says),
            }
        }
        _ => Answer::Doubt(says),
    }
}

pub fn no_answer(answer: Answer) -> NoAnswer {
    answer.read().err().unwrap_or_else(|| NoAnswer { layer: "api", says: "no answer".into() })
}

/// Whether the chain of causes says that there was no connection at all.
fn never_connected(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind;
    let refused = [ErrorKind::ConnectionRefused, ErrorKind::HostUnreachable, ErrorKind::NetworkUnreachable];
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| refused.contains(&io.kind())) || error.to_string().starts_with("dns error") {
            return true;
        }
        cause = error.source();
    }
    false
}

fn deepest(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    format!("{error}: {cause}")
}
