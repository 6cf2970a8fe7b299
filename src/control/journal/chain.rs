//! The audit's chain: each entry holds the hash of the one before, so that none can be changed, added or taken away unseen.
//!
//! An entry is one line of JSON whose last key is `hash`: SHA-256 over the same JSON without that key. The chain needs nothing but the lines
//! (and, once old ones were cut off, the [`Anchor`]), so an exported file proves itself. What a chain can't show is that somebody rewrote all of it,
//! or cut its end off: for that one compares the last hash with one that was noted elsewhere.

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};

/// Of an entry.
pub(super) type Hash = [u8; 32];

/// What the first entry of all names as the one before.
pub(super) const NOTHING: Hash = [0; 32];

/// The last entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its hash, hex.
    pub hash: String,
}

/// Where the chain begins: the entries up to this one were cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Number of the last entry that is gone.
    pub number: u64,
    /// Its hash, hex.
    pub hash: String,
}

/// The chain is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// Numbers of the first and the last entry; `None`: there are none.
    pub range: Option<(u64, u64)>,
    /// Hash of the last one, or of the anchor.
    pub hash: String,
}

/// The first place where it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which line, from 1.
    pub line: usize,
    /// The entry that should stand there.
    pub number: u64,
    /// One sentence.
    pub why: String,
}

/// An entry's line, and its hash. `fields` must not have `hash`.
pub(super) fn seal(fields: Map<String, Value>) -> (String, Hash) {
    let mut sealed = Value::Object(fields);
    let hash = hash_of(&sealed.to_string());
    if let Value::Object(fields) = &mut sealed {
        fields.insert("hash".to_string(), Value::String(hex(&hash)));
    }
    (sealed.to_string(), hash)
}

pub(super) fn hash_of(text: &str) -> Hash {
    let mut hash = NOTHING;
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Option<Hash> {
    let mut hash = NOTHING;
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, octet) in hash.iter_mut().enumerate() {
        *octet = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// Follows the chain from `anchor` (`None`: from the first entry of all), line by line.
///
/// # Errors
/// The first entry that is not as it was written, and why.
pub fn verify<'a>(anchor: Option<&Anchor>, lines: impl IntoIterator<Item = &'a str>) -> Result<Proved, Broken> {
    let mut number = anchor.map_or(0, |anchor| anchor.number);
    let mut before = anchor.map_or_else(|| hex(&NOTHING), |anchor| anchor.hash.clone());
    let mut first = None;
    for (at, text) in lines.into_iter().enumerate() {
        number += 1;
        let broken = |why: String| Broken { line: at + 1, number, why };
        let Ok(Value::Object(mut fields)) = serde_json::from_str(text) else {
            return Err(broken(format!("entry {number} can't be read any more: it is not a JSON object")));
        };
        let (found, names) = (fields.get("number").and_then(Value::as_u64), fields.get("previous").and_then(Value::as_str));
        if found != Some(number) {
            let found = found.map_or("no entry".to_string(), |found| format!("entry {found}"));
            return Err(broken(format!("{found} stands where entry {number} should: something was taken away, added or moved")));
        }
        if names != Some(&*before) {
            return Err(broken(format!("entry {number} does not follow the one before it: that one was replaced, or this one was changed")));
        }
        let claimed = fields.shift_remove("hash");
        let hash = hex(&hash_of(&Value::Object(fields).to_string()));
        if claimed.as_ref().and_then(Value::as_str) != Some(&*hash) {
            return Err(broken(format!("entry {number} was changed after it was written: its hash does not fit")));
        }
        first.get_or_insert(number);
        before = hash;
    }
    Ok(Proved { range: first.map(|first| (first, number)), hash: before })
}
