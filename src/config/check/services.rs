//! `[service.NAME]`: host names, what answers them, and how.

use std::collections::HashSet;
use std::fs::File as Handle;
use std::io::{BufRead, BufReader};
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hashbrown::HashMap;

use crate::config::file::{Service as Table, Sticky as StickyWord, StickyPrefixes};
use crate::config::problem::{Problem, Sink};
use crate::config::read::{At, Entry, Key, Named, Number, OneOrMany, WhenAllDown};
use crate::model::{AllDown, Answering, Estate, Failback, Names, PoolId, Service, Share, Sticky, duration_text};
use crate::wire::Name;

use super::policies::{Forms, Policies, Resolved};
use super::zones::{Unfit, Zones};
use super::{check_name, number};

/// Seconds.
const TTLS: RangeInclusive<u64> = 1..=604_800;
/// Problems told of the names of one service.
const NAME_PROBLEMS_MAX: usize = 50;
/// Octets of one line of a names file.
const LINE_MAX: usize = 1100;

/// What services are checked against.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub folder: &'a Path,
    pub zones: &'a Zones,
    pub policies: &'a Policies,
}

/// A service's names and where each one stands.
#[derive(Debug, Default)]
struct Written {
    names: Names,
    /// Parallel to `names`.
    places: Vec<NamePlace>,
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug)]
enum NamePlace {
    /// In the configuration; offsets. (Files beyond 4 GiB are not read.)
    Here(u32, u32),
    /// A line of the names file.
    Line(u32),
}

/// Fills `estate.services`; gives the pools that are last resorts.
pub(super) fn check(tables: Named<Table>, cx: Context<'_>, estate: &mut Estate, files: &mut Vec<PathBuf>, sink: &mut Sink<'_>) -> HashSet<PoolId> {
    if cx.zones.is_empty() {
        sink.warning(&(0..0), "zone", "no zone: every query is refused", "add [zone.\"api.example.com\"] with file = \"…\"");
    }
    let mut forms = Forms::new(cx.policies, estate);
    let mut drafts: Vec<Draft> = Vec::with_capacity(tables.0.len());
    let mut pools: HashMap<&str, PoolId> = HashMap::new();
    pools.extend(estate.pools.iter().enumerate().map(|(at, pool)| (&*pool.name, PoolId::at(at))));
    for entry in tables.0 {
        drafts.push(draft(entry, cx, &pools, &mut forms, files, sink));
    }
    let forms = forms.resolved();
    let managed = drafts.iter().filter(|draft| draft.managed).map(|draft| (draft.name.as_str().into(), sink.place(&draft.policy_span).into())).collect();
    check_names(&drafts, cx.zones, sink);
    check_aliases(&drafts, &forms, estate, cx.zones, sink);
    warn(&drafts, &forms, sink);
    let mut last_resorts = HashSet::new();
    let services = drafts.into_iter().filter_map(|draft| {
        if let AllDown::Pool(pool) = draft.when_all_down {
            last_resorts.insert(pool);
        }
        let resolved = forms.get(draft.form?)?;
        Some(Service {
            name: draft.name.into(),
            names: draft.names.names,
            form: resolved.form.clone(),
            policy: resolved.node.clone(),
            answer: draft.answer,
            ttl: draft.ttl,
            ttl_min: draft.ttl_min,
            max_answers: draft.max_answers,
            failback: draft.failback,
            trickle: draft.trickle,
            when_all_down: draft.when_all_down,
            sticky: draft.sticky,
            metrics: draft.metrics,
        })
    });
    estate.services = services.collect();
    estate.managed = managed;
    last_resorts
}

/// A service before its form is fetched.
#[derive(Debug)]
struct Draft {
    name: String,
    span: Range<usize>,
    names: Written,
    form: Option<usize>,
    policy_span: Range<usize>,
    answer: Answering,
    /// The file alone moves its traffic.
    managed: bool,
    ttl: u32,
    ttl_min: u32,
    max_answers: u16,
    failback: Failback,
    trickle: Share,
    when_all_down: AllDown,
    sticky: Option<Sticky>,
    metrics: bool,
}

