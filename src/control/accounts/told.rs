//! What an account says.
//!
//! Never here: ids. An account is read when the estate that it speaks of may be gone.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{EndpointId, Family, Node, Sticky};
use crate::policy::{Facts, FamilyDecision, Keeper, Leaf, Rung, Step, Turn, Verdict, sticky_key};

/// Stands for the service's name in a sentence.
const NAME: char = '\u{1}';
/// Stands for the TTL.
const TTL: char = '\u{2}';
/// What a sentence has before the service's name.
const BEFORE_NAME: &str = "windrose failback ";

/// What explain says of a service until something changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Account {
    /// Whose policy is in force.
    pub whose: Arc<str>,
    /// Clients keep to their leaf.
    pub sticky: Option<Sticky>,
    /// It answers with a CNAME.
    pub by_name: bool,
    /// By [`Decision::number_of`](crate::policy::Decision::number_of): the first is for clients of whom nothing is known.
    pub answers: Vec<AccountAnswer>,
    /// How clients are told apart; `None`: everybody gets the first answer.
    pub clients: Option<AccountClients>,
}

/// How clients are told apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountClients {
    /// [`client_mark`](crate::policy::client_mark)
    pub mark: u64,
    /// The policy's form, JSON.
    pub form: Arc<str>,
}

/// What some clients get, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AccountAnswer {
    /// Sentences, each with its topic before it; the service's name and the TTL are left open.
    steps: Vec<Arc<str>>,
    /// By [`Family::index`].
    pub families: [AccountFamily; 2],
    /// Seconds.
    pub ttl: u32,
}

/// Names of pools, and how often they are answered: 1 for one of them, unless some choices are made in turn.
pub type KeptTo<'a> = Vec<(&'a [Arc<str>], f64)>;

/// What is answered in one family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AccountFamily {
    /// What.
    pub verdict: AccountVerdict,
    /// No pool has an address of this family.
    pub absent: bool,
    /// Where the answers go.
    pub leaves: Vec<AccountLeaf>,
}

/// [`Verdict`], without its sentence: a step has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AccountVerdict {
    /// One of the leaves.
    Answer,
    /// NODATA
    #[default]
    NoData,
    /// SERVFAIL
    ServFail,
}

/// One destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountLeaf {
    /// Names of its pools.
    pub pools: Vec<Arc<str>>,
    /// Millionths of all answers.
    pub share: u32,
    /// Which step of the ladder answers.
    pub rung: Rung,
    /// The serving set.
    pub endpoints: Vec<AccountEndpoint>,
    /// Of sticky services: the choices that lead here.
    pub ways: Vec<Vec<Turn>>,
}

/// An endpoint of a serving set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountEndpoint {
    /// `pool/name`
    pub id: Arc<str>,
    /// Its address or host name.
    pub address: Arc<str>,
    /// The addresses that it is answered with.
    pub addresses: Vec<Arc<str>>,
}

impl AccountAnswer {
    /// Of what was decided, and the steps behind it.
    pub fn new(facts: &Facts<'_>, service: &str, policy: &Node, families: &[FamilyDecision; 2], ttl: u32, steps: &[Step]) -> Self {
        let family = |family: Family| AccountFamily::new(facts, policy, family, &families[family.index()]);
        let steps = steps.iter().map(|Step { topic, text }| opened(service, ttl, &format!("{topic}: {text}")).into()).collect();
        Self { steps, families: Family::ALL.map(family), ttl }
    }

    /// As it was written down.
    pub fn from_parts(steps: Vec<Arc<str>>, families: [AccountFamily; 2], ttl: u32) -> Self {
        Self { steps, families, ttl }
    }

    /// To be written down: sentences with what is left open.
    pub fn open_steps(&self) -> &[Arc<str>] {
        &self.steps
    }

    /// Topic and sentence of each step, for a service.
    pub fn steps(&self, service: &str) -> impl Iterator<Item = (String, String)> {
        self.steps.iter().map(move |step| {
            let filled = step.replace(NAME, service).replace(TTL, &self.ttl.to_string());
            let (topic, text) = filled.split_once(": ").unwrap_or(("", &filled));
            (topic.to_string(), text.to_string())
        })
    }

