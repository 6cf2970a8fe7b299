//! Services and where their traffic goes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::PolicyForm;

use super::{Forecast, GuardFinding, Override, Schedule, Shares, Shift, Source, Span, State, Taker, Time, schema};

/// A service as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// Its name in the file (`[service.NAME]`).
    pub name: String,
    /// Host names, the first hundred.
    pub names: Vec<String>,
    /// How many host names there are.
    pub names_total: u64,
    /// When a returned pool is used again: `"1m"`, `"manual"`.
    pub failback: String,
    /// Per cent of the answers that go to who stands by; 0: none.
    #[serde(default)]
    pub trickle: f64,
    /// What is answered when everything is down: `last_good`, `serve_all`, `first`, `nodata`, `servfail`, or `pool/NAME`.
    pub when_all_down: String,
    /// What it answers with: `addresses`, or `cname`, one CNAME whatever is asked for.
    #[serde(default)]
    pub answer: String,
    /// Most addresses in one answer.
    pub max_answers: u16,
    /// Where its traffic goes.
    pub traffic: Traffic,
    /// The pools of its policy, in file order.
    pub pools: Vec<ServicePool>,
    /// Its answers a second, over the last minute; `null` until known.
    #[serde(default)]
    pub answers_per_second: Option<f64>,
    /// The child that counts as the first of its failover since it answers (`failback = { mode = "one_way" }`); `null`: the one that is written first.
    #[serde(default)]
    pub first: Option<String>,
    /// The override that freezes it, `o-12`.
    pub frozen: Option<String>,
    /// Where the file manages its traffic (`traffic_from = "file"`): `windrose.toml:12:10`; `null`: operators may move it.
    #[serde(default)]
    pub managed_by: Option<String>,
}

/// A pool as one service sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServicePool {
    /// Its name.
    pub pool: String,
    /// Where it is.
    pub region: String,
    /// Effective health: what the policy sees.
    pub state: State,
    /// Some endpoint is down and is seen as up, by the blast guard or because the node is blind.
    #[serde(default)]
    pub guarded: bool,
    /// Loaded from the store and not yet confirmed by a probe.
    pub stale: bool,
    /// Endpoints that are up.
    pub up: u32,
    /// Endpoints in all.
    pub of: u32,
    /// No new answers while anything else is up.
    pub drained: bool,
    /// Returned, and kept out by failback.
    pub held: bool,
    /// When the hold ends by itself, if that is known.
    pub held_until: Option<Time>,
    /// How far it has come back, step by step; `null`: it gets nothing yet, or is not held.
    #[serde(default)]
    pub returning: Option<Returning>,
    /// Why guards put that off, although its time is over.
    #[serde(default)]
    pub waits: Option<String>,
    /// Why its data is too old to be used; `null`: it is not, or somebody approved it, or it answers.
    #[serde(default)]
    pub outdated: Option<String>,
    /// Why it gives away a share of its answers, to whoever may take it; `null`: it does not.
    #[serde(default)]
    pub sheds: Option<String>,
    /// Which step of the ladder lets it answer now (`policy`, `standby`, `held`, `drained`, `all_down`); `null`: it doesn't answer.
    pub rung: Option<String>,
    /// Overrides that act on it here, `o-12`.
    pub overrides: Vec<String>,
    /// Answers of this service that named it, since the process began: a rate is what two looks differ by. One that names several pools counts for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<u64>,
    /// Since when its state is so.
    pub since: Option<Time>,
    /// Why it is not up, or would not be without the guard: what it requires and lacks, or the worst endpoint's last failed probe.
    pub cause: Option<Cause>,
    /// It is up, but some of the endpoints that serve are degraded; `null`: they are sound.
    #[serde(default)]
    pub degraded: Option<PoolDegraded>,
}

/// A pool that returns step by step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Returning {
    /// What it gets of its own share, per cent.
    pub percent: u8,
    /// Which step, from 1.
    pub step: u8,
    /// Of how many.
    pub steps: u8,
    /// When the next one is due.
    pub next: Option<Time>,
}

/// A pool of whose serving endpoints some are degraded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PoolDegraded {
    /// What it counts of its share in weighted policies: the mean over its serving endpoints.
    pub factor: f64,
    /// How many are degraded, and what the first of them said.
    pub why: String,
}

/// Why a pool is not up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// `pool/name`: of the pool, or of one that it requires.
    pub endpoint: String,
    /// The probe's reason: `timeout`, `refused`, …; `requires`: the pool lacks what it requires.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

