//! Policies: the form that people write, and the tree that it means.
//!
//! [`PolicyForm`] speaks names. It is one format with three edges (the file, `PUT traffic`, the store), so its `serde`
//! code stands here, once. [`Node`] is the same with names resolved against one [`Estate`](super::Estate).

use std::sync::Arc;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{By, Condition, Even, GeoRule, Nearest, PoolId};

/// A share in parts per million: 80 % is 800,000. People write per cent with up to four decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(pub u32);

impl Share {
    /// Nothing: standby.
    pub const ZERO: Share = Share(0);
    /// 100 per cent.
    pub const FULL: Share = Share(1_000_000);

    /// From per cent, 0 to 100; `None` if it is out of range or not a number.
    pub fn from_percent(percent: f64) -> Option<Self> {
        (0.0..=100.0).contains(&percent).then(|| Self((percent * 10_000.0).round() as u32))
    }

    /// As per cent.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.percent())
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 % 10_000 {
            0 => to.serialize_u32(self.0 / 10_000),
            _ => to.serialize_f64(self.percent()),
        }
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let percent = f64::deserialize(from)?;
        Share::from_percent(percent).ok_or_else(|| D::Error::custom(format!("a share is per cent from 0 to 100, not {percent}")))
    }
}

/// A policy as people write it: one choice among named children, which are pools or named policies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PolicyForm {
    /// How a child is chosen.
    pub choice: Choice<String>,
    /// How many children must be up for this one to be up; at least 1.
    pub min_up: u32,
}

/// How a child is chosen (SEMANTICS, 6). `C` is a child: a name in a form, a [`Node`] in a tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Choice<C> {
    /// The first child that is up.
    Failover(Vec<C>),
    /// Shares of the children that are up, pro rata; share 0 is standby. Shares sum to 100 %, or are all equal (a list in the file).
    Weighted(Vec<(C, Share)>),
    /// The serving sets of all up children together.
    Multivalue(Vec<C>),
    /// By rules about the client: the first that matches and is up; the last one matches everybody.
    Geo(Vec<GeoRule<C>>),
    /// The nearest to the client of those that are up, by distance or by what was measured.
    Nearest(Nearest<C>),
}

impl<C> Choice<C> {
    /// The word in file, API and CLI.
    pub fn word(&self) -> &'static str {
        match self {
            Choice::Failover(_) => "failover",
            Choice::Weighted(_) => "weighted",
            Choice::Multivalue(_) => "multivalue",
            Choice::Geo(_) => "geo",
            Choice::Nearest(nearest) => nearest.by.word(),
        }
    }

    /// The children in the order written.
    pub fn children(&self) -> Vec<&C> {
        match self {
            Choice::Failover(children) | Choice::Multivalue(children) => children.iter().collect(),
            Choice::Weighted(children) => children.iter().map(|(child, _)| child).collect(),
            Choice::Geo(rules) => rules.iter().map(|rule| &rule.then).collect(),
            Choice::Nearest(nearest) => nearest.among.iter().collect(),
        }
    }

    /// What it chooses depends on who asks.
    pub fn asks_about_clients(&self) -> bool {
        matches!(self, Choice::Geo(_) | Choice::Nearest(_))
    }
}

impl PolicyForm {
    /// A form with the default `min_up`.
    pub fn new(choice: Choice<String>) -> Self {
        Self { choice, min_up: 1 }
    }

    /// What is wrong with this form by itself (names are not looked up): empty or repeated children, shares that don't sum to 100 ± 0.01 or are all 0, `min_up` out of range.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let children = self.choice.children();
        if children.is_empty() {
            faults.push(format!("`{}` needs at least one pool or policy", self.choice.word()));
        }
        for (at, child) in children.iter().enumerate() {
            // Rules may lead to the same place.
            if !matches!(self.choice, Choice::Geo(_)) && children.iter().take(at).any(|earlier| earlier == child) {
                faults.push(format!("`{child}` stands twice"));
            }
        }
        if let Choice::Weighted(children) = &self.choice {
            let sum: u64 = children.iter().map(|(_, share)| u64::from(share.0)).sum();
            let equal = children.windows(2).all(|pair| matches!(pair, [a, b] if a.1 == b.1));
            if !children.is_empty() && sum == 0 {
                faults.push("every share is 0; at least one child needs a share".to_string());
            } else if !children.is_empty()
                && sum.abs_diff(1_000_000) > 100
                && !(equal && children.len() > 1 && sum.abs_diff(1_000_000) <= children.len() as u64)
            {
                faults.push(format!("shares are per cent and must sum to 100, not {}", sum as f64 / 10_000.0));
            }
        }
        if let Choice::Geo(rules) = &self.choice {
            faults.extend(geo_faults(rules));
        }
        if self.choice.asks_about_clients() && self.min_up != 1 {
            faults.push(format!("min_up does not go with `{}`: it is up when one child of the client's is", self.choice.word()));
            return faults;
        }
        if self.min_up == 0 || self.min_up as usize > children.len().max(1) {
            faults.push(format!("min_up must be from 1 to {}, the number of children", children.len().max(1)));
        }
        faults
    }
}

