//! `[zone."NAME"]`: loads the zones, and knows where a service's name may lie.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::file::Zone as Table;
use crate::config::problem::Sink;
use crate::config::read::{Entry, Named};
use crate::model::Secondary;
use crate::wire::Name;
use crate::zone::{Zone, type_word};

use super::keys::{self, Keys};

const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const DS: u16 = 43;

/// Zones, and what their files say about names.
#[derive(Debug, Default)]
pub(super) struct Zones {
    zones: Vec<Zone>,
    /// By apex, in wire form.
    places: HashMap<Box<[u8]>, ZoneNames>,
    /// Who may transfer them.
    secondaries: Vec<(Name, Arc<[Secondary]>)>,
}

#[derive(Debug, Default)]
struct ZoneNames {
    /// Delegations.
    cuts: HashSet<Box<[u8]>>,
    /// What may not stand beside a service (SEMANTICS, 21), with its place.
    beside: HashMap<Box<[u8]>, (u16, String)>,
    /// The file had problems: what is not known of it is not told.
    unreadable: bool,
}

/// Why a name can't be a service's.
pub(super) enum Unfit {
    /// In no zone.
    NoZone,
    /// At or below a delegation.
    Delegated(Name),
    /// Beside a static record: its type and place.
    Beside(&'static str, String),
}

pub(super) fn check(tables: Named<Table>, folder: &Path, keys: &Keys, files: &mut Vec<PathBuf>, sink: &mut Sink<'_>) -> Zones {
    let mut zones = Zones::default();
    let mut spans: HashMap<Name, Range<usize>> = HashMap::new();
    for Entry { name, span, value: Table { file, records, secondaries } } in tables.0 {
        let path = format!("zone.{name:?}");
        let apex = match Name::parse(&name) {
            Ok(apex) if apex == Name::root() || apex.is_wildcard() => {
                sink.problem(&span, &path, format!("`{name}` can't be a zone"), "a zone is named like [zone.\"api.example.com\"]");
                continue;
            }
            Ok(apex) => apex,
            Err(why) => {
                sink.problem(&span, &path, format!("`{name}` {why}"), "a zone is named like [zone.\"api.example.com\"]");
                continue;
            }
        };
        if let Some(first) = spans.get(&apex) {
            sink.problem(&span, &path, format!("zone `{apex}` stands twice; the first is at {}", sink.place(first)), "names of zones have no case");
            continue;
        }
        spans.insert(apex.clone(), span.clone());
        let secondaries = keys::secondaries(secondaries.take().map(|many| many.0).unwrap_or_default(), &path, keys, sink);
        if !secondaries.is_empty() {
            zones.secondaries.push((apex.clone(), secondaries.into()));
        }
        if let (Some(file), Some(_)) = (file.get(), records.get()) {
            let help = "keep one: the zone's file, or its records in this file";
            sink.problem(&file.span, format_args!("{path}.file"), "`file` and `records` exclude each other", help);
            zones.places.insert(apex.wire().into(), ZoneNames { unreadable: true, ..ZoneNames::default() });
            continue;
        }
        if let Some(records) = records.get() {
            // Records in this file: padded with empty lines, so that problems name the lines of this file.
            let (source, line) = sink.text_begins(&records.span);
            let text = "\n".repeat(line.saturating_sub(1) as usize) + &records.value;
            zones.load(apex, (source, Some(text)), (&records.span, &path), files, sink);
            continue;
        }
        let Some(file) = file.get() else {
            if file.is_absent() && records.is_absent() {
                sink.missing(
                    &span,
                    &path,
                    "`file` is missing",
                    "add file = \"zones/api.example.com.zone\" (relative to this file), or the records themselves: records = \"\"\"…\"\"\"",
                );
            }
            zones.places.insert(apex.wire().into(), ZoneNames { unreadable: true, ..ZoneNames::default() });
            continue;
        };
        zones.load(apex, (&folder.join(&file.value), None), (&file.span, &path), files, sink);
    }
    zones.hidden(&spans, sink);
    zones
}

/// Octets that are not UTF-8 are refused rather than replaced: they might stand in a record.
fn read_text(path: &Path) -> std::io::Result<String> {
    String::from_utf8(std::fs::read(path)?).map_err(|why| {
        let line = 1 + why.as_bytes().iter().take(why.utf8_error().valid_up_to()).filter(|octet| **octet == b'\n').count();
        std::io::Error::new(std::io::ErrorKind::InvalidData, format!("line {line} is not UTF-8; write such octets as \\DDD"))
    })
}

impl Zones {
    /// `text`: what stands in `file`, if it is known already.
    fn load(&mut self, apex: Name, (file, mut text): (&Path, Option<String>), at: (&Range<usize>, &str), files: &mut Vec<PathBuf>, sink: &mut Sink<'_>) {
        let mut first_failure = None;
        let inline = text.is_some();
        let mut read = |path: &Path| {
            if let (true, Some(text)) = (path == file, text.take()) {
                return Ok(text);
            }
            let text = read_text(path);
            if let (Err(why), true) = (&text, path == file) {
                first_failure = Some(why.to_string());
            }
            text
        };
        let loaded = crate::zone::load(&apex, file, &mut read);
        if let Some(why) = first_failure {
            // The mistake is in the configuration that names the file.
            sink.problem(
                at.0,
                format_args!("{}.file", at.1),
                format!("`{}` can't be read: {why}", file.display()),
                "the path is relative to the file that names it",
            );
            files.push(file.to_path_buf());
            self.places.insert(apex.wire().into(), ZoneNames { unreadable: true, ..ZoneNames::default() });
            return;
        }
        let mut names = ZoneNames { unreadable: loaded.zone.is_none(), ..ZoneNames::default() };
        for (set, place) in loaded.zone.iter().flat_map(|zone| &zone.sets).zip(&loaded.places) {
            match set.rtype {
                NS if set.owner != apex => {
                    names.cuts.insert(set.owner.wire().into());
                }
                A | AAAA | CNAME => {
                    let file = loaded.files.get(place.file as usize).map(|file| file.display().to_string()).unwrap_or_default();
                    names.beside.entry(set.owner.wire().into()).or_insert_with(|| (set.rtype, format!("{file}:{}:{}", place.line, place.column)));
                }
                _ => {}
            }
        }
        self.places.insert(apex.wire().into(), names);
        self.zones.extend(loaded.zone);
        sink.problems.extend(loaded.problems);
        sink.warnings.extend(loaded.warnings);
        files.extend(loaded.files.into_iter().skip(usize::from(inline)));
    }

