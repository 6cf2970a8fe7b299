//! `[policy.NAME]` and the policies of services: names looked up, trees that end, shares that sum.
//!
//! Equal forms are looked at once, however many services write them.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use crate::config::problem::Sink;
use crate::config::read::{Entry, Named, Policy};
use crate::model::{Choice, Condition, Estate, Family, Node, PolicyForm, PoolId, ResolveError, Resolver};

use super::check_name;
use super::pools::Pools;

/// Children of one policy.
const CHILDREN_MAX: usize = 1000;
/// Pools that a tree reaches, each path counted: deciding walks all of them.
const LEAVES_MAX: u64 = 10_000;
/// Policies within policies.
const DEPTH_MAX: u64 = 64;

/// Named policies, and which pools some policy uses.
#[derive(Debug, Default)]
pub(super) struct Policies {
    /// Pools and policies share one namespace.
    kinds: HashMap<Arc<str>, Kind>,
    /// Of each named policy, by place in `Estate::policies`.
    sizes: Vec<Size>,
    /// Named policies that (through others) contain themselves, or a name that does not exist.
    unsound: HashSet<usize>,
    used: std::cell::RefCell<HashSet<PoolId>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pool(PoolId),
    Policy(usize),
}

/// How large a tree is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    /// Pools, each path counted.
    leaves: u64,
    /// Policies on the longest path.
    depth: u64,
}

impl Size {
    /// What is wrong with it.
    fn fault(self) -> Option<Fault> {
        let (message, help) = if self.leaves > LEAVES_MAX {
            (format!("the tree has {} leaves; at most {LEAVES_MAX}", self.leaves), "name each pool once: every path to it counts")
        } else if self.depth > DEPTH_MAX {
            (format!("the tree is more than {DEPTH_MAX} policies deep"), "put pools nearer to the root")
        } else {
            return None;
        };
        Some(Fault { child: None, message, help: help.to_string() })
    }
}

/// Something wrong with a form: at which child, what, what to do.
struct Fault {
    child: Option<usize>,
    message: String,
    help: String,
}

pub(super) fn check(tables: Named<Policy>, pools: &Pools, estate: &mut Estate, sink: &mut Sink<'_>) -> Policies {
    let mut policies = Policies::default();
    policies.kinds.extend(pools.by_name.iter().map(|(name, id)| (name.clone(), Kind::Pool(*id))));
    let mut places = Vec::new();
    for Entry { name, span, value: Policy { form, children } } in tables.0 {
        check_name(&name, &span, "policy", sink);
        let name: Arc<str> = name.into();
        if let Some(pool) = pools.by_name.get(&name).and_then(|id| pools.spans.get(id.index())) {
            let message = format!("a pool is called `{name}` too, at {}", sink.place(pool));
            sink.problem(&span, format_args!("policy.{name}"), message, "pools and policies share their names: rename one");
        } else {
            policies.kinds.insert(name.clone(), Kind::Policy(estate.policies.len()));
        }
        estate.policies.push((name, form));
        places.push((span, children));
    }
    for (at, (name, form)) in estate.policies.iter().enumerate() {
        let Some((span, children)) = places.get(at) else { continue };
        let faults = policies.faults(form, estate, sink);
        if !faults.is_empty() {
            policies.unsound.insert(at);
        }
        tell(&faults, &format!("policy.{name}"), span, children, sink);
    }
    policies.walk(estate, &places, sink);
    policies.check_named_trees(estate, &places, sink);
    policies
}

fn tell(faults: &[Fault], path: &str, span: &Range<usize>, children: &[Range<usize>], sink: &mut Sink<'_>) {
    for Fault { child, message, help } in faults {
        let at = child.and_then(|child| children.get(child)).unwrap_or(span);
        sink.problem(at, path, message.clone(), help.clone());
    }
}

impl Policies {
    /// Some policy, of a service or named, has this pool as a child.
    pub(super) fn used(&self, pool: PoolId) -> bool {
        self.used.borrow().contains(&pool)
    }