/// Where a service's traffic goes: *the* resource. Its `ETag` is what `If-Match` takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    /// Which service.
    pub service: String,
    /// The store's counter at its last change; 0 while nobody has changed it.
    pub revision: u64,
    /// Whose policy is in force.
    pub source: Source,
    /// The policy in force.
    pub policy: PolicyForm,
    /// Desired, effective and answered, always apart.
    pub shares: ThreeShares,
    /// The worst step of the ladder that answers now: `policy`, `standby`, `held`, `drained`, `all_down`; `null`: nothing is answered.
    pub rung: Option<String>,
    /// What some clients get instead, where answers depend on the client; at most twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_client: Vec<ClientTraffic>,
    /// Why effective differs from desired: one sentence per pool; empty when they agree.
    pub reason_effective: Vec<String>,
    /// TTL of its answers now.
    pub ttl_seconds: u32,
    /// The last change by an operator.
    pub changed: Option<Changed>,
    /// Why the traffic that an operator set is not in force: it names what the file no longer has.
    pub unusable: Option<String>,
    /// The shift under way: `s-7`.
    #[serde(default)]
    pub shift: Option<String>,
}

/// What the clients of one kind get.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClientTraffic {
    /// Conditions that hold for the first kind of them: `network:office`.
    pub clients: String,
    /// As answered now.
    pub effective: Shares,
    /// The worst step of the ladder that answers; `null`: nothing is answered.
    pub rung: Option<String>,
}

/// What is asked for, what health leaves of it, what was given out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThreeShares {
    /// If everything were up.
    pub desired: Shares,
    /// As answered now.
    pub effective: Shares,
    /// As counted over `window`; empty while nobody asked.
    pub answered: Shares,
    /// How far back `answered` counts.
    pub window: Span,
}

/// Who changed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// When.
    pub at: Time,
    /// Who: `token:ci`, `socket:root`.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
}

/// `PUT …/traffic`: the file's own form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrafficPut {
    /// `{"weighted": {"prod": 80, "dr": 20}}`
    pub policy: PolicyForm,
    /// Why.
    #[serde(default)]
    #[schemars(schema_with = "schema::reason")]
    pub reason: String,
    /// Guards that need not hold: needs the scope `admin` and a reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::guards")]
    pub break_glass: Vec<String>,
}

/// `POST …/failover`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Failover {
    /// A child of the policy's root; `null`: the next one that is up.
    #[serde(default)]
    pub to: Option<String>,
    /// Why.
    #[serde(default)]
    #[schemars(schema_with = "schema::reason")]
    pub reason: String,
    /// Guards that need not hold: needs the scope `admin` and a reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::guards")]
    pub break_glass: Vec<String>,
}

/// `POST …/failback`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Failback {
    /// One held pool; `null`: all.
    #[serde(default)]
    pub pool: Option<String>,
    /// Why.
    #[serde(default)]
    #[schemars(schema_with = "schema::reason")]
    pub reason: String,
    /// Guards that need not hold: needs the scope `admin` and a reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::guards")]
    pub break_glass: Vec<String>,
}

/// `POST …/undo`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    /// `"file"`, or a revision's number; `null`: what was before the last change.
    #[serde(default)]
    pub to: Option<UndoTo>,
    /// Why.
    #[serde(default)]
    #[schemars(schema_with = "schema::reason")]
    pub reason: String,
    /// Guards that need not hold: needs the scope `admin` and a reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::guards")]
    pub break_glass: Vec<String>,
}

/// Where `undo` goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoTo {
    /// `"file"`: the file's policy.
    File,
    /// What a revision had set.
    Revision(u64),
}

impl std::str::FromStr for UndoTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "file" => Ok(Self::File),
            number => number.parse().map(Self::Revision).map_err(|_| format!("`{text}` is neither \"file\" nor a revision's number")),
        }
    }
}

impl Serialize for UndoTo {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::File => to.serialize_str("file"),
            Self::Revision(number) => to.serialize_u64(*number),
        }
    }
}

impl<'de> Deserialize<'de> for UndoTo {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl serde::de::Visitor<'_> for Either {
            type Value = UndoTo;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("\"file\" or a revision's number")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<UndoTo, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<UndoTo, E> {
                Ok(UndoTo::Revision(number))
            }
        }
        from.deserialize_any(Either)
    }
}