fn draft(entry: Entry<Table>, cx: Context<'_>, pools: &HashMap<&str, PoolId>, forms: &mut Forms<'_>, files: &mut Vec<PathBuf>, sink: &mut Sink<'_>) -> Draft {
    let Entry { name: id, span, value: table } = entry;
    // Guards are about changes: see `guards`.
    let Table { name, names_file, policy, answer, traffic_from, ttl, ttl_min, max_answers, failback, trickle, when_all_down, sticky, metrics, guards: _ } =
        table;
    check_name(&id, &span, "service", sink);
    let path = format!("service.{id}");
    let names = names_of(name, names_file, &path, &span, cx.folder, files, sink);
    if policy.is_absent() {
        let help = "add policy = { failover = [\"prod\", \"dr\"] } or policy = { weighted = { prod = 80, dr = 20 } }";
        sink.missing(&span, &path, "`policy` is missing", help);
    }
    let root = policy.get().map(|found| found.value.form.choice.word());
    let (mut form, mut policy_span) = (None, span.clone());
    if let Key::Is(At { value, span }) = policy {
        form = Some(forms.resolve(value, &format!("{path}.policy"), &span, sink));
        policy_span = span;
    }
    let managed = match traffic_from.get().map(|found| (found.value.as_str(), &found.span)) {
        None | Some(("operators", _)) => false,
        Some(("file", _)) => true,
        Some((other, span)) => {
            let help =
                "\"file\": operators can't move its traffic, they only override with an end; \"operators\" (the default): what they set goes before the file";
            sink.problem(span, format_args!("{path}.traffic_from"), format!("traffic can't come from `{other}`"), help);
            false
        }
    };
    let ttl_seconds = seconds(&ttl, 30, format_args!("{path}.ttl"), sink);
    let ttl_min_seconds = seconds(&ttl_min, 5.min(ttl_seconds), format_args!("{path}.ttl_min"), sink);
    if let Some(found) = ttl_min.get().filter(|_| ttl_min_seconds > ttl_seconds) {
        sink.problem(
            &found.span,
            format_args!("{path}.ttl_min"),
            format!("ttl_min ({ttl_min_seconds}s) is above ttl ({ttl_seconds}s)"),
            "ttl_min is the lowest that the TTL falls to",
        );
    }
    let max_answers = number(&max_answers, 1..=100, 8, format_args!("{path}.max_answers"), sink);
    let when_all_down = match when_all_down.take() {
        None => AllDown::LastGood,
        Some(WhenAllDown::Word(word)) => word,
        Some(WhenAllDown::Pool(At { value, span })) => pools.get(value.as_str()).copied().map_or_else(
            || {
                let help = sink.suggestion(&value, pools.keys().copied(), format!("add [pool.{value}]"));
                sink.problem(&span, format_args!("{path}.when_all_down.pool"), format!("no pool is called `{value}`"), help);
                AllDown::LastGood
            },
            AllDown::Pool,
        ),
    };
    let sticky = sticky_of(sticky, &format!("{path}.sticky"), sink);
    let failback = super::failback::check(failback, root, &path, sink);
    let trickle = trickle_of(&trickle, root, failback, &path, sink);
    Draft {
        name: id,
        span,
        names,
        form,
        policy_span,
        answer: answering(&answer, &path, sink),
        managed,
        ttl: ttl_seconds,
        ttl_min: ttl_min_seconds,
        max_answers: u16::try_from(max_answers).unwrap_or(8),
        failback,
        trickle,
        when_all_down,
        sticky,
        metrics: metrics.or(false),
    }
}

