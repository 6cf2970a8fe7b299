//! Keys as text, records as JSON: the format of the store's file.
//!
//! These types are private to the store, so that a renamed field elsewhere never changes what is on disk. Unknown fields are refused:
//! a record is understood whole or not at all.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::schedule_form::ScheduleForm;
use super::shift_form::ShiftForm;
use crate::control::{
    DataTold, GateRecord, History, Key, LatencyRecord, LearnedMemory, LearnedProbes, LearnedVerdict, LoadTold, OverrideRecord, OverrideTargetName,
    OverrideWord, Record, Revision, Scope, TokenRecord, TrafficRecord,
};
use crate::health::{HostFound, Moment, Reason, Said, State};
use crate::model::{Family, Load, PolicyForm, Timestamp};

/// The text of a key; numbers are padded so that text order is number order.
pub(super) fn key_text(key: &Key) -> String {
    match key {
        Key::Traffic(service) => format!("traffic/{service}"),
        Key::History(service, sequence) => format!("history/{service}/{sequence:020}"),
        Key::Override(id) => format!("override/{id:020}"),
        Key::Token(id) => format!("token/{id}"),
        Key::TokenUsed(id) => format!("token-used/{id}"),
        Key::Verdict(target) => format!("verdict/{target}"),
        Key::Probes(target) => format!("probes/{target}"),
        Key::Host(name) => format!("host/{name}"),
        Key::Memory(service) => format!("memory/{service}"),
        Key::Gate(name) => format!("gate/{name}"),
        Key::Freshness(region) => format!("freshness/{region}"),
        Key::Load(pool) => format!("load/{pool}"),
        Key::Latency(network) => format!("latency/{network}"),
        Key::Shift(id) => format!("shift/{id:020}"),
        Key::Schedule(id) => format!("schedule/{id:020}"),
        Key::LastChange => "change".to_string(),
        Key::Serial(zone) => format!("serial/{zone}"),
        Key::Audit(number) => format!("audit/{number:020}"),
        Key::AuditAnchor => "audit-anchor".to_string(),
        Key::Event(sequence) => format!("event/{sequence:020}"),
        Key::EventPending(number) => format!("event-pending/{number:020}"),
        Key::EventMark => "event-mark".to_string(),
        Key::Webhook(name) => format!("webhook/{name}"),
        Key::Delivery(name, number) => format!("delivery/{name}/{number:020}"),
        Key::Reply(id) => format!("reply/{id}"),
        Key::Alive => "alive".to_string(),
    }
}

/// The other way; `None` if it is not a key.
pub(super) fn parse_key(text: &str) -> Option<Key> {
    match text {
        "alive" => return Some(Key::Alive),
        "audit-anchor" => return Some(Key::AuditAnchor),
        "event-mark" => return Some(Key::EventMark),
        "change" => return Some(Key::LastChange),
        _ => (),
    }
    let (kind, rest) = text.split_once('/')?;
    match kind {
        "traffic" => Some(Key::Traffic(rest.into())),
        "history" => {
            let (service, sequence) = rest.rsplit_once('/')?;
            Some(Key::History(service.into(), parse_number(sequence)?))
        }
        "override" => Some(Key::Override(parse_number(rest)?)),
        "token" => Some(Key::Token(rest.into())),
        "token-used" => Some(Key::TokenUsed(rest.into())),
        "verdict" => Some(Key::Verdict(rest.into())),
        "probes" => Some(Key::Probes(rest.into())),
        "host" => rest.parse().ok().map(Key::Host),
        "memory" => Some(Key::Memory(rest.into())),
        "gate" => Some(Key::Gate(rest.into())),
        "freshness" => Some(Key::Freshness(rest.into())),
        "load" => Some(Key::Load(rest.into())),
        // As we write it, so that one key has one text.
        "latency" => rest.parse().ok().map(Key::Latency).filter(|key| key_text(key) == text),
        "audit" => Some(Key::Audit(parse_number(rest)?)),
        "event-pending" => Some(Key::EventPending(parse_number(rest)?)),
        "event" => Some(Key::Event(parse_number(rest)?)),
        "webhook" => Some(Key::Webhook(rest.into())),
        "delivery" => {
            let (name, number) = rest.rsplit_once('/')?;
            Some(Key::Delivery(name.into(), parse_number(number)?))
        }
        "reply" => Some(Key::Reply(rest.into())),
        "shift" => Some(Key::Shift(parse_number(rest)?)),
        "schedule" => Some(Key::Schedule(parse_number(rest)?)),
        "serial" => rest.parse().ok().map(Key::Serial),
        _ => None,
    }
}