    /// What is wrong with a form by itself, and with the names of its children.
    fn faults(&self, form: &PolicyForm, estate: &Estate, sink: &mut Sink<'_>) -> Vec<Fault> {
        let children = form.choice.children();
        if children.len() > CHILDREN_MAX {
            let message = format!("{} children; a policy has at most {CHILDREN_MAX}", children.len());
            return vec![Fault { child: None, message, help: "group them in named policies".to_string() }];
        }
        let mut faults: Vec<Fault> = form.faults().into_iter().map(|message| Fault { child: None, help: help_for(&message).to_string(), message }).collect();
        if let Choice::Geo(rules) = &form.choice {
            let asked = rules.iter().flat_map(|rule| &rule.when).find(|condition| !matches!(condition, Condition::Network(_)));
            faults.extend(asked.filter(|_| estate.geo.databases.is_empty()).map(|condition| Fault {
                child: None,
                message: format!("nobody knows of whom `{condition}` holds: there is no GeoIP database"),
                help: "add [geo] with databases = [\"GeoLite2-City.mmdb\"], or ask for networks: when = [\"network:NAME\"]".to_string(),
            }));
        }
        let mut used = self.used.borrow_mut();
        for (at, child) in children.iter().enumerate() {
            match self.kinds.get(child.as_str()) {
                Some(Kind::Pool(pool)) => {
                    used.insert(*pool);
                }
                Some(Kind::Policy(_)) => {}
                None => {
                    let known = estate.pools.iter().map(|pool| &*pool.name).chain(estate.policies.iter().map(|(name, _)| &**name));
                    let help = sink.suggestion(child, known, format!("add [pool.{child}] or [policy.{child}]"));
                    faults.push(Fault { child: Some(at), message: format!("`{child}` is neither a pool nor a policy"), help });
                }
            }
        }
        faults
    }

    /// Finds cycles and measures trees, depth first, each named policy once.
    fn walk(&mut self, estate: &Estate, places: &[(Range<usize>, Vec<Range<usize>>)], sink: &mut Sink<'_>) {
        let count = estate.policies.len();
        self.sizes = vec![Size::default(); count];
        // 0: not seen, 1: on the path, 2: done. No recursion: a chain may be as long as the file.
        let mut state = vec![0_u8; count];
        for root in 0..count {
            let mut path: Vec<(usize, usize)> = vec![(root, 0)];
            while let Some((at, next)) = path.last_mut() {
                let at = *at;
                if *next == 0 && state.get(at) == Some(&2) {
                    path.pop();
                    continue;
                }
                set(&mut state, at, 1);
                let Some((_, form)) = estate.policies.get(at) else { break };
                let children = form.choice.children();
                let child = children.get(*next);
                *next += 1;
                let Some(child) = child else {
                    let size = self.size_of(form);
                    if let (Some(fault), false, Some((span, _))) = (size.fault(), self.inherits_size(form), places.get(at)) {
                        tell(&[fault], &format!("policy.{}", estate.policies.get(at).map_or("", |(name, _)| name)), span, &[], sink);
                    }
                    set(&mut self.sizes, at, size);
                    set(&mut state, at, 2);
                    path.pop();
                    continue;
                };
                if let Some(Kind::Policy(below)) = self.kinds.get(child.as_str()).copied() {
                    match state.get(below) {
                        Some(0) => path.push((below, 0)),
                        Some(1) => {
                            let names = path.iter().map(|(at, _)| *at).skip_while(|at| *at != below).chain([below]);
                            let names: Vec<&str> = names.filter_map(|at| estate.policies.get(at)).map(|(name, _)| &**name).collect();
                            let place = places.get(at).and_then(|(_, children)| children.get(path.last().map_or(0, |(_, next)| next - 1)));
                            let message = format!("policy `{}` contains itself ({})", names.last().unwrap_or(&""), names.join(" → "));
                            let name = estate.policies.get(at).map_or("", |(name, _)| name);
                            sink.problem(place.unwrap_or(&(0..0)), format_args!("policy.{name}"), message, "remove one of these steps");
                            self.unsound.insert(below);
                        }
                        _ => {}
                    }
                }
            }
        }
        self.spread_unsound(estate);
    }

