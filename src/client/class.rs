//! Client classes: all clients that no policy tells apart are one class.
//!
//! Policies ask two kinds of questions about a client: does a condition hold ([`Condition`]), and in which order are these regions near ([`By`] distance,
//! or as measured). A class is one list of answers to all questions that any policy of the estate asks. [`Clients`] gives an address its class and the scope
//! in which the answer holds; it is built when configuration, databases or measured orders change, and never touched by health.
//!
//! Never here: which pool answers. That is a table per service and class, made by `policy` and compiled by `snapshot`.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::model::{By, Choice, Condition, Estate, Nearest, Network, Node, Place, PolicyForm, RegionId, Timestamp};
use crate::wire::fold;

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

/// Kinds of what databases say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `continent:`
    pub continent: bool,
    /// `country:`
    pub country: bool,
    /// `subdivision:`
    pub subdivision: bool,
    /// `asn:`
    pub asn: bool,
    /// Where clients are, for `nearest`.
    pub place: bool,
}

impl Attributes {
    /// What either has.
    pub fn or(self, other: Self) -> Self {
        let (a, b) = (self, other);
        Self {
            continent: a.continent || b.continent,
            country: a.country || b.country,
            subdivision: a.subdivision || b.subdivision,
            asn: a.asn || b.asn,
            place: a.place || b.place,
        }
    }

    /// What conditions ask here and nobody says there, in the words of conditions. (`nearest` has networks' places, too.)
    pub fn lacking(self, said: Self) -> Vec<&'static str> {
        let words = [
            ("continent", self.continent, said.continent),
            ("country", self.country, said.country),
            ("subdivision", self.subdivision, said.subdivision),
            ("asn", self.asn, said.asn),
        ];
        words.into_iter().filter(|(_, asked, said)| *asked && !said).map(|(word, ..)| word).collect()
    }
}

/// A database, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseInfo {
    /// The file as configured.
    pub file: Arc<str>,
    /// `GeoLite2-Country`; empty: none was ever read.
    pub kind: String,
    /// When what counts was made.
    pub built: Option<Timestamp>,
    /// How many networks it knows.
    pub networks: u64,
    /// What is wrong with the file that lies there; what was read before counts on.
    pub problem: Option<String>,
}

/// Which regions are quickest for whom, as measured from outside. What exactly was measured stays with `control`: classes depend on orders alone.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Of which state of the measurements this is; each change of an order makes the next one.
    pub state: u64,
    /// Names of regions, the quickest first; each order once.
    pub orders: Vec<Arc<[Arc<str>]>>,
    /// Whose, by position in `orders`; of nested ones the innermost that orders two of the regions in question says it.
    pub networks: Vec<(IpNet, u32)>,
}

/// What is known of clients: prefixes of databases, each with the position of its origin, and what was measured.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// What is known, each once.
    pub origins: Vec<Origin>,
    /// Whose; of nested ones the innermost that knows something says it.
    pub prefixes: Vec<(IpNet, u32)>,
    /// What was measured.
    pub measured: Arc<Measured>,
}

/// Everything that policies ask about clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    conditions: BTreeSet<Condition>,
    /// By what some `nearest` or `latency` chooses among which regions, ascending.
    nearest: BTreeSet<(By, Vec<RegionId>)>,
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

    /// These, and those of other policies of the estate; what names something that it lacks asks nothing.
    pub fn with_forms<'f>(mut self, estate: &Estate, forms: impl IntoIterator<Item = &'f PolicyForm>) -> Self {
        let resolver = estate.resolver();
        for form in forms {
            if let Ok(tree) = resolver.resolve(form) {
                self.add(&tree, estate);
            }
        }
        self
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
                self.nearest.insert((nearest.by, regions_of(&nearest.among, nearest.by, estate)));
            }
            Choice::Failover(_) | Choice::Weighted(_) | Choice::Multivalue(_) => {}
        }
        choice.children().into_iter().for_each(|child| self.add(child, estate));
    }

    /// What databases are asked.
    pub fn attributes(&self) -> Attributes {
        let mut asked = Attributes { place: !self.nearest.is_empty(), ..Attributes::default() };
        for condition in &self.conditions {
            match condition {
                Condition::Continent(_) => asked.continent = true,
                Condition::Country(_) => asked.country = true,
                Condition::Subdivision(_) => asked.subdivision = true,
                Condition::Asn(_) => asked.asn = true,
                Condition::Network(_) => {}
            }
        }
        asked
    }

    /// What of an origin makes a difference: what nobody asks by name is all one, but known, so that it hides what a wider prefix says.
    pub fn narrow(&self, origin: Origin) -> Origin {
        const OTHER: [u8; 2] = *b"--";
        let Origin { continent, country, subdivision, asn, place } = origin;
        let (asked, asks) = (self.attributes(), |condition: Condition| self.conditions.contains(&condition));
        let code = |code: Option<[u8; 2]>, asked: bool, condition: fn([u8; 2]) -> Condition| {
            code.filter(|_| asked).map(|code| if asks(condition(code)) { code } else { OTHER })
        };
        Origin {
            continent: code(continent, asked.continent, Condition::Continent),
            country: code(country, asked.country, Condition::Country),
            subdivision: subdivision.filter(|_| asked.subdivision).map(|part| if asks(Condition::Subdivision(part.clone())) { part } else { "".into() }),
            asn: asn.filter(|_| asked.asn).map(|asn| if asks(Condition::Asn(asn)) { asn } else { 0 }),
            place: place.filter(|_| asked.place),
        }
    }

    /// What was measured is asked for.
    pub fn ask_for_latency(&self) -> bool {
        self.nearest.iter().any(|(by, _)| *by == By::Latency)
    }

    /// Nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty() && self.nearest.is_empty()
    }
}