    /// Records of a zone at or below the apex of another zone of this file are never answered, except as its delegation and glue.
    fn hidden(&self, spans: &HashMap<Name, Range<usize>>, sink: &mut Sink<'_>) {
        for zone in self.zones.iter().filter(|_| self.zones.len() > 1) {
            let mut hidden: Vec<(&Name, &[u8])> = Vec::new();
            for set in zone.sets.iter().filter(|set| !matches!(set.rtype, A | AAAA | NS | DS)) {
                let above = suffixes(set.owner.wire()).take_while(|suffix| *suffix != zone.apex.wire());
                if let Some(apex) = above.filter(|suffix| self.places.contains_key(*suffix)).last() {
                    hidden.push((&set.owner, apex));
                }
            }
            if let (Some((owner, apex)), Some(span)) = (hidden.first(), spans.get(&zone.apex)) {
                let apex = Name::from_wire(apex).unwrap_or_else(Name::root);
                let more = if hidden.len() > 1 { format!(", and {} more record sets", hidden.len() - 1) } else { String::new() };
                let message = format!("`{owner}`{more} in the file of `{}` is hidden: zone `{apex}` answers there", zone.apex);
                sink.warning(span, format_args!("zone.{:?}", zone.apex.to_string()), message, "move them into the file of the inner zone");
            }
        }
    }

    /// May a service have this name?
    pub(super) fn fit(&self, name: &[u8]) -> Result<(), Unfit> {
        let Some((zone, at)) = suffixes(name).enumerate().find_map(|(at, suffix)| self.places.get(suffix).map(|zone| (zone, at))) else {
            return Err(Unfit::NoZone);
        };
        if zone.unreadable {
            return Ok(());
        }
        if let Some(cut) = suffixes(name).take(at).find(|suffix| !zone.cuts.is_empty() && zone.cuts.contains(*suffix)) {
            return Err(Unfit::Delegated(Name::from_wire(cut).unwrap_or_else(Name::root)));
        }
        match zone.beside.get(name) {
            Some((rtype, place)) => {
                let word = match *rtype {
                    A => "A",
                    AAAA => "AAAA",
                    _ => "CNAME",
                };
                debug_assert_eq!(word, type_word(*rtype));
                Err(Unfit::Beside(word, place.clone()))
            }
            None => Ok(()),
        }
    }

    /// A zone begins here.
    pub(super) fn is_apex(&self, name: &[u8]) -> bool {
        self.places.contains_key(name)
    }

    /// Every name that has static records.
    pub(super) fn owners(&self) -> HashSet<&[u8]> {
        self.zones.iter().flat_map(|zone| &zone.sets).map(|set| set.owner.wire()).collect()
    }

    /// Where a static alias points to.
    pub(super) fn alias(&self, name: &Name) -> Option<Name> {
        let aliases = suffixes(name.wire())
            .filter_map(|suffix| self.places.get(suffix))
            .any(|zone| zone.beside.get(name.wire()).is_some_and(|(rtype, _)| *rtype == CNAME));
        let mut sets = self.zones.iter().filter(|_| aliases).flat_map(|zone| &zone.sets);
        let set = sets.find(|set| set.rtype == CNAME && set.owner == *name)?;
        Name::from_wire(set.rdata.first()?)
    }

    /// Who may transfer which zone.
    pub(super) fn secondaries(&self) -> &[(Name, Arc<[Secondary]>)] {
        &self.secondaries
    }

    /// No zone at all.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The zones, in file order.
    pub(super) fn into_zones(self) -> Vec<Zone> {
        self.zones
    }
}

/// The name, its parent, and so on to the root, in wire form.
fn suffixes(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(wire);
    std::iter::from_fn(move || {
        let this = rest?;
        rest = this.split_first().filter(|(length, _)| **length > 0).and_then(|(length, after)| after.get(usize::from(*length)..));
        Some(this)
    })
}
