//! From one target's outcomes to its verdict (SEMANTICS, 12).
//!
//! Pure: the caller supplies outcomes in order; nothing here knows time, pools or sockets.
//!
//! | now     | outcome | when                              | next                                    |
//! |---------|---------|-----------------------------------|-----------------------------------------|
//! | Unknown | either  | the first outcome decides         | Up or Down                              |
//! | Up      | Fail    | always                            | one more counted fail, passes forgotten |
//! | Up      | Fail    | counted fails reach `down_after`  | Down                                    |
//! | Up      | Pass    | passes in a row reach `ok_after`  | Up, fails forgiven                      |
//! | Down    | Pass    | passes in a row reach `up_after`  | Up                                      |
//! | Down    | Fail    | always                            | Down, passes forgotten                  |
//!
//! Both counters begin at 0 in a new state. A restored verdict (SEMANTICS, 13) is the same machine with counters at 0.

use crate::model::Thresholds;

/// The debounced verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Answers well.
    Up,
    /// Does not.
    Down,
    /// No verdict yet.
    #[default]
    Unknown,
}

impl State {
    /// All of them, in label order.
    pub const ALL: [State; 3] = [State::Up, State::Down, State::Unknown];

    /// The worse of two: Down, else Unknown, else Up.
    pub fn and(self, other: State) -> State {
        match (self, other) {
            (State::Down, _) | (_, State::Down) => State::Down,
            (State::Unknown, _) | (_, State::Unknown) => State::Unknown,
            (State::Up, State::Up) => State::Up,
        }
    }

    /// The word in API, CLI and metrics.
    pub fn word(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Down => "down",
            State::Unknown => "unknown",
        }
    }

    /// The other way.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// Where a target stands: its verdict and how near the next one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) state: State,
    /// Counted while Up.
    pub(super) fails: u16,
    /// In a row.
    pub(super) passes: u16,
}

impl Standing {
    /// A new state, nothing counted yet.
    pub(super) fn new(state: State) -> Self {
        Self { state, fails: 0, passes: 0 }
    }

    /// After one more outcome: a row of the table above.
    pub(super) fn after(self, passed: bool, thresholds: &Thresholds) -> Self {
        let Self { state, fails, passes } = self;
        match (state, passed) {
            (State::Unknown, true) => Self::new(State::Up),
            (State::Unknown, false) => Self::new(State::Down),
            (State::Up, false) if fails.saturating_add(1) >= thresholds.down_after => Self::new(State::Down),
            (State::Up, false) => Self { state, fails: fails + 1, passes: 0 },
            (State::Up, true) => {
                let passes = passes.saturating_add(1);
                Self { state, fails: if passes >= thresholds.ok_after { 0 } else { fails }, passes }
            }
            (State::Down, true) if passes.saturating_add(1) >= thresholds.up_after => Self::new(State::Up),
            (State::Down, true) => Self { state, fails: 0, passes: passes + 1 },
            (State::Down, false) => Self::new(State::Down),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DEFAULTS: Thresholds = Thresholds { down_after: 3, ok_after: 5, up_after: 5 };

    /// Runs `outcomes` (`+` pass, `-` fail) from `state` and writes each state that follows: `U`, `D`.
    fn run(state: State, outcomes: &str) -> String {
        let mut standing = Standing::new(state);
        let letter = |state| match state {
            State::Up => 'U',
            State::Down => 'D',
            State::Unknown => '?',
        };
        outcomes
            .chars()
            .map(|outcome| {
                standing = standing.after(outcome == '+', &DEFAULTS);
                letter(standing.state)
            })
            .collect()
    }

    #[test]
    fn the_first_outcome_decides_from_unknown() {
        assert_eq!(run(State::Unknown, "+"), "U");
        assert_eq!(run(State::Unknown, "-"), "D");
    }

    #[test]
    fn down_after_counted_fails_make_it_down() {
        assert_eq!(run(State::Up, "---"), "UUD");
    }

    #[test]
    fn fails_count_even_when_passes_stand_between_them() {
        assert_eq!(run(State::Up, "-+-+-"), "UUUUD");
        assert_eq!(run(State::Up, "-++++-++++-"), "UUUUUUUUUUD");
    }

    #[test]
    fn ok_after_passes_in_a_row_forgive() {
        assert_eq!(run(State::Up, "--+++++--"), "UUUUUUUUU");
        assert_eq!(run(State::Up, "--++++--"), "UUUUUUDD");
    }

    #[test]
    fn up_after_passes_in_a_row_make_it_up_and_a_fail_starts_the_row_again() {
        assert_eq!(run(State::Down, "+++++"), "DDDDU");
        assert_eq!(run(State::Down, "++++-+++++"), "DDDDDDDDDU");
    }

    #[test]
    fn counters_begin_at_zero_in_a_new_state() {
        assert_eq!(run(State::Up, "---+++++--"), "UUDDDDDUUU");
    }

    /// The rule read literally, from the whole history since the last change of state.
    fn naive(outcomes: &[bool], thresholds: &Thresholds) -> State {
        let (mut state, mut since) = (State::Unknown, 0);
        for end in 1..=outcomes.len() {
            let history = &outcomes[since..end];
            let tail = |history: &[bool]| history.iter().rev().take_while(|passed| **passed).count();
            let next = match state {
                State::Unknown => Some(if outcomes[end - 1] { State::Up } else { State::Down }),
                State::Up => {
                    // Counted: the fails after the last moment at which enough passes in a row stood.
                    let forgiven = (0..=history.len()).rev().find(|at| tail(&history[..*at]) >= usize::from(thresholds.ok_after)).unwrap_or(0);
                    let counted = history[forgiven..].iter().filter(|passed| !**passed).count();
                    (counted >= usize::from(thresholds.down_after)).then_some(State::Down)
                }
                State::Down => (tail(history) >= usize::from(thresholds.up_after)).then_some(State::Up),
            };
            if let Some(next) = next {
                (state, since) = (next, end);
            }
        }
        state
    }

    /// A million in a long run.
    fn sequences() -> ProptestConfig {
        let long = std::env::var("WINDROSE_LONG").is_ok_and(|value| !value.is_empty());
        ProptestConfig { cases: if long { 1_000_000 } else { 10_000 }, ..ProptestConfig::default() }
    }

    proptest! {
        #![proptest_config(sequences())]
        #[test]
        fn the_machine_agrees_with_the_rule_read_from_the_whole_history(
            outcomes in prop::collection::vec(prop::bool::weighted(0.6), 0..60),
            down_after in 1u16..5, ok_after in 1u16..6, up_after in 1u16..6,
        ) {
            let thresholds = Thresholds { down_after, ok_after, up_after };
            let state = outcomes.iter().fold(Standing::default(), |standing, passed| standing.after(*passed, &thresholds)).state;
            prop_assert_eq!(state, naive(&outcomes, &thresholds));
        }
    }
}
