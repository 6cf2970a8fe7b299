//! How logs are written that only grow: a file is a magic word and frames, a frame a length, a checksum and a block of numbers and texts.
//!
//! ```text
//! frame = octets of the block (u32) · checksum of the block (u32), both little-endian · block
//! ```
//!
//! Numbers are LEB128, signed ones zigzag. A frame that is torn or wrong ends what can be read of a file.
//! Pure: octets in, octets out. Never here: what a block says.

/// Octets of a block beyond which whoever writes begins another one.
pub(super) const BLOCK_MAX: usize = 1 << 20;
/// Octets that no block has.
const BLOCK_OCTETS_MAX: usize = BLOCK_MAX + (1 << 16);

/// Appends a block as a frame.
pub(super) fn put_frame(frames: &mut Vec<u8>, block: &[u8]) {
    frames.extend_from_slice(&u32::try_from(block.len()).unwrap_or(u32::MAX).to_le_bytes());
    frames.extend_from_slice(&checksum(block).to_le_bytes());
    frames.extend_from_slice(block);
}

/// The next frame's block, and what follows it; `None`: there is none, or it is torn or wrong.
pub(super) fn frame(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = rest.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let octets = usize::try_from(u32::from_le_bytes(*head)).ok().filter(|octets| (1..=BLOCK_OCTETS_MAX).contains(octets))?;
    let (block, rest) = rest.split_at_checked(octets)?;
    (checksum(block) == u32::from_le_bytes(*sum)).then_some((block, rest))
}

/// FNV-1a, 32 bits: a torn write is found, not a forged one.
fn checksum(octets: &[u8]) -> u32 {
    octets.iter().fold(0x811c_9dc5, |sum, octet| (sum ^ u32::from(*octet)).wrapping_mul(0x0100_0193))
}

/// Appends a number.
pub(super) fn put(octets: &mut Vec<u8>, mut number: u64) {
    while 0x80 <= number {
        octets.push(number as u8 | 0x80);
        number >>= 7;
    }
    octets.push(number as u8);
}

/// Appends a number that may be less than 0.
pub(super) fn put_signed(octets: &mut Vec<u8>, number: i64) {
    put(octets, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// Takes a number; `None`: there is none.
pub(super) fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..63).step_by(7) {
        let (octet, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Takes one that may be less than 0.
pub(super) fn take_signed(rest: &mut &[u8]) -> Option<i64> {
    let number = take(rest)?;
    Some((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
}

/// Appends a text with its length before it.
pub(super) fn put_text(octets: &mut Vec<u8>, text: &str) {
    put(octets, text.len() as u64);
    octets.extend_from_slice(text.as_bytes());
}

/// Takes a text; `None`: there is none.
pub(super) fn take_text<'o>(rest: &mut &'o [u8]) -> Option<&'o str> {
    let octets = usize::try_from(take(rest)?).ok()?;
    let (text, after) = rest.split_at_checked(octets)?;
    *rest = after;
    std::str::from_utf8(text).ok()
}
