//! From an address to its client class, and how wide the answer holds: blocks of addresses, and the spans that begin inside each.
//!
//! ```text
//!  prefixes, nested as they like          spans: each address in exactly one, neighbours differ
//!  10.0.0.0/8 ────────────────────        0.0.0.0 │ 10.0.0.0 │ 10.1.0.0 │ 10.2.0.0 │ 11.0.0.0
//!     10.1.0.0/16 ──────             ─▶      a    │    b     │    c     │    b     │    a
//! ```
//!
//! A look-up is a block, chosen by the leading bits of the address, and a short search among its spans. What it reads is packed as tightly as can be,
//! because with a million prefixes its cost is that of memory which is in no cache: eight octets for a block, four for an IPv4 span.
//!
//! Scopes are not stored: they follow from where the span of an address begins and ends. If that is outside the block, they are the same for all its
//! addresses, and stand in the block.
//! Never here: what classes mean.

use std::ops::RangeInclusive;

/// An address as a number: `u32` for IPv4, `u128` for IPv6.
pub(super) trait Bits: Copy + Ord {
    /// The bits after those that choose the block.
    type Low: Copy + Ord;
    /// Of an address of this family.
    const BITS: u32;
    /// How many leading bits may choose the block: at least so many that [`Bits::Low`] takes the others.
    const BLOCK_BITS: RangeInclusive<u32>;
    /// Leading bits that two addresses have in common.
    fn common(self, other: Self) -> u32;
    /// The number formed by its first `bits` bits, at most 20 and at least one.
    fn top(self, bits: u32) -> usize;
    /// The number formed by the others.
    fn low(self, bits: u32) -> Self::Low;
    /// The address with the same first `bits` bits and these others.
    fn with_low(self, bits: u32, low: Self::Low) -> Self;
    /// The neighbour below; `None`: there is none.
    fn before(self) -> Option<Self>;
    /// From the lower bits of a wider number.
    fn narrow(wide: u128) -> Self;
}

macro_rules! bits {
    ($kind:ty, $low:ty, $block_bits:expr) => {
        impl Bits for $kind {
            type Low = $low;
            const BITS: u32 = <$kind>::BITS;
            const BLOCK_BITS: RangeInclusive<u32> = $block_bits;

            fn common(self, other: Self) -> u32 {
                (self ^ other).leading_zeros()
            }

            fn top(self, bits: u32) -> usize {
                (self >> (Self::BITS - bits)) as usize
            }

            fn low(self, bits: u32) -> $low {
                (self & <$kind>::MAX >> bits) as $low
            }

            fn with_low(self, bits: u32, low: $low) -> Self {
                self & !(<$kind>::MAX >> bits) | low as $kind
            }

            fn before(self) -> Option<Self> {
                self.checked_sub(1)
            }

            fn narrow(wide: u128) -> Self {
                wide as $kind
            }
        }
    };
}
bits!(u32, u16, 16..=18);
bits!(u128, u128, 1..=20);

/// One family's addresses, cut into spans of one class each.
#[derive(Debug)]
pub(super) struct Spans<B: Bits> {
    /// By the first `block_bits` bits of an address, and one more that says where the last one's spans end. None: all addresses are of one class.
    blocks: Box<[Block]>,
    block_bits: u32,
    /// Of the first address.
    first: u16,
    /// Those that begin inside a block, not at its first address.
    inside: Box<[Inside<B::Low>]>,
    /// How many there are.
    count: usize,
}

/// All addresses with the same leading bits.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// The first of its spans among all that begin inside a block.
    first: u32,
    /// Of its first address.
    class: u16,
    /// The shortest prefix around the block that holds nothing from before the span of its first address; 0: there is nothing before.
    below: u8,
    /// The same of what comes after the span of its last address.
    above: u8,
}

/// A span that begins inside a block.
#[derive(Clone, Copy, Debug)]
struct Inside<Low> {
    /// Where, within the block.
    start: Low,
    class: u16,
}

