//! Which region stands before which, and when that changes: not for a little.
//!
//! A region moves up only in front of one that it beats, by per cent *and* by time ([`beats`]). So nobody is moved by noise, and where one is
//! better by enough, it never stands behind.

use crate::model::LatencyRules;

/// What a region is ordered by: microseconds.
pub(super) type Micros = u32;

/// Quicker by enough to take the place of the other.
pub(super) fn beats(rules: &LatencyRules, quicker: Micros, slower: Micros) -> bool {
    let (quick, slow) = (u64::from(quicker), u64::from(slower));
    let by_time = u64::try_from(rules.and_by.as_micros()).unwrap_or(u64::MAX) <= slow.saturating_sub(quick);
    // 20 % better than 100 is 80.
    let by_share = quick * 100 <= slow * u64::from(100_u8.saturating_sub(rules.better_by));
    quick < slow && by_time && by_share
}

/// The next order from the one before, newcomers last. Each moves up in front of the first one that it beats.
pub(super) fn settled<T>(before: Vec<T>, rules: &LatencyRules, micros: impl Fn(&T) -> Micros) -> Vec<T> {
    let mut settled: Vec<T> = Vec::with_capacity(before.len());
    for one in before {
        let place = settled.iter().position(|earlier| beats(rules, micros(&one), micros(earlier)));
        settled.insert(place.unwrap_or(settled.len()), one);
    }
    settled
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const RULES: LatencyRules = LatencyRules { max_age: Duration::from_secs(60), better_by: 20, and_by: Duration::from_millis(10), networks_max: 10 };

    fn order(before: &[(char, u32)]) -> String {
        settled(before.to_vec(), &RULES, |(_, ms)| ms * 1000).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_region_takes_the_place_of_another_from_both_limits_on() {
        let table = [
            // ms of who stands first, of who stands second, who is first then.
            (100, 80, "ba", "exactly 20 % and 20 ms"),
            (100, 81, "ab", "19 %"),
            (50, 40, "ba", "exactly 20 % and 10 ms"),
            (49, 39, "ba", "10 ms, and more than 20 %"),
            (40, 31, "ab", "22 %, but 9 ms"),
            (20, 1, "ba", "19 ms"),
            (10, 1, "ab", "90 %, but 9 ms"),
            (1000, 810, "ab", "190 ms, but 19 %"),
            (80, 100, "ab", "it is slower"),
            (80, 80, "ab", "as quick"),
        ];
        for (first, second, expected, why) in table {
            assert_eq!(order(&[('a', first), ('b', second)]), expected, "{first} ms and {second} ms: {why}");
        }
        assert!(!beats(&LatencyRules { better_by: 0, and_by: Duration::ZERO, ..RULES }, 5, 5), "nobody beats an equal");
        assert!(beats(&LatencyRules { better_by: 0, and_by: Duration::ZERO, ..RULES }, 4, 5));
    }

    #[test]
    fn it_is_so_further_down_too_and_who_moves_goes_past_all_that_stand_between() {
        let table = [
            ("abc", [20, 100, 99], "abc"),
            ("abc", [20, 100, 80], "acb"),
            // c beats a, and passes b on its way.
            ("abc", [100, 90, 80], "cab"),
            // Who answers while a is down stays, though c is a little better than it.
            ("abc", [100, 76, 75], "bca"),
            ("abc", [100, 50, 20], "cba"),
        ];
        for (names, ms, expected) in table {
            let before: Vec<(char, u32)> = names.chars().zip(ms).collect();
            assert_eq!(order(&before), expected, "{before:?}");
        }
    }

    proptest! {
        #[test]
        fn nobody_stands_behind_one_that_it_beats_and_nothing_moves_twice(ms in prop::collection::vec(1_u32..200_000, 1..8), share in 0_u8..90, by in 0_u64..20) {
            let rules = LatencyRules { better_by: share, and_by: Duration::from_millis(by), ..RULES };
            let before: Vec<(usize, u32)> = ms.into_iter().enumerate().collect();
            let once = settled(before.clone(), &rules, |(_, micros)| *micros);
            for (at, (_, earlier)) in once.iter().enumerate() {
                prop_assert!(once[at..].iter().all(|(_, later)| !beats(&rules, *later, *earlier)));
            }
            prop_assert_eq!(settled(once.clone(), &rules, |(_, micros)| *micros), once.clone());
            let moves = before.iter().enumerate().any(|(at, earlier)| before[at..].iter().any(|later| beats(&rules, later.1, earlier.1)));
            prop_assert_eq!(once != before, moves);
        }

        /// Half of the asked share, around values of their own.
        #[test]
        fn noise_within_the_limits_never_moves_anybody(base in 10_000_u32..300_000, noise in prop::collection::vec((0_u32..10, 0_u32..10, 0_u32..10), 1..50)) {
            let mut order = vec![0, 1, 2];
            for (a, b, c) in noise {
                let now = [a, b, c].map(|percent| base + base / 100 * percent);
                order = settled(order, &RULES, |region: &usize| now[*region]);
                prop_assert_eq!(&order, &[0, 1, 2]);
            }
        }
    }
}