    /// What a client of a service that keeps clients together gets: names of pools, each with how often; and how long the prefix is that keeps together.
    pub fn kept_to(&self, family: Family, sticky: Sticky, client: IpAddr) -> Option<(KeptTo<'_>, u8)> {
        let leaves = &self.families[family.index()].leaves;
        let bare = |leaf: &AccountLeaf| Leaf {
            pools: Vec::new(),
            share: f64::from(leaf.share) / 1e6,
            rung: leaf.rung,
            taken: false,
            endpoints: Vec::new(),
            weights: None,
            addresses: None,
            ways: leaf.ways.clone(),
        };
        let keeper = Keeper::of(&leaves.iter().map(bare).collect::<Vec<_>>())?;
        let (key, length) = sticky_key(sticky, client);
        let odds = leaves.iter().zip(keeper.odds(key, leaves.len()));
        Some((odds.filter(|(_, part)| 0.0 < *part).map(|(leaf, part)| (&leaf.pools[..], part)).collect(), length))
    }

    /// Clients of this service keep together.
    pub fn keeps(&self, family: Family) -> bool {
        self.families[family.index()].leaves.iter().any(|leaf| leaf.ways.iter().any(|way| !way.is_empty()))
    }
}

impl AccountFamily {
    fn new(facts: &Facts<'_>, policy: &Node, family: Family, decided: &FamilyDecision) -> Self {
        let estate = facts.estate;
        let endpoint = |leaf: &Leaf, at: usize, id: EndpointId| AccountEndpoint {
            id: estate.endpoint_label(id).into(),
            address: estate.address_text(id).into(),
            addresses: leaf.addresses_at(estate, at).iter().map(|address| address.to_string().into()).collect(),
        };
        let leaf = |leaf: &Leaf| AccountLeaf {
            pools: leaf.pools.iter().map(|pool| estate.pool(*pool).name.clone()).collect(),
            share: (leaf.share * 1e6).round() as u32,
            rung: leaf.rung,
            endpoints: leaf.endpoints.iter().enumerate().map(|(at, id)| endpoint(leaf, at, *id)).collect(),
            ways: leaf.ways.clone(),
        };
        let verdict = match decided.verdict {
            Verdict::Answer => AccountVerdict::Answer,
            Verdict::NoData => AccountVerdict::NoData,
            Verdict::ServFail(_) => AccountVerdict::ServFail,
        };
        let mut present = false;
        policy.pools(&mut |pool| present |= facts.health.pool_has(estate, pool, family));
        let leaves: Vec<AccountLeaf> = decided.leaves.iter().map(leaf).collect();
        Self { verdict, absent: !present && leaves.is_empty(), leaves }
    }

    /// In one word: `answer`, `nodata`, `servfail`.
    pub fn word(&self) -> &'static str {
        match self.verdict {
            AccountVerdict::Answer if self.leaves.iter().all(|leaf| leaf.endpoints.is_empty()) => "nodata",
            AccountVerdict::Answer => "answer",
            AccountVerdict::NoData => "nodata",
            AccountVerdict::ServFail => "servfail",
        }
    }
}

/// A sentence without what differs between services that are explained alike, and without what a falling TTL changes once a second.
fn opened(service: &str, ttl: u32, sentence: &str) -> String {
    let sentence = sentence.replace([NAME, TTL], "?").replace(&format!("{BEFORE_NAME}{service}"), &format!("{BEFORE_NAME}{NAME}"));
    match sentence.strip_prefix(&format!("ttl: {ttl} s")) {
        Some(rest) => format!("ttl: {TTL} s{rest}"),
        None => sentence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_open_is_filled_in_again() {
        let said = ["hold: pool prod waits for `windrose failback orders prod`", "ttl: 7 s: between ttl_min (5 s) and ttl (30 s)", "policy: orders"];
        let steps: Vec<Arc<str>> = said.iter().map(|said| opened("orders", 7, said).into()).collect();
        let answer = |ttl| AccountAnswer::from_parts(steps.clone(), Default::default(), ttl);
        let read = |answer: &AccountAnswer, service: &str| answer.steps(service).map(|(topic, text)| format!("{topic}: {text}")).collect::<Vec<_>>();
        assert_eq!(read(&answer(7), "orders"), said);
        let another = read(&answer(6), "web");
        assert_eq!(another, ["hold: pool prod waits for `windrose failback web prod`", "ttl: 6 s: between ttl_min (5 s) and ttl (30 s)", "policy: orders"]);
    }
}
