//! From master files to records (RFC 1035, section 5; RFC 2308, section 4; RFC 3597, section 5).
//!
//! Owners, TTLs, classes and directives are read here; record data goes, entry by entry, through the reader of the `domain` crate,
//! so that one mistake spoils one record and every other one is still looked at. Never here: rules about zones (`check`), opening files.

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bytes::Bytes;
use domain::base::iana::{Class, Rtype};
use domain::base::rdata::{ComposeRecordData, ParseRecordData};
use domain::base::{Name as DomainName, ParsedName};
use domain::dep::octseq::Parser;
use domain::rdata::ZoneRecordData;
use domain::zonefile::inplace::{Entry as DomainEntry, ScannedRecordData, Zonefile};

use crate::wire::Name;

use super::scan::{Entry, Token, entries};
use super::{Place, Problem, Source};

/// Files within files.
const INCLUDE_DEPTH_MAX: usize = 10;
/// RFC 2181, section 8.
const TTL_MAX: u64 = 0x7fff_ffff;

/// How a text is got: the caller opens files.
pub type Read<'a> = dyn FnMut(&Path) -> io::Result<String> + 'a;

/// A record and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub owner: Name,
    pub rtype: u16,
    pub ttl: u32,
    pub rdata: Box<[u8]>,
    pub place: Place,
}

/// What reading a zone's files gave.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub records: Vec<Record>,
    /// Every file that was read, the first first; `Place::file` counts in it.
    pub files: Vec<PathBuf>,
    /// Their texts, for showing lines.
    pub texts: Vec<String>,
    pub problems: Vec<Problem>,
}

/// Reads `file` and what it includes.
pub(super) fn parse(apex: &Name, file: &Path, read: &mut Read<'_>) -> Parsed {
    let mut parser = MasterFiles { read, parsed: Parsed::default(), including: Vec::new(), ttl: None, last_ttl: None, soa_minimum: None };
    match (parser.read)(file) {
        Ok(text) => parser.file(file, &text, apex.clone()),
        Err(why) => parser.parsed.problems.push(Problem::of_file(file, format!("can't be read: {why}"), "")),
    }
    parser.parsed
}

struct MasterFiles<'r, 'f> {
    read: &'r mut Read<'f>,
    parsed: Parsed,
    including: Vec<PathBuf>,
    /// `$TTL`.
    ttl: Option<u32>,
    /// The last one written at a record.
    last_ttl: Option<u32>,
    soa_minimum: Option<u32>,
}

/// A finding before it has a file: where, what, what to do.
type Fault = (std::ops::Range<usize>, String, String);

fn fault(token: &Token, message: impl Into<String>, help: impl Into<String>) -> Fault {
    (token.span.clone(), message.into(), help.into())
}

/// The owner, TTL, class and type of an entry, and where its data begins.
struct Head {
    ttl: Option<u32>,
    rtype: Rtype,
    /// Index of the first token of the data.
    data: usize,
}