fn answering(key: &Key<String>, path: &str, sink: &mut Sink<'_>) -> Answering {
    let Some(At { value, span }) = key.get() else { return Answering::default() };
    let found = Answering::ALL.into_iter().find(|answering| answering.word() == value);
    if found.is_none() {
        let help = "\"addresses\" (the default): A and AAAA records; \"cname\": one CNAME to the host name of an endpoint";
        sink.problem(span, format_args!("{path}.answer"), format!("a service can't answer with `{value}`"), help);
    }
    found.unwrap_or_default()
}

/// A service that answers with host names: its endpoints have some, and nothing may stand beside a CNAME (RFC 1034, section 3.6.2; SEMANTICS, 21).
fn check_aliases(drafts: &[Draft], forms: &[Resolved], estate: &Estate, zones: &Zones, sink: &mut Sink<'_>) {
    let aliases = || drafts.iter().filter(|draft| draft.answer == Answering::Cname);
    let owners = if aliases().next().is_some() { zones.owners() } else { HashSet::new() };
    for draft in aliases() {
        let last_resort = if let AllDown::Pool(pool) = draft.when_all_down { Some(pool) } else { None };
        let pools = draft.form.and_then(|form| forms.get(form)).map(|resolved| &resolved.pools[..]).unwrap_or_default();
        if let Some(nameless) = pools.iter().copied().chain(last_resort).find_map(|pool| estate.nameless(pool)) {
            let help = "give it a host, or answer with addresses: answer = \"addresses\" resolves host names, too";
            sink.problem(&draft.policy_span, format_args!("service.{}.policy", draft.name), nameless.to_string(), help);
        }
        let mut told = 0;
        for (at, (name, place)) in draft.names.names.wires().zip(&draft.names.places).enumerate() {
            let shown = Name::from_wire(name).unwrap_or_else(Name::root);
            let (message, help) = if zones.is_apex(name) {
                let help = "answer = \"addresses\" (the default) answers with the addresses of host names, also here";
                (format!("`{shown}` is the apex of its zone, where no CNAME may stand (RFC 1034, section 3.6.2)"), help)
            } else if owners.contains(name) {
                (format!("`{shown}` has static records, and nothing may stand beside a CNAME (RFC 1034, section 3.6.2)"), "remove the records, or the name")
            } else {
                continue;
            };
            told += 1;
            if told <= NAME_PROBLEMS_MAX {
                tell(draft, at, *place, &shown, message, help, sink);
            }
        }
    }
}

/// Who keeps together: all clients of one prefix.
fn sticky_of(sticky: Key<StickyWord>, path: &str, sink: &mut Sink<'_>) -> Option<Sticky> {
    let default = Sticky::default();
    let StickyPrefixes { ipv4_prefix, ipv6_prefix } = match sticky.take()? {
        StickyWord::Yes(yes) => return yes.then_some(default),
        StickyWord::Prefixes(prefixes) => prefixes,
    };
    let mut length = |key: &Key<i64>, most: i64, default: u8, name: &str| {
        u8::try_from(number(key, 1..=most, default.into(), format_args!("{path}.{name}"), sink)).unwrap_or(default)
    };
    let ipv4_prefix = length(&ipv4_prefix, 32, default.ipv4_prefix, "ipv4_prefix");
    Some(Sticky { ipv4_prefix, ipv6_prefix: length(&ipv6_prefix, 64, default.ipv6_prefix, "ipv6_prefix") })
}

/// What of the answers goes to who stands by. More than a half would make it the first.
const TRICKLE_MAX: f64 = 50.0;

