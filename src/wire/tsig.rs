//! Transaction signatures (RFC 8945): the TSIG record of a message read, checked and made, with HMAC-SHA-256, -384 and -512.
//!
//! Written here over `ring`'s HMAC because the crates at hand build messages of their own, and one of them signs BADTIME wrongly.
//!
//! Never here: a clock (moments are seconds since 1970, handed in), a truncated MAC, MD5 or SHA-1, a secret in `Debug`.

use std::sync::Arc;

use ring::hmac;
use subtle::ConstantTimeEq;

use super::records::Record;
use super::{HEADER_OCTETS, Header, Name, rtype};

/// Seconds that two clocks may differ (RFC 8945, section 10).
pub const FUDGE: u16 = 300;
/// CLASS ANY, which every TSIG record has.
const CLASS_ANY: u16 = 255;
/// Fixed octets of TSIG RDATA: time, fudge, MAC size, original ID, error, other length.
const FIXED_OCTETS: usize = 16;
/// The shortest record: root owner, fixed fields, a root algorithm.
pub const TSIG_OCTETS_MIN: usize = 1 + 10 + 1 + FIXED_OCTETS;

/// How keys sign (RFC 8945, section 6). SHA-1 and MD5 are left out: nobody has to use them any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// What everybody has.
    #[default]
    HmacSha256,
    /// Longer.
    HmacSha384,
    /// Longest.
    HmacSha512,
}

impl Algorithm {
    /// All of them, the usual one first.
    pub const ALL: [Algorithm; 3] = [Algorithm::HmacSha256, Algorithm::HmacSha384, Algorithm::HmacSha512];

    /// Octets of the longest MAC.
    pub const OCTETS_MAX: usize = 64;

    /// `hmac-sha256`
    pub fn word(self) -> &'static str {
        match self {
            Algorithm::HmacSha256 => "hmac-sha256",
            Algorithm::HmacSha384 => "hmac-sha384",
            Algorithm::HmacSha512 => "hmac-sha512",
        }
    }

    /// The other way.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.word().eq_ignore_ascii_case(word))
    }

    /// Its name in wire form.
    fn wire(self) -> &'static [u8] {
        match self {
            Algorithm::HmacSha256 => b"\x0bhmac-sha256\0",
            Algorithm::HmacSha384 => b"\x0bhmac-sha384\0",
            Algorithm::HmacSha512 => b"\x0bhmac-sha512\0",
        }
    }

    /// Octets of a MAC.
    pub fn octets(self) -> usize {
        match self {
            Algorithm::HmacSha256 => 32,
            Algorithm::HmacSha384 => 48,
            Algorithm::HmacSha512 => 64,
        }
    }

    fn ring(self) -> hmac::Algorithm {
        match self {
            Algorithm::HmacSha256 => hmac::HMAC_SHA256,
            Algorithm::HmacSha384 => hmac::HMAC_SHA384,
            Algorithm::HmacSha512 => hmac::HMAC_SHA512,
        }
    }
}

/// A secret that two servers share, and how it signs.
#[derive(Clone)]
pub struct TsigKey {
    /// Both sides must call it the same.
    pub name: Name,
    /// And use it the same way.
    pub algorithm: Algorithm,
    key: hmac::Key,
}

impl TsigKey {
    /// From the secret's octets.
    pub fn new(name: Name, algorithm: Algorithm, secret: &[u8]) -> Self {
        Self { name, algorithm, key: hmac::Key::new(algorithm.ring(), secret) }
    }

    /// Octets of a TSIG record made with this key.
    pub fn record_octets(&self) -> usize {
        self.name.wire().len() + 10 + self.algorithm.wire().len() + FIXED_OCTETS + self.algorithm.octets()
    }
}

