//! From TOML values to the words of `file`: each value by itself, so that no mistake hides another.
//!
//! Here stands how a time, an address or a list is written. Never here: what a key means, or whether values fit together (`check`).

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::model::{Family, Host, PolicyForm, parse_duration};
use crate::wire::Name;

use super::problem::{Route, Sink};

/// A value with its place.
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// Something that a value may say.
pub(super) trait Read: Sized {
    /// `None`: it does not; the sink knows why.
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self>;
}

/// A value that was understood, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub value: T,
    pub span: Range<usize>,
}

/// What the file says of a key.
#[derive(Clone, Debug, Default)]
pub(super) enum Key<T> {
    /// Nothing.
    #[default]
    Absent,
    /// Something that was refused: neither missing nor the default.
    Unreadable,
    /// This.
    Is(At<T>),
}

impl<T> Key<T> {
    pub fn get(&self) -> Option<&At<T>> {
        match self {
            Key::Is(at) => Some(at),
            Key::Absent | Key::Unreadable => None,
        }
    }

    pub fn is_absent(&self) -> bool {
        matches!(self, Key::Absent)
    }

    pub fn take(self) -> Option<T> {
        match self {
            Key::Is(at) => Some(at.value),
            Key::Absent | Key::Unreadable => None,
        }
    }

    /// The value and where it stands.
    pub fn take_at(self) -> Option<At<T>> {
        match self {
            Key::Is(at) => Some(at),
            Key::Absent | Key::Unreadable => None,
        }
    }

    /// The value, or the default.
    pub fn or(self, default: T) -> T {
        self.take().unwrap_or(default)
    }
}

impl<T: Read> Key<T> {
    pub fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Self {
        let span = value.span();
        T::read(value, at, sink).map_or(Key::Unreadable, |value| Key::Is(At { value, span }))
    }
}

/// Tables with names that people choose, in file order.
#[derive(Clone, Debug)]
pub(super) struct Named<T>(pub Vec<Entry<T>>);

/// `[pool.eu]`: the name, where it stands, and the table.
#[derive(Clone, Debug)]
pub(super) struct Entry<T> {
    pub name: String,
    pub span: Range<usize>,
    pub value: T,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Read> Read for Named<T> {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        let entries = table(value, at, sink)?;
        let mut named = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            let span = name.span();
            let name = name.into_inner().into_owned();
            if let Some(value) = T::read(value, &at.key(&name), sink) {
                named.push(Entry { name, span, value });
            }
        }
        Some(Named(named))
    }
}

/// The words for what was found.
fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

pub(super) fn refuse<T>(value: &Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>, expected: &str, help: &str) -> Option<T> {
    sink.problem(&value.span(), at, format!("expected {expected}, found {}", found(value.get_ref())), help);
    None
}

/// A table's keys and values.
pub(super) fn table<'i>(value: Value<'i>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<DeTable<'i>> {
    match value.get_ref() {
        DeValue::Table(_) => {}
        DeValue::Array(_) => return refuse(&value, at, sink, "one table", "write [header] with single brackets, once"),
        _ => return refuse(&value, at, sink, "a table", "write it as a [header] of its own, or as { key = value }"),
    }
    match value.into_inner() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

fn text<'i>(value: Value<'i>, at: &Route<'_>, sink: &mut Sink<'_>, help: &str) -> Option<(Cow<'i, str>, Range<usize>)> {
    let span = value.span();
    match value.get_ref() {
        DeValue::String(_) => match value.into_inner() {
            DeValue::String(text) => Some((text, span)),
            _ => None,
        },
        _ => refuse(&value, at, sink, "text in quotes", help),
    }
}

/// A text that must be of some form.
pub(super) fn parsed<T>(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>, help: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
    let (text, span) = text(value, at, sink, help)?;
    parse(&text).map_err(|why| sink.problem(&span, at, why, help)).ok()
}

impl Read for String {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        text(value, at, sink, "put it in quotes: \"…\"").map(|(text, _)| text.into_owned())
    }
}

/// Text that is never shown.
#[derive(Clone)]
pub(super) struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Read for Secret {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        String::read(value, at, sink).map(Secret)
    }
}

impl Read for bool {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Boolean(yes) => Some(*yes),
            _ => refuse(&value, at, sink, "true or false", "write it without quotes"),
        }
    }
}