/// A catch-all, and it stands last; nothing stands behind a rule that already took all its clients.
fn geo_faults(rules: &[GeoRule<String>]) -> Vec<String> {
    let mut faults = Vec::new();
    match rules.iter().position(|rule| rule.when.is_empty()) {
        None if rules.is_empty() => {}
        None => faults.push("`geo` needs a last rule without `when`, for everybody else".to_string()),
        Some(at) if at + 1 < rules.len() => {
            faults.push(format!("no client reaches the rules behind number {}, which has no `when` and takes everybody", at + 1));
        }
        Some(at) if rules.get(at).is_some_and(|rule| rule.strict) => {
            faults.push("the rule without `when` is the last one: `strict` means nothing there".to_string())
        }
        Some(_) => {}
    }
    for (at, rule) in rules.iter().enumerate() {
        let taken = |condition: &Condition| rules.iter().take(at).any(|earlier| earlier.strict && earlier.when.contains(condition));
        if !rule.when.is_empty() && rule.when.iter().all(taken) {
            faults.push(format!("no client reaches rule number {}: strict rules before it take all of them", at + 1));
        }
    }
    faults
}

/// `{"weighted": {"prod": 80, "dr": 20}}`, `{"failover": ["prod", "dr"], "min_up": 1}`. Equal shares that a list stood for come out as shares.
impl Serialize for PolicyForm {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        struct Shares<'a>(&'a [(String, Share)]);
        impl Serialize for Shares<'_> {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_map(self.0.iter().map(|(name, share)| (name, share)))
            }
        }
        let mut map = to.serialize_map(None)?;
        match &self.choice {
            Choice::Failover(children) => map.serialize_entry("failover", children)?,
            Choice::Weighted(children) => map.serialize_entry("weighted", &Shares(children))?,
            Choice::Multivalue(children) => map.serialize_entry("multivalue", children)?,
            Choice::Geo(rules) => map.serialize_entry("geo", &rules.iter().map(RuleForm::from).collect::<Vec<_>>())?,
            Choice::Nearest(Nearest { by, among, ties, unknown }) => {
                map.serialize_entry(by.word(), among)?;
                for (key, even) in [("ties", ties), ("unknown", unknown)] {
                    if *even != Even::default() {
                        map.serialize_entry(key, even.word())?;
                    }
                }
            }
        }
        if self.min_up != 1 {
            map.serialize_entry("min_up", &self.min_up)?;
        }
        map.end()
    }
}

/// `{ when = ["continent:EU"], then = "europe", strict = true }`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleForm {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    when: Vec<String>,
    then: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    strict: bool,
}

impl From<&GeoRule<String>> for RuleForm {
    fn from(rule: &GeoRule<String>) -> Self {
        let GeoRule { when, then, strict } = rule;
        Self { when: when.iter().map(ToString::to_string).collect(), then: then.clone(), strict: *strict }
    }
}

impl RuleForm {
    fn rule(self) -> Result<GeoRule<String>, String> {
        let Self { when, then, strict } = self;
        Ok(GeoRule { when: when.iter().map(|text| text.parse()).collect::<Result<_, String>>()?, then, strict })
    }
}

fn nearest(by: By, among: Vec<String>) -> Choice<String> {
    Choice::Nearest(Nearest { by, among, ties: Even::default(), unknown: Even::default() })
}

fn even<E: serde::de::Error>(word: &str) -> Result<Even, E> {
    Even::from_word(word).ok_or_else(|| E::unknown_variant(word, &["first", "share"]))
}

impl<'de> Deserialize<'de> for PolicyForm {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = PolicyForm;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a policy such as { failover = [\"prod\", \"dr\"] } or { weighted = { prod = 80, dr = 20 } }")
            }

