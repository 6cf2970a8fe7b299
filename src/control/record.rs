//! What the store keeps, typed. How it becomes bytes is the `store` room's business.
//!
//! Everything is by *name*: ids mean nothing outside one estate.

use std::sync::Arc;

use ipnet::IpNet;

use crate::health::{History as ProbeHistory, HistorySize, HostFound, Moment, Said, State};
use crate::model::{Family, PolicyForm, Scope, Timestamp};
use crate::wire::Name;

/// The store's counter. Operators' commits raise it, learned ones (verdicts, memory) don't.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// Where a record lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `traffic/SERVICE`
    Traffic(Arc<str>),
    /// `history/SERVICE/N`: the N-th change of a service's traffic, from 1.
    History(Arc<str>, u64),
    /// `override/N` (shown as `o-N`).
    Override(u64),
    /// `token/ID`
    Token(Arc<str>),
    /// `token-used/ID`: when a token was last used, to a minute.
    TokenUsed(Arc<str>),
    /// `verdict/TARGET-KEY`
    Verdict(Arc<str>),
    /// `probes/TARGET-KEY`
    Probes(Arc<str>),
    /// `host/NAME`: the last good addresses of a host name.
    Host(Name),
    /// `memory/SERVICE`
    Memory(Arc<str>),
    /// `gate/NAME`
    Gate(Arc<str>),
    /// `freshness/REGION`: how fresh its data is.
    Freshness(Arc<str>),
    /// `load/POOL`: how much is asked of it, and whether it sheds.
    Load(Arc<str>),
    /// `latency/NETWORK`: how quick regions are for it.
    Latency(IpNet),
    /// `shift/N` (shown as `s-N`).
    Shift(u64),
    /// `schedule/N` (shown as `t-N`).
    Schedule(u64),
    /// `change`: raised by everything that guards look at, so that two changes weighed at once can't both be made (SEMANTICS, 19).
    LastChange,
    /// `serial/ZONE`: the highest serial served (SEMANTICS, 23).
    Serial(Name),
    /// `audit/N`: the N-th entry of the audit, from 1.
    Audit(u64),
    /// `audit-anchor`: where the audit begins since old entries were cut off.
    AuditAnchor,
    /// `event/SEQUENCE`
    Event(u64),
    /// `event-pending/N`: events of the commit that made revision N, until they have sequences.
    EventPending(u64),
    /// `event-mark`: no greater sequence was given to an event.
    EventMark,
    /// `webhook/NAME`: how far a receiver's queue has taken events in.
    Webhook(Arc<str>),
    /// `delivery/NAME/N`: a message on its way to a receiver.
    Delivery(Arc<str>, u64),
    /// `reply/ID`: what a request with an `Idempotency-Key` was replied.
    Reply(Arc<str>),
    /// `alive`: the store's last sign of life (SEMANTICS, 13).
    Alive,
}

/// A record's content.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// For [`Key::Traffic`].
    Traffic(TrafficRecord),
    /// For [`Key::History`].
    History(History),
    /// For [`Key::Override`].
    Override(OverrideRecord),
    /// For [`Key::Token`].
    Token(TokenRecord),
    /// For [`Key::TokenUsed`].
    TokenUsed(Timestamp),
    /// For [`Key::Verdict`].
    Verdict(LearnedVerdict),
    /// For [`Key::Probes`].
    Probes(Arc<LearnedProbes>),
    /// For [`Key::Host`].
    Host(Arc<HostFound>),
    /// For [`Key::Memory`].
    Memory(Arc<LearnedMemory>),
    /// For [`Key::Gate`].
    Gate(GateRecord),
    /// For [`Key::Freshness`].
    Freshness(super::freshness::DataTold),
    /// For [`Key::Load`].
    Load(super::load::LoadTold),
    /// For [`Key::Latency`].
    Latency(Arc<super::latency::LatencyRecord>),
    /// For [`Key::Shift`].
    Shift(Arc<super::shifts::ShiftRecord>),
    /// For [`Key::Schedule`].
    Schedule(Arc<super::schedules::ScheduleRecord>),
    /// For [`Key::LastChange`].
    LastChange(Timestamp),
    /// For [`Key::Serial`].
    Serial(u32),
    /// For the keys of audit, events, webhooks and replies: a text, JSON mostly, that only its own reader understands.
    Line(Arc<str>),
    /// For [`Key::Alive`].
    Alive(Timestamp),
}

/// A record as loaded, with the store's counter at its last change.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Where.
    pub key: Key,
    /// What.
    pub record: Record,
    /// When, on the store's counter.
    pub revision: Revision,
}

/// One step of a commit.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Write.
    Put(Key, Record),
    /// Remove; removing nothing is fine.
    Delete(Key),
}

impl Op {
    /// What it writes or removes.
    pub fn key(&self) -> &Key {
        match self {
            Op::Put(key, _) | Op::Delete(key) => key,
        }
    }
}

/// What a commit needs to find, else it fails whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key does not exist.
    Absent,
    /// The key's record has this revision.
    At(Revision),
}

/// Whose wish the policy in force is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The file's.
    File,
    /// An operator's.
    Operator,
}

/// Traffic that operators have set for one service.
#[derive(Clone, Debug, PartialEq)]
pub struct TrafficRecord {
    /// `Some`: their policy. `None`: they returned to the file's (`undo --to file`).
    pub form: Option<PolicyForm>,
    /// How many changes this service has seen; [`Key::History`] of this one.
    pub sequence: u64,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// One past change of a service's traffic. The record's own revision is the store's counter then.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// What was set; `None`: the file's.
    pub form: Option<PolicyForm>,
    /// What stood before; `None`: the file's.
    pub before: Option<PolicyForm>,
    /// `set`, `failover`, `undo`.
    pub verb: String,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Guards that were overridden (`--break-glass`), by their words.
    pub overridden: Vec<String>,
}

