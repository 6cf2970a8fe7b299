//! How outcomes are written: a segment is a magic word and frames, a frame a length, a checksum and one block of runs.
//!
//! ```text
//! segment = "WROUT1\n\0" frame*                                                                        (frames: `store/frames.rs`)
//! block   = time · how many new targets · (octets · key)* · run*
//! run     = target · tag · [seconds of a busy one] · [interval] · first · [count]
//! ```
//!
//! Numbers are LEB128, signed ones zigzag. Targets are numbered in the order in which their keys come, and a run says how many numbers after the one before it
//! its target is; `first` is the distance, in hundredths of a second, from when this target's next probe was expected: nearly always one or two octets.
//! The tag's low five bits are what was found, the highest says that a count follows, the next that an interval does. Frames build on those before them, so one
//! that is torn or wrong ends what can be read of a segment.
//!
//! Pure: octets in, octets out.

use std::collections::HashMap;
use std::sync::Arc;

use crate::health::{Reason, Run, Tried};
use crate::model::Timestamp;
use crate::store::frames::{BLOCK_MAX, frame, put, put_frame, put_signed, put_text, take, take_signed, take_text};

/// What a segment begins with.
pub(super) const MAGIC: &[u8; 8] = b"WROUT1\n\0";
/// Milliseconds.
const TICK: i64 = 10;

const COUNTED: u8 = 0x80;
const INTERVAL: u8 = 0x40;
const PASS: u8 = 0;
const DEGRADED: u8 = 1;
const BUSY: u8 = 2;
/// The first of [`Reason::ALL`].
const FAIL: u8 = 3;

/// When a target's next probe is expected, and its interval.
#[derive(Clone, Copy, Debug, Default)]
struct Expected {
    at: i64,
    step_ms: u32,
}

/// Writes one segment.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// Number of a target in this segment.
    numbers: HashMap<u32, u32>,
    expected: Vec<Expected>,
}

impl Writer {
    /// These runs as frames; `key`: of a target. Sorts them.
    pub(super) fn frames(&mut self, runs: &mut Vec<Run>, key: &dyn Fn(u32) -> Option<Arc<str>>) -> Vec<u8> {
        let mut frames = Vec::new();
        let mut named: Vec<(u32, Run)> = Vec::with_capacity(runs.len());
        let mut new: Vec<Arc<str>> = Vec::new();
        for run in runs.drain(..) {
            let number = match self.numbers.get(&run.target) {
                Some(number) => *number,
                None => {
                    // Longer keys than any configuration makes are not written.
                    let Some(key) = key(run.target).filter(|key| key.len() < 1 << 12) else { continue };
                    let number = u32::try_from(self.expected.len()).unwrap_or(u32::MAX);
                    self.numbers.insert(run.target, number);
                    self.expected.push(Expected::default());
                    new.push(key);
                    number
                }
            };
            named.push((number, run));
        }
        named.sort_by_key(|(number, run)| (*number, run.first));
        let (mut new, mut named) = (new.into_iter().peekable(), named.into_iter().peekable());
        while new.peek().is_some() || named.peek().is_some() {
            put_frame(&mut frames, &self.block(&mut new, &mut named));
        }
        frames
    }

    fn block(&mut self, new: &mut impl Iterator<Item = Arc<str>>, runs: &mut std::iter::Peekable<impl Iterator<Item = (u32, Run)>>) -> Vec<u8> {
        let base = runs.peek().map_or(0, |(_, run)| run.first.0);
        let (mut block, mut octets, mut keys) = (Vec::new(), Vec::new(), 0_u64);
        while octets.len() < BLOCK_MAX
            && let Some(key) = new.next()
        {
            put_text(&mut octets, &key);
            keys += 1;
        }
        put(&mut block, base.unsigned_abs());
        put(&mut block, keys);
        block.append(&mut octets);
        let mut before = 0;
        while block.len() < BLOCK_MAX
            && let Some((number, run)) = runs.next()
        {
            let Some(expected) = self.expected.get_mut(number as usize) else { continue };
            put(&mut block, u64::from(number - before));
            before = number;
            let interval = expected.step_ms != run.step_ms;
            let (word, seconds) = match run.tried {
                Tried::Pass => (PASS, None),
                Tried::Degraded => (DEGRADED, None),
                Tried::Busy(seconds) => (BUSY, Some(seconds)),
                Tried::Fail(reason) => (FAIL + Reason::ALL.iter().position(|known| *known == reason).unwrap_or(0) as u8, None),
            };
            block.push(word | if 1 < run.count { COUNTED } else { 0 } | if interval { INTERVAL } else { 0 });
            seconds.into_iter().for_each(|seconds| put(&mut block, seconds.into()));
            if interval {
                put(&mut block, run.step_ms.into());
            }
            let from = if expected.at == 0 { base } else { expected.at };
            let ticks = (run.first.0 - from).div_euclid(TICK);
            put_signed(&mut block, ticks);
            if 1 < run.count {
                put(&mut block, run.count.into());
            }
            // As it will be read, so that what is rounded off does not add up.
            let read = Run { first: Timestamp(from + ticks * TICK), ..run };
            *expected = Expected { at: read.at(read.count).0, step_ms: read.step_ms };
        }
        block
    }
}