    /// Who names an unsound policy is unsound.
    fn spread_unsound(&mut self, estate: &Estate) {
        let mut parents: HashMap<usize, Vec<usize>> = HashMap::new();
        for (at, (_, form)) in estate.policies.iter().enumerate() {
            for child in form.choice.children() {
                if let Some(Kind::Policy(below)) = self.kinds.get(child.as_str()) {
                    parents.entry(*below).or_default().push(at);
                }
            }
        }
        let mut todo: Vec<usize> = self.unsound.iter().copied().collect();
        while let Some(at) = todo.pop() {
            todo.extend(parents.get(&at).into_iter().flatten().copied().filter(|parent| self.unsound.insert(*parent)).collect::<Vec<_>>());
        }
    }

    fn size_of(&self, form: &PolicyForm) -> Size {
        let below = form.choice.children().into_iter().map(|child| match self.kinds.get(child.as_str()) {
            Some(Kind::Policy(at)) => self.sizes.get(*at).copied().unwrap_or_default(),
            _ => Size { leaves: 1, depth: 0 },
        });
        let all = below.fold(Size::default(), |all, one| Size { leaves: all.leaves.saturating_add(one.leaves), depth: all.depth.max(one.depth) });
        Size { depth: all.depth + 1, ..all }
    }

    /// A child is too large already, and has told so.
    fn inherits_size(&self, form: &PolicyForm) -> bool {
        let too_large =
            |child: &String| matches!(self.kinds.get(child.as_str()), Some(Kind::Policy(at)) if self.sizes.get(*at).is_some_and(|size| size.fault().is_some()));
        form.choice.children().into_iter().any(too_large)
    }

    /// All names exist, nothing contains itself, and the tree is small enough to be made.
    fn can_resolve(&self, form: &PolicyForm) -> bool {
        let unsound = |child: &&String| match self.kinds.get(child.as_str()) {
            Some(Kind::Policy(at)) => self.unsound.contains(at),
            Some(Kind::Pool(_)) => false,
            None => true,
        };
        self.size_of(form).fault().is_none() && !form.choice.children().iter().any(unsound)
    }

    /// What only the whole tree shows: weighted below multivalue. Told at the multivalue.
    fn check_named_trees(&self, estate: &Estate, places: &[(Range<usize>, Vec<Range<usize>>)], sink: &mut Sink<'_>) {
        let resolver = estate.resolver();
        for (at, (name, form)) in estate.policies.iter().enumerate() {
            let Some((span, children)) = places.get(at) else { continue };
            if !self.unsound.contains(&at) && self.can_resolve(form) && tells_itself(form) {
                tell(&tree_faults(&resolver, form), &format!("policy.{name}"), span, children, sink);
            }
        }
    }
}

fn set<T>(list: &mut [T], at: usize, to: T) {
    if let Some(place) = list.get_mut(at) {
        *place = to;
    }
}

fn help_for(fault: &str) -> &'static str {
    if fault.starts_with("shares") {
        "shares are per cent: { prod = 80, dr = 20 }; a list means equal shares"
    } else if fault.starts_with("min_up") {
        "min_up is how many children must be up for the whole to be up"
    } else if fault.ends_with("twice") {
        "name each child once"
    } else if fault.starts_with("every share") {
        "share 0 is standby: it answers when no child with a share is up"
    } else {
        "name pools, or policies of [policy.NAME]"
    }
}

/// What its tree shows is told at the policy itself, not at those who use it.
fn tells_itself(form: &PolicyForm) -> bool {
    matches!(form.choice, Choice::Multivalue(_)) || form.choice.asks_about_clients()
}

fn tree_faults(resolver: &Resolver<'_>, form: &PolicyForm) -> Vec<Fault> {
    let Err(errors) = resolver.resolve(form) else { return Vec::new() };
    let mut faults: Vec<Fault> = Vec::new();
    for error in errors {
        let child = match &error {
            ResolveError::WeightedBelowMultivalue { name }
            | ResolveError::Unknown { name, .. }
            | ResolveError::Cycle { name, .. }
            | ResolveError::Nameless { name, .. }
            | ResolveError::NoPlace { name, .. } => form.choice.children().iter().position(|child| *child == name),
            ResolveError::UnknownNetwork { .. } => None,
        };
        let help = match &error {
            ResolveError::NoPlace { .. } => "give the region coordinates: [region.NAME] with location = [52.52, 13.405]".to_string(),
            ResolveError::UnknownNetwork { name, .. } => format!("add [network.{name}] with prefixes = [\"192.0.2.0/24\"]"),
            _ => "below multivalue stand pools, failover and multivalue: all that are up answer together".to_string(),
        };
        let message = error.to_string();
        if !faults.iter().any(|fault| fault.message == message) {
            faults.push(Fault { child, message, help });
        }
    }
    faults
}