/// Each once, ascending: what a [`Class`] knows an order of.
fn regions_of(among: &[Arc<Node>], by: By, estate: &Estate) -> Vec<RegionId> {
    let regions: BTreeSet<RegionId> = among.iter().filter_map(|child| estate.region_of(child, by).ok()).collect();
    regions.into_iter().collect()
}

/// What is known of the clients of one class: the answers to all questions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Class {
    /// By position in `Clients::conditions`.
    holds: Box<[bool]>,
    /// By position in `Clients::nearest`. `None`: nothing was measured, and nobody knows where the client is.
    ranks: Box<[Option<Ranks>]>,
}

/// How near regions are to the clients of a class.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Ranks {
    /// Of each region, 0 the nearest, equal ones equally far.
    ranks: Box<[u16]>,
    /// By what.
    by: By,
}

/// Conditions that hold, ranks of regions: the answers of one class to some questions.
type Answers = (Vec<bool>, Vec<Option<Box<[u16]>>>);

/// Which class a client belongs to.
#[derive(Debug)]
pub struct Clients {
    conditions: Vec<Condition>,
    nearest: Vec<(By, Vec<RegionId>)>,
    classes: Vec<Class>,
    v4: Spans<u32>,
    v6: Spans<u128>,
    /// [`Measured::state`]
    measured: u64,
    /// There were more classes than fit; some clients are of the wrong one.
    too_many: bool,
    /// Of which addresses are of which class.
    mark: u64,
}

/// Everybody is [`ClassId::UNKNOWN`].
impl Default for Clients {
    fn default() -> Self {
        Self::build(&Estate::default(), &Questions::default(), &Origins::default())
    }
}

/// Bits before the IPv4 address in an IPv6 address that is one (RFC 4291, section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// Classes of one estate: each costs two octets in every decision that asks about clients.
const CLASSES_MAX: usize = 65_536;

/// What [`Prefix::what`] counts from for networks; below it stand origins.
const NETWORKS_FROM: u32 = 1 << 31;
/// And for measured orders.
const ORDERS_FROM: u32 = 3 << 30;