/// A whole number; its range is the key's business.
impl Read for i64 {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Integer(integer) => {
                let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
                if number.is_none() {
                    sink.problem(&value.span(), at, "the number is too large", "");
                }
                number
            }
            _ => refuse(&value, at, sink, "a whole number", "write it without quotes"),
        }
    }
}

/// A number, whole or not; its range is the key's business.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(pub f64);

impl Read for Number {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Integer(_) => i64::read(value, at, sink).map(|whole| Number(whole as f64)),
            DeValue::Float(float) => {
                let number = float.as_str().parse::<f64>().ok().filter(|number| number.is_finite());
                if number.is_none() {
                    sink.problem(&value.span(), at, "not a number that can be used", "write it like 0.5");
                }
                number.map(Number)
            }
            _ => refuse(&value, at, sink, "a number", "write it like 0.5, without quotes"),
        }
    }
}

impl Read for IpAddr {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        parsed(value, at, sink, "write it like \"192.0.2.10\" or \"2001:db8::10\"; host names and ports don't belong here", |text| {
            text.parse().map_err(|_| "not an IP address".to_string())
        })
    }
}

impl Read for SocketAddr {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        parsed(value, at, sink, "write address and port, like \"127.0.0.1:8090\" or \"[::]:53\"", |text| {
            text.parse().map_err(|_| "not an address with a port".to_string())
        })
    }
}

/// `"10s"`.
impl Read for Duration {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        let help = "write it like \"10s\", \"500ms\" or \"1m 30s\"";
        parsed(value, at, sink, help, |text| parse_duration(text).map_err(|_| format!("`{text}` is not a duration")))
    }
}

/// A step of a plan as written: `5`, `2.5`, `"50p"`.
#[derive(Clone, Debug)]
pub(super) struct StepWord(pub String);

impl Read for StepWord {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Integer(integer) => Some(Self(integer.to_string())),
            DeValue::Float(float) => Some(Self(float.to_string())),
            _ => String::read(value, at, sink).map(Self),
        }
    }
}

/// One, or a list.
#[derive(Clone, Debug)]
pub(super) struct OneOrMany<T>(pub Vec<Key<T>>);

impl<T: Read> Read for OneOrMany<T> {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Array(_) => Vec::read(value, at, sink).map(OneOrMany),
            _ => Some(OneOrMany(vec![Key::read(value, at, sink)])),
        }
    }
}

impl<T: Read> Read for Vec<Key<T>> {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Array(_) => match value.into_inner() {
                DeValue::Array(array) => Some(array.into_iter().enumerate().map(|(index, value)| Key::read(value, &at.index(index), sink)).collect()),
                _ => None,
            },
            _ => refuse(&value, at, sink, "a list", "write it like [\"one\", \"two\"]"),
        }
    }
}

/// What a region can carry, in per cent: of every service, or by service.
#[derive(Clone, Debug)]
pub(super) enum Capacity {
    /// `60`
    All(At<i64>),
    /// `{ orders = 60 }`
    ByService(Vec<Entry<At<i64>>>),
}

impl Read for Capacity {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        let span = value.span();
        if !matches!(value.get_ref(), DeValue::Table(_)) {
            return i64::read(value, at, sink).map(|value| Capacity::All(At { value, span }));
        }
        let Named(entries) = Named::<i64>::read_with_spans(value, at, sink)?;
        Some(Capacity::ByService(entries))
    }
}

impl Named<i64> {
    /// As [`Read::read`], with the place of each number.
    fn read_with_spans(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Named<At<i64>>> {
        let mut named = Vec::new();
        for (name, value) in table(value, at, sink)? {
            let (span, place) = (name.span(), value.span());
            let name = name.into_inner().into_owned();
            if let Some(value) = i64::read(value, &at.key(&name), sink) {
                named.push(Entry { name, span, value: At { value, span: place } });
            }
        }
        Some(Named(named))
    }
}

/// A moment: once (`"2026-12-20T00:00:00Z"`, quoted or not) or every week (`"fri 16:00"`, UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Milliseconds since the epoch.
    Once(i64),
    /// Minutes since Monday 00:00 UTC.
    Weekly(u32),
}

