//! Contiguous cumulative intervals over the circle of all `u64`, with a guide table: a number finds its interval in O(1) (SEMANTICS, 8).
//!
//! Contiguous on purpose: a golden-ratio sequence falls into an interval as evenly as can be, and an alias table would cut intervals up.

/// Intervals from 0 to 2⁶⁴, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Intervals {
    /// Where each but the first begins.
    bounds: Box<[u64]>,
    /// By the top bits of a number: the first interval that numbers with these top bits may fall into. At least as many as intervals.
    guide: Box<[u32]>,
    shift: u32,
}

/// Widths that differ by less are equal shares, rounded.
const TIE: u64 = 1 << 20;

impl Intervals {
    /// Intervals as wide as the weights are heavy. No weights, or none above 0: one interval.
    pub fn new(weights: impl Iterator<Item = f64> + Clone) -> Self {
        let total: f64 = weights.clone().sum();
        let mut sum = 0.0;
        let mut bounds: Vec<u64> = weights
            .map(|weight| {
                sum += weight;
                (sum / total * 2_f64.powi(64)) as u64
            })
            .collect();
        bounds.pop();
        if bounds.is_empty() || total <= 0.0 {
            return Self::default();
        }
        let guides = (bounds.len() + 1).next_power_of_two();
        let shift = 64 - guides.trailing_zeros();
        let guide = (0..guides as u64).map(|top| bounds.partition_point(|bound| *bound <= top << shift) as u32).collect();
        Self { bounds: bounds.into(), guide, shift }
    }

    /// The widest interval; of equals the first.
    pub fn widest(&self) -> usize {
        let ends = self.bounds.iter().copied().chain([u64::MAX]);
        let mut begin = 0;
        let widths = ends.map(|end| end - std::mem::replace(&mut begin, end));
        widths.enumerate().fold((0, 0), |best, (at, width)| if width > best.1 + TIE { (at, width) } else { best }).0
    }

    /// The interval that `number` falls into.
    pub fn find(&self, number: u64) -> usize {
        if self.bounds.is_empty() {
            return 0;
        }
        let mut at = self.guide.get((number >> self.shift) as usize).map_or(0, |first| *first as usize);
        while self.bounds.get(at).is_some_and(|bound| *bound <= number) {
            at += 1;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_falls_into_the_interval_that_holds_it() {
        let intervals = Intervals::new([80.0, 20.0].into_iter());
        let edge = (0.8 * 2_f64.powi(64)) as u64;
        assert_eq!([0, edge - 1, edge, u64::MAX].map(|number| intervals.find(number)), [0, 0, 1, 1]);
    }

    #[test]
    fn one_none_and_zero_weights() {
        assert_eq!(Intervals::new([3.0].into_iter()).find(u64::MAX), 0);
        assert_eq!(Intervals::new([].into_iter()).find(u64::MAX), 0);
        assert_eq!(Intervals::new([0.0, 0.0].into_iter()).find(u64::MAX), 0);
        let tail = Intervals::new([1.0, 0.0].into_iter());
        assert_eq!([0, u64::MAX / 2].map(|number| tail.find(number)), [0, 0]);
    }

    #[test]
    fn the_widest_is_the_first_of_equals() {
        let widest = |weights: &[f64]| Intervals::new(weights.iter().copied()).widest();
        assert_eq!([widest(&[80.0, 20.0]), widest(&[20.0, 80.0]), widest(&[1.0]), widest(&[])], [0, 1, 0, 0]);
        assert_eq!([widest(&[1.0, 1.0, 1.0]), widest(&[10.0, 45.0, 45.0]), widest(&[0.0, 1.0])], [0, 1, 1]);
    }

    #[test]
    fn the_guide_agrees_with_a_plain_search() {
        let weights = [1.0, 0.001, 30.0, 2.0, 2.0, 0.5, 17.0, 100.0, 1e-9, 8.0];
        let intervals = Intervals::new(weights.into_iter());
        for step in 0..100_000_u64 {
            let number = step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            assert_eq!(intervals.find(number), intervals.bounds.partition_point(|bound| *bound <= number));
        }
    }
}
