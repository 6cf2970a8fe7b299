//! Reading a response: framing and names, strictly. What may stand in it is judged in `rules`.

use std::collections::BTreeSet;

use super::OPT;
use super::text::{name_text, rdata_text, type_text};

const HEADER: usize = 12;

/// A record; its names are written out, in the case in which they came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    pub owner: Vec<u8>,
    pub rtype: u16,
    pub class: u16,
    pub ttl: u32,
    pub rdata: Vec<u8>,
}

/// The OPT record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opt {
    pub payload: u16,
    pub rcode_high: u8,
    pub version: u8,
    pub flags: u16,
    pub options: Vec<(u16, Vec<u8>)>,
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Response {
    pub octets: Vec<u8>,
    pub id: u16,
    pub flags: u16,
    /// The question's octets, name uncompressed; empty if there is none.
    pub question: Vec<u8>,
    /// Answer, authority, additional; OPT records left out.
    pub sections: [Vec<Record>; 3],
    pub opt: Option<Opt>,
}

impl Response {
    /// `Err` says what is wrong: a count that lies, an octet too many, a name that points forward or into nothing, a second OPT, …
    pub fn read(octets: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { octets, at: 0, labels: BTreeSet::new() };
        let [id, flags, questions, answers, authorities, additionals] =
            [reader.short()?, reader.short()?, reader.short()?, reader.short()?, reader.short()?, reader.short()?];
        let question = match questions {
            0 => Vec::new(),
            1 => {
                let start = reader.at;
                let name = reader.name()?;
                if reader.at - start != name.len() {
                    return Err("a compressed question".to_string());
                }
                reader.take(4)?;
                octets[start..reader.at].to_vec()
            }
            _ => return Err(format!("{questions} questions")),
        };
        let mut sections = [Vec::new(), Vec::new(), Vec::new()];
        let mut opt = None;
        for (section, count) in [answers, authorities, additionals].into_iter().enumerate() {
            for number in 0..count {
                let record = reader.record().map_err(|why| format!("record {} of section {}: {why}", number + 1, section + 1))?;
                if record.rtype != OPT {
                    sections[section].push(record);
                    continue;
                }
                if section != 2 || record.owner != [0] || opt.is_some() || number + 1 != count {
                    return Err("an OPT record that is not alone, not owned by the root, or not the last of the additional section".to_string());
                }
                opt = Some(read_opt(&record)?);
            }
        }
        if reader.at != octets.len() {
            return Err(format!("{} octets after the last record", octets.len() - reader.at));
        }
        Ok(Self { octets: octets.to_vec(), id, flags, question, sections, opt })
    }

    pub fn rcode(&self) -> u16 {
        self.flags & 0x0f | self.opt.as_ref().map_or(0, |opt| u16::from(opt.rcode_high) << 4)
    }

    pub fn authoritative(&self) -> bool {
        self.flags & 0x0400 != 0
    }

    pub fn truncated(&self) -> bool {
        self.flags & 0x0200 != 0
    }

    pub fn opcode(&self) -> u16 {
        self.flags >> 11 & 0x0f
    }

    /// Data of an option, if it is there.
    pub fn option(&self, code: u16) -> Option<&[u8]> {
        self.opt.as_ref()?.options.iter().find(|(found, _)| *found == code).map(|(_, data)| &data[..])
    }

    /// RCODE and flags, then a line for each record, sorted within its section. OPT is left out.
    pub fn text(&self) -> String {
        let rcode = super::RCODES.iter().find(|(_, number)| *number == self.rcode()).map_or_else(|| self.rcode().to_string(), |(word, _)| (*word).to_string());
        let mut lines = vec![format!("{rcode}{}{}", if self.authoritative() { " aa" } else { "" }, if self.truncated() { " tc" } else { "" })];
        for (word, section) in ["AN", "NS", "AR"].iter().zip(&self.sections) {
            let mut records: Vec<String> = section.iter().map(|record| format!("{word} {}", record.text())).collect();
            records.sort();
            lines.extend(records);
        }
        lines.join("\n")
    }
}

impl Record {
    pub fn text(&self) -> String {
        format!("{} {} {} {}", name_text(&self.owner), self.ttl, type_text(self.rtype), rdata_text(self.rtype, &self.rdata))
    }

    /// The same with names in lower case, where their case means nothing.
    pub fn folded(&self) -> Self {
        let mut rdata = self.rdata.clone();
        if let Some((mut at, names)) = names_in(self.rtype) {
            for _ in 0..names {
                while rdata[at] != 0 {
                    let end = at + 1 + usize::from(rdata[at]);
                    rdata[at..end].make_ascii_lowercase();
                    at = end;
                }
                at += 1;
            }
        }
        Self { owner: self.owner.to_ascii_lowercase(), rdata, ..self.clone() }
    }
}