impl MasterFiles<'_, '_> {
    fn file(&mut self, file: &Path, text: &str, mut origin: Name) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let source = Source::new(file, text);
        let index = u32::try_from(self.parsed.files.len()).unwrap_or(u32::MAX);
        self.parsed.files.push(file.to_path_buf());
        self.parsed.texts.push(text.to_string());
        self.including.push(file.to_path_buf());
        let mut owner: Option<Name> = None;
        for entry in entries(&source, &mut self.parsed.problems) {
            let outcome = match entry.tokens.first() {
                Some(first) if !entry.indented && !first.quoted && word(&source, first).starts_with('$') => self.directive(&source, &entry, &mut origin),
                _ => self.record(&source, &entry, &origin, &mut owner, index),
            };
            if let Err((span, message, help)) = outcome {
                self.parsed.problems.push(source.problem(span, message, help));
            }
        }
        self.including.pop();
    }

    fn directive(&mut self, source: &Source<'_>, entry: &Entry, origin: &mut Name) -> Result<(), Fault> {
        let (Some(directive), arguments) = (entry.tokens.first(), entry.tokens.get(1..).unwrap_or_default()) else { return Ok(()) };
        let name = word(source, directive).to_ascii_uppercase();
        match (name.as_str(), arguments) {
            ("$ORIGIN", [to]) => *origin = name_of(source, to, origin)?,
            ("$TTL", [ttl]) => self.ttl = Some(ttl_of(source, ttl)?),
            ("$INCLUDE", [path]) => self.include(source, path, origin.clone())?,
            ("$INCLUDE", [path, to]) => self.include(source, path, name_of(source, to, origin)?)?,
            ("$ORIGIN", _) => return Err(fault(directive, "$ORIGIN takes one name", "write `$ORIGIN example.com.`")),
            ("$TTL", _) => return Err(fault(directive, "$TTL takes one time", "write `$TTL 1h`")),
            ("$INCLUDE", _) => return Err(fault(directive, "$INCLUDE takes a file and perhaps an origin", "write `$INCLUDE hosts.zone`")),
            ("$GENERATE", _) => return Err(fault(directive, "$GENERATE is not supported", "write the records out")),
            _ => return Err(fault(directive, format!("unknown directive `{name}`"), "there are $ORIGIN, $TTL and $INCLUDE")),
        }
        Ok(())
    }

    /// RFC 1035, section 5.1: the origin and the last owner of the including file stay as they were.
    fn include(&mut self, source: &Source<'_>, path: &Token, origin: Name) -> Result<(), Fault> {
        let file = source.file.parent().unwrap_or(Path::new("")).join(word(source, path));
        if self.including.contains(&file) {
            return Err(fault(path, "this file includes itself", "remove one of the $INCLUDE lines"));
        }
        if self.including.len() > INCLUDE_DEPTH_MAX {
            return Err(fault(path, format!("$INCLUDE goes more than {INCLUDE_DEPTH_MAX} files deep"), "put the records in fewer files"));
        }
        let text = (self.read)(&file)
            .map_err(|why| fault(path, format!("`{}` can't be read: {why}", file.display()), "the path is relative to the file that names it"))?;
        self.file(&file, &text, origin);
        Ok(())
    }

    fn record(&mut self, source: &Source<'_>, entry: &Entry, origin: &Name, owner: &mut Option<Name>, file: u32) -> Result<(), Fault> {
        let Some(first) = entry.tokens.first() else { return Ok(()) };
        let head_at = if entry.indented {
            0
        } else {
            // A bad owner must not lend its records to the owner before it.
            *owner = None;
            *owner = Some(name_of(source, first, origin)?);
            1
        };
        let head = head(source, entry, head_at)?;
        let Some(owner) = owner.clone() else {
            let why = if entry.indented { "no owner name, and no record above lends one" } else { "no owner name" };
            return Err(fault(first, why, "begin the line with a name, or @ for the zone's own"));
        };
        if let Some(ttl) = head.ttl {
            self.last_ttl = Some(ttl);
        }
        let rdata = rdata(source, entry, &head, origin)?;
        if head.rtype == Rtype::SOA {
            self.soa_minimum = rdata.last_chunk::<4>().map(|minimum| u32::from_be_bytes(*minimum));
        }
        let ttl = head.ttl.or(self.ttl).or(self.last_ttl).or(self.soa_minimum);
        let Some(ttl) = ttl else { return Err(fault(first, "no TTL, and none to inherit", "put `$TTL 1h` at the top of the file")) };
        let line = source.line(first.span.start);
        let column = source.line_column(first.span.start).1;
        self.parsed.records.push(Record { owner, rtype: head.rtype.to_int(), ttl, rdata, place: Place { file, line, column } });
        Ok(())
    }
}

fn word<'a>(source: &Source<'a>, token: &Token) -> &'a str {
    source.text.get(token.span.clone()).unwrap_or_default()
}

/// A name, made absolute.
fn name_of(source: &Source<'_>, token: &Token, origin: &Name) -> Result<Name, Fault> {
    let text = word(source, token);
    let name = if text == "@" && !token.quoted {
        Ok(origin.clone())
    } else if text.ends_with('.') && !text.ends_with("\\.") {
        Name::parse(text)
    } else {
        Name::parse(text).and_then(|relative| {
            let labels = relative.wire().strip_suffix(&[0]).unwrap_or_default();
            Name::from_wire(&[labels, origin.wire()].concat()).ok_or(crate::wire::NameError::TooLong)
        })
    };
    name.map_err(|why| fault(token, format!("`{text}` {why}"), "names are labels of 1 to 63 octets with dots between them"))
}

