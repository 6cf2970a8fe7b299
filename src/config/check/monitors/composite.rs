//! `all`, `any` and `at_least`: monitors that listen to other monitors.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::config::file::{Member as Word, MemberTable, Monitor as Table};
use crate::config::problem::Sink;
use crate::config::read::{At, Entry, Key};
use crate::model::{AnyMonitor, Composite, CompositeId, Estate, Mark, Member, Need};

use super::{Monitors, kind_of};

/// Simple members of one composite, those of its composites included: each is a probe of every endpoint.
const MEMBERS_MAX: usize = 64;
/// Composites below each other.
const DEPTH_MAX: usize = 8;

/// Does it listen to others, and nothing else?
pub(super) fn is_one(table: &Table) -> bool {
    let composite = [table.all.is_absent(), table.any.is_absent(), table.at_least.is_absent()].contains(&false);
    let simple = [&table.url, &table.dns, &table.grpc, &table.always].into_iter().any(|key| !key.is_absent());
    composite && !simple && table.tcp.is_absent() && table.tls.is_absent()
}

/// Call it when all monitors have their names.
pub(super) fn check(tables: Vec<Entry<Table>>, monitors: &Monitors, estate: &mut Estate, sink: &mut Sink<'_>) {
    let mut spans = Vec::with_capacity(tables.len());
    let mut places = Vec::with_capacity(tables.len());
    for Entry { name, span, value } in tables {
        let (composite, members) = one(&name, &span, &value, monitors, sink);
        estate.composites.push(composite);
        spans.push(span);
        places.push(members);
    }
    let mut walk = Walk { composites: &estate.composites, places: &places, path: Vec::new(), sizes: HashMap::new(), endless: HashSet::new() };
    for id in (0..spans.len()).map(CompositeId::at) {
        walk.enter(id, sink);
    }
    let Walk { sizes, endless, .. } = walk;
    for ((at, composite), span) in estate.composites.iter_mut().enumerate().zip(&spans) {
        let size = sizes.get(&CompositeId::at(at)).map_or(0, |size| size.members);
        if MEMBERS_MAX < size {
            let message = format!("{size} members, those of its composites included: each is a probe of every endpoint");
            sink.problem(span, format_args!("monitor.{}", composite.name), message, format!("at most {MEMBERS_MAX}"));
        }
        // Nobody walks a tree without an end.
        if MEMBERS_MAX < size || endless.contains(&CompositeId::at(at)) {
            composite.members.clear();
        }
    }
}

/// One composite, and where its members stand.
fn one(name: &str, span: &Range<usize>, table: &Table, monitors: &Monitors, sink: &mut Sink<'_>) -> (Composite, Vec<Range<usize>>) {
    let path = format!("monitor.{name}");
    let kind = kind_of(table, span, &path, sink);
    let at_least = table.at_least.get();
    let (need, list, at) = match (kind, at_least) {
        (Some("at_least"), Some(At { value, span })) => {
            for (absent, key) in [(value.n.is_absent(), "n"), (value.of.is_absent(), "of")] {
                if absent {
                    sink.missing(
                        span,
                        format_args!("{path}.at_least.{key}"),
                        format!("`{key}` is missing"),
                        "at_least = { n = 2, of = [\"a\", \"b\", \"c\"] }",
                    );
                }
            }
            (Need::AtLeast(1), value.of.get(), format!("{path}.at_least.of"))
        }
        (Some("any"), _) => (Need::Any, table.any.get(), format!("{path}.any")),
        _ => (Need::All, table.all.get(), format!("{path}.all")),
    };
    let (mut members, mut places): (Vec<Member>, Vec<Range<usize>>) = (Vec::new(), Vec::new());
    let written = list.map(|list| &list.value[..]).unwrap_or_default();
    for (index, word) in written.iter().enumerate() {
        let Some((member, place)) = member(word, format!("{at}[{index}]"), monitors, sink) else { continue };
        if members.iter().any(|known| known.monitor == member.monitor) {
            sink.problem(&place, format_args!("{at}[{index}]"), "this monitor is a member already", "remove one");
        }
        members.push(member);
        places.push(place);
    }
    let voters = members.iter().filter(|member| member.mark == Mark::Voting).count();
    let critical = members.iter().filter(|member| member.mark == Mark::Critical).count();
    if let Some(list) = list.filter(|_| members.len() == written.len()) {
        match need {
            _ if written.is_empty() => sink.problem(&list.span, &at, "a composite without members", "name the monitors that it listens to"),
            Need::All if voters + critical == 0 => sink.problem(&list.span, &at, "nobody votes: every member is marked `watch`", "leave the mark out for one"),
            Need::Any | Need::AtLeast(_) if voters == 0 => {
                let help = "members marked `critical` are conditions beside the vote: leave the mark out for those that vote, or write all = […]";
                sink.problem(&list.span, &at, "nobody votes", help);
            }
            _ => {}
        }
    }
    let need = match (need, at_least.map(|table| &table.value.n)) {
        (Need::AtLeast(_), Some(n)) => Need::AtLeast(number_of_voters(n, voters, &path, sink)),
        _ => need,
    };
    (Composite { name: name.into(), need, members }, places)
}