/// Octets before the names in RDATA, and how many names follow.
fn names_in(rtype: u16) -> Option<(usize, usize)> {
    match rtype {
        // NS MD MF CNAME MB MG MR PTR DNAME
        2..=5 | 7..=9 | 12 | 39 => Some((0, 1)),
        // SOA MINFO RP
        6 | 14 | 17 => Some((0, 2)),
        // MX AFSDB RT KX SVCB HTTPS
        15 | 18 | 21 | 36 | 64 | 65 => Some((2, 1)),
        // SRV
        33 => Some((6, 1)),
        _ => None,
    }
}

/// RFC 3597, section 4: a sender compresses names in RDATA of the types of RFC 1035 alone.
fn may_be_compressed(rtype: u16) -> bool {
    matches!(rtype, 2..=9 | 12 | 14 | 15)
}

fn read_opt(record: &Record) -> Result<Opt, String> {
    let [rcode_high, version, f0, f1] = record.ttl.to_be_bytes();
    let (mut rest, mut options) = (&record.rdata[..], Vec::new());
    while !rest.is_empty() {
        let ([c0, c1, l0, l1], after) = rest.split_first_chunk::<4>().ok_or("an option cut short")?;
        let (data, after) = after.split_at_checked(usize::from(u16::from_be_bytes([*l0, *l1]))).ok_or("an option longer than its record")?;
        options.push((u16::from_be_bytes([*c0, *c1]), data.to_vec()));
        rest = after;
    }
    Ok(Opt { payload: record.class, rcode_high, version, flags: u16::from_be_bytes([f0, f1]), options })
}

struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
    /// Where labels begin: the only places that pointers may point to.
    labels: BTreeSet<usize>,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let taken = self.octets.get(self.at..self.at + count).ok_or_else(|| format!("cut short at octet {}", self.octets.len()))?;
        self.at += count;
        Ok(taken)
    }

    fn short(&mut self) -> Result<u16, String> {
        self.take(2).map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// A name, written out. Pointers point back, behind the header, at the beginning of a label.
    fn name(&mut self) -> Result<Vec<u8>, String> {
        let (mut name, mut at, mut end) = (Vec::new(), self.at, None);
        loop {
            let length = *self.octets.get(at).ok_or("a name that runs over the end")?;
            match length {
                0 => {
                    name.push(0);
                    self.labels.insert(at);
                    self.at = end.unwrap_or(at + 1);
                    return if name.len() > 255 { Err("a name of more than 255 octets".to_string()) } else { Ok(name) };
                }
                1..=63 => {
                    let label = self.octets.get(at..=at + usize::from(length)).ok_or("a label that runs over the end")?;
                    name.extend_from_slice(label);
                    self.labels.insert(at);
                    at += 1 + usize::from(length);
                }
                0xc0.. => {
                    let low = *self.octets.get(at + 1).ok_or("half a pointer")?;
                    let target = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                    if target >= at || target < HEADER || !self.labels.contains(&target) {
                        return Err(format!("a pointer at octet {at} to {target}, where no earlier label begins"));
                    }
                    end = end.or(Some(at + 2));
                    at = target;
                }
                _ => return Err(format!("a label of type {length:#x}")),
            }
            if name.len() > 255 {
                return Err("a name of more than 255 octets".to_string());
            }
        }
    }

    fn record(&mut self) -> Result<Record, String> {
        let owner = self.name()?;
        let (rtype, class) = (self.short()?, self.short()?);
        let ttl = u32::from(self.short()?) << 16 | u32::from(self.short()?);
        let length = usize::from(self.short()?);
        let end = self.at + length;
        if end > self.octets.len() {
            return Err("RDATA that runs over the end".to_string());
        }
        let mut rdata = Vec::new();
        if let Some((before, names)) = names_in(rtype) {
            rdata.extend_from_slice(self.take(before)?);
            for _ in 0..names {
                let start = self.at;
                let name = self.name()?;
                if !may_be_compressed(rtype) && self.at - start != name.len() {
                    return Err(format!("a compressed name in RDATA of {}", type_text(rtype)));
                }
                rdata.extend_from_slice(&name);
            }
        }
        let rest = end.checked_sub(self.at).ok_or("RDATA shorter than its names")?;
        rdata.extend_from_slice(self.take(rest)?);
        Ok(Record { owner, rtype, class, ttl, rdata })
    }
}