/// Seconds, or BIND's `1h30m`.
fn ttl_of(source: &Source<'_>, token: &Token) -> Result<u32, Fault> {
    let text = word(source, token);
    seconds(text)
        .filter(|_| !token.quoted)
        .and_then(|ttl| u32::try_from(ttl).ok().filter(|_| ttl <= TTL_MAX))
        .ok_or_else(|| fault(token, format!("`{text}` is not a TTL"), "write seconds, or like 5m, 1h30m, 1d; at most 2147483647 seconds (RFC 2181, section 8)"))
}

/// `300`, `5m`, `1h30m`, `1w2d`. `None`: something else, or too large.
fn seconds(text: &str) -> Option<u64> {
    let (mut total, mut number) = (0_u64, None::<u64>);
    for octet in text.bytes() {
        let unit = match octet.to_ascii_lowercase() {
            b'0'..=b'9' => {
                number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(octet - b'0'))?);
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    match (number, text.bytes().all(|octet| octet.is_ascii_digit())) {
        (Some(number), true) => Some(number),
        // `1h30` is not a number of anything.
        (Some(_), false) => None,
        (None, _) => (!text.is_empty()).then_some(total),
    }
}

/// `[TTL] [class] type` or `[class] [TTL] type`.
fn head(source: &Source<'_>, entry: &Entry, at: usize) -> Result<Head, Fault> {
    let (mut ttl, mut class) = (None, false);
    for (index, token) in entry.tokens.iter().enumerate().skip(at) {
        let text = word(source, token);
        if ttl.is_none() && text.starts_with(|first: char| first.is_ascii_digit()) {
            ttl = Some(ttl_of(source, token)?);
        } else if let (false, Ok(found)) = (class, Class::from_str(text)) {
            if found != Class::IN {
                return Err(fault(token, format!("class {text} is not served"), "only IN is; leave the class away"));
            }
            class = true;
        } else if let (false, Ok(rtype)) = (token.quoted, Rtype::from_str(text)) {
            return match rtype.to_int() {
                // RFC 6895, section 3.1: QTYPEs and meta-TYPEs stand in messages, not in zones.
                0 | 41 | 128..=255 => Err(fault(token, format!("{text} is not a type of records in a zone"), "remove the record")),
                39 => Err(fault(token, "DNAME is not supported yet", "write a CNAME for each name, or delegate the names below")),
                _ => Ok(Head { ttl, rtype, data: index + 1 }),
            };
        } else {
            let help = match crate::model::did_you_mean(&text.to_ascii_uppercase(), TYPES.iter().map(|(word, _)| *word)) {
                Some(near) => format!("did you mean {near}?"),
                None => "a record is: NAME TTL TYPE DATA; types without a word are written TYPE65280 \\# 2 0a0b".to_string(),
            };
            return Err(fault(token, format!("`{text}` is not a record type"), help));
        }
    }
    let last = entry.tokens.last().map_or(0..0, |token| token.span.clone());
    Err((last, "the line ends before the record's type".to_string(), "a record is: NAME TTL TYPE DATA".to_string()))
}

/// A TYPE number as people write it: `A`, `TYPE65280`.
pub fn type_word(rtype: u16) -> String {
    Rtype::from_int(rtype).to_string()
}

/// How the data of each type is written.
const TYPES: [(&str, &str); 16] = [
    ("SOA", "SOA ns1.example.com. hostmaster.example.com. 2026112101 1h 15m 1w 5m"),
    ("NS", "NS ns1.example.com."),
    ("A", "A 192.0.2.1"),
    ("AAAA", "AAAA 2001:db8::1"),
    ("CNAME", "CNAME www.example.com."),
    ("MX", "MX 10 mail.example.com."),
    ("TXT", "TXT \"up to 255 octets\" \"and more\""),
    ("CAA", "CAA 0 issue \"ca.example.net\""),
    ("SRV", "SRV 10 60 5060 sip.example.com."),
    ("SVCB", "SVCB 1 svc.example.com. alpn=h2 port=8443"),
    ("HTTPS", "HTTPS 1 . alpn=h2,h3"),
    ("PTR", "PTR host.example.com."),
    ("DS", "DS 12345 13 2 (SHA-256 of the key, in hex)"),
    ("TLSA", "TLSA 3 1 1 (SHA-256 of the key, in hex)"),
    ("NAPTR", "NAPTR 100 10 \"S\" \"SIP+D2U\" \"\" _sip._udp.example.com."),
    ("TYPE65280", "TYPE65280 \\# 2 0a0b"),
];

/// RDATA in wire form, names uncompressed.
fn rdata(source: &Source<'_>, entry: &Entry, head: &Head, origin: &Name) -> Result<Box<[u8]>, Fault> {
    let tokens = entry.tokens.get(head.data..).unwrap_or_default();
    let rtype_token = entry.tokens.get(head.data - 1).cloned().unwrap_or(Token { span: 0..0, quoted: false, depth: 0 });
    let form = TYPES.iter().find(|(word, _)| *word == head.rtype.to_string()).map(|(_, form)| format!("write it like: {form}")).unwrap_or_default();
    let Some(first) = tokens.first() else { return Err(fault(&rtype_token, format!("{} without data", head.rtype), form)) };
    if head.rtype == Rtype::SOA {
        soa_times(source, tokens)?;
    }
    let (text, exact) = entry_text(source, entry, head, first, origin);
    let scanned = scan_rdata(&text, head.rtype, origin).map_err(|(line, column, message)| {
        let token = if exact { token_at(source, tokens, line, column, &message) } else { first };
        let (message, help) = words_for(&message, &form);
        fault(token, format!("{}: {message}", head.rtype), help)
    })?;
    let mut rdata = Vec::new();
    let Ok(()) = scanned.compose_rdata(&mut rdata);
    if !well_formed(head.rtype, &rdata) {
        // The reader lets an empty label inside a name pass, and RFC 3597's octets are anything at first.
        let (token, why) = match tokens.iter().find(|token| !token.quoted && word(source, token).contains("..")) {
            Some(token) if !matches!(scanned, ZoneRecordData::Unknown(_)) => (token, "not a domain name: it has an empty label"),
            _ => (first, "the octets are not data of this type"),
        };
        return Err(fault(token, format!("{}: {why}", head.rtype), form));
    }
    if rdata.len() > usize::from(u16::MAX) {
        return Err(fault(first, format!("{}: {} octets of data; a record holds at most 65535", head.rtype, rdata.len()), ""));
    }
    Ok(rdata.into())
}

/// The times of a SOA may have units; its serial has none.
fn soa_times(source: &Source<'_>, tokens: &[Token]) -> Result<(), Fault> {
    if tokens.first().is_some_and(|first| word(source, first) == "\\#") {
        return Ok(());
    }
    for (token, field) in tokens.iter().skip(3).zip(["refresh", "retry", "expire", "minimum"]) {
        ttl_of(source, token)
            .map_err(|_| fault(token, format!("SOA: `{}` is not a time, for {field}", word(source, token)), "write seconds, or like 15m, 1h30m, 1w"))?;
    }
    Ok(())
}

/// One entry for `domain`'s reader. Its data stands on line 2 in the column where it stands in the file, so that places can be translated back:
/// the head is written anew above it, and one parenthesis more holds both lines together. `false`: the text had to be changed, so columns don't hold.
fn entry_text(source: &Source<'_>, entry: &Entry, head: &Head, first: &Token, origin: &Name) -> (String, bool) {
    let start = first.span.start - usize::from(first.quoted);
    let indent = source.line_column(start).1 as usize - 1;
    let (mut data, mut exact, mut copied) = (String::new(), true, start);
    for (number, token) in entry.tokens.iter().skip(head.data).enumerate() {
        let said = word(source, token);
        let ours = if said == "@" && !token.quoted && HOLDS_NAMES.contains(&head.rtype) {
            // The reader takes it for a label; it is the origin (RFC 1035, section 5.1).
            exact = false;
            if origin.wire().len() == 1 { ".".to_string() } else { format!("{origin}.") }
        } else if let (Rtype::SOA, 3..7, Some(seconds)) = (head.rtype, number, seconds(said)) {
            // `1h30m` in seconds. These fields come last and are known to be good: no column that matters moves.
            seconds.to_string()
        } else {
            continue;
        };
        data.push_str(source.text.get(copied..token.span.start).unwrap_or_default());
        data.push_str(&ours);
        copied = token.span.end;
    }
    data.push_str(source.text.get(copied..entry.end).unwrap_or_default());
    let mut text = format!("@ 0 IN {} {}\n{}", head.rtype, "(".repeat(first.depth + 1), " ".repeat(indent));
    if data.is_ascii() {
        text.push_str(&data);
    } else {
        // The reader wants octets outside ASCII escaped. (In comments it doesn't matter.)
        exact = false;
        for octet in data.bytes() {
            match octet {
                0x80.. => text.push_str(&format!("\\{octet:03}")),
                _ => text.push(char::from(octet)),
            }
        }
    }
    text.push_str("\n)\n");
    (text, exact)
}

/// Types with a name in their data, and no text in which an `@` may stand alone.
const HOLDS_NAMES: [Rtype; 17] = [
    Rtype::NS,
    Rtype::MD,
    Rtype::MF,
    Rtype::CNAME,
    Rtype::SOA,
    Rtype::MB,
    Rtype::MG,
    Rtype::MR,
    Rtype::PTR,
    Rtype::MINFO,
    Rtype::MX,
    Rtype::RP,
    Rtype::SRV,
    Rtype::NAPTR,
    Rtype::NSEC,
    Rtype::SVCB,
    Rtype::HTTPS,
];

/// Line and column in the text, and what the reader said.
type Said = (usize, usize, String);

fn scan_rdata(text: &str, rtype: Rtype, origin: &Name) -> Result<ScannedRecordData, Said> {
    let mut zonefile = Zonefile::from(text);
    let origin = DomainName::from_octets(Bytes::copy_from_slice(origin.wire())).map_err(|why| (0, 0, why.to_string()))?;
    zonefile.set_origin(origin);
    match zonefile.next_entry() {
        Ok(Some(DomainEntry::Record(record))) => Ok(record.into_data()),
        Ok(_) => Err((0, 0, format!("no data for {rtype}"))),
        Err(why) => {
            // The position has no getter; it is printed as `line:column: message`.
            let why = why.to_string();
            let mut parts = why.splitn(3, ':');
            let mut number = || parts.next().and_then(|number| number.trim().parse().ok()).unwrap_or(0);
            let (line, column) = (number(), number());
            Err((line, column, parts.next().unwrap_or(&why).trim().to_string()))
        }
    }
}

/// The reader names the place where it stopped: at the end of the token that it did not like, or at the next one.
fn token_at<'t>(source: &Source<'_>, tokens: &'t [Token], line: usize, column: usize, message: &str) -> &'t Token {
    let first_line = tokens.first().map_or(1, |first| source.line(first.span.start));
    let stopped = (line as u32 + first_line).saturating_sub(2);
    let place = |token: &&Token| source.line_column(token.span.start);
    let fallback = tokens.last().unwrap_or(&NOWHERE);
    if message.contains("trailing tokens") {
        return tokens.iter().find(|token| place(token) >= (stopped, column as u32)).unwrap_or(fallback);
    }
    tokens.iter().rev().find(|token| place(token) < (stopped, column as u32)).or(tokens.first()).unwrap_or(fallback)
}

static NOWHERE: Token = Token { span: 0..0, quoted: false, depth: 0 };

/// The reader's words in ours.
fn words_for(message: &str, form: &str) -> (String, String) {
    let ours = |message: &str| (message.to_string(), form.to_string());
    match message {
        _ if message.starts_with("bad charstr") || message.contains("more than 255 octets") => {
            ("a string of more than 255 octets".to_string(), "split it: several quoted strings may follow each other (RFC 1035, section 3.3.14)".to_string())
        }
        _ if message.starts_with("unexpected end of entry") => ours("the record ends too early"),
        _ if message.starts_with("trailing tokens") => ours("more data than the type has"),
        _ if message.starts_with("bad name") => ours("not a domain name: labels have 1 to 63 octets, names at most 255"),
        _ if message.starts_with("decimal number overflow") => ours("the number is too large"),
        _ if message.starts_with("unknown record type with concrete data") => {
            ("the data of this type is not known".to_string(), "write it in the form of RFC 3597: \\# 4 0a000001".to_string())
        }
        _ => ours(message),
    }
}

/// The octets are what this type holds, read back to the last one, without compressed names (RFC 3597, sections 4 and 5).
fn well_formed(rtype: Rtype, rdata: &[u8]) -> bool {
    let mut again = Vec::new();
    match ZoneRecordData::<&[u8], ParsedName<&[u8]>>::parse_rdata(rtype, &mut Parser::from_ref(rdata)) {
        Ok(None | Some(ZoneRecordData::Unknown(_))) => true,
        Ok(Some(parsed)) => {
            let Ok(()) = parsed.compose_rdata(&mut again);
            again == rdata
        }
        Err(_) => false,
    }
}
