//! Client classes: all clients that no policy tells apart are one class.
//!
//! Policies ask two kinds of questions about a client: does a condition hold ([`Condition`]), and in which order are these regions near.
//! A class is one list of answers to all questions that any policy of the estate asks. [`Clients`] gives an address its class and the scope
//! in which the answer holds; it is built when configuration or databases change, and never touched by health.
//!
//! Never here: which pool answers. That is a table per service and class, made by `policy` and compiled by `snapshot`.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::model::{Choice, Condition, Estate, Network, Node, Place, RegionId};

use super::spans::{Prefix, Spans, sweep};

/// A number for a class, of one [`Clients`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(pub u32);

impl ClassId {
    /// Of clients of whom nothing is known. Always there.
    pub const UNKNOWN: ClassId = ClassId(0);
}

/// What a database knows of the clients of a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// `EU`
    pub continent: Option<[u8; 2]>,
    /// `DE`
    pub country: Option<[u8; 2]>,
    /// `US-CA`
    pub subdivision: Option<Arc<str>>,
    /// Autonomous system number.
    pub asn: Option<u32>,
    /// Coordinates.
    pub place: Option<Place>,
}

/// Prefixes of a database, each with the position of its origin.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// What is known, each once.
    pub origins: Vec<Origin>,
    /// Whose; of nested ones the innermost that knows something says it.
    pub prefixes: Vec<(IpNet, u32)>,
}

/// Everything that policies ask about clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    conditions: BTreeSet<Condition>,
    /// Regions among which some `nearest` chooses, ascending.
    nearest: BTreeSet<Vec<RegionId>>,
}

impl Questions {
    /// Of all policies of an estate, named ones and services' own.
    pub fn of(estate: &Estate) -> Self {
        let mut questions = Self::default();
        let resolver = estate.resolver();
        for (_, form) in &estate.policies {
            if let Ok(tree) = resolver.resolve(form) {
                questions.add(&tree, estate);
            }
        }
        // Services that are alike share their tree.
        let mut seen = std::collections::HashSet::new();
        for service in estate.services.iter().filter(|service| seen.insert(Arc::as_ptr(&service.policy))) {
            questions.add(&service.policy, estate);
        }
        questions
    }

    /// Those of a tree.
    pub fn of_tree(tree: &Node, estate: &Estate) -> Self {
        let mut questions = Self::default();
        questions.add(tree, estate);
        questions
    }

    fn add(&mut self, node: &Node, estate: &Estate) {
        let Node::Policy { choice, .. } = node else { return };
        match choice {
            Choice::Geo(rules) => self.conditions.extend(rules.iter().flat_map(|rule| rule.when.iter().cloned())),
            Choice::Nearest(nearest) => {
                self.nearest.insert(regions_of(&nearest.among, estate));
            }
            Choice::Failover(_) | Choice::Weighted(_) | Choice::Multivalue(_) => {}
        }
        choice.children().into_iter().for_each(|child| self.add(child, estate));
    }

    /// Nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty() && self.nearest.is_empty()
    }
}

/// Each once, ascending: what a [`Class`] knows an order of.
fn regions_of(among: &[Arc<Node>], estate: &Estate) -> Vec<RegionId> {
    let regions: BTreeSet<RegionId> = among.iter().filter_map(|child| estate.region_of(child).ok()).collect();
    regions.into_iter().collect()
}

/// What is known of the clients of one class: the answers to all questions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Class {
    /// By position in `Clients::conditions`.
    holds: Box<[bool]>,
    /// By position in `Clients::nearest`: for each region its rank, 0 the nearest, equal ones equally far. `None`: nobody knows where the client is.
    ranks: Box<[Option<Box<[u16]>>]>,
}

/// Which class a client belongs to.
#[derive(Debug)]
pub struct Clients {
    conditions: Vec<Condition>,
    nearest: Vec<Vec<RegionId>>,
    classes: Vec<Class>,
    v4: Spans<u32>,
    v6: Spans<u128>,
}

/// Everybody is [`ClassId::UNKNOWN`].
impl Default for Clients {
    fn default() -> Self {
        Self::build(&Estate::default(), &Questions::default(), &Origins::default())
    }
}

/// Bits before the IPv4 address in an IPv6 address that is one (RFC 4291, section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// What [`Prefix::what`] counts from for networks; below it stand origins.
const NETWORKS_FROM: u32 = 1 << 31;

impl Clients {
    /// Cuts the address space into classes. Takes a second for a million prefixes.
    pub fn build(estate: &Estate, questions: &Questions, origins: &Origins) -> Self {
        let mut builder = Builder {
            estate,
            conditions: questions.conditions.iter().cloned().collect(),
            nearest: questions.nearest.iter().cloned().collect(),
            origins: &origins.origins,
            classes: Vec::new(),
            by_class: HashMap::new(),
            by_open: HashMap::new(),
        };
        builder.class_of(&[]);
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        let mut add = |prefix: &IpNet, what: u32| match prefix {
            IpNet::V4(prefix) => v4.push(Prefix { first: u32::from(prefix.network()).into(), last: u32::from(prefix.broadcast()).into(), what }),
            IpNet::V6(prefix) => v6.push(Prefix { first: prefix.network().into(), last: prefix.broadcast().into(), what }),
        };
        if !questions.is_empty() {
            origins.prefixes.iter().for_each(|(prefix, origin)| add(prefix, *origin));
            for (number, network) in (NETWORKS_FROM..).zip(&estate.networks) {
                network.prefixes.iter().for_each(|prefix| add(prefix, number));
            }
        }
        let v4 = Spans::new(&sweep(v4, u32::MAX.into(), &mut |open| builder.class_of(open)));
        let v6 = Spans::new(&sweep(v6, u128::MAX, &mut |open| builder.class_of(open)));
        let Builder { conditions, nearest, classes, .. } = builder;
        Self { conditions, nearest, classes, v4, v6 }
    }

