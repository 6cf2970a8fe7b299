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
}

/// Weights are numbers, never NaN.
impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        (self.key, self.weight.to_bits()) == (other.key, other.weight.to_bits())
    }
}

impl Eq for Turn {}

impl Hash for Turn {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.key, self.weight.to_bits()).hash(hasher);
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

    /// The leaf of a client, by its [`key`].
    pub fn choose(&self, client: u64) -> usize {
        let mut at = 0;
        // Choices lead to later ones only.
        while let Some(branches) = self.choices.get(at) {
            let draw = |branch: &Branch| draw(client, branch.turn);
            let best = branches.iter().map(|branch| (draw(branch), branch.to)).reduce(|best, other| if other.0 < best.0 { other } else { best });
            match best {
                Some((_, To::Leaf(leaf))) => return leaf as usize,
                Some((_, To::Choice(next))) => at = next as usize,
                None => break,
            }
        }
        0
    }
}

/// Exponentially distributed with the weight as its rate: the least of several is each one's as often as it weighs.
fn draw(client: u64, turn: Turn) -> f64 {
    const STEPS: f64 = (1_u64 << 53) as f64;
    let uniform = ((mixed(client ^ turn.key) >> 11) as f64 + 0.5) / STEPS;
    -uniform.ln() / turn.weight
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
