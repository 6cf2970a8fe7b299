//! From an address to its client class, and how wide the answer holds: sorted intervals with a guide table.
//!
//! ```text
//!  prefixes, nested as they like          spans: each address in exactly one, neighbours differ
//!  10.0.0.0/8 ────────────────────        0.0.0.0 │ 10.0.0.0 │ 10.1.0.0 │ 10.2.0.0 │ 11.0.0.0
//!     10.1.0.0/16 ──────             ─▶      a    │    b     │    c     │    b     │    a
//! ```
//!
//! A look-up is one guide entry and a short search. Scopes are not stored: they follow from where the span of an address begins and ends.
//! Never here: what classes mean.

/// An address as a number: `u32` for IPv4, `u128` for IPv6.
pub(super) trait Bits: Copy + Ord {
    /// Of an address of this family.
    const BITS: u32;
    /// Leading bits that two addresses have in common.
    fn common(self, other: Self) -> u32;
    /// The number formed by its first `bits` bits, at most 20.
    fn top(self, bits: u32) -> usize;
    /// The neighbour below; `None`: there is none.
    fn before(self) -> Option<Self>;
    /// From the lower bits of a wider number.
    fn narrow(wide: u128) -> Self;
}

macro_rules! bits {
    ($kind:ty) => {
        impl Bits for $kind {
            const BITS: u32 = <$kind>::BITS;

            fn common(self, other: Self) -> u32 {
                (self ^ other).leading_zeros()
            }

            fn top(self, bits: u32) -> usize {
                self.checked_shr(Self::BITS - bits).map_or(0, |top| top as usize)
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
bits!(u32);
bits!(u128);

/// One family's addresses, cut into spans of one class each.
#[derive(Debug)]
pub(super) struct Spans<B> {
    /// Where each span begins, ascending; the first at 0. It ends before the next one.
    starts: Box<[B]>,
    /// Of each span.
    classes: Box<[u32]>,
    /// By the first `guide_bits` bits of an address: the span that the lowest address with these bits is in.
    guide: Box<[u32]>,
    guide_bits: u32,
}

/// Bits of the largest guide: 4 MiB.
const GUIDE_BITS_MAX: u32 = 20;

impl<B: Bits> Spans<B> {
    /// From spans as [`sweep`] gives them.
    pub(super) fn new(spans: &[(u128, u32)]) -> Self {
        let starts: Box<[B]> = spans.iter().map(|(start, _)| B::narrow(*start)).collect();
        let guide_bits = usize::BITS.saturating_sub(spans.len().leading_zeros()).min(GUIDE_BITS_MAX);
        let mut at = 0_usize;
        let guide = (0..1_usize << guide_bits)
            .map(|top| {
                // Starts whose first bits are less lie before the lowest address with these bits; one at that address itself counts, too.
                let lowest = B::narrow((top as u128).checked_shl(B::BITS - guide_bits).unwrap_or(0));
                while starts.get(at + 1).is_some_and(|start| *start <= lowest) {
                    at += 1;
                }
                at as u32
            })
            .collect();
        Self { starts, classes: spans.iter().map(|(_, class)| *class).collect(), guide, guide_bits }
    }

    /// The class of an address, and the scope: the length of the shortest prefix around it that has this one class.
    pub(super) fn find(&self, address: B) -> (u32, u8) {
        let top = address.top(self.guide_bits);
        let first = self.guide.get(top).map_or(0, |at| *at as usize);
        let end = self.guide.get(top + 1).map_or(self.starts.len(), |at| *at as usize + 1);
        let later = self.starts.get(first + 1..end).unwrap_or_default().partition_point(|start| *start <= address);
        let at = first + later;
        let class = self.classes.get(at).copied().unwrap_or(0);
        let below = self.starts.get(at).and_then(|start| start.before()).map_or(0, |below| address.common(below) + 1);
        let above = self.starts.get(at + 1).map_or(0, |above| address.common(*above) + 1);
        (class, below.max(above).min(B::BITS) as u8)
    }

    /// The spans of both, cut at every border of either: where each begins, and its class here and there.
    pub(super) fn joined(&self, other: &Self, each: &mut dyn FnMut(B, u32, u32)) {
        let class = |classes: &[u32], at: usize| classes.get(at).copied().unwrap_or(0);
        let (mut here, mut there) = (0, 0);
        let mut next = self.starts.first().copied();
        while let Some(start) = next {
            each(start, class(&self.classes, here), class(&other.classes, there));
            let (a, b) = (self.starts.get(here + 1).copied(), other.starts.get(there + 1).copied());
            next = [a, b].into_iter().flatten().min();
            here += usize::from(a.is_some() && a == next);
            there += usize::from(b.is_some() && b == next);
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }
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

    /// A prefix of the 16 bits in which these tests play, at the top of the family's addresses.
    fn prefix(dice: &mut Dice, bits: u32) -> Prefix {
        let length = dice.roll(17) as u32;
        let host = 16 - length;
        let first = (dice.roll(1 << 16) as u128 >> host << host) << (bits - 16);
        Prefix { first, last: first | (1_u128 << host << (bits - 16)).wrapping_sub(1), what: dice.roll(4) as u32 }
    }

    /// The class: the innermost prefix's number, and how many different ones surround it, so that order and nesting both matter.
    fn class_of(open: &[u32]) -> u32 {
        open.last().map_or(0, |what| 1 + what)
    }

    fn check<B: Bits>(bits: u32, seeds: std::ops::Range<u64>) {
        let highest = if bits == 128 { u128::MAX } else { (1 << bits) - 1 };
        for seed in seeds {
            let mut dice = Dice(seed);
            let prefixes: Vec<Prefix> =
                (0..dice.roll(40)).map(|_| prefix(&mut dice, bits)).filter(|p| !(bits == 128 && p.first == 0 && p.last == u128::MAX)).collect();
            let spans = Spans::<B>::new(&sweep(prefixes.clone(), highest, &mut |open| class_of(open)));
            // By looking at every prefix; of equal ones the greatest number is innermost.
            let plain = |address: u128| {
                let around = prefixes.iter().filter(|prefix| (prefix.first..=prefix.last).contains(&address));
                around.max_by_key(|prefix| (prefix.first, std::cmp::Reverse(prefix.last), prefix.what)).map_or(0, |prefix| 1 + prefix.what)
            };
            let all: Vec<u32> = (0..1_u128 << 16).map(|number| plain(number << (bits - 16))).collect();
            for _ in 0..200 {
                let number = dice.roll(1 << 16) as usize;
                let (class, scope) = spans.find(B::narrow((number as u128) << (bits - 16)));
                assert_eq!(class, all[number], "seed {seed}: address {number:#x}");
                let scope = u32::from(scope);
                assert!(scope <= 16, "seed {seed}: nothing is cut finer than 16 bits, {scope}");
                let same = |length: u32| {
                    let from = number >> (16 - length) << (16 - length);
                    all[from..from + (1 << (16 - length))].iter().all(|other| *other == class)
                };
                assert!(same(scope), "seed {seed}: all of {number:#x}/{scope} is answered alike");
                assert!(scope == 0 || !same(scope - 1), "seed {seed}: {number:#x}/{scope} is not longer than needed");
            }
        }
    }

    #[test]
    fn every_address_finds_its_class_and_the_shortest_scope_that_holds_one_class() {
        check::<u32>(32, 0..60);
        check::<u128>(128, 100..160);
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
    fn single_addresses_at_both_ends_are_spans_too() {
        let p = |at: u128| Prefix { first: at, last: at, what: 0 };
        let spans = Spans::<u32>::new(&sweep(vec![p(0), p(u128::from(u32::MAX))], u128::from(u32::MAX), &mut |open| class_of(open)));
        assert_eq!([0, 1, u32::MAX - 1, u32::MAX].map(|address| spans.find(address)), [(1, 32), (0, 32), (0, 32), (1, 32)]);
    }
}