impl Read for Moment {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        let help = "write it like \"2026-12-20T00:00:00Z\", or for every week like \"fri 16:00\" (UTC)";
        let moment = |text: &str| {
            let once = || {
                let at = humantime::parse_rfc3339_weak(text.trim()).ok()?;
                let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
                i64::try_from(since.as_millis()).ok().map(Moment::Once)
            };
            let weekly = || crate::model::parse_week_moment(text).map(Moment::Weekly);
            once().or_else(weekly).ok_or_else(|| format!("`{text}` is not a moment"))
        };
        if let DeValue::Datetime(datetime) = value.get_ref() {
            let (text, span) = (datetime.to_string(), value.span());
            return moment(&text).map_err(|why| sink.problem(&span, at, why, help)).ok();
        }
        parsed(value, at, sink, help, moment)
    }
}

/// A header's value: the text, or `{ file = "token" }`.
#[derive(Clone, Debug)]
pub(super) enum HeaderValue {
    /// Right here.
    Text(Secret),
    /// In a file.
    File(At<String>),
}

impl Read for HeaderValue {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        if !matches!(value.get_ref(), DeValue::Table(_)) {
            return Secret::read(value, at, sink).map(HeaderValue::Text);
        }
        let span = value.span();
        let mut file = Key::Absent;
        let keys = table(value, at, sink)?;
        if keys.is_empty() {
            sink.problem(&span, at, "expected text or { file = \"…\" }", "the file holds the value and nothing else");
        }
        for (key, value) in keys {
            match key.get_ref().as_ref() {
                "file" => file = Key::<String>::read(value, &at.key("file"), sink),
                other => unknown(&key.span(), &at.key(other), other, &["file"], &[], sink),
            }
        }
        match file {
            Key::Is(file) => Some(HeaderValue::File(file)),
            Key::Absent | Key::Unreadable => None,
        }
    }
}

/// Where something is reached, perhaps with a port: `10.0.0.1`, `10.0.0.1:9000`, `2001:db8::1`, `[2001:db8::1]:9000`, `gw.internal.example:8443`.
#[derive(Clone, Debug)]
pub(super) struct Reach(pub Host, pub Option<u16>);

impl Read for Reach {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        let help = "write it like \"10.0.0.1\", \"10.0.0.1:9000\", \"[2001:db8::1]:9000\" or \"gw.internal.example:8443\"";
        parsed(value, at, sink, help, |text| {
            if let Ok(address) = text.parse::<IpAddr>() {
                return Ok(Reach(address.into(), None));
            }
            if let Some(both) = text.parse::<SocketAddr>().ok().filter(|both| both.port() > 0) {
                return Ok(Reach(both.ip().into(), Some(both.port())));
            }
            match text.rsplit_once(':') {
                None => host_name(text).map(|host| Reach(host, None)),
                Some((name, port)) => {
                    let port = port.parse().ok().filter(|port| 0 < *port).ok_or_else(|| format!("`{port}` is not a port"))?;
                    host_name(name).map(|host| Reach(host, Some(port)))
                }
            }
        })
    }
}

/// An address or a host name without a port.
impl Read for Host {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        let help = "write it like \"192.0.2.10\", \"2001:db8::10\" or \"gw.internal.example\"; ports don't belong here";
        parsed(value, at, sink, help, |text| text.parse::<IpAddr>().map(Host::Address).or_else(|_| host_name(text)))
    }
}

/// A name that a resolver can be asked for; IPv4 first, unless somebody knows better. What ends like an address is a slip of the fingers.
/// A host name, and no address.
#[derive(Clone, Debug)]
pub(super) struct HostName(pub Name);

impl Read for HostName {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        let help = "write it like \"gw.vendor.example\"; an address belongs to the key `address`, a port to `connect`";
        parsed(value, at, sink, help, |text| match host_name(text)? {
            Host::Name(name, _) => Ok(HostName(name)),
            Host::Address(_) | Host::Answered(_) => Err("not a host name".to_string()),
        })
    }
}

fn host_name(text: &str) -> Result<Host, String> {
    let name = Name::parse(text).map_err(|why| format!("`{text}` {why}"))?;
    let sound =
        |label: &[u8]| label.iter().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(octet)) && !label.starts_with(b"-") && !label.ends_with(b"-");
    match name.labels().last() {
        Some(last) if !last.iter().all(u8::is_ascii_digit) && name.labels().all(sound) => Ok(Host::Name(name, Family::V4)),
        _ => Err("neither an IP address nor a host name".to_string()),
    }
}