/// Name and algorithm, never the secret.
impl std::fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TsigKey").field("name", &self.name).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// The TSIG record of a message, read and not yet believed.
#[derive(Clone, Debug)]
pub struct Tsig<'a> {
    /// The key's name.
    pub name: Name,
    /// The algorithm's name.
    algorithm: Name,
    /// When it was signed: seconds since 1970, 48 bits.
    pub time: u64,
    /// Seconds that the receiver's clock may differ.
    pub fudge: u16,
    mac: &'a [u8],
    original_id: u16,
    /// Error as sent; 0 in requests.
    pub error: u16,
    other: &'a [u8],
    /// Where the record begins: what is signed ends here.
    pub start: usize,
}

/// The TSIG record can't be understood, is not the last record, or is not the only one: FORMERR (RFC 8945, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedTsig;

/// Whether any record of a message is a TSIG record, wherever it stands; records begin at `start`. Never allocates.
pub fn is_present(packet: &[u8], header: &Header, start: usize) -> bool {
    let mut at = start;
    for _ in 0..u32::from(header.answers) + u32::from(header.authorities) + u32::from(header.additionals) {
        let Some(record) = Record::read(packet, at) else { return false };
        if record.rtype == rtype::TSIG {
            return true;
        }
        at = record.end;
    }
    false
}

impl<'a> Tsig<'a> {
    /// The TSIG record of a message whose records begin at `start` (after the question); `None`: it has none.
    pub fn read(packet: &'a [u8], header: &Header, start: usize) -> Result<Option<Self>, MalformedTsig> {
        let before = u32::from(header.answers) + u32::from(header.authorities);
        let records = before + u32::from(header.additionals);
        let mut at = start;
        for number in 0..records {
            let record = Record::read(packet, at).ok_or(MalformedTsig)?;
            if record.rtype == rtype::TSIG {
                // RFC 8945, section 5.1: it is the last record of the additional section, and there is one at most.
                if number + 1 != records || number < before || record.end != packet.len() {
                    return Err(MalformedTsig);
                }
                return Self::of(packet, &record, at).map(Some).ok_or(MalformedTsig);
            }
            at = record.end;
        }
        Ok(None)
    }

    fn of(packet: &'a [u8], record: &Record<'a>, start: usize) -> Option<Self> {
        if record.class != CLASS_ANY || record.ttl != [0; 4] {
            return None;
        }
        let name = expand(packet, start)?;
        let (algorithm, rest) = split_name(record.rdata)?;
        let ([t0, t1, t2, t3, t4, t5, f0, f1, m0, m1], rest) = rest.split_first_chunk::<10>()?;
        let (mac, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*m0, *m1])))?;
        let ([i0, i1, e0, e1, o0, o1], other) = rest.split_first_chunk::<6>()?;
        if other.len() != usize::from(u16::from_be_bytes([*o0, *o1])) {
            return None;
        }
        Some(Self {
            name,
            algorithm: Name::from_wire(algorithm)?,
            time: u64::from_be_bytes([0, 0, *t0, *t1, *t2, *t3, *t4, *t5]),
            fudge: u16::from_be_bytes([*f0, *f1]),
            mac,
            original_id: u16::from_be_bytes([*i0, *i1]),
            error: u16::from_be_bytes([*e0, *e1]),
            other,
            start,
        })
    }

    /// Whether a key is the one that this record names, used the same way.
    pub fn names(&self, key: &TsigKey) -> bool {
        self.name == key.name && self.algorithm.wire() == key.algorithm.wire()
    }

    /// Checks key, MAC and time, in this order (RFC 8945, section 5.2). `prior`: the MAC of the request, if this is the response to it.
    pub fn check(&self, packet: &[u8], key: Option<&Arc<TsigKey>>, prior: &[u8], now: u64) -> Result<Signer, Refused> {
        // Section 5.2.1.
        let Some(key) = key.filter(|key| self.names(key)) else { return Err(Refused::BadKey) };
        // Section 5.2.2.1: longer than whole or shorter than half is malformed.
        let whole = key.algorithm.octets();
        if self.mac.len() > whole || self.mac.len() < (whole / 2).max(10) {
            return Err(Refused::Malformed);
        }
        // Section 5.2.2: what was signed has no TSIG record yet, and the ID of whoever signed it.
        let message = packet.get(..self.start).unwrap_or_default();
        let variables = Variables { time: self.time, fudge: self.fudge, error: self.error, other: self.other };
        let mac = digest(key, prior, message, Some(self.original_id), 1, &variables, Whole::Yes);
        let expected = mac.as_ref().get(..self.mac.len()).unwrap_or_default();
        if !bool::from(expected.ct_eq(self.mac)) {
            return Err(Refused::BadSig);
        }
        // Section 5.2.2.1: a truncated MAC that is right so far, but shorter than we take.
        if self.mac.len() < whole {
            return Err(Refused::BadTrunc);
        }
        let signer = Signer { key: key.clone(), prior: self.mac.into(), first: true };
        // Section 5.2.3.
        if now.abs_diff(self.time) > u64::from(self.fudge) {
            return Err(Refused::BadTime(signer));
        }
        Ok(signer)
    }

    /// The MAC as sent.
    pub fn mac(&self) -> &'a [u8] {
        self.mac
    }
}