fn number_of_voters(key: &Key<i64>, voters: usize, path: &str, sink: &mut Sink<'_>) -> u16 {
    let Some(At { value, span }) = key.get() else { return 1 };
    let fits = usize::try_from(*value).is_ok_and(|number| (1..=voters).contains(&number));
    // With no voter at all that is the problem, and told.
    if !fits && 0 < voters {
        sink.problem(span, format_args!("{path}.at_least.n"), format!("{value} is out of range: {voters} of its members vote"), format!("from 1 to {voters}"));
    }
    u16::try_from(*value).unwrap_or(1).max(1)
}

fn member(word: &Key<Word>, path: String, monitors: &Monitors, sink: &mut Sink<'_>) -> Option<(Member, Range<usize>)> {
    let At { value: Word(MemberTable { monitor, mark }), span } = word.get()?;
    if monitor.is_absent() {
        sink.missing(span, &path, "`monitor` is missing", "{ monitor = \"web\", mark = \"critical\" }");
    }
    let mark = match mark.get() {
        None => Mark::default(),
        Some(found) => Mark::parse(&found.value).unwrap_or_else(|| {
            let help = sink.suggestion(&found.value, Mark::ALL.into_iter().map(Mark::word), "there are \"critical\", \"voting\" and \"watch\"");
            sink.problem(&found.span, format_args!("{path}.mark"), format!("`{}` is no mark", found.value), help);
            Mark::default()
        }),
    };
    let name = monitor.get()?;
    let Some(monitor) = monitors.get(&name.value).copied() else {
        let help = sink.suggestion(&name.value, monitors.keys().map(String::as_str), format!("add [monitor.{}]", name.value));
        sink.problem(&name.span, &path, format!("no monitor is called `{}`", name.value), help);
        return None;
    };
    Some((Member { monitor, mark }, name.span.clone()))
}

/// Looks for circles, and counts.
struct Walk<'a> {
    composites: &'a [Composite],
    places: &'a [Vec<Range<usize>>],
    path: Vec<CompositeId>,
    /// Of those that were entered.
    sizes: HashMap<CompositeId, Size>,
    /// Those with a member that leads back, or too deep.
    endless: HashSet<CompositeId>,
}

#[derive(Clone, Copy, Default)]
struct Size {
    /// Simple members, those of its composites included.
    members: usize,
    /// Composites below each other, itself included.
    depth: usize,
}

impl Walk<'_> {
    /// Each composite is walked once, so each circle is told once.
    fn enter(&mut self, id: CompositeId, sink: &mut Sink<'_>) -> Size {
        if let Some(size) = self.sizes.get(&id) {
            return *size;
        }
        let mut size = Size { members: 0, depth: 1 };
        self.sizes.insert(id, size);
        let (Some(composite), Some(places)) = (self.composites.get(id.index()), self.places.get(id.index())) else { return size };
        self.path.push(id);
        for (member, place) in composite.members.iter().zip(places) {
            let AnyMonitor::Composite(next) = member.monitor else {
                size.members += 1;
                continue;
            };
            let circle = self.path.contains(&next);
            let below = if circle || DEPTH_MAX <= self.path.len() { Size { members: 0, depth: DEPTH_MAX } } else { self.enter(next, sink) };
            if circle {
                let from = self.path.iter().skip_while(|step| **step != next).chain([&next]);
                let names: Vec<&str> = from.filter_map(|id| self.composites.get(id.index())).map(|composite| &*composite.name).collect();
                let message = format!("a circle: {}", names.join(" → "));
                sink.problem(place, format_args!("monitor.{}", composite.name), message, "a composite can't listen to itself");
                self.endless.insert(id);
            } else if DEPTH_MAX < below.depth + 1 {
                let message = format!("more than {DEPTH_MAX} composites below each other");
                sink.problem(place, format_args!("monitor.{}", composite.name), message, "name the simple monitors directly");
                self.endless.insert(id);
            } else {
                size = Size { members: size.members.saturating_add(below.members), depth: size.depth.max(below.depth + 1) };
            }
        }
        self.path.pop();
        self.sizes.insert(id, size);
        size
    }
}