/// A server's address, on port 53 unless it says another.
#[derive(Clone, Copy, Debug)]
pub(super) struct NameServer(pub SocketAddr);

impl Read for NameServer {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        parsed(value, at, sink, "write it like \"192.0.2.53\", \"192.0.2.53:5353\" or \"[2001:db8::53]:5353\"", |text| {
            let with_port = text.parse::<SocketAddr>().ok().filter(|both| 0 < both.port());
            with_port
                .or_else(|| text.parse().ok().map(|address| SocketAddr::new(address, 53)))
                .map(NameServer)
                .ok_or_else(|| "not an IP address, with or without a port".to_string())
        })
    }
}

/// Status codes that pass: `200`, `"204"`, `"200-299"`.
#[derive(Clone, Debug)]
pub(super) struct StatusRange(pub RangeInclusive<u16>);

impl Read for StatusRange {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        let span = value.span();
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(integer) => integer.to_string(),
            _ => return refuse(&value, at, sink, "a status code or a range", "write it like \"200-299\" or 204"),
        };
        let code = |text: &str| text.trim().parse::<u16>().ok().filter(|code| (100..=599).contains(code));
        let range = match text.split_once('-') {
            Some((from, to)) => code(from).zip(code(to)).filter(|(from, to)| from <= to).map(|(from, to)| from..=to),
            None => code(&text).map(|code| code..=code),
        };
        if range.is_none() {
            sink.problem(&span, at, format!("`{text}` is not a status code or a range of them"), "write it like \"200-299\" or 204; codes are 100 to 599");
        }
        range.map(StatusRange)
    }
}

/// `tls = 443`, or `tls = true` beside a kind that has a port already.
#[derive(Clone, Copy, Debug)]
pub(super) enum PortOrYes {
    /// A port.
    Port(i64),
    /// Whether TLS is spoken.
    Yes(bool),
}

impl Read for PortOrYes {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Boolean(yes) => Some(PortOrYes::Yes(*yes)),
            _ => i64::read(value, at, sink).map(PortOrYes::Port),
        }
    }
}

/// What a client's certificate may: `"operate"`, or `{ scope = "operate", services = ["shop-*"] }`.
#[derive(Clone, Debug)]
pub(super) struct SubjectGrant {
    pub scope: crate::model::Scope,
    pub services: Vec<String>,
}

impl Read for SubjectGrant {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        let help = "write \"read\", \"operate\" or \"admin\", or { scope = \"operate\", services = [\"shop-*\"] }";
        let scope_of = |value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>| {
            parsed(value, at, sink, help, |text| crate::model::Scope::parse(text).ok_or_else(|| format!("`{text}` is not a scope")))
        };
        if !matches!(value.get_ref(), DeValue::Table(_)) {
            return scope_of(value, at, sink).map(|scope| SubjectGrant { scope, services: Vec::new() });
        }
        let span = value.span();
        let (mut scope, mut services) = (None, Vec::new());
        let before = sink.problem_count();
        for (key, value) in table(value, at, sink)? {
            match key.get_ref().as_ref() {
                "scope" => scope = scope_of(value, &at.key("scope"), sink),
                "services" => {
                    let listed = OneOrMany::<String>::read(value, &at.key("services"), sink)?;
                    services = listed.0.iter().filter_map(|name| name.get()).map(|name| name.value.clone()).collect();
                    if services.is_empty() {
                        // An empty list would mean every service, which nobody writes so.
                        sink.problem(
                            &key.span(),
                            at.key("services"),
                            "names no service",
                            "name them, such as [\"shop-*\"], or leave the key out: all services",
                        );
                    }
                }
                other => unknown(&key.span(), &at.key(other), other, &["scope", "services"], &[], sink),
            }
        }
        if scope.is_none() && sink.problem_count() == before {
            sink.problem(&span, at, "`scope` is missing", help);
        }
        Some(SubjectGrant { scope: scope?, services })
    }
}

/// `when_all_down`, its pool not yet looked up.
#[derive(Clone, Debug)]
pub(super) enum WhenAllDown {
    /// One of the words.
    Word(crate::model::AllDown),
    /// `{ pool = "sorry" }`
    Pool(At<String>),
}