fn trickle_of(key: &Key<Number>, root: Option<&str>, failback: Failback, path: &str, sink: &mut Sink<'_>) -> Share {
    let Some(At { value: Number(percent), span }) = key.get() else { return Share::ZERO };
    let at = format!("{path}.trickle");
    let share = Share::from_percent(*percent).filter(|share| *share != Share::ZERO && *percent <= TRICKLE_MAX);
    if share.is_none() {
        sink.problem(span, &at, format!("{percent} is out of range"), "per cent of the answers, more than 0, at most 50; 1 keeps a standby warm");
    }
    if root == Some("multivalue") {
        sink.problem(span, &at, "nobody stands by in a multivalue: all that are up answer", "remove it");
    }
    if let Failback::OneWay(_) = failback {
        let help = "one_way is for what must not be answered again by itself: choose one of them";
        sink.problem(span, &at, "trickle would answer what one_way keeps away", help);
    }
    share.unwrap_or(Share::ZERO)
}

fn seconds(key: &Key<Duration>, default: u32, at: impl std::fmt::Display, sink: &mut Sink<'_>) -> u32 {
    let Some(At { value, span }) = key.get() else { return default };
    let whole = value.subsec_nanos() == 0 && TTLS.contains(&value.as_secs());
    if !whole {
        sink.problem(span, at, format!("`{}` can't be a TTL", duration_text(*value)), "whole seconds, from \"1s\" to \"7days\"");
    }
    u32::try_from(value.as_secs()).ok().filter(|_| whole).unwrap_or(default)
}

fn names_of(
    name: Key<OneOrMany<String>>,
    file: Key<String>,
    path: &str,
    span: &Range<usize>,
    folder: &Path,
    files: &mut Vec<PathBuf>,
    sink: &mut Sink<'_>,
) -> Written {
    let mut names = Written::default();
    if name.is_absent() && file.is_absent() {
        sink.missing(span, path, "a service needs a name", "add name = \"orders.api.example.com\", or names_file = \"names.txt\"");
    }
    if let Some(At { value: OneOrMany(list), span }) = name.get() {
        if list.is_empty() {
            sink.problem(span, format_args!("{path}.name"), "no name", "write at least one");
        }
        for (index, At { value, span }) in list.iter().enumerate().filter_map(|(index, name)| Some((index, name.get()?))) {
            match host_name(value) {
                Ok(name) => {
                    let narrow = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
                    names.names.push(&name);
                    names.places.push(NamePlace::Here(narrow(span.start), narrow(span.end)));
                }
                Err((why, help)) => {
                    let path = if list.len() > 1 { format!("{path}.name[{index}]") } else { format!("{path}.name") };
                    sink.problem(span, path, format!("`{value}` {why}"), help);
                }
            }
        }
    }
    if let Some(At { value, span }) = file.get() {
        let path = format!("{path}.names_file");
        let file = folder.join(value);
        match Handle::open(&file).map_err(|why| why.to_string()).and_then(|handle| read_names(BufReader::new(handle), &file, &mut names, sink)) {
            Ok(0) => sink.problem(span, path, format!("`{}` has no names", file.display()), "one name a line; # begins a comment"),
            Ok(_) => {}
            Err(why) => sink.problem(span, path, format!("`{}` can't be read: {why}", file.display()), "the path is relative to the file that names it"),
        }
        files.push(file.clone());
        names.file = Some(file);
    }
    names
}

