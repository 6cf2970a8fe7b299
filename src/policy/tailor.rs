//! A tree as the clients of one class have it: `geo` and `nearest` become lists of which the first that is up answers, so that everything else decides as
//! for anybody.
//!
//! | for this client                             | becomes                                                                        |
//! |---------------------------------------------|--------------------------------------------------------------------------------|
//! | `geo`                                       | a list of the rules that match, in their order, up to the first strict one   |
//! | `nearest`                                   | failover, nearest first; equally near ones as `ties` says                      |
//! | `latency`                                   | failover, the three quickest first, others as written; nothing measured: as `nearest` |
//! | both, nobody knows where the client is      | all children as `unknown` says                                                 |
//!
//! A failover passes over what is down, so health comes *before* distance: the nearest that is up answers.
//! What follows from the client's prefix itself (its hash, for instance) can't stand here: that is chosen at query time, among the leaves of the decision.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::client::{ClassId, Clients, Questions};
use crate::model::{By, Choice, Estate, Even, GeoRule, Nearest, Node, Share};

use super::tell::{Step, Tell};
use super::view::node_name;

/// The trees of a policy that asks about clients, each once.
#[derive(Debug)]
pub(super) struct Variants {
    /// The first is that of clients of whom nothing is known.
    pub(super) trees: Vec<Node>,
    /// By class: which of them.
    pub(super) of_class: Vec<u16>,
}

impl Variants {
    /// Of all classes.
    pub(super) fn of(policy: &Node, clients: &Clients, estate: &Estate) -> Self {
        let (first, group_of) = clients.groups(&Questions::of_tree(policy, estate));
        let mut known: HashMap<Node, u16> = HashMap::new();
        let mut trees = Vec::new();
        let of_group: Vec<u16> = first
            .into_iter()
            .map(|class| {
                if VARIANTS_MAX <= trees.len() {
                    // Refused where configurations are checked.
                    return 0;
                }
                let next = trees.len() as u16;
                *known.entry(tailor(policy, clients, class, estate)).or_insert_with_key(|tree| {
                    trees.push(tree.clone());
                    next
                })
            })
            .collect();
        let of_class = group_of.into_iter().map(|group| of_group.get(group as usize).copied().unwrap_or(0)).collect();
        Self { trees, of_class }
    }
}

/// Trees of one policy: every one of them is decided whenever health changes.
const VARIANTS_MAX: usize = 4096;

/// A policy gives clients more different answers than one can decide: says so.
pub fn too_many_variants(policy: &Node, clients: &Clients, estate: &Estate) -> Option<String> {
    let mut known = HashSet::new();
    let first = || clients.groups(&Questions::of_tree(policy, estate)).0.into_iter();
    let more = policy.asks_about_clients() && first().any(|class| known.insert(tailor(policy, clients, class, estate)) && VARIANTS_MAX < known.len());
    more.then(|| {
        format!("gives clients more than {VARIANTS_MAX} different orders of answers: let `nearest` choose among fewer regions, or `geo` have fewer rules")
    })
}

/// The tree as the clients of a class have it.
pub fn tailor(policy: &Node, clients: &Clients, class: ClassId, estate: &Estate) -> Node {
    let Node::Policy { name, choice, min_up } = policy else { return policy.clone() };
    let child = |child: &Arc<Node>| if child.asks_about_clients() { Arc::new(tailor(child, clients, class, estate)) } else { child.clone() };
    let choice = match choice {
        Choice::Failover(children) => Choice::Failover(children.iter().map(child).collect()),
        Choice::Multivalue(children) => Choice::Multivalue(children.iter().map(child).collect()),
        Choice::Weighted(children) => Choice::Weighted(children.iter().map(|(node, share)| (child(node), *share)).collect()),
        Choice::Geo(rules) => in_order(matching(rules, clients, class).map(|(_, rule)| child(&rule.then)).collect()),
        Choice::Nearest(nearest) => nearest_first(nearest, clients, class, estate),
    };
    Node::Policy { name: name.clone(), choice, min_up: *min_up }
}

/// The rules that the clients of a class may come to, with their positions: those that match, up to the first strict one.
fn matching<'r, C>(rules: &'r [GeoRule<C>], clients: &Clients, class: ClassId) -> impl Iterator<Item = (usize, &'r GeoRule<C>)> {
    let matches = move |rule: &GeoRule<C>| rule.when.is_empty() || rule.when.iter().any(|condition| clients.holds(class, condition));
    let mut ended = false;
    rules.iter().enumerate().filter(move |(_, rule)| matches(rule)).take_while(move |(_, rule)| !std::mem::replace(&mut ended, rule.strict))
}