/// Reads one segment.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Keys, by number.
    pub(super) keys: Vec<Arc<str>>,
    expected: Vec<Expected>,
    /// Targets are numbers of `keys`.
    pub(super) runs: Vec<Run>,
}

impl Reader {
    /// Everything up to the first frame that is torn or wrong. Tells how many octets were read.
    pub(super) fn read(&mut self, segment: &[u8]) -> usize {
        let Some(mut rest) = segment.strip_prefix(MAGIC) else { return 0 };
        while let Some((block, after)) = frame(rest) {
            let (keys, runs) = (self.keys.len(), self.runs.len());
            if self.block(block).is_none() {
                self.keys.truncate(keys);
                self.runs.truncate(runs);
                break;
            }
            rest = after;
        }
        segment.len() - rest.len()
    }

    fn block(&mut self, block: &[u8]) -> Option<()> {
        let rest = &mut &*block;
        let base = i64::try_from(take(rest)?).ok()?;
        for _ in 0..take(rest)? {
            self.keys.push(take_text(rest)?.into());
            self.expected.push(Expected::default());
        }
        let mut number = 0_u32;
        while !rest.is_empty() {
            number = number.checked_add(u32::try_from(take(rest)?).ok()?)?;
            let expected = self.expected.get_mut(number as usize)?;
            let (tag, after) = rest.split_first()?;
            *rest = after;
            let tried = match tag & !(COUNTED | INTERVAL) {
                PASS => Tried::Pass,
                DEGRADED => Tried::Degraded,
                BUSY => Tried::Busy(u32::try_from(take(rest)?).ok()?),
                fail => Tried::Fail(*Reason::ALL.get(usize::from(fail.checked_sub(FAIL)?))?),
            };
            if tag & INTERVAL != 0 {
                expected.step_ms = u32::try_from(take(rest)?).ok()?;
            }
            let from = if expected.at == 0 { base } else { expected.at };
            let first = Timestamp(from.checked_add(take_signed(rest)?.checked_mul(TICK)?)?);
            let count = if tag & COUNTED != 0 { u32::try_from(take(rest)?).ok()? } else { 1 };
            let run = Run { target: number, first, step_ms: expected.step_ms, count, tried };
            expected.at = run.at(count).0;
            self.runs.push(run);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(target: u32) -> Option<Arc<str>> {
        Some(format!("gateway@10.0.0.{target}#9f3c52aa01b7d64e").into())
    }

    fn run() -> impl Strategy<Value = Run> {
        let tried = prop_oneof![
            Just(Tried::Pass),
            Just(Tried::Degraded),
            any::<u32>().prop_map(Tried::Busy),
            prop::sample::select(Reason::ALL.to_vec()).prop_map(Tried::Fail)
        ];
        (0u32..20, 0i64..1_000_000, prop::sample::select(vec![500u32, 1_000, 10_000]), 1u32..3_000, tried)
            .prop_map(|(target, first, step_ms, count, tried)| Run { target, first: Timestamp(1_800_000_000_000 + first * 10), step_ms, count, tried })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_a_torn_tail_costs_the_tail_alone(
            batches in prop::collection::vec(prop::collection::vec(run(), 0..12), 1..6),
            torn in 0usize..400,
        ) {
            let (mut writer, mut segment, mut ends, mut written) = (Writer::default(), MAGIC.to_vec(), Vec::new(), Vec::new());
            for batch in batches {
                let mut sorted = batch.clone();
                segment.extend(writer.frames(&mut batch.clone(), &key));
                sorted.sort_by_key(|run| (writer.numbers.get(&run.target).copied(), run.first));
                written.extend(sorted);
                ends.push((segment.len(), written.len()));
            }
            let mut reader = Reader::default();
            prop_assert_eq!(reader.read(&segment), segment.len());
            let names = |reader: &Reader| reader.runs.iter().map(|run| (reader.keys[run.target as usize].clone(), Run { target: 0, ..*run })).collect::<Vec<_>>();
            let all: Vec<_> = written.iter().map(|run| (key(run.target).unwrap(), Run { target: 0, ..*run })).collect();
            // Nothing but times is rounded, down to a hundredth of a second; those given are whole ones.
            prop_assert_eq!(&names(&reader), &all);
            let cut = segment.len().saturating_sub(torn);
            let mut reader = Reader::default();
            reader.read(&segment[..cut]);
            let whole = ends.iter().filter(|(end, _)| *end <= cut).map(|(_, runs)| *runs).max().unwrap_or(0);
            prop_assert_eq!(&names(&reader)[..], &all[..whole]);
        }

        #[test]
        fn no_octets_are_too_strange_to_be_read(octets in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..300, bit in 0u8..8) {
            Reader::default().read(&[&MAGIC[..], &octets].concat());
            Reader::default().block(&octets);
            // A flipped bit is found.
            let mut segment = MAGIC.to_vec();
            segment.extend(Writer::default().frames(&mut vec![Run { target: 1, first: Timestamp(1_800_000_000_000), step_ms: 1_000, count: 9, tried: Tried::Pass }], &key));
            let place = MAGIC.len() + at % (segment.len() - MAGIC.len());
            segment[place] ^= 1 << bit;
            let mut reader = Reader::default();
            reader.read(&segment);
            prop_assert!(reader.runs.is_empty());
        }
    }
}