impl<B: Bits> Spans<B> {
    /// From spans as [`sweep`] gives them; classes are less than 65,536.
    pub(super) fn new(spans: &[(u128, u32)]) -> Self {
        let block_bits = (usize::BITS - spans.len().leading_zeros()).clamp(*B::BLOCK_BITS.start(), *B::BLOCK_BITS.end());
        let mut ahead = spans.iter().map(|(start, class)| (B::narrow(*start), *class as u16)).peekable();
        let (mut blocks, mut inside) = (Vec::new(), Vec::new());
        let mut span = (B::narrow(0), 0);
        for top in 0..if spans.len() > 1 { 1_usize << block_bits } else { 0 } {
            let lowest = B::narrow((top as u128) << (B::BITS - block_bits));
            while let Some(next) = ahead.next_if(|(start, _)| *start <= lowest) {
                span = next;
            }
            let (first, class, below) = (inside.len() as u32, span.1, span.0.before().map_or(0, |below| scope(lowest, below)));
            while let Some(next) = ahead.next_if(|(start, _)| start.top(block_bits) == top) {
                inside.push(Inside { start: next.0.low(block_bits), class: next.1 });
                span = next;
            }
            blocks.push(Block { first, class, below, above: ahead.peek().map_or(0, |(above, _)| scope(lowest, *above)) });
        }
        if !blocks.is_empty() {
            blocks.push(Block { first: inside.len() as u32, class: 0, below: 0, above: 0 });
        }
        let first = spans.first().map_or(0, |(_, class)| *class as u16);
        Self { blocks: blocks.into(), block_bits, first, inside: inside.into(), count: spans.len() }
    }

    /// The class of an address, and the scope: the length of the shortest prefix around it that has this one class.
    pub(super) fn find(&self, address: B) -> (u32, u8) {
        let top = address.top(self.block_bits);
        let Some([block, next]) = self.blocks.get(top..top + 2) else { return (self.first.into(), 0) };
        let inside = self.inside.get(block.first as usize..next.first as usize).unwrap_or_default();
        let low = address.low(self.block_bits);
        let after = inside.partition_point(|span| span.start <= low);
        let start = |span: &Inside<B::Low>| address.with_low(self.block_bits, span.start);
        let (class, below) = match after.checked_sub(1).and_then(|at| inside.get(at)) {
            Some(span) => (span.class, start(span).before().map_or(0, |below| scope(address, below))),
            None => (block.class, block.below),
        };
        let above = inside.get(after).map_or(block.above, |span| scope(address, start(span)));
        (class.into(), below.max(above))
    }

    /// Where each span begins, and its class; in the order of addresses.
    fn iter(&self) -> impl Iterator<Item = (B, u32)> {
        let mut before = self.first;
        let pairs = self.blocks.iter().zip(self.blocks.iter().skip(1)).enumerate();
        let rest = pairs.flat_map(move |(top, (block, next))| {
            let lowest = B::narrow((top as u128) << (B::BITS - self.block_bits));
            let inside = self.inside.get(block.first as usize..next.first as usize).unwrap_or_default();
            // Neighbours differ, so that a span which begins with a block shows by its class.
            let at_first = (block.class != before).then_some((lowest, block.class.into()));
            before = inside.last().map_or(block.class, |span| span.class);
            at_first.into_iter().chain(inside.iter().map(move |span| (lowest.with_low(self.block_bits, span.start), span.class.into())))
        });
        std::iter::once((B::narrow(0), self.first.into())).chain(rest)
    }

    /// The spans of both, cut at every border of either: where each begins, and its class here and there.
    pub(super) fn joined(&self, other: &Self, each: &mut dyn FnMut(B, u32, u32)) {
        let (mut ours, mut theirs) = (self.iter().peekable(), other.iter().peekable());
        let (mut here, mut there) = (0, 0);
        while let Some(start) = [ours.peek(), theirs.peek()].into_iter().flatten().map(|(start, _)| *start).min() {
            here = ours.next_if(|(at, _)| *at == start).map_or(here, |(_, class)| class);
            there = theirs.next_if(|(at, _)| *at == start).map_or(there, |(_, class)| class);
            each(start, here, there);
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }
}

/// The length of the shortest prefix around an address that holds nothing of what begins, or ends, at another one.
fn scope<B: Bits>(address: B, other: B) -> u8 {
    (address.common(other) + 1) as u8
}

/// A prefix: its first and last address, and a number for what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) first: u128,
    pub(super) last: u128,
    pub(super) what: u32,
}

