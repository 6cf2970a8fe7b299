//! What is true of every response, whatever was asked.

use std::collections::BTreeMap;

use super::response::{Record, Response};
use super::text::{name_text, type_text};
use super::{ANY, CNAME, NS, SOA};

/// Sizes that our responses keep (RFC 9715; RFC 6891, section 6.2.5).
const PAYLOAD: u16 = 1232;
const DO: u16 = 0x8000;

/// A response to `query`: read strictly, and every rule kept. `limit` is how long it may be; `None` for TCP.
pub fn check(query: &[u8], octets: &[u8], tcp: bool) -> Result<Response, String> {
    let response = Response::read(octets)?;
    let asked = Asked::of(query);
    header(query, &response)?;
    question(query, &response, asked.as_ref())?;
    edns(&response, asked.as_ref(), tcp)?;
    records(&response)?;
    sections(&response)?;
    Ok(response)
}

/// What is known of a query: nothing if it is malformed.
struct Asked {
    opcode: u16,
    questions: bool,
    opt: Option<super::Opt>,
}

impl Asked {
    fn of(query: &[u8]) -> Option<Self> {
        let read = Response::read(query).ok()?;
        Some(Self { opcode: read.opcode(), questions: !read.question.is_empty(), opt: read.opt })
    }
}

fn require(rule: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if rule { Ok(()) } else { Err(what()) }
}

/// ID, QR, OPCODE and RD as they are to be; RA, Z, AD and CD clear (RFC 1035, section 4.1.1; RFC 4035, section 3.1.6).
fn header(query: &[u8], response: &Response) -> Result<(), String> {
    let asked = u16::from_be_bytes([query[2], query[3]]);
    require(query[..2] == response.octets[..2], || format!("ID {:#x}, not the query's", response.id))?;
    require(response.flags & 0x8000 != 0, || "QR is clear".to_string())?;
    require(response.flags & 0x7900 == asked & 0x7900, || "OPCODE or RD is not the query's".to_string())?;
    require(response.flags & 0x00f0 == 0, || format!("one of RA, Z, AD, CD is set: {:#06x}", response.flags))
}

/// Bit for bit the query's, or none where the question could not be read or the opcode has none.
fn question(query: &[u8], response: &Response, asked: Option<&Asked>) -> Result<(), String> {
    if response.question.is_empty() {
        // Without a question a client may ask for a cookie (RFC 7873, section 5.4).
        let may = matches!(response.rcode(), 0 | 1 | 4 | 5 | 16 | 23) && asked.is_none_or(|asked| asked.opcode != 0 || !asked.questions);
        require(may, || "the question is missing".to_string())?;
        return require(response.sections.iter().all(Vec::is_empty), || "records without a question".to_string());
    }
    let copied = query.get(12..12 + response.question.len()) == Some(&response.question[..]);
    require(copied, || "the question is not the query's, bit for bit".to_string())
}

/// OPT if and only if the query had one (RFC 6891, section 6.1.1), and what stands in it; and the size that follows from it.
fn edns(response: &Response, asked: Option<&Asked>, tcp: bool) -> Result<(), String> {
    let length = response.octets.len();
    let sent = asked.and_then(|asked| asked.opt.as_ref());
    if let Some(asked) = asked {
        require(response.opt.is_some() == asked.opt.is_some(), || "OPT if and only if the query has one".to_string())?;
    }
    let limit = match sent {
        _ if tcp => 65_535,
        Some(opt) => usize::from(opt.payload.clamp(512, PAYLOAD)),
        None => 512,
    };
    require(length <= limit, || format!("{length} octets, {limit} allowed"))?;
    let Some(opt) = &response.opt else { return Ok(()) };
    require(opt.payload == PAYLOAD, || format!("payload size {}", opt.payload))?;
    require(opt.version == 0, || format!("EDNS version {}", opt.version))?;
    if let Some(sent) = sent {
        require(opt.flags == sent.flags & DO, || format!("EDNS flags {:#x} for {:#x}", opt.flags, sent.flags))?;
        for (code, _) in &opt.options {
            let unasked = *code == 15;
            require(unasked || sent.options.iter().any(|(asked, _)| asked == code), || format!("option {code}, which nobody asked for"))?;
        }
    }
    for (at, (code, data)) in opt.options.iter().enumerate() {
        require(!opt.options[..at].iter().any(|(before, _)| before == code), || format!("option {code} twice"))?;
        // RFC 8914, section 2: an info code, and text in UTF-8, without a final zero.
        let text_is_sound = data.get(2..).is_some_and(|text| std::str::from_utf8(text).is_ok() && text.last() != Some(&0));
        require(*code != 15 || text_is_sound, || "a malformed Extended DNS Error".to_string())?;
    }
    Ok(())
}