/// A form as services use it.
#[derive(Debug)]
pub(super) struct Resolved {
    pub form: Arc<PolicyForm>,
    /// A stand-in, if the form has faults.
    pub node: Arc<Node>,
    /// Pools of the tree, each once, in file order.
    pub pools: Vec<PoolId>,
    /// Which families the pools' endpoints have, in words, if they differ.
    pub families_differ: Option<String>,
    faults: Vec<Fault>,
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// Forms by value.
pub(super) struct Forms<'e> {
    policies: &'e Policies,
    estate: &'e Estate,
    resolver: Resolver<'e>,
    known: HashMap<PolicyForm, usize>,
    resolved: Vec<Resolved>,
}

impl<'e> Forms<'e> {
    pub(super) fn new(policies: &'e Policies, estate: &'e Estate) -> Self {
        Self { policies, estate, resolver: estate.resolver(), known: HashMap::new(), resolved: Vec::new() }
    }

    /// The place of the form in [`Self::resolved`]; its faults are told at this place of the file.
    pub(super) fn resolve(&mut self, policy: Policy, path: &str, span: &Range<usize>, sink: &mut Sink<'_>) -> usize {
        let Policy { form, children } = policy;
        let at = match self.known.get(&form) {
            Some(at) => *at,
            None => {
                let at = self.resolved.len();
                self.resolved.push(self.look_at(&form, sink));
                self.known.insert(form, at);
                at
            }
        };
        if let Some(resolved) = self.resolved.get(at) {
            tell(&resolved.faults, path, span, &children, sink);
        }
        at
    }

    /// All forms so far.
    pub(super) fn resolved(self) -> Vec<Resolved> {
        self.resolved
    }

    fn look_at(&self, form: &PolicyForm, sink: &mut Sink<'_>) -> Resolved {
        let mut faults = self.policies.faults(form, self.estate, sink);
        let mut node = Arc::new(Node::Policy { name: None, choice: Choice::Failover(Vec::new()), min_up: 1 });
        if !self.policies.inherits_size(form) {
            faults.extend(self.policies.size_of(form).fault());
        }
        if faults.is_empty() && self.policies.can_resolve(form) {
            match self.resolver.resolve(form) {
                Ok(tree) => node = tree,
                // A named policy below has told this itself.
                Err(_) if !tells_itself(form) => {}
                Err(_) => faults = tree_faults(&self.resolver, form),
            }
        }
        let (mut pools, mut seen) = (Vec::new(), HashSet::new());
        node.pools(&mut |pool| {
            if seen.insert(pool) {
                pools.push(pool);
            }
        });
        let families_differ = families_differ(&pools, self.estate);
        Resolved { form: Arc::new(form.clone()), node, pools, families_differ, faults }
    }
}

/// `` `prod` has IPv4 and IPv6, `dr` only IPv4 ``.
fn families_differ(pools: &[PoolId], estate: &Estate) -> Option<String> {
    let families = |pool: &PoolId| Family::ALL.map(|family| estate.pool(*pool).endpoints.iter().any(|endpoint| estate.may_answer(*endpoint, family)));
    // What families a host name has is known when it is resolved.
    let written = |pool: &&PoolId| estate.pool(**pool).endpoints.iter().all(|endpoint| estate.host_of(*endpoint).is_none());
    let pools: Vec<&PoolId> = pools.iter().filter(written).collect();
    let first = *pools.first()?;
    let other = pools.iter().find(|pool| families(pool) != families(first)).copied()?;
    let words = |pool: &PoolId| match families(pool) {
        [true, true] => "IPv4 and IPv6",
        [true, false] => "only IPv4",
        [false, true] => "only IPv6",
        [false, false] => "no endpoints",
    };
    Some(format!("`{}` has {}, `{}` {}", estate.pool(*first).name, words(first), estate.pool(*other).name, words(other)))
}