/// What kind of override, as people say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OverrideWord {
    /// No new answers while anything else is up.
    Drain,
    /// Counts as up.
    ForceUp,
    /// Never answered.
    ForceDown,
    /// A service keeps its decision against automatic change.
    Freeze,
    /// Used however old its data is.
    Approve,
}

impl OverrideWord {
    /// All of them.
    pub const ALL: [OverrideWord; 5] = [Self::Drain, Self::ForceUp, Self::ForceDown, Self::Freeze, Self::Approve];

    /// The word in API, CLI, metrics and the store.
    pub fn word(self) -> &'static str {
        match self {
            OverrideWord::Drain => "drain",
            OverrideWord::ForceUp => "force_up",
            OverrideWord::ForceDown => "force_down",
            OverrideWord::Freeze => "freeze",
            OverrideWord::Approve => "approve",
        }
    }

    /// The other way.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// What an override is about, by name. In names of regions, pools, endpoints and tags `*` stands for any characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OverrideTargetName {
    /// A region.
    Region(Arc<str>),
    /// A pool.
    Pool(Arc<str>),
    /// An endpoint: pool and name.
    Endpoint(Arc<str>, Arc<str>),
    /// A service (freeze).
    Service(Arc<str>),
    /// Every endpoint with this tag.
    Tag(Arc<str>),
}

/// `region/prod`, `pool/prod`, `endpoint/prod/a`, `service/orders`, `tag/az-1`, `region/eu-*`: in API, metrics and the store.
impl std::fmt::Display for OverrideTargetName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Region(name) => write!(f, "region/{name}"),
            Self::Pool(name) => write!(f, "pool/{name}"),
            Self::Endpoint(pool, name) => write!(f, "endpoint/{pool}/{name}"),
            Self::Service(name) => write!(f, "service/{name}"),
            Self::Tag(name) => write!(f, "tag/{name}"),
        }
    }
}

impl OverrideTargetName {
    /// The other way; `None` if it is not of that form.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once('/').filter(|(_, name)| !name.is_empty())?;
        match kind {
            "region" => Some(Self::Region(name.into())),
            "pool" => Some(Self::Pool(name.into())),
            "service" => Some(Self::Service(name.into())),
            "tag" => Some(Self::Tag(name.into())),
            "endpoint" => name.split_once('/').map(|(pool, name)| Self::Endpoint(pool.into(), name.into())),
            _ => None,
        }
    }
}

/// An operator's override (SEMANTICS, 18).
#[derive(Clone, Debug, PartialEq)]
pub struct OverrideRecord {
    /// What it does.
    pub kind: OverrideWord,
    /// To what.
    pub target: OverrideTargetName,
    /// Only for these services; empty: for all.
    pub services: Vec<Arc<str>>,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
    /// Until when; `None`: until somebody ends it.
    pub ends: Option<Timestamp>,
    /// Guards that were overridden (`--break-glass`) when it was last changed, by their words.
    pub overridden: Vec<String>,
}

/// A gate as it was switched last.
#[derive(Clone, Debug, PartialEq)]
pub struct GateRecord {
    /// Changes that need it may be made.
    pub on: bool,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// An API token; the secret itself is never kept.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenRecord {
    /// A name for people, unique.
    pub name: String,
    /// SHA-256 of the secret, hex.
    pub hash: String,
    /// What it may do.
    pub scope: Scope,
    /// Globs of the services that it may change; empty: all, and the node.
    pub services: Vec<Arc<str>>,
    /// When it was made.
    pub at: Timestamp,
    /// When it stops working.
    pub ends: Option<Timestamp>,
}

/// A verdict to start from (SEMANTICS, 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnedVerdict {
    /// Up or Down.
    pub state: State,
    /// When it became so.
    pub since: Timestamp,
}

/// A target's last probes (`health::History`); equal sentences stand once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LearnedProbes {
    /// Oldest first.
    pub passes: Vec<Moment>,
    /// Oldest first, with the place of what they said in `said`.
    pub fails: Vec<(Moment, usize)>,
    /// What fails said.
    pub said: Vec<Arc<Said>>,
}

impl LearnedProbes {
    /// What is worth keeping of a target's probes.
    pub fn of(history: &ProbeHistory) -> Self {
        let mut learned = Self { passes: history.passes().collect(), ..Self::default() };
        for (moment, said) in history.fails() {
            let place = learned.said.iter().position(|known| known == said).unwrap_or_else(|| {
                learned.said.push(said.clone());
                learned.said.len() - 1
            });
            learned.fails.push((moment, place));
        }
        learned
    }

    /// The other way.
    pub fn history(&self, size: HistorySize) -> ProbeHistory {
        let fails = self.fails.iter().filter_map(|(moment, place)| Some((*moment, self.said.get(*place)?.clone())));
        ProbeHistory::restored(self.passes.iter().copied(), fails, size)
    }
}

/// A service's [`Memory`](crate::policy::Memory) by pool names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LearnedMemory {
    /// Held pools.
    pub held: Vec<(Arc<str>, Family)>,
    /// Pools of the last decision from a rung above `all_down`, per family (IPv4, IPv6).
    pub last: [Vec<Arc<str>>; 2],
    /// The child that counts as the first one (`one_way`), per family.
    pub first: [Option<Arc<str>>; 2],
}
