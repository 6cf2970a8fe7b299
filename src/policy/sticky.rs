//! Sticky services: a client keeps its region as long as it can (weighted rendezvous hashing).
//!
//! At each weighted choice every child draws a number from the client's prefix and its own name, and the best draw by weight wins. So a child that goes
//! loses its own clients and moves nobody else's, a change of weights moves as many as it must, and nodes that know nothing of each other agree.
//!
//! ```text
//! client 203.0.113.0/24 ─▶ root:  eu draws 0.41/80, us 0.07/20 ─▶ us
//!                          us:    us-a 1.2/50, us-b 0.9/50     ─▶ us-b
//! ```
//!
//! A client walks the tree, not the list of leaves: what goes inside one region is taken over inside that region.
//!
//! Two other kinds of choices stand beside that. What a pool sheds by client goes by a number that each client has for that pool: those below the share go,
//! so a greater share takes more of them and none of the others. And where a service is not sticky, all other choices are made in turn, by the number of the
//! answer, as if nobody kept to anything.
//! Never here: which children are up. That is `tree`'s.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use crate::model::Sticky;

use super::Leaf;

/// One weighted choice on the way to a leaf.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Which child of which choice; the same on every node and after every reload.
    pub key: u64,
    /// What it weighs among those that it was chosen from; more than 0.
    pub weight: f64,
    /// How this choice is made; the same for all of its turns.
    pub by: TurnBy,
}

/// How one of several turns is chosen.
#[derive(Clone, Copy, Debug)]
pub enum TurnBy {
    /// The client's best draw by weight.
    Draw,
    /// Each client has a number from 0 to 1 in a choice with this key: this turn's stretch begins at `from`.
    Client {
        /// Of the choice.
        choice: u64,
        /// Where the stretch begins.
        from: f64,
    },
    /// By the number of the answer: this turn's stretch begins here.
    Turn(f64),
}

impl Turn {
    /// What of it can be compared and hashed.
    fn parts(&self) -> (u64, u64, u8, u64, u64) {
        let (kind, choice, from) = match self.by {
            TurnBy::Draw => (0, 0, 0.0),
            TurnBy::Client { choice, from } => (1, choice, from),
            TurnBy::Turn(from) => (2, 0, from),
        };
        (self.key, self.weight.to_bits(), kind, choice, from.to_bits())
    }

    fn from(&self) -> f64 {
        match self.by {
            TurnBy::Draw => 0.0,
            TurnBy::Client { from, .. } | TurnBy::Turn(from) => from,
        }
    }
}

/// Weights are numbers, never NaN.
impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Turn {}

impl Hash for Turn {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.parts().hash(hasher);
    }
}

