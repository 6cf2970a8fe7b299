//! What further outcomes of one kind would do to a verdict: the sentence that a probe without effect ends with.

use crate::model::Thresholds;

use super::verdict::Standing;
use super::{JudgementHealth, State};

/// Looking further is of no use: no threshold is as high.
const FURTHEST: u32 = 70_000;

/// `prod/a is down, 3 more passes make it up`. `what`: the endpoint's name.
pub fn forecast(what: &str, health: &JudgementHealth, thresholds: &Thresholds, passed: bool) -> String {
    let JudgementHealth { state, fails, passes, .. } = health;
    let (one, many) = if passed { ("pass", "passes") } else { ("fail", "fails") };
    let mut standing = Standing { state: *state, fails: *fails, passes: *passes };
    for count in 1..=FURTHEST {
        let next = standing.after(passed, thresholds);
        if next.state != *state {
            let outcomes = if count == 1 { format!("one more {one} makes") } else { format!("{count} more {many} make") };
            return format!("{what} is {}, {outcomes} it {}", shown(*state), next.state.word());
        }
        if next == standing {
            break;
        }
        standing = next;
        // Passes are counted for ever, and change nothing any more.
        if *state == State::Up && passed {
            break;
        }
    }
    format!("{what} is {} and stays {}", shown(*state), state.word())
}

fn shown(state: State) -> &'static str {
    match state {
        State::Unknown => "not judged yet",
        other => other.word(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcomes_that_are_missing_are_counted() {
        let thresholds = Thresholds { down_after: 3, ok_after: 5, up_after: 5 };
        let at = |state, fails, passes| JudgementHealth { state, fails, passes, ..JudgementHealth::default() };
        for (health, passed, said) in [
            (at(State::Down, 0, 2), true, "prod/a is down, 3 more passes make it up"),
            (at(State::Down, 0, 4), true, "prod/a is down, one more pass makes it up"),
            (at(State::Down, 0, 2), false, "prod/a is down and stays down"),
            (at(State::Up, 0, 9), true, "prod/a is up and stays up"),
            (at(State::Up, 1, 0), false, "prod/a is up, 2 more fails make it down"),
            (at(State::Up, 2, 0), false, "prod/a is up, one more fail makes it down"),
            (at(State::Unknown, 0, 0), true, "prod/a is not judged yet, one more pass makes it up"),
            (at(State::Unknown, 0, 0), false, "prod/a is not judged yet, one more fail makes it down"),
        ] {
            assert_eq!(forecast("prod/a", &health, &thresholds, passed), said);
        }
    }
}
