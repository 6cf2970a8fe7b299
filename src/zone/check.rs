//! The rules that a zone must keep (RFC 1034, section 4.2; RFC 2181; RFC 9471), and the grouping of records into sets.
//!
//! Rules that look for something missing are asked only if every record could be read: else the missing one may be the unreadable one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use crate::wire::Name;

use super::parse::{Parsed, Record, type_word};
use super::{Loaded, Place, Problem, RecordSet, Zone};

/// Problems, and warnings, told of one zone.
const PROBLEMS_MAX: usize = 200;

const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const PTR: u16 = 12;
const MX: u16 = 15;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const DS: u16 = 43;
const RRSIG: u16 = 46;
const NSEC: u16 = 47;
const NSEC3: u16 = 50;
const NSEC3PARAM: u16 = 51;

/// Records in, a zone or problems out.
pub(super) fn check(apex: &Name, parsed: Parsed) -> Loaded {
    let Parsed { records, files, texts, problems } = parsed;
    let complete = problems.is_empty();
    let mut check = Check { apex, files, problems, warnings: Vec::new() };
    let records = check.inside(records);
    let (sets, places) = check.sets(records);
    let index: Index<'_> = sets.iter().zip(&places).map(|(set, place)| ((&set.owner, set.rtype), (set, *place))).collect();
    check.soa(&index, complete);
    check.cnames(&index);
    let cuts: HashSet<&Name> = index.keys().filter(|(owner, rtype)| *rtype == NS && *owner != apex).map(|(owner, _)| *owner).collect();
    if complete {
        check.name_servers(&index, &cuts);
    }
    check.cuts(&index, &cuts);
    check.oddities(&index);
    let Check { files, mut problems, mut warnings, .. } = check;
    settle(&mut problems, &files, &texts);
    settle(&mut warnings, &files, &texts);
    let zone = problems.is_empty().then(|| Zone { apex: apex.clone(), sets });
    Loaded { zone, places, files, problems, warnings }
}