/// Cuts all addresses up to `highest` into spans. `class_of` is asked for the class of what surrounds a span, the widest first; nothing: `[]`.
/// Prefixes nest or are apart, as prefixes do. Neighbours of one class become one span.
pub(super) fn sweep(mut prefixes: Vec<Prefix>, highest: u128, class_of: &mut dyn FnMut(&[u32]) -> u32) -> Vec<(u128, u32)> {
    prefixes.sort_unstable_by_key(|prefix| (prefix.first, std::cmp::Reverse(prefix.last), prefix.what));
    let mut spans: Vec<(u128, u32)> = Vec::new();
    let (mut open, mut ends): (Vec<u32>, Vec<u128>) = (Vec::new(), Vec::new());
    // Where the next span begins; `None`: all addresses are done.
    let mut next = Some(0);
    let mut span = |from: u128, open: &[u32]| {
        let class = class_of(open);
        if spans.last().is_none_or(|(_, before)| *before != class) {
            spans.push((from, class));
        }
    };
    let close_until = |limit: Option<u128>, open: &mut Vec<u32>, ends: &mut Vec<u128>, next: &mut Option<u128>, span: &mut dyn FnMut(u128, &[u32])| {
        while let Some(end) = ends.last().copied().filter(|end| limit.is_none_or(|limit| *end < limit)) {
            if let Some(from) = next.filter(|from| *from <= end) {
                span(from, open);
                *next = end.checked_add(1).filter(|next| *next <= highest);
            }
            open.pop();
            ends.pop();
        }
    };
    for Prefix { first, last, what } in prefixes {
        close_until(Some(first), &mut open, &mut ends, &mut next, &mut span);
        if let Some(from) = next.filter(|from| *from < first) {
            span(from, &open);
            next = Some(first);
        }
        open.push(what);
        ends.push(last);
    }
    close_until(None, &mut open, &mut ends, &mut next, &mut span);
    if let Some(from) = next {
        span(from, &[]);
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, below: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) % below
        }
    }

    /// A prefix of the 16 bits in which these tests play; so many others follow.
    fn prefix(dice: &mut Dice, follow: u32) -> Prefix {
        let length = dice.roll(17) as u32;
        let host = 16 - length;
        let first = (dice.roll(1 << 16) as u128 >> host << host) << follow;
        Prefix { first, last: first | (1_u128 << host << follow).wrapping_sub(1), what: dice.roll(4) as u32 }
    }

    /// The class: the innermost prefix's number, and how many different ones surround it, so that order and nesting both matter.
    fn class_of(open: &[u32]) -> u32 {
        open.last().map_or(0, |what| 1 + what)
    }

    /// `before`: how many bits, all 0, stand before those in which this plays.
    fn check<B: Bits>(before: u32, seeds: std::ops::Range<u64>) {
        let highest = if B::BITS == 128 { u128::MAX } else { (1 << B::BITS) - 1 };
        let follow = B::BITS - before - 16;
        for seed in seeds {
            let mut dice = Dice(seed);
            let prefixes: Vec<Prefix> =
                (0..dice.roll(40)).map(|_| prefix(&mut dice, follow)).filter(|p| !(B::BITS == 128 && p.first == 0 && p.last == u128::MAX)).collect();
            let spans = Spans::<B>::new(&sweep(prefixes.clone(), highest, &mut |open| class_of(open)));
            // By looking at every prefix; of equal ones the greatest number is innermost.
            let plain = |address: u128| {
                let around = prefixes.iter().filter(|prefix| (prefix.first..=prefix.last).contains(&address));
                around.max_by_key(|prefix| (prefix.first, std::cmp::Reverse(prefix.last), prefix.what)).map_or(0, |prefix| 1 + prefix.what)
            };
            let all: Vec<u32> = (0..1_u128 << 16).map(|number| plain(number << follow)).collect();
            for _ in 0..200 {
                let number = dice.roll(1 << 16) as usize;
                let (class, scope) = spans.find(B::narrow((number as u128) << follow));
                assert_eq!(class, all[number], "seed {seed}: address {number:#x}");
                let scope = u32::from(scope);
                assert!(scope <= before + 16, "seed {seed}: nothing is cut finer than 16 bits, {scope}");
                let same = |length: u32| match length.checked_sub(before) {
                    Some(length) => {
                        let from = number >> (16 - length) << (16 - length);
                        all[from..from + (1 << (16 - length))].iter().all(|other| *other == class)
                    }
                    // Where these tests don't play there is nothing.
                    None => class == 0 && all.iter().all(|other| *other == 0),
                };
                assert!(same(scope), "seed {seed}: all of {number:#x}/{scope} is answered alike");
                assert!(scope == 0 || !same(scope - 1), "seed {seed}: {number:#x}/{scope} is not longer than needed");
            }
        }
    }

    #[test]
    fn every_address_finds_its_class_and_the_shortest_scope_that_holds_one_class() {
        // Blocks of addresses, and what begins inside them, are chosen by the first 16 to 18 bits.
        for before in [0, 8, 16] {
            check::<u32>(before, 0..20);
        }
        for before in [0, 32, 112] {
            check::<u128>(before, 100..120);
        }
    }

    #[test]
    fn an_exception_inside_a_wider_network_lengthens_the_scope_around_it() {
        let p = |first: u128, last: u128, what| Prefix { first, last, what };
        // 10.0.0.0/8, and in it 10.1.0.0/16.
        let prefixes = vec![p(0x0a00_0000, 0x0aff_ffff, 0), p(0x0a01_0000, 0x0a01_ffff, 1)];
        let spans = Spans::<u32>::new(&sweep(prefixes, u128::from(u32::MAX), &mut |open| class_of(open)));
        assert_eq!(spans.find(0x0a01_0203), (2, 16), "the exception");
        assert_eq!(spans.find(0x0a00_0203), (1, 16), "its sibling: a shorter prefix would take the exception in");
        assert_eq!(spans.find(0x0a80_0000), (1, 9), "the other half of the wider one");
        assert_eq!(spans.find(0xc000_0201), (0, 1), "the other half of the world");
        assert_eq!(spans.find(0x0b00_0000), (0, 8), "the neighbour");
        assert_eq!(spans.len(), 5);
    }

    #[test]
    fn spans_come_out_as_they_went_in() {
        let mut dice = Dice(7);
        for _ in 0..20 {
            let prefixes: Vec<Prefix> = (0..dice.roll(40)).map(|_| prefix(&mut dice, 16)).collect();
            let swept = sweep(prefixes, u128::from(u32::MAX), &mut |open| class_of(open));
            let spans: Vec<(u128, u32)> = Spans::<u32>::new(&swept).iter().map(|(start, class)| (start.into(), class)).collect();
            assert_eq!(spans, swept);
        }
    }

    #[test]
    fn two_are_joined_at_every_border_of_either() {
        let p = |first: u128, last: u128, what| Prefix { first, last, what };
        let spans = |prefixes: Vec<Prefix>| Spans::<u32>::new(&sweep(prefixes, u128::from(u32::MAX), &mut |open| class_of(open)));
        let (one, other) = (spans(vec![p(0x0a00_0000, 0x0aff_ffff, 0)]), spans(vec![p(0x0a80_0000, 0x0aff_ffff, 1), p(0x0b00_0000, 0x0bff_ffff, 2)]));
        let mut joined = Vec::new();
        one.joined(&other, &mut |start, here, there| joined.push((start, here, there)));
        assert_eq!(joined, [(0, 0, 0), (0x0a00_0000, 1, 0), (0x0a80_0000, 1, 2), (0x0b00_0000, 0, 3), (0x0c00_0000, 0, 0)]);
    }

    #[test]
    fn without_prefixes_there_is_one_class_and_scope_0() {
        let spans = Spans::<u128>::new(&sweep(Vec::new(), u128::MAX, &mut |open| class_of(open)));
        assert_eq!([0, 1, u128::MAX].map(|address| spans.find(address)), [(0, 0); 3]);
    }

    #[test]
    fn one_prefix_of_everybody_is_one_class_and_scope_0() {
        let all = Prefix { first: 0, last: u32::MAX.into(), what: 0 };
        let spans = Spans::<u32>::new(&sweep(vec![all], u32::MAX.into(), &mut |open| class_of(open)));
        assert_eq!([0, 1, u32::MAX].map(|address| spans.find(address)), [(1, 0); 3]);
    }

    #[test]
    fn a_look_up_reads_little() {
        assert_eq!((size_of::<Block>(), size_of::<Inside<u16>>()), (8, 4));
    }

    #[test]
    fn single_addresses_at_both_ends_are_spans_too() {
        let p = |at: u128| Prefix { first: at, last: at, what: 0 };
        let spans = Spans::<u32>::new(&sweep(vec![p(0), p(u128::from(u32::MAX))], u128::from(u32::MAX), &mut |open| class_of(open)));
        assert_eq!([0, 1, u32::MAX - 1, u32::MAX].map(|address| spans.find(address)), [(1, 32), (0, 32), (0, 32), (1, 32)]);
    }
}