/// Why a signature doesn't count.
#[derive(Clone, Debug)]
pub enum Refused {
    /// FORMERR.
    Malformed,
    /// No such key here (BADKEY, 17).
    BadKey,
    /// The MAC is another (BADSIG, 16).
    BadSig,
    /// The MAC is cut short (BADTRUNC, 22).
    BadTrunc,
    /// The clocks differ too much (BADTIME, 18); the refusal is signed.
    BadTime(Signer),
}

impl Refused {
    /// The error field; 0: FORMERR, which has no TSIG record.
    pub fn number(&self) -> u16 {
        match self {
            Refused::Malformed => 0,
            Refused::BadSig => 16,
            Refused::BadKey => 17,
            Refused::BadTime(_) => 18,
            Refused::BadTrunc => 22,
        }
    }

    /// The word in logs and labels.
    pub fn word(&self) -> &'static str {
        match self {
            Refused::Malformed => "malformed",
            Refused::BadSig => "badsig",
            Refused::BadKey => "badkey",
            Refused::BadTime(_) => "badtime",
            Refused::BadTrunc => "badtrunc",
        }
    }

    /// Puts the TSIG record of this refusal behind a response of `length` octets (RFC 8945, section 5.3.2); gives the new length.
    pub fn put(self, tsig: &Tsig<'_>, out: &mut [u8], length: usize, now: u64) -> Option<usize> {
        let error = self.number();
        match self {
            // Section 5.2.3: signed, with the client's time, and ours as other data.
            Refused::BadTime(signer) => {
                let [_, _, now @ ..] = now.to_be_bytes();
                let variables = Variables { time: tsig.time, fudge: tsig.fudge, error, other: &now };
                let mac = digest(&signer.key, &signer.prior, out.get(..length)?, None, 0, &variables, Whole::Yes);
                put_record(out, length, (tsig.name.wire(), tsig.algorithm.wire()), &variables, mac.as_ref())
            }
            _ => {
                let variables = Variables { time: tsig.time, fudge: tsig.fudge, error, other: &[] };
                put_record(out, length, (tsig.name.wire(), tsig.algorithm.wire()), &variables, &[])
            }
        }
    }
}

/// Signs a request, or the responses to one, each after the one before (RFC 8945, sections 5.3 and 5.3.1).
#[derive(Clone, Debug)]
pub struct Signer {
    key: Arc<TsigKey>,
    /// The MAC of the message before; empty: none.
    prior: Box<[u8]>,
    /// Nothing was signed yet.
    first: bool,
}

impl Signer {
    /// For a request of ours.
    pub fn request(key: Arc<TsigKey>) -> Self {
        Self { key, prior: Box::default(), first: true }
    }

    /// With which key.
    pub fn key(&self) -> &Arc<TsigKey> {
        &self.key
    }

    /// The MAC of the last message.
    pub fn prior(&self) -> &[u8] {
        &self.prior
    }