type Sets = BTreeMap<(Vec<u8>, u16), Vec<Record>>;

fn sets(records: &[Record]) -> Sets {
    let mut sets = Sets::new();
    for record in records {
        sets.entry((record.owner.to_ascii_lowercase(), record.rtype)).or_default().push(record.folded());
    }
    sets
}

/// Class IN, TTLs of 31 bits and equal in a set, no record twice, no set in two sections (RFC 2181, section 5).
fn records(response: &Response) -> Result<(), String> {
    let mut all: BTreeMap<(Vec<u8>, u16), usize> = BTreeMap::new();
    for (section, records) in response.sections.iter().enumerate() {
        for ((owner, rtype), mut set) in sets(records) {
            let what = || format!("{} {}", name_text(&owner), type_text(rtype));
            require(set.iter().all(|record| record.class == 1), || format!("{} is not of class IN", what()))?;
            require(set.iter().all(|record| record.ttl < 1 << 31 && record.ttl == set[0].ttl), || {
                format!("{} has TTLs that differ, or too great ones", what())
            })?;
            let count = set.len();
            set.sort();
            set.dedup();
            require(set.len() == count, || format!("{} has a record twice", what()))?;
            require(all.insert((owner.clone(), rtype), section).is_none(), || format!("{} stands in two sections", what()))?;
        }
    }
    Ok(())
}

/// What the sections say together: an answer, a negative answer, a referral, or nothing at all.
fn sections(response: &Response) -> Result<(), String> {
    let [answers, authorities, additionals] = &response.sections;
    let rcode = response.rcode();
    if !matches!(rcode, 0 | 3) {
        require(!response.authoritative() && !response.truncated(), || "an error with AA or TC".to_string())?;
        return require(response.sections.iter().all(Vec::is_empty), || "an error with records".to_string());
    }
    if response.question.is_empty() {
        return Ok(());
    }
    let (mut name, numbers) = response.question.split_at(response.question.len() - 4);
    let qtype = u16::from_be_bytes([numbers[0], numbers[1]]);
    // The chain, then one set of the type asked for at its end.
    let mut last = None;
    for record in answers {
        require(record.owner.eq_ignore_ascii_case(name), || format!("`{}` does not follow in the answer", record.text()))?;
        if record.rtype == CNAME && qtype != CNAME && qtype != ANY {
            require(last.is_none(), || "a CNAME after other records".to_string())?;
            name = &record.rdata;
        } else {
            require(record.rtype == qtype || qtype == ANY, || format!("`{}` was not asked for", record.text()))?;
            last = Some(record.rtype);
        }
    }
    let soa = authorities.iter().filter(|record| record.rtype == SOA).count();
    let servers = authorities.iter().filter(|record| record.rtype == NS).count();
    require(authorities.len() == soa + servers, || "authority holds neither SOA nor NS".to_string())?;
    require(soa == 0 || (soa == 1 && servers == 0), || "an SOA is alone in authority".to_string())?;
    if let Some(record) = authorities.iter().find(|record| record.rtype == SOA) {
        // RFC 2308, section 3.
        let minimum = record.rdata.last_chunk::<4>().map_or(0, |minimum| u32::from_be_bytes(*minimum));
        require(record.ttl <= minimum, || format!("`{}` lives longer than its MINIMUM", record.text()))?;
        require(response.authoritative() && last.is_none() && additionals.is_empty(), || "an SOA beside an answer, or without AA".to_string())?;
    }
    if rcode == 3 {
        require(soa == 1 || response.truncated(), || "NXDOMAIN without SOA".to_string())?;
    }
    // A referral has AA only behind a CNAME (RFC 1034, section 6.2.6).
    if servers > 0 && last.is_none() {
        require(response.authoritative() != answers.is_empty(), || "AA of a referral".to_string())?;
    }
    if response.sections.iter().all(Vec::is_empty) {
        return require(response.truncated(), || "NOERROR, and nothing in it".to_string());
    }
    require(servers > 0 || response.authoritative(), || "no AA".to_string())
}

/// A truncated response holds whole sets alone: each equals the one in the whole response.
pub fn whole_sets(cut: &Response, whole: &Response) -> Result<(), String> {
    for (cut, whole) in cut.sections.iter().zip(&whole.sections) {
        let whole = sets(whole);
        for ((owner, rtype), mut set) in sets(cut) {
            let mut all = whole.get(&(owner.clone(), rtype)).cloned().unwrap_or_default();
            set.sort();
            all.sort();
            require(set == all, || format!("{} {} is there in part: {} of {}", name_text(&owner), type_text(rtype), set.len(), all.len()))?;
        }
    }
    Ok(())
}