impl Clients {
    /// Cuts the address space into classes. Takes a second for a million prefixes.
    pub fn build(estate: &Estate, questions: &Questions, origins: &Origins) -> Self {
        let mut builder = Builder {
            estate,
            conditions: questions.conditions.iter().cloned().collect(),
            nearest: questions.nearest.iter().cloned().collect(),
            origins: &origins.origins,
            orders: orders(&origins.measured, estate),
            classes: Vec::new(),
            by_class: HashMap::new(),
            by_open: HashMap::new(),
            too_many: false,
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
        if questions.ask_for_latency() {
            origins.measured.networks.iter().for_each(|(prefix, order)| add(prefix, ORDERS_FROM + order));
        }
        let v4 = sweep(v4, u32::MAX.into(), &mut |open| builder.class_of(open));
        let v6 = sweep(v6, u128::MAX, &mut |open| builder.class_of(open));
        let mix = |mark: u64, (start, class): &(u128, u32)| fold(fold(mark ^ *start as u64) ^ (*start >> 64) as u64 ^ u64::from(*class) << 32);
        let mark = v6.iter().fold(fold(v4.iter().fold(0, mix)), mix);
        let Builder { conditions, nearest, classes, too_many, .. } = builder;
        Self { conditions, nearest, classes, v4: Spans::new(&v4), v6: Spans::new(&v6), measured: origins.measured.state, too_many, mark }
    }

    /// The same if the same addresses are of the same class, also in another process: whether what is told of a class now holds for what was then.
    pub fn mark(&self) -> u64 {
        self.mark
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

    /// Policies tell more kinds of clients apart than there is room for: this is of no use.
    pub fn too_many(&self) -> Option<String> {
        let text = || format!("policies tell more than {CLASSES_MAX} kinds of clients apart: let `nearest` choose among fewer regions, or name fewer networks");
        self.too_many.then(text)
    }

    /// Some policy asks for what was measured.
    pub fn ask_for_latency(&self) -> bool {
        self.nearest.iter().any(|(by, _)| *by == By::Latency)
    }

    /// What was measured, not distance, orders some regions for the clients of a class.
    pub fn is_measured(&self, class: ClassId) -> bool {
        self.class(class).is_some_and(|class| class.ranks.iter().flatten().any(|ranks| ranks.by == By::Latency))
    }

    /// Of which state of the measurements this was made.
    pub fn measured(&self) -> u64 {
        self.measured
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

    /// The conditions that hold for a class, in words; `None`: none does.
    pub fn name(&self, class: ClassId) -> Option<String> {
        let mut holding = self.holding(class).map(ToString::to_string);
        let first = holding.next()?;
        Some(holding.fold(first, |all, next| format!("{all}, {next}")))
    }

    /// How near the regions of these children are to the clients of a class: the rank of each child, 0 the nearest, equal ones equally far; and by what,
    /// for `latency` falls back on distance. `None`: nothing was measured, and nobody knows where the clients are.
    pub fn ranks(&self, class: ClassId, nearest: &Nearest<Arc<Node>>, estate: &Estate) -> Option<(Vec<u16>, By)> {
        let asked = (nearest.by, regions_of(&nearest.among, nearest.by, estate));
        let at = self.nearest.binary_search(&asked).ok()?;
        let Ranks { ranks, by } = self.class(class)?.ranks.get(at)?.as_ref()?;
        let rank = |child: &Arc<Node>| ranks.get(asked.1.binary_search(&estate.region_of(child, nearest.by).ok()?).ok()?).copied();
        Some((nearest.among.iter().map(rank).collect::<Option<_>>()?, *by))
    }

    /// Classes that these questions don't tell apart: the first of each such group, [`ClassId::UNKNOWN`] first, and by class which group it belongs to.
    pub fn groups(&self, questions: &Questions) -> (Vec<ClassId>, Vec<u32>) {
        let answers = self.answers_to(questions);
        let (mut known, mut first) = (HashMap::new(), Vec::new());
        let group = |(class, id): (&Class, ClassId)| {
            *known.entry(answers(class)).or_insert_with(|| {
                first.push(id);
                first.len() as u32 - 1
            })
        };
        let of_class = self.classes.iter().zip(self.classes()).map(group).collect();
        (first, of_class)
    }

    /// By class: the class of `before`, where clients were told apart otherwise, that answers these questions alike; `None`: there was no such one.
    pub fn counterparts(&self, before: &Clients, questions: &Questions) -> Vec<Option<ClassId>> {
        let (answers, answered) = (self.answers_to(questions), before.answers_to(questions));
        let mut known = HashMap::new();
        for (class, id) in before.classes.iter().zip(before.classes()) {
            known.entry(answered(class)).or_insert(id);
        }
        self.classes.iter().map(|class| known.get(&answers(class)).copied()).collect()
    }

    /// Classes that the same clients belong to here and in `next`, where they are told apart otherwise: each pair once, those of whom nothing is known first.
    pub fn pairs(&self, next: &Clients) -> Vec<(ClassId, ClassId)> {
        if std::ptr::eq(self, next) {
            return self.classes().map(|class| (class, class)).collect();
        }
        let mut pairs = vec![(ClassId::UNKNOWN, ClassId::UNKNOWN)];
        let mut seen: HashSet<(u32, u32)> = HashSet::from([(0, 0)]);
        let mut add = |here, there| {
            if seen.insert((here, there)) {
                pairs.push((ClassId(here), ClassId(there)));
            }
        };
        self.v4.joined(&next.v4, &mut |_, here, there| add(here, there));
        self.v6.joined(&next.v6, &mut |_, here, there| add(here, there));
        pairs
    }

    /// A prefix all of which is of such a [pair](Self::pairs); `None`: there is none. Looks at every span.
    pub fn example(&self, next: &Clients, pair: (ClassId, ClassId)) -> Option<IpNet> {
        let (mut v4, mut v6) = (None, None);
        let meant = |here, there| (ClassId(here), ClassId(there)) == pair;
        self.v4.joined(&next.v4, &mut |start, here, there| v4 = v4.or(Some(start).filter(|_| meant(here, there))));
        if v4.is_none() {
            self.v6.joined(&next.v6, &mut |start, here, there| v6 = v6.or(Some(start).filter(|_| meant(here, there))));
        }
        let address = v4.map(|start| IpAddr::from(start.to_be_bytes())).or(v6.map(|start| IpAddr::from(start.to_be_bytes())))?;
        let scope = self.find(address).1.max(next.find(address).1);
        IpNet::new(address, scope).ok().map(|prefix| prefix.trunc())
    }

    /// What is known of a class, as far as these questions go. What was not asked when this was built holds for nobody.
    fn answers_to(&self, questions: &Questions) -> impl Fn(&Class) -> Answers + use<> {
        let conditions: Vec<Option<usize>> = questions.conditions.iter().map(|asked| self.conditions.binary_search(asked).ok()).collect();
        let nearest: Vec<Option<usize>> = questions.nearest.iter().map(|asked| self.nearest.binary_search(asked).ok()).collect();
        move |class| {
            let holds = conditions.iter().map(|at| at.and_then(|at| class.holds.get(at).copied()).unwrap_or(false));
            let ranks = nearest.iter().map(|at| Some(class.ranks.get((*at)?)?.as_ref()?.ranks.clone()));
            (holds.collect(), ranks.collect())
        }
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
    nearest: Vec<(By, Vec<RegionId>)>,
    origins: &'a [Origin],
    /// Of [`Measured::orders`].
    orders: Vec<Vec<RegionId>>,
    classes: Vec<Class>,
    by_class: HashMap<Class, u32>,
    /// By what surrounds a span: nearly all prefixes of a database say the same as others.
    by_open: HashMap<Box<[u32]>, u32>,
    too_many: bool,
}

impl Builder<'_> {
    /// The class of clients in these prefixes, the widest first.
    fn class_of(&mut self, open: &[u32]) -> u32 {
        if let Some(known) = self.by_open.get(open) {
            return *known;
        }
        let class = self.describe(open);
        let next = self.classes.len() as u32;
        if self.classes.len() == CLASSES_MAX && !self.by_class.contains_key(&class) {
            self.too_many = true;
            return 0;
        }
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
        let networks = || {
            let numbers = innermost().filter(|what| **what < ORDERS_FROM).filter_map(|what| what.checked_sub(NETWORKS_FROM));
            numbers.filter_map(|number| self.estate.networks.get(number as usize))
        };
        let orders = || innermost().filter_map(|what| self.orders.get(what.checked_sub(ORDERS_FROM)? as usize));
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
        let ranks = |(by, regions): &(By, Vec<RegionId>)| {
            let far = || Some(Ranks { ranks: ranks(self.estate, regions, place?)?, by: By::Distance });
            match by {
                By::Distance => far(),
                By::Latency => orders().find_map(|order| quickest(order, regions)).map(|ranks| Ranks { ranks, by: By::Latency }).or_else(far),
            }
        };
        Class { holds: self.conditions.iter().map(holds).collect(), ranks: self.nearest.iter().map(ranks).collect() }
    }
}

/// The rank of each region by distance and bias; `None`: nobody knows where one of them is.
fn ranks(estate: &Estate, regions: &[RegionId], place: Place) -> Option<Box<[u16]>> {
    let far = |region: &RegionId| estate.sites.get(region).map(|site| i64::from(site.place.distance_km(place)) + i64::from(site.bias_km));
    let distances: Vec<i64> = regions.iter().map(far).collect::<Option<_>>()?;
    let nearer: BTreeSet<i64> = distances.iter().copied().collect();
    let order: Vec<i64> = nearer.into_iter().collect();
    Some(distances.iter().map(|distance| order.partition_point(|nearer| nearer < distance) as u16).collect())
}

/// Fewer measured regions than this are no order: nothing to compare with.
const ORDERED_MIN: usize = 2;

/// So many of the quickest are told apart. More would make more orders than can be decided: of 12 regions there are 1,320 first threes, and 479 million orders.
const ORDERED_MAX: usize = 3;

/// The rank of each region as measured: the quickest ones, then all others alike, measured or not. `None`: too few of these were measured.
fn quickest(order: &[RegionId], regions: &[RegionId]) -> Option<Box<[u16]>> {
    let mut known: Vec<RegionId> = order.iter().copied().filter(|region| regions.contains(region)).collect();
    if known.len() < ORDERED_MIN {
        return None;
    }
    known.truncate(ORDERED_MAX);
    let rank = |region: &RegionId| known.iter().position(|known| known == region).unwrap_or(known.len()) as u16;
    Some(regions.iter().map(rank).collect())
}

/// Measured orders by ids. Regions that the estate lacks are left out.
fn orders(measured: &Measured, estate: &Estate) -> Vec<Vec<RegionId>> {
    let known: HashMap<&str, RegionId> = estate.regions.iter().enumerate().map(|(at, region)| (&*region.name, RegionId::at(at))).collect();
    measured.orders.iter().map(|order| order.iter().filter_map(|name| known.get(&**name).copied()).collect()).collect()
}
