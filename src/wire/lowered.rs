//! A name made lower case for looking it up, with its hash (RFC 4343: ASCII letters alone have case).
//!
//! Sixteen octets at a time, without a branch per octet: this runs once per query.

const FOLD: u64 = 0x9e37_79b9_7f4a_7c15;
/// Odd, with bits all over.
const MIX: u64 = 0xd6e8_feb8_6659_fd93;
/// Octets lowered and hashed in one step.
const BLOCK: usize = 16;

/// A name in lower-case wire form, in place. Reused from query to query.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// After the name come at least [`BLOCK`] zeros.
    octets: [u8; 256 + BLOCK],
    length: usize,
    hash: u64,
}

impl Default for Lowered {
    fn default() -> Self {
        Self { octets: [0; 256 + BLOCK], length: 0, hash: 0 }
    }
}

impl Lowered {
    /// Takes a name in wire form, at most 255 octets (the rest of a longer one is left out).
    pub fn set(&mut self, name: &[u8]) {
        let name = name.get(..255).unwrap_or(name);
        let (blocks, rest) = name.as_chunks::<BLOCK>();
        for (place, block) in self.octets.as_chunks_mut::<BLOCK>().0.iter_mut().zip(blocks) {
            *place = block.map(lower);
        }
        // The last octets once more, so that they are a whole block, too.
        match name.last_chunk::<BLOCK>() {
            _ if rest.is_empty() => (),
            Some(last) => put(&mut self.octets, name.len() - BLOCK, last.map(lower)),
            None => self.octets.iter_mut().zip(rest).for_each(|(place, octet)| *place = lower(*octet)),
        }
        put(&mut self.octets, name.len(), [0; BLOCK]);
        self.length = name.len();
        self.hash = self.octets.as_chunks::<BLOCK>().0.iter().take(name.len().div_ceil(BLOCK)).fold(FOLD, |hash, block| fold_block(hash, *block));
    }

    /// The name.
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }

    /// [`hash_octets`] of the name.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

/// Hash of lower-case octets. The same in every run: what is looked up comes from configuration, so nobody can choose collisions.
pub fn hash_octets(octets: &[u8]) -> u64 {
    let (blocks, rest) = octets.as_chunks::<BLOCK>();
    let hash = blocks.iter().fold(FOLD, |hash, block| fold_block(hash, *block));
    if rest.is_empty() {
        return hash;
    }
    let mut last = [0; BLOCK];
    last.iter_mut().zip(rest).for_each(|(place, octet)| *place = *octet);
    fold_block(hash, last)
}

/// Multiplies and folds both halves together: one step of the hash.
pub fn fold(value: u64) -> u64 {
    multiply(value, MIX)
}

fn fold_block(hash: u64, block: [u8; BLOCK]) -> u64 {
    let whole = u128::from_le_bytes(block);
    multiply(hash ^ whole as u64, MIX ^ (whole >> 64) as u64)
}

fn multiply(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Lower-cases an ASCII letter. Length octets are below `A` and stay as they are. Written so that sixteen of them become a few vector instructions.
fn lower(octet: u8) -> u8 {
    octet | (u8::from(octet.wrapping_sub(b'A') < 26) << 5)
}

fn put(octets: &mut [u8], at: usize, block: [u8; BLOCK]) {
    if let Some(place) = octets.get_mut(at..at + BLOCK) {
        place.copy_from_slice(&block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_is_lowered_as_ascii() {
        for octet in 0..=255_u8 {
            for length in 1..20 {
                let name = vec![octet; length];
                let mut lowered = Lowered::default();
                lowered.set(&name);
                assert_eq!(lowered.octets(), name.to_ascii_lowercase());
                assert_eq!(lowered.hash(), hash_octets(&name.to_ascii_lowercase()));
            }
        }
    }

    #[test]
    fn a_shorter_name_after_a_longer_one_is_not_mixed_up() {
        let mut lowered = Lowered::default();
        lowered.set(b"\x10ABCDEFGHIJKLMNOP\x00");
        lowered.set(b"\x01A\x00");
        assert_eq!(lowered.octets(), b"\x01a\x00");
        assert_eq!(lowered.hash(), hash_octets(b"\x01a\x00"));
    }

    #[test]
    fn different_names_hash_differently() {
        let hashes: std::collections::HashSet<u64> = (0..100_000).map(|n| hash_octets(format!("\x07t{n:06}\x03api\x07example\x03com\0").as_bytes())).collect();
        assert_eq!(hashes.len(), 100_000);
    }
}