/// One name a line; `#` begins a comment. Streamed: only the names are kept. Gives how many lines had something to say.
fn read_names(mut lines: impl BufRead, file: &Path, names: &mut Written, sink: &mut Sink<'_>) -> Result<u64, String> {
    let (mut line, mut number, mut said, mut wrong) = (Vec::new(), 0_u32, 0_u64, 0_usize);
    loop {
        line.clear();
        // A file without line ends must not be read into memory whole.
        let octets = std::io::Read::take(&mut lines, LINE_MAX as u64).read_until(b'\n', &mut line).map_err(|why| why.to_string())?;
        if octets == 0 {
            break;
        }
        number = number.saturating_add(1);
        let text = String::from_utf8_lossy(&line);
        let bare = text.trim_start_matches('\u{feff}').split('#').next().unwrap_or_default().trim();
        let too_long = octets == LINE_MAX && !line.ends_with(b"\n");
        let outcome = if too_long {
            lines.skip_until(b'\n').map_err(|why| why.to_string())?;
            if bare.is_empty() { continue } else { Err(("is too long for a name", "one name a line".to_string())) }
        } else if bare.is_empty() {
            continue;
        } else {
            host_name(bare)
        };
        said += 1;
        match outcome {
            Ok(name) => {
                names.names.push(&name);
                names.places.push(NamePlace::Line(number));
            }
            Err((why, help)) => {
                wrong += 1;
                if wrong <= NAME_PROBLEMS_MAX {
                    let column = text.find(bare).map_or(1, |at| text.get(..at).map_or(1, |before| before.chars().count() + 1));
                    let shown: String = bare.chars().take(80).collect();
                    sink.problems.push(Problem {
                        file: file.to_path_buf(),
                        line: number,
                        column: u32::try_from(column).unwrap_or(1),
                        width: u32::try_from(bare.chars().count()).unwrap_or(1),
                        excerpt: text.trim_end().to_string(),
                        path: String::new(),
                        message: format!("`{shown}` {why}"),
                        help,
                    });
                }
            }
        }
    }
    if wrong > NAME_PROBLEMS_MAX {
        sink.problems.push(Problem::of_file(file, format!("and {} more lines that are not names", wrong - NAME_PROBLEMS_MAX), ""));
    }
    Ok(said)
}

/// A host name, perhaps with `*` as its first label (RFC 4592).
fn host_name(text: &str) -> Result<Name, (&'static str, String)> {
    let help = "write it like \"orders.api.example.com\"".to_string();
    let name = match Name::parse(text) {
        Ok(name) => name,
        Err(why) => {
            return Err(match why {
                crate::wire::NameError::EmptyLabel => ("has an empty label", help),
                crate::wire::NameError::LabelTooLong => ("has a label of more than 63 octets", help),
                crate::wire::NameError::TooLong => ("is longer than 255 octets", help),
                crate::wire::NameError::BadEscape => ("has a bad escape", help),
                crate::wire::NameError::NotAscii => ("has a character outside ASCII", "write it in its xn--… form".to_string()),
            });
        }
    };
    let label = |label: &[u8]| label.iter().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(octet));
    if name.labels().next().is_none() || !name.labels().enumerate().all(|(at, octets)| label(octets) || (at == 0 && octets == b"*")) {
        return Err(("is not a host name", format!("{help}; `*` only as the first label")));
    }
    Ok(name)
}

/// Each name lies in a zone, where no delegation and no static address is in its way, and belongs to one service.
fn check_names(drafts: &[Draft], zones: &Zones, sink: &mut Sink<'_>) {
    let mut owners: HashMap<&[u8], (u32, u32)> = HashMap::with_capacity(drafts.iter().map(|draft| draft.names.names.len()).sum());
    for (service, draft) in drafts.iter().enumerate() {
        let mut told = 0;
        for (at, (name, place)) in draft.names.names.wires().zip(&draft.names.places).enumerate() {
            let narrow = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
            let shown = || Name::from_wire(name).unwrap_or_else(Name::root);
            let found = match owners.entry(name) {
                hashbrown::hash_map::Entry::Occupied(first) => {
                    let (owner, index) = *first.get();
                    let owner = drafts.get(owner as usize).unwrap_or(draft);
                    let first = owner.names.places.get(index as usize).map_or(String::new(), |place| place_text(owner, *place, sink));
                    let whose = if owner.name == draft.name { "stands twice".to_string() } else { format!("is a name of service `{}` already", owner.name) };
                    Some((format!("`{}` {whose}; the first is at {first}", shown()), "each name belongs to one service, once"))
                }
                hashbrown::hash_map::Entry::Vacant(vacant) => {
                    vacant.insert((narrow(service), narrow(at)));
                    match zones.fit(name) {
                        Ok(()) => None,
                        Err(Unfit::NoZone) => Some((format!("`{}` is in no zone of this file", shown()), "add [zone.\"…\"] for it, or mend the name")),
                        Err(Unfit::Delegated(cut)) => {
                            Some((format!("`{}` is not ours to answer: `{cut}` is delegated", shown()), "remove the delegation's NS records, or the name"))
                        }
                        Err(Unfit::Beside(rtype, place)) => Some((
                            format!("`{}` has a static {rtype} record at {place}", shown()),
                            "the service answers this name: remove the record, or the name",
                        )),
                    }
                }
            };
            let Some((message, help)) = found else { continue };
            told += 1;
            match told {
                0..=NAME_PROBLEMS_MAX => tell(draft, at, *place, &shown(), message, help, sink),
                _ => continue,
            }
        }
        if told > NAME_PROBLEMS_MAX {
            let message = format!("and {} more names with problems", told - NAME_PROBLEMS_MAX);
            sink.problem(&draft.span, format_args!("service.{}", draft.name), message, "");
        }
    }
}