    /// The class of a client, and the scope: all addresses that share so many leading bits with `address` are of this class.
    /// An IPv4 address written as an IPv6 one is the IPv4 address.
    pub fn find(&self, address: IpAddr) -> (ClassId, u8) {
        let (class, scope) = match address {
            IpAddr::V4(address) => self.v4.find(address.into()),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(address) => {
                    let (class, scope) = self.v4.find(address.into());
                    (class, scope + MAPPED_BITS)
                }
                None => self.v6.find(address.into()),
            },
        };
        (ClassId(class), scope)
    }

    /// All classes, [`ClassId::UNKNOWN`] first.
    pub fn classes(&self) -> impl Iterator<Item = ClassId> + use<> {
        (0..self.classes.len() as u32).map(ClassId)
    }

    /// How many spans of addresses there are in both families.
    pub fn spans(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether a condition holds for the clients of a class. One that no policy asked when this was built holds for nobody.
    pub fn holds(&self, class: ClassId, condition: &Condition) -> bool {
        let at = self.conditions.binary_search(condition).ok();
        at.zip(self.class(class)).and_then(|(at, class)| class.holds.get(at).copied()).unwrap_or(false)
    }

    /// Conditions that hold for the clients of a class.
    pub fn holding(&self, class: ClassId) -> impl Iterator<Item = &Condition> {
        let holds = self.class(class).map(|class| &class.holds[..]).unwrap_or_default();
        self.conditions.iter().zip(holds).filter(|(_, holds)| **holds).map(|(condition, _)| condition)
    }

    /// How near the regions of these children are to the clients of a class: the rank of each child, 0 the nearest, equal ones equally far.
    /// `None`: nobody knows where the clients are.
    pub fn ranks(&self, class: ClassId, among: &[Arc<Node>], estate: &Estate) -> Option<Vec<u16>> {
        let regions = regions_of(among, estate);
        let at = self.nearest.binary_search(&regions).ok()?;
        let ranks = self.class(class)?.ranks.get(at)?.as_ref()?;
        let rank = |child: &Arc<Node>| ranks.get(regions.binary_search(&estate.region_of(child).ok()?).ok()?).copied();
        among.iter().map(rank).collect()
    }

    /// Whether all that a tree asks was asked when this was built.
    pub fn answers(&self, questions: &Questions) -> bool {
        questions.conditions.iter().all(|asked| self.conditions.binary_search(asked).is_ok())
            && questions.nearest.iter().all(|asked| self.nearest.binary_search(asked).is_ok())
    }

    fn class(&self, class: ClassId) -> Option<&Class> {
        self.classes.get(class.0 as usize)
    }
}

struct Builder<'a> {
    estate: &'a Estate,
    conditions: Vec<Condition>,
    nearest: Vec<Vec<RegionId>>,
    origins: &'a [Origin],
    classes: Vec<Class>,
    by_class: HashMap<Class, u32>,
    /// By what surrounds a span: nearly all prefixes of a database say the same as others.
    by_open: HashMap<Box<[u32]>, u32>,
}

impl Builder<'_> {
    /// The class of clients in these prefixes, the widest first.
    fn class_of(&mut self, open: &[u32]) -> u32 {
        if let Some(known) = self.by_open.get(open) {
            return *known;
        }
        let class = self.describe(open);
        let next = self.classes.len() as u32;
        let number = *self.by_class.entry(class).or_insert_with_key(|class| {
            self.classes.push(class.clone());
            next
        });
        self.by_open.insert(open.into(), number);
        number
    }

    fn describe(&self, open: &[u32]) -> Class {
        let innermost = || open.iter().rev();
        let origins = || innermost().filter(|what| **what < NETWORKS_FROM).filter_map(|what| self.origins.get(*what as usize));
        let networks = || innermost().filter_map(|what| self.estate.networks.get(what.checked_sub(NETWORKS_FROM)? as usize));
        let (continent, country, asn) =
            (origins().find_map(|origin| origin.continent), origins().find_map(|origin| origin.country), origins().find_map(|origin| origin.asn));
        let subdivision = origins().find_map(|origin| origin.subdivision.as_ref());
        let holds = |condition: &Condition| match condition {
            Condition::Continent(asked) => continent == Some(*asked),
            Condition::Country(asked) => country == Some(*asked),
            Condition::Subdivision(asked) => subdivision == Some(asked),
            Condition::Asn(asked) => asn == Some(*asked),
            Condition::Network(asked) => networks().any(|network: &Network| network.name == *asked),
        };
        let place = origins().find_map(|origin| origin.place).or_else(|| networks().find_map(|network| network.place));
        let ranks = |regions: &Vec<RegionId>| place.map(|place| ranks(self.estate, regions, place));
        Class { holds: self.conditions.iter().map(holds).collect(), ranks: self.nearest.iter().map(ranks).collect() }
    }
}

/// The rank of each region by distance and bias.
fn ranks(estate: &Estate, regions: &[RegionId], place: Place) -> Box<[u16]> {
    let far = |region: &RegionId| estate.sites.get(region).map_or(i64::MAX, |site| i64::from(site.place.distance_km(place)) + i64::from(site.bias_km));
    let distances: Vec<i64> = regions.iter().map(far).collect();
    let nearer: BTreeSet<i64> = distances.iter().copied().collect();
    let order: Vec<i64> = nearer.into_iter().collect();
    distances.iter().map(|distance| order.partition_point(|nearer| nearer < distance) as u16).collect()
}