    /// Octets that [`Self::sign`] adds.
    pub fn octets(&self) -> usize {
        self.key.record_octets()
    }

    /// Signs the message in the first `length` octets of `out` and puts the record behind it; gives the new length. `None`: no room.
    ///
    /// Every message of a sequence is signed (RFC 8945, section 5.3.1: MUST); from the second on with the timers alone.
    pub fn sign(&mut self, out: &mut [u8], length: usize, now: u64) -> Option<usize> {
        let variables = Variables { time: now, fudge: FUDGE, error: 0, other: &[] };
        let whole = if self.first { Whole::Yes } else { Whole::TimersOnly };
        let mac = digest(&self.key, &self.prior, out.get(..length)?, None, 0, &variables, whole);
        self.first = false;
        self.prior = mac.as_ref().into();
        put_record(out, length, (self.key.name.wire(), self.key.algorithm.wire()), &variables, mac.as_ref())
    }
}

/// The fields of a TSIG record that are signed (RFC 8945, section 4.3.3).
struct Variables<'a> {
    time: u64,
    fudge: u16,
    error: u16,
    other: &'a [u8],
}

/// How much of the variables is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    /// All.
    Yes,
    /// Time and fudge: second and later messages of a sequence.
    TimersOnly,
}

/// RFC 8945, section 4.3: the MAC before, the message, the variables. `id` stands for the message's own; `added` additional records are not counted.
fn digest(key: &TsigKey, prior: &[u8], message: &[u8], id: Option<u16>, added: u16, variables: &Variables<'_>, whole: Whole) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&key.key);
    if !prior.is_empty() {
        context.update(&(prior.len() as u16).to_be_bytes());
        context.update(prior);
    }
    if let Some((header, rest)) = message.split_first_chunk::<HEADER_OCTETS>() {
        let mut header = *header;
        let [i0, i1, .., a0, a1] = &mut header;
        if let Some(id) = id {
            [*i0, *i1] = id.to_be_bytes();
        }
        [*a0, *a1] = u16::from_be_bytes([*a0, *a1]).wrapping_sub(added).to_be_bytes();
        context.update(&header);
        context.update(rest);
    }
    let Variables { time, fudge, error, other } = variables;
    let [_, _, time @ ..] = time.to_be_bytes();
    if whole == Whole::Yes {
        context.update(key.name.wire());
        context.update(&CLASS_ANY.to_be_bytes());
        context.update(&[0; 4]);
        context.update(key.algorithm.wire());
    }
    context.update(&time);
    context.update(&fudge.to_be_bytes());
    if whole == Whole::Yes {
        context.update(&error.to_be_bytes());
        context.update(&(other.len() as u16).to_be_bytes());
        context.update(other);
    }
    context.sign()
}

/// Writes the record behind the message and counts it.
fn put_record(out: &mut [u8], length: usize, (name, algorithm): (&[u8], &[u8]), variables: &Variables<'_>, mac: &[u8]) -> Option<usize> {
    let Variables { time, fudge, error, other } = variables;
    let id = *out.first_chunk::<2>()?;
    let [_, _, time @ ..] = time.to_be_bytes();
    let rdata_octets = (algorithm.len() + FIXED_OCTETS + mac.len() + other.len()) as u16;
    let parts: [&[u8]; 14] = [
        name,
        &rtype::TSIG.to_be_bytes(),
        &CLASS_ANY.to_be_bytes(),
        &[0; 4],
        &rdata_octets.to_be_bytes(),
        algorithm,
        &time,
        &fudge.to_be_bytes(),
        &(mac.len() as u16).to_be_bytes(),
        mac,
        &id,
        &error.to_be_bytes(),
        &(other.len() as u16).to_be_bytes(),
        other,
    ];
    let mut end = length;
    for part in parts {
        out.get_mut(end..end + part.len())?.copy_from_slice(part);
        end += part.len();
    }
    let [a0, a1] = out.get_mut(HEADER_OCTETS - 2..HEADER_OCTETS)? else { return None };
    [*a0, *a1] = u16::from_be_bytes([*a0, *a1]).wrapping_add(1).to_be_bytes();
    Some(end)
}

