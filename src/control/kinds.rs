//! Kinds of clients: those whom a service answers alike, before something and after it. What is harmless for most may take away all that others have.
//!
//! Never here: how many clients are of a kind. Nobody knows; by where answers went of late it can be guessed ([`mixture`]).

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::client::{ClassId, Clients};
use crate::model::{Estate, Node};
use crate::policy::{self, Decision};

use super::guards::{self, GuardFinding};

/// Kinds that are listed for one service; those beyond are left out.
const KINDS_LISTED: usize = 20;
/// Shares (0 to 1) closer than this are the same.
const SAME: f64 = 0.000_1;
/// So often the guess at the mixture is improved.
const ROUNDS: usize = 40;

/// How clients are told apart before and after.
pub(super) struct Eyes<'a> {
    before: &'a Clients,
    after: &'a Clients,
    pairs: OnceCell<Vec<(ClassId, ClassId)>>,
}

/// Clients who get the same before, and the same after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// The first class of them, as they were told apart before.
    pub before: ClassId,
    /// And after.
    pub after: ClassId,
    /// How many classes there are of the kind.
    pub classes: usize,
}

impl Kind {
    /// Those of whom nothing is known.
    pub(super) const UNKNOWN: Kind = Kind { before: ClassId::UNKNOWN, after: ClassId::UNKNOWN, classes: 1 };

    fn is_unknown(&self) -> bool {
        (self.before, self.after) == (ClassId::UNKNOWN, ClassId::UNKNOWN)
    }
}

impl<'a> Eyes<'a> {
    pub(super) fn new(before: &'a Clients, after: &'a Clients) -> Self {
        Self { before, after, pairs: OnceCell::new() }
    }

    /// Each kind; first those of whom nothing is known.
    pub(super) fn kinds(&self, before: &Decision, after: &Decision) -> Vec<Kind> {
        if before.by_client.is_none() && after.by_client.is_none() {
            return vec![Kind::UNKNOWN];
        }
        let mut kinds: Vec<Kind> = Vec::new();
        let mut places: HashMap<(u16, u16), usize> = HashMap::new();
        for (old, new) in self.pairs.get_or_init(|| self.before.pairs(self.after)) {
            let place = *places.entry((before.number_of(*old), after.number_of(*new))).or_insert_with(|| {
                kinds.push(Kind { before: *old, after: *new, classes: 0 });
                kinds.len() - 1
            });
            if let Some(kind) = kinds.get_mut(place) {
                kind.classes += 1;
            }
        }
        kinds
    }

    /// A policy as clients of a class before had it.
    pub(super) fn tree<'t>(&self, tree: &'t Node, class: ClassId, estate: &Estate) -> Cow<'t, Node> {
        if tree.asks_about_clients() { Cow::Owned(policy::tailor(tree, self.before, class, estate)) } else { Cow::Borrowed(tree) }
    }

    /// The same after.
    pub(super) fn tree_after<'t>(&self, tree: &'t Node, class: ClassId, estate: &Estate) -> Cow<'t, Node> {
        if tree.asks_about_clients() { Cow::Owned(policy::tailor(tree, self.after, class, estate)) } else { Cow::Borrowed(tree) }
    }

    /// `clients of whom country:DE holds`
    pub(super) fn who(&self, kind: &Kind) -> String {
        let name = || self.after.name(kind.after).or_else(|| self.before.name(kind.before));
        match (kind.is_unknown(), name()) {
            (true, _) => "clients of whom nothing is known".to_string(),
            (false, Some(name)) => format!("clients of whom {name} holds"),
            (false, None) => match self.before.example(self.after, (kind.before, kind.after)) {
                Some(prefix) => format!("clients such as {prefix}"),
                None => "other clients".to_string(),
            },
        }
    }

    /// What guards say of every kind as one list: each guard by those for whom it holds least, who are named if it does not hold.
    pub(super) fn of_all(&self, found: Vec<(Kind, Vec<GuardFinding>)>) -> Vec<GuardFinding> {
        let many = 1 < found.len();
        let mut worst: Vec<(Kind, GuardFinding)> = Vec::new();
        for (kind, finding) in found.into_iter().flat_map(|(kind, findings)| findings.into_iter().map(move |finding| (kind, finding))) {
            match worst.iter_mut().find(|(_, known)| known.guard == finding.guard) {
                Some(known) if guards::is_worse(&finding, &known.1) => *known = (kind, finding),
                Some(_) => {}
                None => worst.push((kind, finding)),
            }
        }
        worst.sort_by_key(|(_, finding)| guards::place(finding.guard));
        let named = |(kind, finding): (Kind, GuardFinding)| match finding.ok || !many || !guards::is_about_shares(finding.guard) {
            true => finding,
            false => GuardFinding { message: format!("{} (for {})", finding.message, self.who(&kind)), ..finding },
        };
        worst.into_iter().map(named).collect()
    }
}