/// Exactly the padded form, so that one key has one text.
fn parse_number(text: &str) -> Option<u64> {
    (text.len() == 20 && text.bytes().all(|octet| octet.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// A record and the store's counter at its last change, as bytes.
pub(super) fn encode(record: &Record, revision: Revision) -> Result<Vec<u8>, String> {
    let envelope = Envelope { revision: revision.0, record: Form::try_from(record)? };
    serde_json::to_vec(&envelope).map_err(|error| error.to_string())
}

/// The other way. The kind of the record must be the key's.
pub(super) fn decode(key: &Key, bytes: &[u8]) -> Result<(Record, Revision), String> {
    let read = serde_json::from_slice(bytes).map_err(|error| error.to_string());
    let Envelope { revision, record } = match read {
        Ok(read) => read,
        // Nothing is decided by it: `verify` shows where it was damaged, and the server starts.
        Err(_) if matches!(key, Key::Audit(_)) => Envelope { revision: 0, record: Form::Line(String::from_utf8_lossy(bytes).into()) },
        Err(why) => return Err(why),
    };
    let record = Record::try_from(record)?;
    let fits = matches!(
        (key, &record),
        (Key::Traffic(_), Record::Traffic(_))
            | (Key::History(..), Record::History(_))
            | (Key::Override(_), Record::Override(_))
            | (Key::Token(_), Record::Token(_))
            | (Key::TokenUsed(_), Record::TokenUsed(_))
            | (Key::Verdict(_), Record::Verdict(_))
            | (Key::Probes(_), Record::Probes(_))
            | (Key::Host(_), Record::Host(_))
            | (Key::Memory(_), Record::Memory(_))
            | (Key::Gate(_), Record::Gate(_))
            | (Key::Freshness(_), Record::Freshness(_))
            | (Key::Load(_), Record::Load(_))
            | (Key::Latency(_), Record::Latency(_))
            | (Key::Shift(_), Record::Shift(_))
            | (Key::Schedule(_), Record::Schedule(_))
            | (Key::LastChange, Record::LastChange(_))
            | (Key::Serial(_), Record::Serial(_))
            | (Key::Audit(_) | Key::AuditAnchor | Key::Event(_) | Key::EventPending(_) | Key::EventMark | Key::Webhook(_) | Key::Delivery(..), Record::Line(_))
            | (Key::Reply(_), Record::Line(_))
            | (Key::Alive, Record::Alive(_))
    );
    if fits { Ok((record, Revision(revision))) } else { Err("it is a record of another kind than its key".to_string()) }
}

/// The revision alone, for expectations.
pub(super) fn decode_revision(bytes: &[u8]) -> Result<Revision, String> {
    #[derive(Deserialize)]
    struct Head {
        revision: u64,
    }
    serde_json::from_slice(bytes).map(|Head { revision }| Revision(revision)).map_err(|error| error.to_string())
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    revision: u64,
    #[serde(flatten)]
    record: Form,
}

/// What stands on disk: `{"revision": 42, "traffic": {…}}`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    Traffic(TrafficForm),
    History(HistoryForm),
    Override(OverrideForm),
    Token(TokenForm),
    TokenUsed(Timestamp),
    Verdict(VerdictForm),
    Probes(ProbesForm),
    Memory(MemoryForm),
    Gate(GateForm),
    Freshness(FreshnessForm),
    Load(LoadForm),
    /// Region, microseconds, when.
    Latency(Vec<(Arc<str>, u32, Timestamp)>),
    Shift(Box<ShiftForm>),
    Schedule(Box<ScheduleForm>),
    Change(Timestamp),
    Serial(u32),
    Host(HostForm),
    Line(Arc<str>),
    Alive(Timestamp),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrafficForm {
    policy: Option<PolicyForm>,
    sequence: u64,
    actor: String,
    reason: String,
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryForm {
    policy: Option<PolicyForm>,
    before: Option<PolicyForm>,
    verb: String,
    actor: String,
    reason: String,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    overridden: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrideForm {
    kind: String,
    target: String,
    services: Vec<Arc<str>>,
    actor: String,
    reason: String,
    at: Timestamp,
    ends: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    overridden: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GateForm {
    on: bool,
    actor: String,
    reason: String,
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostForm {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
    ttl: u32,
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FreshnessForm {
    data_at: Timestamp,
    told_at: Timestamp,
    by: Arc<str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoadForm {
    load: Load,
    told_at: Timestamp,
    by: Arc<str>,
    sheds: bool,
    turned_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenForm {
    name: String,
    hash: String,
    scope: String,
    /// Left out where there is no limit: as releases before the limit wrote it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    services: Vec<Arc<str>>,
    at: Timestamp,
    ends: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VerdictForm {
    state: String,
    since: Timestamp,
}

/// Moments are packed as in memory (`health::Moment`).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProbesForm {
    passes: Vec<u64>,
    fails: Vec<(u64, usize)>,
    said: Vec<SaidForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidForm {
    reason: String,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemoryForm {
    held: Vec<HoldForm>,
    last_ipv4: Vec<Arc<str>>,
    last_ipv6: Vec<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_ipv4: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_ipv6: Option<Arc<str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldForm {
    pool: Arc<str>,
    family: u8,
}

impl TryFrom<&Record> for Form {
    type Error = String;

    fn try_from(record: &Record) -> Result<Self, String> {
        Ok(match record.clone() {
            Record::Traffic(TrafficRecord { form, sequence, actor, reason, at }) => Self::Traffic(TrafficForm { policy: form, sequence, actor, reason, at }),
            Record::History(History { form, before, verb, actor, reason, at, overridden }) => {
                Self::History(HistoryForm { policy: form, before, verb, actor, reason, at, overridden })
            }
            Record::Override(OverrideRecord { kind, target, services, actor, reason, at, ends, overridden }) => {
                Self::Override(OverrideForm { kind: kind.word().to_string(), target: target.to_string(), services, actor, reason, at, ends, overridden })
            }
            Record::Token(TokenRecord { name, hash, scope, services, at, ends }) => {
                Self::Token(TokenForm { name, hash, scope: scope.word().to_string(), services, at, ends })
            }
            Record::TokenUsed(at) => Self::TokenUsed(at),
            Record::Verdict(LearnedVerdict { state, since }) => Self::Verdict(VerdictForm { state: state.word().to_string(), since }),
            Record::Probes(probes) => {
                let LearnedProbes { passes, fails, said } = Arc::unwrap_or_clone(probes);
                let said = said.iter().map(|said| SaidForm { reason: said.reason.word().to_string(), message: said.message.to_string(), status: said.status });
                Self::Probes(ProbesForm {
                    passes: passes.into_iter().map(|moment| moment.0).collect(),
                    fails: fails.into_iter().map(|(moment, place)| (moment.0, place)).collect(),
                    said: said.collect(),
                })
            }
            Record::Memory(memory) => {
                let LearnedMemory { held, last: [last_ipv4, last_ipv6], first: [first_ipv4, first_ipv6] } = Arc::unwrap_or_clone(memory);
                let held = held.into_iter().map(|(pool, family)| HoldForm { pool, family: family_number(family) }).collect();
                Self::Memory(MemoryForm { held, last_ipv4, last_ipv6, first_ipv4, first_ipv6 })
            }
            Record::Gate(GateRecord { on, actor, reason, at }) => Self::Gate(GateForm { on, actor, reason, at }),
            Record::Latency(latency) => Self::Latency(latency.rows.clone()),
            Record::Freshness(DataTold { data_at, told_at, by }) => Self::Freshness(FreshnessForm { data_at, told_at, by }),
            Record::Load(LoadTold { load, told_at, by, sheds, turned_at }) => Self::Load(LoadForm { load, told_at, by, sheds, turned_at }),
            Record::Shift(record) => Self::Shift(Box::new(ShiftForm::from(Arc::unwrap_or_clone(record)))),
            Record::Schedule(record) => Self::Schedule(Box::new(ScheduleForm::of(&record)?)),
            Record::LastChange(at) => Self::Change(at),
            Record::Serial(serial) => Self::Serial(serial),
            Record::Host(found) => {
                let [v4, v6] = found.addresses.each_ref().map(|addresses| addresses.to_vec());
                Self::Host(HostForm { v4, v6, ttl: found.ttl, at: found.at })
            }
            Record::Line(text) => Self::Line(text),
            Record::Alive(at) => Self::Alive(at),
        })
    }
}

impl TryFrom<Form> for Record {
    type Error = String;

    fn try_from(form: Form) -> Result<Self, String> {
        Ok(match form {
            Form::Traffic(TrafficForm { policy, sequence, actor, reason, at }) => Self::Traffic(TrafficRecord { form: policy, sequence, actor, reason, at }),
            Form::History(HistoryForm { policy, before, verb, actor, reason, at, overridden }) => {
                Self::History(History { form: policy, before, verb, actor, reason, at, overridden })
            }
            Form::Override(OverrideForm { kind, target, services, actor, reason, at, ends, overridden }) => {
                let kind = OverrideWord::parse(&kind).ok_or_else(|| format!("`{kind}` is not a kind of override"))?;
                let target = OverrideTargetName::parse(&target).ok_or_else(|| format!("`{target}` is not an override's target"))?;
                Self::Override(OverrideRecord { kind, target, services, actor, reason, at, ends, overridden })
            }
            Form::TokenUsed(at) => Self::TokenUsed(at),
            Form::Token(TokenForm { name, hash, scope, services, at, ends }) => {
                let scope = Scope::parse(&scope).ok_or_else(|| format!("`{scope}` is not a scope"))?;
                Self::Token(TokenRecord { name, hash, scope, services, at, ends })
            }
            Form::Verdict(VerdictForm { state, since }) => {
                let state = [State::Up, State::Down, State::Unknown]
                    .into_iter()
                    .find(|known| known.word() == state)
                    .ok_or_else(|| format!("`{state}` is not a state"))?;
                Self::Verdict(LearnedVerdict { state, since })
            }
            Form::Probes(ProbesForm { passes, fails, said }) => {
                // A reason of another release is no reason to refuse a store.
                let known = |word: &str| Reason::ALL.into_iter().find(|reason| reason.word() == word).unwrap_or(Reason::Internal);
                let said =
                    said.into_iter().map(|SaidForm { reason, message, status }| Arc::new(Said { reason: known(&reason), message: message.into(), status }));
                Self::Probes(Arc::new(LearnedProbes {
                    passes: passes.into_iter().map(Moment).collect(),
                    fails: fails.into_iter().map(|(moment, place)| (Moment(moment), place)).collect(),
                    said: said.collect(),
                }))
            }
            Form::Memory(MemoryForm { held, last_ipv4, last_ipv6, first_ipv4, first_ipv6 }) => {
                let held = held.into_iter().map(|HoldForm { pool, family }| Ok((pool, parse_family(family)?))).collect::<Result<_, String>>()?;
                Self::Memory(Arc::new(LearnedMemory { held, last: [last_ipv4, last_ipv6], first: [first_ipv4, first_ipv6] }))
            }
            Form::Gate(GateForm { on, actor, reason, at }) => Self::Gate(GateRecord { on, actor, reason, at }),
            Form::Schedule(form) => Self::Schedule((*form).try_into()?),
            Form::Latency(rows) => Self::Latency(Arc::new(LatencyRecord { rows })),
            Form::Freshness(FreshnessForm { data_at, told_at, by }) => Self::Freshness(DataTold { data_at, told_at, by }),
            Form::Load(LoadForm { load, told_at, by, sheds, turned_at }) => Self::Load(LoadTold { load, told_at, by, sheds, turned_at }),
            Form::Shift(form) => Self::Shift(Arc::new((*form).try_into()?)),
            Form::Change(at) => Self::LastChange(at),
            Form::Serial(serial) => Self::Serial(serial),
            Form::Host(HostForm { v4, v6, ttl, at }) => Self::Host(Arc::new(HostFound { addresses: [v4.into(), v6.into()], ttl, at })),
            Form::Line(text) => Self::Line(text),
            Form::Alive(at) => Self::Alive(at),
        })
    }
}

fn family_number(family: Family) -> u8 {
    match family {
        Family::V4 => 4,
        Family::V6 => 6,
    }
}

fn parse_family(number: u8) -> Result<Family, String> {
    match number {
        4 => Ok(Family::V4),
        6 => Ok(Family::V6),
        _ => Err(format!("`{number}` is not an address family")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Choice, Share};

    pub(in crate::store) fn text() -> impl Strategy<Value = String> {
        "[a-zäß\"\\\\/ 0-9\n-]{0,12}"
    }

    pub(in crate::store) fn name() -> impl Strategy<Value = Arc<str>> {
        "[a-z0-9/_-]{1,12}".prop_map(Arc::from)
    }

    pub(in crate::store) fn at() -> impl Strategy<Value = Timestamp> {
        any::<i64>().prop_map(Timestamp)
    }

    pub(in crate::store) fn form() -> impl Strategy<Value = PolicyForm> {
        let children = prop::collection::vec("[a-z]{1,6}", 1..4);
        (children, 0_u32..=1_000_000, 1_u32..4, 0..3).prop_map(|(children, share, min_up, kind)| {
            let choice = match kind {
                0 => Choice::Failover(children),
                1 => Choice::Multivalue(children),
                _ => Choice::Weighted(children.into_iter().map(|child| (child, Share(share))).collect()),
            };
            PolicyForm { choice, min_up }
        })
    }

    pub(in crate::store) fn target() -> impl Strategy<Value = OverrideTargetName> {
        let plain = "[a-z0-9_-]{1,8}";
        prop_oneof![
            plain.prop_map(|name: String| OverrideTargetName::Region(name.into())),
            plain.prop_map(|name: String| OverrideTargetName::Pool(name.into())),
            plain.prop_map(|name: String| OverrideTargetName::Service(name.into())),
            (plain, "[a-z0-9:./-]{1,12}").prop_map(|(pool, name): (String, String)| OverrideTargetName::Endpoint(pool.into(), name.into())),
        ]
    }

    /// Every kind of record, under a key of its kind.
    pub(in crate::store) fn entry() -> impl Strategy<Value = (Key, Record)> {
        let traffic = (name(), prop::option::of(form()), any::<u64>(), text(), text(), at()).prop_map(|(service, form, sequence, actor, reason, at)| {
            (Key::Traffic(service), Record::Traffic(TrafficRecord { form, sequence, actor, reason, at }))
        });
        let history =
            (name(), 1_u64..900, prop::option::of(form()), prop::option::of(form()), text(), at()).prop_map(|(service, sequence, form, before, actor, at)| {
                let record = History { form, before, verb: "set".into(), actor, reason: String::new(), at, overridden: vec!["max_step".into()] };
                (Key::History(service, sequence), Record::History(record))
            });
        let word = prop::sample::select(OverrideWord::ALL.to_vec());
        let over = (any::<u64>(), word, target(), prop::collection::vec(name(), 0..3), text(), at(), prop::option::of(at())).prop_map(
            |(id, kind, target, services, actor, at, ends)| {
                let record = OverrideRecord { kind, target, services, actor, reason: "why".into(), at, ends, overridden: Vec::new() };
                (Key::Override(id), Record::Override(record))
            },
        );
        let scope = prop::sample::select(vec![Scope::Read, Scope::Operate, Scope::Admin]);
        let limit = prop::collection::vec(name(), 0..3);
        let token = (name(), text(), text(), scope, limit, at(), prop::option::of(at()))
            .prop_map(|(id, name, hash, scope, services, at, ends)| (Key::Token(id), Record::Token(TokenRecord { name, hash, scope, services, at, ends })));
        let used = (name(), at()).prop_map(|(id, at)| (Key::TokenUsed(id), Record::TokenUsed(at)));
        let state = prop::sample::select(vec![State::Up, State::Down, State::Unknown]);
        let verdict = (name(), state, at()).prop_map(|(key, state, since)| (Key::Verdict(key), Record::Verdict(LearnedVerdict { state, since })));
        let reason = prop::sample::select(Reason::ALL.to_vec());
        let said = prop::collection::vec((reason, text(), prop::option::of(any::<u16>())), 0..3);
        let probes = (name(), prop::collection::vec(any::<u64>(), 0..4), prop::collection::vec((any::<u64>(), 0_usize..3), 0..4), said).prop_map(
            |(key, passes, fails, said)| {
                let said = said.into_iter().map(|(reason, message, status)| Arc::new(Said { reason, message: message.into(), status }));
                let record = LearnedProbes {
                    passes: passes.into_iter().map(Moment).collect(),
                    fails: fails.into_iter().map(|(moment, place)| (Moment(moment), place)).collect(),
                    said: said.collect(),
                };
                (Key::Probes(key), Record::Probes(Arc::new(record)))
            },
        );
        let family = prop::sample::select(Family::ALL.to_vec());
        let pools = || prop::collection::vec(name(), 0..3);
        let first = || prop::option::of(name());
        let memory = (name(), prop::collection::vec((name(), family), 0..3), pools(), pools(), first(), first()).prop_map(
            |(service, held, v4, v6, first_v4, first_v6)| {
                (Key::Memory(service), Record::Memory(Arc::new(LearnedMemory { held, last: [v4, v6], first: [first_v4, first_v6] })))
            },
        );
        let gate = (name(), any::<bool>(), text(), text(), at())
            .prop_map(|(name, on, actor, reason, at)| (Key::Gate(name), Record::Gate(GateRecord { on, actor, reason, at })));
        let freshness = (name(), at(), at(), name())
            .prop_map(|(region, data_at, told_at, by)| (Key::Freshness(region), Record::Freshness(DataTold { data_at, told_at, by })));
        let load = (0.0..1e9, at(), name(), any::<bool>(), prop::option::of(at())).prop_map(|(load, told_at, by, sheds, turned_at)| {
            (Key::Load(by.clone()), Record::Load(LoadTold { load: Load::new(load).unwrap(), told_at, by, sheds, turned_at }))
        });
        let network = prop_oneof![
            (any::<[u8; 4]>(), 0..=24_u8).prop_map(|(address, bits)| ipnet::IpNet::new(address.into(), bits).unwrap().trunc()),
            (any::<[u16; 8]>(), 0..=56_u8).prop_map(|(address, bits)| ipnet::IpNet::new(address.into(), bits).unwrap().trunc()),
        ];
        let latency = (network, prop::collection::vec((name(), any::<u32>(), at()), 0..4))
            .prop_map(|(network, rows)| (Key::Latency(network), Record::Latency(Arc::new(LatencyRecord { rows }))));
        let change = at().prop_map(|at| (Key::LastChange, Record::LastChange(at)));
        let alive = at().prop_map(|at| (Key::Alive, Record::Alive(at)));
        let zone = "([a-z0-9_*-]{1,8}\\.){1,3}[a-z]{2,5}".prop_map(|zone| zone.parse().unwrap());
        let serial = (zone, any::<u32>()).prop_map(|(zone, serial)| (Key::Serial(zone), Record::Serial(serial)));
        let addresses = || (prop::collection::vec(any::<[u8; 4]>(), 0..3), prop::collection::vec(any::<[u8; 16]>(), 0..3));
        let host = ("([a-z0-9_-]{1,8}\\.){1,3}[a-z]{2,5}", addresses(), any::<u32>(), at()).prop_map(|(host, (v4, v6), ttl, at)| {
            let addresses = [v4.into_iter().map(IpAddr::from).collect(), v6.into_iter().map(IpAddr::from).collect()];
            (Key::Host(host.parse().unwrap()), Record::Host(Arc::new(HostFound { addresses, ttl, at })))
        });
        let line = (name(), any::<u64>(), 0..7, text()).prop_map(|(name, number, kind, text)| {
            let key = match kind {
                0 => Key::Audit(number),
                1 => Key::AuditAnchor,
                2 => Key::Event(number),
                3 => Key::EventMark,
                4 => Key::Webhook(name),
                5 => Key::EventPending(number),
                _ => Key::Delivery(name, number),
            };
            (key, Record::Line(text.into()))
        });
        prop_oneof![
            traffic,
            history,
            over,
            token,
            used,
            verdict,
            probes,
            memory,
            gate,
            freshness,
            load,
            latency,
            super::super::shift_form::tests::entry(),
            super::super::schedule_form::tests::entry(),
            change,
            serial,
            host,
            line,
            alive
        ]
    }

    proptest! {
        #[test]
        fn every_record_comes_back_as_it_was((key, record) in entry(), revision in any::<u64>()) {
            let text = key_text(&key);
            prop_assert_eq!(parse_key(&text), Some(key.clone()));
            let bytes = encode(&record, Revision(revision)).unwrap();
            prop_assert_eq!(decode_revision(&bytes).unwrap(), Revision(revision));
            prop_assert_eq!(decode(&key, &bytes).unwrap(), (record, Revision(revision)));
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), (key, _) in entry()) {
            prop_assert!(decode(&key, &bytes).is_err() || matches!(key, Key::Audit(_)), "only a damaged audit entry is shown as it is");
        }
    }

    #[test]
    fn a_record_of_another_kind_is_refused() {
        let bytes = encode(&Record::Alive(Timestamp(1)), Revision(1)).unwrap();
        assert!(decode(&Key::Token("a".into()), &bytes).unwrap_err().contains("another kind"));
    }

    #[test]
    fn unknown_fields_are_refused() {
        let bytes = br#"{"revision":1,"verdict":{"state":"up","since":1,"colour":"red"}}"#;
        assert!(decode(&Key::Verdict("a".into()), bytes).unwrap_err().contains("colour"));
        let bytes = br#"{"revision":1,"alive":5,"more":true}"#;
        assert!(decode(&Key::Alive, bytes).is_err());
    }

    #[test]
    fn the_format_on_disk_is_this() {
        let record = Record::Traffic(TrafficRecord {
            form: Some(PolicyForm::new(Choice::Weighted(vec![("prod".into(), Share(800_000)), ("dr".into(), Share(200_000))]))),
            sequence: 2,
            actor: "token:ci".into(),
            reason: "CHG-1".into(),
            at: Timestamp(5),
        });
        let text = String::from_utf8(encode(&record, Revision(42)).unwrap()).unwrap();
        assert_eq!(text, r#"{"revision":42,"traffic":{"policy":{"weighted":{"prod":80,"dr":20}},"sequence":2,"actor":"token:ci","reason":"CHG-1","at":5}}"#);
    }
}