/// The name at `at`, with its pointers followed: each must point further back, so this ends.
fn expand(packet: &[u8], at: usize) -> Option<Name> {
    let (mut at, mut before, mut name) = (at, at, Vec::with_capacity(64));
    loop {
        match *packet.get(at)? {
            0 => {
                name.push(0);
                return Name::from_wire(&name);
            }
            length @ 1..=63 => {
                let end = at + 1 + usize::from(length);
                name.extend_from_slice(packet.get(at..end)?);
                if name.len() > 254 {
                    return None;
                }
                at = end;
            }
            high @ 0xc0.. => {
                at = usize::from(u16::from_be_bytes([high & 0x3f, *packet.get(at + 1)?]));
                if at >= before {
                    return None;
                }
                before = at;
            }
            _ => return None,
        }
    }
}

/// The uncompressed name that RDATA begins with (RFC 8945, section 4.2: it is not compressed), and what follows it.
fn split_name(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        match *octets.get(at)? {
            0 => return octets.split_at_checked(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Question;

    const NOW: u64 = 1_800_000_000;

    fn key(secret: &[u8], algorithm: Algorithm) -> Arc<TsigKey> {
        Arc::new(TsigKey::new("transfer.key".parse().unwrap(), algorithm, secret))
    }

    fn query() -> Vec<u8> {
        b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\xfc\0\x01".to_vec()
    }

    fn signed(key: &Arc<TsigKey>, time: u64) -> (Vec<u8>, Signer) {
        let mut out = [query(), vec![0; 300]].concat();
        let mut signer = Signer::request(key.clone());
        let length = signer.sign(&mut out, query().len(), time).unwrap();
        assert_eq!(length, query().len() + signer.octets());
        out.truncate(length);
        (out, signer)
    }

    fn read(packet: &[u8]) -> Result<Option<Tsig<'_>>, MalformedTsig> {
        Tsig::read(packet, &Header::read(packet).unwrap(), Question::read(packet).unwrap().end())
    }

    fn check(packet: &[u8], key: &Arc<TsigKey>) -> Result<Signer, &'static str> {
        read(packet).unwrap().unwrap().check(packet, Some(key), &[], NOW).map_err(|why| why.word())
    }

    #[test]
    fn what_is_signed_is_believed_with_the_same_key_alone() {
        for algorithm in Algorithm::ALL {
            let (packet, _) = signed(&key(b"secret", algorithm), NOW);
            assert!(check(&packet, &key(b"secret", algorithm)).is_ok());
            assert_eq!(check(&packet, &key(b"other", algorithm)).unwrap_err(), "badsig");
        }
        let (packet, _) = signed(&key(b"secret", Algorithm::HmacSha256), NOW);
        assert_eq!(check(&packet, &key(b"secret", Algorithm::HmacSha512)).unwrap_err(), "badkey");
        assert!(read(&query()).unwrap().is_none());
    }

    #[test]
    fn every_octet_that_is_changed_is_noticed() {
        let key = key(b"secret", Algorithm::HmacSha256);
        let (packet, _) = signed(&key, NOW);
        for at in 2..packet.len() {
            let mut other = packet.clone();
            other[at] ^= 0x40;
            let believed = Question::read(&other).is_some() && matches!(read(&other), Ok(Some(ref tsig)) if tsig.check(&other, Some(&key), &[], NOW).is_ok());
            // Case is not part of a key's or an algorithm's name (RFC 8945, section 4.2: canonical form): bit 0x20 would be accepted, 0x40 is not.
            assert!(!believed, "octet {at}");
        }
        // A forwarder may give the message another ID; the signer's own is inside.
        let mut forwarded = packet;
        forwarded[0] ^= 0xff;
        assert!(check(&forwarded, &key).is_ok());
    }

    #[test]
    fn clocks_may_differ_by_the_fudge_and_no_more() {
        let key = key(b"secret", Algorithm::HmacSha256);
        for (time, word) in [(NOW - 300, ""), (NOW + 300, ""), (NOW - 301, "badtime"), (NOW + 301, "badtime")] {
            let (packet, _) = signed(&key, time);
            assert_eq!(check(&packet, &key).err().unwrap_or_default(), word);
        }
    }

    #[test]
    fn a_cut_mac_is_refused_as_what_it_is() {
        let key = key(b"secret", Algorithm::HmacSha256);
        let (packet, _) = signed(&key, NOW);
        let cut = |octets: usize| {
            let mac_at = packet.len() - 6 - 32;
            let mut cut = [&packet[..mac_at + octets], &packet[packet.len() - 6..]].concat();
            cut[mac_at - 1] = octets as u8;
            let rdlength_at = query().len() + key.name.wire().len() + 8;
            cut[rdlength_at + 1] -= (32 - octets) as u8;
            check(&cut, &key).unwrap_err()
        };
        assert_eq!([cut(31), cut(16), cut(15), cut(0)], ["badtrunc", "badtrunc", "malformed", "malformed"]);
    }

    #[test]
    fn responses_are_chained_each_to_the_one_before() {
        let key = key(b"secret", Algorithm::HmacSha384);
        let (packet, mine) = signed(&key, NOW);
        let mut theirs = check(&packet, &key).unwrap();
        let mut response = [query(), vec![0; 300]].concat();
        let length = theirs.sign(&mut response, query().len(), NOW + 1).unwrap();
        response.truncate(length);
        let tsig = read(&response).unwrap().unwrap();
        assert!(tsig.check(&response, Some(&key), mine.prior(), NOW).is_ok());
        assert!(tsig.check(&response, Some(&key), &[], NOW).is_err(), "it answers this request and no other");
        let first = theirs.prior().to_vec();
        let mut next = [query(), vec![0; 300]].concat();
        theirs.sign(&mut next, query().len(), NOW + 1).unwrap();
        let variables = Variables { time: NOW + 1, fudge: FUDGE, error: 0, other: &[] };
        assert_eq!(theirs.prior(), digest(&key, &first, &query(), None, 0, &variables, Whole::TimersOnly).as_ref());
    }

    #[test]
    fn a_record_that_is_not_the_last_or_stands_twice_is_malformed() {
        let key = key(b"secret", Algorithm::HmacSha256);
        let (packet, _) = signed(&key, NOW);
        let record = packet[query().len()..].to_vec();
        let twice = [&packet[..10], &[0, 2], &packet[12..], &record].concat();
        assert_eq!(read(&twice).unwrap_err(), MalformedTsig);
        let opt = b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00";
        let not_last = [&packet[..10], &[0, 2], &packet[12..], opt].concat();
        assert_eq!(read(&not_last).unwrap_err(), MalformedTsig);
        assert_eq!(read(&packet[..packet.len() - 1]).unwrap_err(), MalformedTsig);
    }

    #[test]
    fn bad_time_is_signed_and_tells_the_time() {
        let key = key(b"secret", Algorithm::HmacSha256);
        let (packet, mine) = signed(&key, NOW - 1000);
        let tsig = read(&packet).unwrap().unwrap();
        let refused = tsig.check(&packet, Some(&key), &[], NOW).unwrap_err();
        let mut response = [query(), vec![0; 300]].concat();
        let length = refused.put(&tsig, &mut response, query().len(), NOW).unwrap();
        response.truncate(length);
        let theirs = read(&response).unwrap().unwrap();
        assert_eq!((theirs.error, theirs.time, theirs.other), (18, NOW - 1000, &NOW.to_be_bytes()[2..]));
        assert!(theirs.check(&response, Some(&key), mine.prior(), NOW - 1000).is_ok());
    }

    #[test]
    fn no_secret_is_shown() {
        let shown = format!("{:?}", key(b"secret", Algorithm::HmacSha256));
        assert!(!shown.contains("secret") && shown.contains("transfer.key"), "{shown}");
    }
}