fn place_text(draft: &Draft, place: NamePlace, sink: &Sink<'_>) -> String {
    match place {
        NamePlace::Here(start, end) => sink.place(&(start as usize..end as usize)),
        NamePlace::Line(line) => format!("{}:{line}:1", draft.names.file.as_deref().unwrap_or(Path::new("")).display()),
    }
}

fn tell(draft: &Draft, at: usize, place: NamePlace, name: &Name, message: String, help: &str, sink: &mut Sink<'_>) {
    match place {
        NamePlace::Here(start, end) => {
            let one = draft.names.places.len() == 1;
            let path = if one { format!("service.{}.name", draft.name) } else { format!("service.{}.name[{at}]", draft.name) };
            sink.problem(&(start as usize..end as usize), path, message, help);
        }
        // The line itself was not kept: it was the name.
        NamePlace::Line(line) => sink.problems.push(Problem {
            file: draft.names.file.clone().unwrap_or_default(),
            line,
            column: 1,
            width: u32::try_from(name.to_string().len()).unwrap_or(1),
            excerpt: name.to_string(),
            path: String::new(),
            message,
            help: help.to_string(),
        }),
    }
}

/// What is served and yet perhaps not meant; told once for each form, with how many share it.
fn warn(drafts: &[Draft], forms: &[Resolved], sink: &mut Sink<'_>) {
    let mut few: HashMap<usize, (usize, &Draft)> = HashMap::new();
    let mut users: HashMap<usize, (usize, &Draft)> = HashMap::new();
    for draft in drafts {
        let Some((form, resolved)) = draft.form.and_then(|form| Some((form, forms.get(form)?))) else { continue };
        users.entry(form).or_insert((0, draft)).0 += 1;
        let last_resort = matches!(draft.when_all_down, AllDown::Pool(pool) if !resolved.pools.contains(&pool));
        if resolved.pools.len() + usize::from(last_resort) == 1 {
            few.entry(form).or_insert((0, draft)).0 += 1;
        }
    }
    let others = |count: usize| if count > 1 { format!(" (and {} more services with this policy)", count - 1) } else { String::new() };
    for (form, resolved) in forms.iter().enumerate() {
        if let Some((count, draft)) = few.get(&form) {
            let message = format!("only one pool answers: there is nothing to fail over to{}", others(*count));
            sink.warning(&draft.policy_span, format_args!("service.{}.policy", draft.name), message, "add a second pool, in another region");
        }
        if let (Some(differ), Some((count, draft))) = (&resolved.families_differ, users.get(&form)) {
            let message = format!("the pools differ in address families: {differ}{}", others(*count));
            let help = "a pool without addresses of a family answers that family with no data (a split stays a split); give all pools both";
            sink.warning(&draft.policy_span, format_args!("service.{}.policy", draft.name), message, help);
        }
    }
}