/// Owner and type → the set and its first record's place, in an order that does not depend on hashing.
type Index<'a> = BTreeMap<(&'a Name, u16), (&'a RecordSet, Place)>;

/// In the order of the text, not too many, each with its line.
fn settle(problems: &mut Vec<Problem>, files: &[PathBuf], texts: &[String]) {
    problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    if let (true, Some(file)) = (problems.len() > PROBLEMS_MAX, files.first()) {
        let more = problems.len() - PROBLEMS_MAX;
        problems.truncate(PROBLEMS_MAX);
        problems.push(Problem::of_file(file, format!("and {more} more"), ""));
    }
    for problem in problems.iter_mut().filter(|problem| problem.excerpt.is_empty() && problem.line > 0) {
        let text = files.iter().position(|file| *file == problem.file).and_then(|at| texts.get(at));
        problem.excerpt = text.and_then(|text| text.lines().nth(problem.line as usize - 1)).unwrap_or_default().trim_end().to_string();
        let word = problem.excerpt.chars().skip(problem.column as usize - 1).take_while(|c| !c.is_whitespace()).count();
        problem.width = u32::try_from(word.max(1)).unwrap_or(1);
    }
}

struct Check<'a> {
    apex: &'a Name,
    files: Vec<PathBuf>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Check<'_> {
    fn at(&self, place: Place, message: String, help: &str) -> Problem {
        let file = self.files.get(place.file as usize).cloned().unwrap_or_default();
        Problem { file, line: place.line, column: place.column, width: 1, message, help: help.to_string(), ..Problem::default() }
    }

    fn problem(&mut self, place: Place, message: String, help: &str) {
        self.problems.push(self.at(place, message, help));
    }

    fn warning(&mut self, place: Place, message: String, help: &str) {
        self.warnings.push(self.at(place, message, help));
    }

    fn whole(&mut self, message: String, help: &str) {
        let file = self.files.first().cloned().unwrap_or_default();
        self.problems.push(Problem::of_file(&file, message, help));
    }

    fn place(&self, place: Place) -> String {
        let file = self.files.get(place.file as usize).map(|file| file.display().to_string()).unwrap_or_default();
        format!("{file}:{}:{}", place.line, place.column)
    }

    /// Records outside the zone are problems, never dropped in silence.
    fn inside(&mut self, records: Vec<Record>) -> Vec<Record> {
        let (inside, outside): (Vec<Record>, Vec<Record>) = records.into_iter().partition(|record| record.owner.is_within(self.apex));
        for record in outside {
            let message = format!("`{}` is not in the zone `{}`", record.owner, self.apex);
            self.problem(record.place, message, "a name without a final dot gets the origin appended; move other names to their own zone");
        }
        inside
    }

    /// Sets by owner and type, the apex's first; each with the place of its first record.
    fn sets(&mut self, mut records: Vec<Record>) -> (Vec<RecordSet>, Vec<Place>) {
        let apex = self.apex;
        // The sort is stable: records of one set stay in file order.
        records.sort_by(|a, b| (a.owner != *apex, &a.owner, a.rtype).cmp(&(b.owner != *apex, &b.owner, b.rtype)));
        let (mut sets, mut places): (Vec<RecordSet>, Vec<Place>) = (Vec::new(), Vec::new());
        let mut seen: HashMap<Box<[u8]>, Place> = HashMap::new();
        for Record { owner, rtype, ttl, rdata, place } in records {
            match sets.last_mut().filter(|set| set.owner == owner && set.rtype == rtype) {
                Some(set) => {
                    if let Some(first) = seen.get(&folded(rtype, &rdata)).copied() {
                        let message = format!("`{owner}` {} stands twice; the first is at {}", type_word(rtype), self.place(first));
                        self.warning(place, message, "remove one of them");
                        continue;
                    }
                    if ttl != set.ttl {
                        let message =
                            format!("`{owner}` {} has TTL {ttl} here and {} above; the lowest is used for all (RFC 2181, 5.2)", type_word(rtype), set.ttl);
                        set.ttl = set.ttl.min(ttl);
                        self.warnings.push(self.at(place, message, "give all records of one name and type the same TTL"));
                    }
                    seen.insert(folded(rtype, &rdata), place);
                    set.rdata.push(rdata);
                }
                None => {
                    seen.clear();
                    seen.insert(folded(rtype, &rdata), place);
                    sets.push(RecordSet { owner, rtype, ttl, rdata: vec![rdata] });
                    places.push(place);
                }
            }
        }
        (sets, places)
    }

    fn soa(&mut self, index: &Index<'_>, complete: bool) {
        let apex = self.apex;
        for ((owner, _), (set, place)) in index.iter().filter(|((_, rtype), _)| *rtype == SOA) {
            if *owner != apex {
                self.problem(*place, format!("a SOA at `{owner}`, which is not the zone's apex `{apex}`"), "the SOA stands at the apex: @ SOA …");
            } else if set.rdata.len() > 1 {
                self.problem(*place, format!("{} SOA records at `{apex}`; a zone has one", set.rdata.len()), "keep the one with the latest serial");
            }
        }
        if complete && !index.contains_key(&(apex, SOA)) {
            self.whole(format!("zone `{apex}` has no SOA record"), "add: @ SOA ns1 hostmaster 1 1h 15m 1w 5m");
        }
        if complete && !index.contains_key(&(apex, NS)) {
            self.whole(format!("zone `{apex}` has no NS record at its apex"), "add: @ NS ns1");
        }
    }

    /// RFC 2181, section 10.1 (DNSSEC's own types may stand beside; RFC 4034, sections 3 and 4).
    fn cnames(&mut self, index: &Index<'_>) {
        for ((owner, _), (set, place)) in index.iter().filter(|((_, rtype), _)| *rtype == CNAME) {
            if set.rdata.len() > 1 {
                self.problem(*place, format!("`{owner}` has {} CNAME records; a name has at most one", set.rdata.len()), "keep one");
            }
            let beside = index.range((*owner, 0)..=(*owner, u16::MAX)).find(|((_, rtype), _)| ![CNAME, RRSIG, NSEC].contains(rtype));
            if let Some(((_, rtype), (_, other))) = beside {
                let message = format!("`{owner}` has a CNAME and other data: {} at {}", type_word(*rtype), self.place(*other));
                self.problem(*place, message, "a CNAME stands alone (RFC 1034, 3.6.2): remove it, or the other records");
            }
        }
    }

    /// Every name server inside the zone has an address here: at the apex, and as glue at cuts (RFC 9471).
    fn name_servers(&mut self, index: &Index<'_>, cuts: &HashSet<&Name>) {
        for ((owner, _), (set, place)) in index.iter().filter(|((_, rtype), _)| *rtype == NS) {
            for target in set.rdata.iter().filter_map(|rdata| Name::from_wire(rdata)).filter(|target| target.is_within(self.apex)) {
                if index.contains_key(&(&target, A)) || index.contains_key(&(&target, AAAA)) {
                    continue;
                }
                if index.contains_key(&(&target, CNAME)) {
                    self.problem(*place, format!("name server `{target}` of `{owner}` is a CNAME"), "give it addresses of its own (RFC 2181, 10.3)");
                    continue;
                }
                let message = format!("name server `{target}` of `{owner}` has no address in this zone");
                match cut_above(&target, self.apex, cuts) {
                    Some(cut) if cut != **owner => self.warning(*place, message, "sibling glue helps resolvers: add its A or AAAA record"),
                    _ => self.problem(*place, message, "add its A or AAAA record (a service's name does not count)"),
                }
            }
        }
    }

    /// Below a delegation only glue has a meaning; at it, only NS and DS.
    fn cuts(&mut self, index: &Index<'_>, cuts: &HashSet<&Name>) {
        if cuts.is_empty() {
            return;
        }
        let servers: HashSet<Name> =
            index.iter().filter(|((_, rtype), _)| *rtype == NS).flat_map(|(_, (set, _))| &set.rdata).filter_map(|rdata| Name::from_wire(rdata)).collect();
        for ((owner, rtype), (_, place)) in index {
            let Some(cut) = cut_above(owner, self.apex, cuts) else { continue };
            let glue = matches!(*rtype, A | AAAA) && servers.contains(*owner);
            let of_the_cut = **owner == cut && matches!(*rtype, NS | DS | NSEC | RRSIG);
            if !glue && !of_the_cut {
                let message = format!("`{owner}` {} is never answered: `{cut}` is delegated", type_word(*rtype));
                self.warning(*place, message, "remove it here and put it into the delegated zone");
            }
        }
    }

    fn oddities(&mut self, index: &Index<'_>) {
        let apex = self.apex;
        for ((owner, rtype), (set, place)) in index {
            match *rtype {
                NS if owner.is_wildcard() => {
                    self.warning(*place, format!("`{owner}` delegates a wildcard"), "RFC 4592, 4.2, advises against it: delegate each name")
                }
                DS if *owner == apex => {
                    self.warning(*place, "a DS at the zone's own apex is never asked for here".to_string(), "it belongs into the parent zone")
                }
                DS if !index.contains_key(&(*owner, NS)) => self.warning(*place, format!("`{owner}` has a DS and no NS"), "a DS belongs to a delegation"),
                RRSIG | NSEC | NSEC3 | NSEC3PARAM => {
                    self.warning(
                        *place,
                        format!("{} at `{owner}` is served as plain data: answers are not signed", type_word(*rtype)),
                        "use the unsigned zone file",
                    );
                }
                MX | SRV => {
                    let skip = if *rtype == MX { 2 } else { 6 };
                    let targets = set.rdata.iter().filter_map(|rdata| rdata.get(skip..).and_then(Name::from_wire));
                    for target in targets.filter(|target| index.contains_key(&(target, CNAME))) {
                        let message = format!("{} of `{owner}` names `{target}`, which is a CNAME", type_word(*rtype));
                        self.warning(*place, message, "name the host itself (RFC 2181, 10.3)");
                    }
                }
                _ => {}
            }
        }
    }
}

/// The delegation at or above a name.
fn cut_above(name: &Name, apex: &Name, cuts: &HashSet<&Name>) -> Option<Name> {
    if cuts.is_empty() {
        return None;
    }
    let (mut at, mut found) = (Some(name.clone()), None);
    // The highest one counts: a cut below a cut is the child's business.
    while let Some(name) = at.filter(|name| name != apex) {
        at = name.parent();
        if cuts.contains(&name) {
            found = Some(name);
        }
    }
    found
}

/// RDATA for comparison: names inside without case (RFC 4034, section 6.2), for the common types.
fn folded(rtype: u16, rdata: &[u8]) -> Box<[u8]> {
    match rtype {
        // Numbers may look like letters: they are left alone.
        NS | CNAME | PTR => rdata.to_ascii_lowercase().into(),
        MX | SRV => {
            let skip = if rtype == MX { 2 } else { 6 };
            let (numbers, name) = rdata.split_at_checked(skip).unwrap_or((rdata, &[]));
            [numbers, &name.to_ascii_lowercase()].concat().into()
        }
        _ => rdata.into(),
    }
}