/// What clients of one kind get before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct KindMove {
    /// `clients of whom country:DE holds`; of alike ones the first.
    pub who: String,
    /// How many classes of clients.
    pub classes: usize,
    /// About what part of the service's answers they get, 0 to 1, by where answers went of late; `None`: not known.
    pub part: Option<f64>,
    /// Effective shares by pool now, 0 to 1, without those of nothing.
    pub before: Vec<(Arc<str>, f64)>,
    /// And then.
    pub after: Vec<(Arc<str>, f64)>,
}

/// One kind's shares, for [`listed`].
pub(super) struct Shown {
    pub kind: Kind,
    pub part: Option<f64>,
    pub before: Vec<(Arc<str>, f64)>,
    pub after: Vec<(Arc<str>, f64)>,
}

/// Those who fare otherwise than the first kind, alike ones together, at most [`KINDS_LISTED`]; nobody, if nobody is moved.
pub(super) fn listed(eyes: &Eyes<'_>, kinds: Vec<Shown>) -> Vec<KindMove> {
    let mut kinds = kinds.into_iter().map(|one| Shown { before: real(one.before), after: real(one.after), ..one });
    let Some(first) = kinds.next() else { return Vec::new() };
    let mut listed: Vec<Shown> = Vec::new();
    for one in kinds.filter(|one| !(same(&one.before, &first.before) && same(&one.after, &first.after))) {
        let room = listed.len() < KINDS_LISTED;
        match listed.iter_mut().find(|known| same(&known.before, &one.before) && same(&known.after, &one.after)) {
            Some(known) => {
                known.kind.classes += one.kind.classes;
                known.part = known.part.zip(one.part).map(|(known, more)| known + more);
            }
            None if room => listed.push(one),
            None => {}
        }
    }
    if same(&first.before, &first.after) && listed.iter().all(|one| same(&one.before, &one.after)) {
        return Vec::new();
    }
    let told = |Shown { kind, part, before, after }: Shown| KindMove { who: eyes.who(&kind), classes: kind.classes, part, before, after };
    listed.into_iter().map(told).collect()
}

/// What part of the answers each of some kinds gets, by where answers went and where each kind is sent: the likeliest mixture. `None`: nothing was answered.
pub(super) fn mixture(kinds: &[Vec<(&str, f64)>], answered: &[(Arc<str>, f64)]) -> Option<Vec<f64>> {
    if kinds.len() < 2 {
        return Some(vec![1.0; kinds.len()]);
    }
    let share = |kind: &[(&str, f64)], pool: &str| kind.iter().filter(|(of, _)| *of == pool).map(|(_, share)| share).sum::<f64>();
    let table: Vec<(f64, Vec<f64>)> = answered.iter().map(|(pool, part)| (*part, kinds.iter().map(|kind| share(kind, pool)).collect())).collect();
    let mut parts = vec![1.0 / kinds.len() as f64; kinds.len()];
    for _ in 0..ROUNDS {
        let mut next = vec![0.0; kinds.len()];
        for (answered, shares) in &table {
            let all: f64 = parts.iter().zip(shares).map(|(part, share)| part * share).sum();
            if 0.0 < all {
                next.iter_mut().zip(parts.iter().zip(shares)).for_each(|(next, (part, share))| *next += answered * part * share / all);
            }
        }
        let all: f64 = next.iter().sum();
        if all <= 0.0 {
            return None;
        }
        parts = next.into_iter().map(|part| part / all).collect();
    }
    Some(parts)
}

/// Shares that are more than nothing.
pub(super) fn real(shares: Vec<(Arc<str>, f64)>) -> Vec<(Arc<str>, f64)> {
    shares.into_iter().filter(|(_, share)| SAME < *share).collect()
}

/// The same shares, in whatever order.
pub(super) fn same(a: &[(Arc<str>, f64)], b: &[(Arc<str>, f64)]) -> bool {
    let of = |shares: &[(Arc<str>, f64)], name: &str| shares.iter().find(|(known, _)| **known == *name).map_or(0.0, |(_, share)| *share);
    a.iter().chain(b).all(|(name, _)| (of(a, name) - of(b, name)).abs() <= SAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mixture_of_kinds_follows_from_where_answers_went() {
        let answered = |eu: f64, us: f64| vec![(Arc::from("eu"), eu), (Arc::from("us"), us)];
        let (europe, america, anybody) = (vec![("eu", 1.0)], vec![("us", 1.0)], vec![("eu", 0.5), ("us", 0.5)]);
        let tidy = |parts: Option<Vec<f64>>| parts.map(|parts| parts.iter().map(|part| (part * 100.0).round() as u32).collect::<Vec<_>>());
        assert_eq!(tidy(mixture(&[europe.clone(), america.clone()], &answered(0.7, 0.3))), Some(vec![70, 30]));
        assert_eq!(tidy(mixture(&[europe.clone(), anybody.clone()], &answered(0.7, 0.3))), Some(vec![40, 60]));
        assert_eq!(tidy(mixture(&[anybody], &[])), Some(vec![100]), "there is but one kind");
        assert_eq!(mixture(&[europe, america], &[]), None, "nobody was answered");
    }
}