/// What a change did, or (dry run) would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeReply {
    /// Nothing was written.
    pub dry_run: bool,
    /// The store's counter after the change; for a dry run, as it is.
    pub revision: u64,
    /// The service of a traffic change.
    pub service: Option<String>,
    /// The policy now set; `null` also for "the file's".
    pub policy: Option<PolicyForm>,
    /// Services whose answers change.
    pub moves: Vec<Move>,
    /// Pools that gain.
    #[serde(default)]
    pub takers: Vec<Taker>,
    /// What every guard that is on says.
    #[serde(default)]
    pub guards: Vec<GuardFinding>,
    /// Sentences worth reading: that nothing was held, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<String>,
    /// When this node's DNS answered with it; `null` for a dry run.
    pub applied: Option<AppliedAt>,
    /// When clients that obey TTLs will have followed.
    pub clients_follow_by: Time,
    /// How the old answers fade, some clients beyond their TTL; `null`: no answer moves.
    #[serde(default)]
    pub forecast: Option<Forecast>,
    /// The override that was begun, changed or ended.
    #[serde(rename = "override")]
    pub override_: Option<Override>,
    /// The shift that was begun or moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift: Option<Shift>,
    /// The schedule that was set: nothing else has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// How to take it back; for a dry run, how one would.
    pub undo: Option<UndoHint>,
}

/// A service whose answers change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Move {
    /// Which.
    pub service: String,
    /// Effective shares before.
    pub before: Shares,
    /// And after.
    pub after: Shares,
    /// Clients who fare otherwise than those of whom nothing is known, of whom the above is true; at most twenty kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_client: Vec<ClientMove>,
    /// Its answers a second, over the last minute; `null` until known.
    #[serde(default)]
    pub answers_per_second: Option<f64>,
    /// Of these, how many go elsewhere.
    #[serde(default)]
    pub moves_per_second: Option<f64>,
}

/// What the clients of one kind get before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClientMove {
    /// `clients of whom country:DE holds`, `clients such as 192.0.2.0/24`; of those who fare alike the first.
    pub clients: String,
    /// How many classes of clients fare so, as policies tell them apart.
    pub classes: u64,
    /// About what per cent of the service's answers they get, by where answers went of late; missing: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// Effective shares before.
    pub before: Shares,
    /// And after.
    pub after: Shares,
}

/// Where and when a change was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppliedAt {
    /// `node.name`
    pub node: String,
    /// When.
    pub at: Time,
}

/// How to take a change back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UndoHint {
    /// `POST`, `DELETE`
    pub method: String,
    /// `/api/v1/services/search/undo`
    pub path: String,
    /// The request's body.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub body: serde_json::Value,
    /// The same for the CLI: `windrose undo search`.
    pub command: String,
}

/// A past change of a service's traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RevisionEntry {
    /// The store's counter then.
    pub revision: u64,
    /// `set`, `failover`, `undo`.
    pub verb: String,
    /// What was set; `null`: the file's policy.
    pub policy: Option<PolicyForm>,
    /// What stood before; `null`: the file's policy.
    pub before: Option<PolicyForm>,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Time,
    /// Guards that were overridden.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overridden: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undo_goes_to_the_file_or_a_revision() {
        assert_eq!(serde_json::from_str::<Undo>(r#"{"to": "file"}"#).unwrap().to, Some(UndoTo::File));
        assert_eq!(serde_json::from_str::<Undo>(r#"{"to": 42}"#).unwrap().to, Some(UndoTo::Revision(42)));
        assert_eq!(serde_json::from_str::<Undo>("{}").unwrap().to, None);
        assert!(serde_json::from_str::<Undo>(r#"{"to": "the start"}"#).is_err());
    }

    #[test]
    fn requests_reject_unknown_fields() {
        assert!(serde_json::from_str::<TrafficPut>(r#"{"policy": {"failover": ["a"]}, "raeson": "x"}"#).is_err());
        assert!(serde_json::from_str::<Failover>(r#"{"too": "dr"}"#).is_err());
    }

    #[test]
    fn the_body_of_put_traffic_is_the_files_own_form() {
        let body: TrafficPut = serde_json::from_str(r#"{"policy": {"weighted": {"prod": 80, "dr": 20}}, "reason": "CHG-1"}"#).unwrap();
        assert_eq!(serde_json::to_string(&body).unwrap(), r#"{"policy":{"weighted":{"prod":80,"dr":20}},"reason":"CHG-1"}"#);
    }
}