fn nearest_first(nearest: &Nearest<Arc<Node>>, clients: &Clients, class: ClassId, estate: &Estate) -> Choice<Arc<Node>> {
    // Below it a child is in one region; nothing in it asks where the client is.
    let Nearest { by: _, among, ties, unknown } = nearest;
    let Some((ranks, _)) = clients.ranks(class, nearest, estate) else { return evenly(among.clone(), *unknown) };
    let mut ranked: Vec<(u16, Arc<Node>)> = ranks.into_iter().zip(among.iter().map(|child| Arc::new(tailor(child, clients, class, estate)))).collect();
    // Stable: what is equally near stays in the order written.
    ranked.sort_by_key(|(rank, _)| *rank);
    let groups = ranked.chunk_by(|(a, _), (b, _)| a == b);
    let group = |group: &[(u16, Arc<Node>)]| -> Vec<Arc<Node>> {
        let children: Vec<Arc<Node>> = group.iter().map(|(_, child)| child.clone()).collect();
        match ties {
            Even::Share if 1 < children.len() => vec![Arc::new(Node::Policy { name: None, choice: evenly(children, Even::Share), min_up: 1 })],
            _ => children,
        }
    };
    in_order(groups.flat_map(group).collect())
}

/// The first that is up answers, and nothing trickles: who comes second for these clients is the first for others, and warm by them. A `nearest` whose order
/// is settled is evaluated so; what an operator wrote as a failover keeps its order for `one_way`, and its trickle.
fn in_order(among: Vec<Arc<Node>>) -> Choice<Arc<Node>> {
    Choice::Nearest(Nearest { among, by: By::Distance, ties: Even::First, unknown: Even::First })
}

fn evenly(children: Vec<Arc<Node>>, even: Even) -> Choice<Arc<Node>> {
    match even {
        Even::First => in_order(children),
        Even::Share => {
            let share = Share(Share::FULL.0 / u32::try_from(children.len().max(1)).unwrap_or(u32::MAX));
            Choice::Weighted(children.into_iter().map(|child| (child, share)).collect())
        }
    }
}

/// `continent:EU or network:office`; `everybody`.
pub(super) fn rule_text<C>(rule: &GeoRule<C>) -> String {
    if rule.when.is_empty() {
        return "everybody".to_string();
    }
    let when = rule.when.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
    if rule.strict { format!("{when}, strictly") } else { when }
}

/// Which rule took the clients of a class, why the others did not, and how near what is.
pub(super) fn tell(policy: &Node, clients: &Clients, class: ClassId, estate: &Estate, tell: &mut Tell<'_>) {
    let mut say = |text: &dyn Fn() -> String| tell(&|| Step { topic: "client", text: text() });
    say(&|| {
        let holding: Vec<String> = clients.holding(class).map(ToString::to_string).collect();
        let known = if holding.is_empty() { "nothing that a rule asks about holds".to_string() } else { holding.join(", ") };
        format!("class {}: {known}", class.0)
    });
    let mut todo = vec![policy];
    while let Some(node) = todo.pop() {
        let Node::Policy { choice, .. } = node else { continue };
        match choice {
            Choice::Geo(rules) => {
                let reached: Vec<usize> = matching(rules, clients, class).map(|(at, _)| at).collect();
                for (at, rule) in rules.iter().enumerate() {
                    let then = node_name(estate, &rule.then);
                    say(&|| {
                        let verdict = match reached.iter().position(|reached| *reached == at) {
                            Some(0) => "matches",
                            Some(_) => "matches too; answers if nothing before it is up",
                            None if reached.last().is_some_and(|last| *last < at) => "not reached: a strict rule before it took the client",
                            None => "does not match",
                        };
                        format!("{} rule {} ({}) → {then}: {verdict}", node_name(estate, node), at + 1, rule_text(rule))
                    });
                }
            }
            Choice::Nearest(nearest) => say(&|| {
                let name = |child: &Arc<Node>| node_name(estate, child);
                let lacks = if nearest.by == By::Latency { "nothing was measured for its network, and " } else { "" };
                match clients.ranks(class, nearest, estate) {
                    None => format!("{}: {lacks}nobody knows where the client is; unknown = \"{}\"", node_name(estate, node), nearest.unknown.word()),
                    Some((ranks, by)) => {
                        let how = match (nearest.by, by) {
                            (_, By::Latency) => "quickest first, as measured",
                            (By::Latency, By::Distance) => "nothing was measured for its network; nearest first",
                            (By::Distance, By::Distance) => "nearest first",
                        };
                        let mut ranked: Vec<_> = ranks.into_iter().zip(&nearest.among).collect();
                        ranked.sort_by_key(|(rank, _)| *rank);
                        let groups = ranked.chunk_by(|(a, _), (b, _)| a == b);
                        let groups: Vec<String> =
                            groups.map(|group| group.iter().map(|(_, child)| name(child).to_string()).collect::<Vec<_>>().join(" = ")).collect();
                        format!("{}: {how}: {}", node_name(estate, node), groups.join(", "))
                    }
                }
            }),
            Choice::Failover(_) | Choice::Weighted(_) | Choice::Multivalue(_) => {}
        }
        todo.extend(choice.children().into_iter().rev().map(|child| &**child));
    }
}