            /// A bare name means a failover of one.
            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<PolicyForm, E> {
                Ok(PolicyForm::new(Choice::Failover(vec![name.to_string()])))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PolicyForm, A::Error> {
                let (mut choice, mut min_up) = (None, 1);
                let (mut ties, mut unknown) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    let found = match key.as_str() {
                        "failover" => Choice::Failover(map.next_value()?),
                        "multivalue" => Choice::Multivalue(map.next_value()?),
                        "weighted" => Choice::Weighted(map.next_value::<Weights>()?.0),
                        "min_up" => {
                            min_up = map.next_value()?;
                            continue;
                        }
                        "geo" => {
                            let rules: Vec<RuleForm> = map.next_value()?;
                            Choice::Geo(rules.into_iter().map(RuleForm::rule).collect::<Result<_, _>>().map_err(A::Error::custom)?)
                        }
                        "nearest" => nearest(By::Distance, map.next_value()?),
                        "latency" => nearest(By::Latency, map.next_value()?),
                        "ties" => {
                            ties = Some(even(&map.next_value::<String>()?)?);
                            continue;
                        }
                        "unknown" => {
                            unknown = Some(even(&map.next_value::<String>()?)?);
                            continue;
                        }
                        other => {
                            let known = &["failover", "weighted", "multivalue", "geo", "nearest", "latency", "ties", "unknown", "min_up"];
                            return Err(A::Error::unknown_field(other, known));
                        }
                    };
                    if choice.replace(found).is_some() {
                        return Err(A::Error::custom("a policy has one of failover, weighted, multivalue, geo, nearest, latency, not two"));
                    }
                }
                let mut choice = choice.ok_or_else(|| A::Error::custom("a policy needs one of failover, weighted, multivalue, geo, nearest, latency"))?;
                match &mut choice {
                    Choice::Nearest(Nearest { by: By::Latency, .. }) if ties.is_some() => {
                        return Err(A::Error::custom("`ties` goes with nearest alone: what was measured has an order"));
                    }
                    Choice::Nearest(nearest) => (nearest.ties, nearest.unknown) = (ties.unwrap_or_default(), unknown.unwrap_or_default()),
                    _ if ties.is_some() || unknown.is_some() => {
                        return Err(A::Error::custom("`ties` goes with nearest alone, `unknown` with nearest and latency"));
                    }
                    _ => {}
                }
                Ok(PolicyForm { choice, min_up })
            }
        }
        from.deserialize_any(Form)
    }
}

/// Shares by name, or a list that means equal shares. Order is kept; it settles ties.
struct Weights(Vec<(String, Share)>);

impl<'de> Deserialize<'de> for Weights {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Weights;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("shares such as { prod = 80, dr = 20 }, or a list, which means equal shares")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Weights, A::Error> {
                let mut shares = Vec::new();
                while let Some(entry) = map.next_entry::<String, Share>()? {
                    shares.push(entry);
                }
                Ok(Weights(shares))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Weights, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = seq.next_element::<String>()? {
                    names.push(name);
                }
                let share = Share(1_000_000 / u32::try_from(names.len().max(1)).unwrap_or(u32::MAX));
                Ok(Weights(names.into_iter().map(|name| (name, share)).collect()))
            }
        }
        from.deserialize_any(Either)
    }
}

/// A policy with its names resolved. Named subtrees are shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// A leaf.
    Pool(PoolId),
    /// A choice among children.
    Policy {
        /// The name of a `[policy.NAME]`; `None` for a service's root.
        name: Option<Arc<str>>,
        /// How a child is chosen.
        choice: Choice<Arc<Node>>,
        /// Children that must be up for this subtree to be up.
        min_up: u32,
    },
}

impl Node {
    /// Visits every pool below, in file order; one that is reachable twice is visited twice.
    pub fn pools(&self, visit: &mut impl FnMut(PoolId)) {
        match self {
            Node::Pool(pool) => visit(*pool),
            Node::Policy { choice, .. } => choice.children().into_iter().for_each(|child| child.pools(visit)),
        }
    }

    /// Some choice in it depends on who asks.
    pub fn asks_about_clients(&self) -> bool {
        match self {
            Node::Pool(_) => false,
            Node::Policy { choice, .. } => choice.asks_about_clients() || choice.children().into_iter().any(|child| child.asks_about_clients()),
        }
    }
}

/// Why a form can't become a tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// A child is neither a pool nor a named policy.
    #[error("`{name}` is neither a pool nor a policy{}", .did_you_mean.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// What was written.
        name: String,
        /// The nearest name that exists.
        did_you_mean: Option<String>,
    },
    /// Named policies that contain themselves.
    #[error("policy `{name}` contains itself ({path})")]
    Cycle {
        /// The policy.
        name: String,
        /// `a → b → a`.
        path: String,
    },
    /// A condition names a network that does not exist.
    #[error("no network is called `{name}`{}", .did_you_mean.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownNetwork {
        /// What was written.
        name: String,
        /// The nearest name that exists.
        did_you_mean: Option<String>,
    },
    /// `nearest` or `latency` can't tell how far a child is.
    #[error("`{name}` can't be near or far: {why}")]
    NoPlace {
        /// The child.
        name: String,
        /// What is missing.
        why: String,
    },
    /// A pool with addresses in a service that answers with host names.
    #[error("endpoint `{endpoint}` of pool `{name}` has an address, and a service with answer = \"cname\" answers with host names alone")]
    Nameless {
        /// The pool.
        name: String,
        /// Its first such endpoint.
        endpoint: String,
    },
    /// `weighted` below `multivalue` (SEMANTICS, 6).
    #[error("`{name}` is weighted, and weighted can't stand below multivalue")]
    WeightedBelowMultivalue {
        /// The weighted policy.
        name: String,
    },
}