/// Which of some leaves a client keeps to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Keeper {
    /// The choices; the first is where everybody begins.
    choices: Vec<Vec<Branch>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Branch {
    turn: Turn,
    to: To,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum To {
    Choice(u32),
    Leaf(u32),
}

impl Keeper {
    /// `None`: there is nothing to choose, or nobody keeps to anything.
    pub fn of(leaves: &[Leaf]) -> Option<Self> {
        let mut choices: Vec<Vec<Branch>> = vec![Vec::new()];
        for (leaf, path) in (0_u32..).zip(leaves).flat_map(|(number, leaf)| leaf.ways.iter().map(move |way| (number, way))) {
            let mut at = 0;
            for (step, turn) in path.iter().enumerate() {
                let next = u32::try_from(choices.len()).ok()?;
                let is_last = step + 1 == path.len();
                let choice = choices.get_mut(at)?;
                let known = choice.iter().find(|branch| branch.turn.key == turn.key).map(|branch| branch.to);
                match known {
                    Some(To::Choice(below)) => at = below as usize,
                    // The same child twice can't stand in one choice.
                    Some(To::Leaf(_)) => break,
                    None if is_last => choice.push(Branch { turn: *turn, to: To::Leaf(leaf) }),
                    None => {
                        choice.push(Branch { turn: *turn, to: To::Choice(next) });
                        choices.push(Vec::new());
                        at = next as usize;
                    }
                }
            }
        }
        let chooses = choices.first().is_some_and(|first| !first.is_empty());
        chooses.then_some(Self { choices })
    }

    /// The leaf of a client, by its [`key`], for the answer with this number.
    pub fn choose(&self, client: u64, number: u64) -> usize {
        let mut at = 0;
        let mut number = unit(number);
        // Choices lead to later ones only.
        while let Some(branches) = self.choices.get(at) {
            let Some(chosen) = chosen(branches, client, number) else { break };
            if let TurnBy::Turn(from) = chosen.turn.by {
                // Within its stretch it is as even as before.
                number = ((number - from) / chosen.turn.weight).clamp(0.0, 1.0);
            }
            match chosen.to {
                To::Leaf(leaf) => return leaf as usize,
                To::Choice(next) => at = next as usize,
            }
        }
        0
    }

    /// How often a client gets each of so many leaves: 1 for one of them, unless some choices are made in turn.
    pub fn odds(&self, client: u64, leaves: usize) -> Vec<f64> {
        let mut odds = vec![0.0; leaves];
        let mut todo = vec![(0, 1.0)];
        while let Some((at, part)) = todo.pop() {
            let branches = self.choices.get(at).map(Vec::as_slice).unwrap_or_default();
            let in_turn = branches.iter().any(|branch| matches!(branch.turn.by, TurnBy::Turn(_)));
            let taken = if in_turn { branches.to_vec() } else { chosen(branches, client, 0.0).into_iter().collect() };
            let total: f64 = if in_turn { branches.iter().map(|branch| branch.turn.weight).sum() } else { 1.0 };
            for Branch { turn, to } in taken {
                let part = if in_turn { part * turn.weight / total } else { part };
                match to {
                    To::Leaf(leaf) => odds.get_mut(leaf as usize).into_iter().for_each(|odds| *odds += part),
                    To::Choice(next) => todo.push((next as usize, part)),
                }
            }
        }
        odds
    }
}

/// The branch that a client takes; `None` if there is none.
fn chosen(branches: &[Branch], client: u64, number: f64) -> Option<Branch> {
    let stretch = |number: f64| {
        // The last one that begins before: a rounding leaves no gap between stretches.
        let begun = |branch: &&Branch| branch.turn.from() <= number;
        branches.iter().filter(begun).reduce(|best, other| if best.turn.from() < other.turn.from() { other } else { best })
    };
    let found = match branches.first()?.turn.by {
        TurnBy::Draw => {
            let draws = branches.iter().map(|branch| (draw(client, branch.turn), branch));
            draws.reduce(|best, other| if other.0 < best.0 { other } else { best }).map(|(_, branch)| branch)
        }
        TurnBy::Client { choice, .. } => stretch(unit(mixed(client ^ choice))),
        TurnBy::Turn(_) => stretch(number),
    };
    found.or(branches.first()).copied()
}

/// Exponentially distributed with the weight as its rate: the least of several is each one's as often as it weighs.
fn draw(client: u64, turn: Turn) -> f64 {
    -unit(mixed(client ^ turn.key)).ln() / turn.weight
}

/// Between 0 and 1, and neither.
fn unit(number: u64) -> f64 {
    const STEPS: f64 = (1_u64 << 53) as f64;
    ((number >> 11) as f64 + 0.5) / STEPS
}

/// A client as sticky services see it, and how many leading bits of its address count. An IPv4 address written as an IPv6 one is the IPv4 address.
pub fn key(sticky: Sticky, client: IpAddr) -> (u64, u8) {
    let leading = |bits: u128, of: u32, length: u8| bits.checked_shr(of.saturating_sub(length.into())).unwrap_or(0);
    let of_v4 = |address: std::net::Ipv4Addr| mixed(leading(u32::from(address).into(), 32, sticky.ipv4_prefix) as u64 | 4 << 60);
    match client {
        IpAddr::V4(address) => (of_v4(address), sticky.ipv4_prefix),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => (of_v4(mapped), sticky.ipv4_prefix + 96),
            None => {
                let bits = leading(address.into(), 128, sticky.ipv6_prefix);
                (mixed(mixed(bits as u64) ^ (bits >> 64) as u64 ^ 6 << 60), sticky.ipv6_prefix)
            }
        },
    }
}

/// A number for a name: FNV-1a, mixed. Part of what nodes must agree on: never change it.
pub(super) fn name_key(name: &str) -> u64 {
    mixed(name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)))
}

/// The key of a child within a choice, and of what has no name within what surrounds it.
pub(super) fn within(outer: u64, inner: u64) -> u64 {
    mixed(outer.rotate_left(29) ^ inner)
}

/// The last steps of SplitMix64: every bit of the result hangs on every bit of the number.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