impl Read for WhenAllDown {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        use crate::model::AllDown;
        let help = "there are \"last_good\", \"serve_all\", \"first\", \"nodata\", \"servfail\" and { pool = \"sorry\" }";
        if !matches!(value.get_ref(), DeValue::Table(_)) {
            return parsed(value, at, sink, help, |text| match text {
                "last_good" => Ok(AllDown::LastGood),
                "serve_all" => Ok(AllDown::ServeAll),
                "first" => Ok(AllDown::First),
                "nodata" => Ok(AllDown::NoData),
                "servfail" => Ok(AllDown::ServFail),
                _ => Err(format!("`{text}` is not a way to answer when all is down")),
            })
            .map(WhenAllDown::Word);
        }
        let span = value.span();
        let mut pool = Key::Absent;
        let keys = table(value, at, sink)?;
        if keys.is_empty() {
            sink.problem(&span, at, "expected { pool = \"…\" }", help);
        }
        for (key, value) in keys {
            match key.get_ref().as_ref() {
                "pool" => pool = Key::<String>::read(value, &at.key("pool"), sink),
                other => sink.problem(&key.span(), at.key(other), "unknown key", help),
            }
        }
        match pool {
            Key::Is(pool) => Some(WhenAllDown::Pool(pool)),
            Key::Absent | Key::Unreadable => None,
        }
    }
}

/// A policy as written, and where each child's name stands.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub form: PolicyForm,
    /// In the order of the choice's children.
    pub children: Vec<Range<usize>>,
}

const POLICY_KEYS: [&str; 9] = ["failover", "weighted", "multivalue", "geo", "nearest", "latency", "ties", "unknown", "min_up"];
const POLICY_LATER: [&str; 2] = ["sticky", "guard"];
/// Keys that stand beside the choice.
const POLICY_BESIDE: [&str; 3] = ["min_up", "ties", "unknown"];

impl Read for Policy {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        let span = value.span();
        let children = match value.get_ref() {
            DeValue::Table(table) => {
                let mut sound = true;
                for key in table.keys().filter(|key| !POLICY_KEYS.contains(&key.get_ref().as_ref())) {
                    unknown(&key.span(), &at.key(key.get_ref()), key.get_ref(), &POLICY_KEYS, &POLICY_LATER, sink);
                    sound = false;
                }
                if !sound {
                    return None;
                }
                children_of(table)
            }
            _ => vec![span.clone()],
        };
        match PolicyForm::deserialize(ValueDeserializer::from(value)) {
            Ok(form) => Some(Policy { form, children }),
            Err(why) => {
                let help = "write { failover = [\"prod\", \"dr\"] }, { weighted = { prod = 80, dr = 20 } }, { multivalue = [\"prod\", \"dr\"] }, { nearest = [\"prod\", \"dr\"] }, { latency = [\"prod\", \"dr\"] } or { geo = [{ when = [\"continent:EU\"], then = \"prod\" }, { then = \"dr\" }] }; children are names of pools or of [policy.NAME]";
                sink.problem(&why.span().unwrap_or(span), at, why.message(), help);
                None
            }
        }
    }
}

fn children_of(table: &DeTable<'_>) -> Vec<Range<usize>> {
    let choice = table.iter().find(|(key, _)| !POLICY_BESIDE.contains(&key.get_ref().as_ref()));
    match choice.map(|(_, value)| value.get_ref()) {
        Some(DeValue::Array(array)) => {
            // A rule's child is its `then`.
            let span = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
                DeValue::Table(rule) => rule.get("then").map_or_else(|| item.span(), Spanned::span),
                _ => item.span(),
            };
            array.iter().map(span).collect()
        }
        Some(DeValue::Table(shares)) => shares.keys().map(Spanned::span).collect(),
        _ => Vec::new(),
    }
}

/// A key that is not known, or not yet.
pub(super) fn unknown(span: &Range<usize>, at: &Route<'_>, key: &str, known: &[&str], later: &[&str], sink: &mut Sink<'_>) {
    if later.contains(&key) {
        sink.problem(span, at, format!("`{key}` is not supported yet"), "remove it");
        return;
    }
    let all = format!("known here: {}", known.join(", "));
    let help = sink.suggestion(key, known.iter().copied(), all);
    sink.problem(span, at, "unknown key", help);
}
