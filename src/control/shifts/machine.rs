//! The state machine: from a shift and what happens to it, the shift as it should be written next.
//!
//! Pure: no core, no clock. Whether a step may be made is asked elsewhere, before it is written.
//!
//! | now         | pause  | resume      | promote   | promote --full | retry            | abort   |
//! |-------------|--------|-------------|-----------|----------------|------------------|---------|
//! | progressing | paused | –           | next step | last step      | –                | aborted |
//! | waiting     | paused | –           | next step | last step      | –                | aborted |
//! | paused      | –      | goes on     | next step | last step      | goes on          | aborted |
//! | aborted     | no     | no          | no        | no             | a new one begins | –       |
//! | completed   | no     | no          | no        | no             | no               | no      |
//!
//! – is answered with "it is so already" and changes nothing; no is refused.

use std::time::Duration;

use crate::model::{Share, Timestamp};

use super::record::{Halt, Phase, ShiftRecord};

/// What a person may say to a shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Stay at this step.
    Pause,
    /// Go on from where it was paused.
    Resume,
    /// Make the next step now.
    Promote {
        /// The last one at once.
        full: bool,
    },
    /// Back to what was before.
    Abort,
    /// Try again what halted it; begin anew if it was aborted.
    Retry,
}

impl Order {
    /// The word in API and CLI.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Promote { .. } => "promote",
            Self::Abort => "abort",
            Self::Retry => "retry",
        }
    }
}

/// What a shift does by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Move {
    /// The hold is over: the step after this one.
    Advance {
        /// The step in force.
        from: u32,
    },
    /// Something is wrong.
    Halt {
        /// The step in force.
        from: u32,
        /// What is wrong.
        halt: Halt,
        /// The plan says that this ends it.
        abort: bool,
    },
}

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// It is so already.
    Nothing(String),
    /// Write this; traffic stays.
    Write(ShiftRecord),
    /// Write this with the traffic of its step.
    Step(ShiftRecord),
    /// Write this with the traffic of before.
    Back(ShiftRecord),
    /// A new shift like this one.
    Again,
}

/// When and by whom.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    pub wall: Timestamp,
    pub by: &'a str,
    /// What is left of the hold.
    pub left: Duration,
}

impl ShiftRecord {
    /// What an order makes of it; a sentence if it makes no sense.
    pub(in crate::control) fn ordered(&self, order: Order, at: At<'_>) -> Result<Next, String> {
        let already = |word: &str| Ok(Next::Nothing(format!("it is {word} already")));
        let over = |word: &str| Err(format!("the shift is {word}, so there is nothing to {}", order.word()));
        match (self.phase, order) {
            (Phase::Completed, Order::Abort) => Err(format!("the shift is completed; to take it back: windrose undo {}", self.service)),
            (Phase::Completed, _) => over("completed"),
            (Phase::Aborted, Order::Abort) => already("aborted"),
            (Phase::Aborted, Order::Retry) => Ok(Next::Again),
            (Phase::Aborted, _) => over("aborted"),
            (_, Order::Abort) => Ok(Next::Back(self.aborted(None, at))),
            (Phase::Paused, Order::Pause) => already("paused"),
            (_, Order::Pause) => Ok(Next::Write(self.paused(None, at))),
            (Phase::Paused, Order::Resume | Order::Retry) => Ok(Next::Write(self.resumed(at))),
            (Phase::Waiting, Order::Resume | Order::Retry) => Ok(Next::Nothing(format!("it waits for a person: windrose shift promote {}", self.service))),
            (Phase::Progressing, Order::Resume | Order::Retry) => already("progressing"),
            (_, Order::Promote { full: false }) => Ok(Next::Step(self.at_step(self.step + 1, at))),
            (_, Order::Promote { full: true }) => Ok(Next::Step(self.at_step(self.last_step(), at))),
        }
    }

    /// What follows by itself; nothing if it is elsewhere by now.
    pub(in crate::control) fn moved(&self, what: &Move, at: At<'_>) -> Next {
        let stale = || Next::Nothing("it is elsewhere by now".to_string());
        match what {
            Move::Advance { from } if self.phase == Phase::Progressing && *from == self.step => Next::Step(self.at_step(self.step + 1, at)),
            Move::Halt { from, halt, abort } if self.phase.is_active() && *from == self.step => match (abort, self.phase) {
                (true, _) => Next::Back(self.aborted(Some(halt.clone()), at)),
                (false, Phase::Paused) => stale(),
                (false, _) => Next::Write(self.paused(Some(halt.clone()), at)),
            },
            Move::Advance { .. } | Move::Halt { .. } => stale(),
        }
    }

    fn last_step(&self) -> u32 {
        u32::try_from(self.steps.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// This step in force from now on.
    pub(in crate::control) fn at_step(&self, step: u32, at: At<'_>) -> ShiftRecord {
        let step = step.min(self.last_step());
        let mut next = ShiftRecord { step, halt: None, left: Duration::ZERO, ends: None, changed: at.wall, by: at.by.to_string(), ..self.clone() };
        // Steps that were passed over came into force with this one.
        next.reached.resize(step as usize + 1, at.wall);
        let present = self.steps.get(step as usize).copied();
        next.phase = match present {
            Some(present) if present.percent == Share::FULL => Phase::Completed,
            Some(present) if present.pause => Phase::Waiting,
            Some(present) => {
                next.ends = Some(at.wall.plus(present.hold));
                Phase::Progressing
            }
            None => Phase::Completed,
        };
        next
    }

    pub(in crate::control) fn paused(&self, halt: Option<Halt>, at: At<'_>) -> ShiftRecord {
        ShiftRecord { phase: Phase::Paused, halt, left: at.left, ends: None, changed: at.wall, by: at.by.to_string(), ..self.clone() }
    }

    fn resumed(&self, at: At<'_>) -> ShiftRecord {
        let waits = self.now_at().is_some_and(|step| step.pause);
        let phase = if waits { Phase::Waiting } else { Phase::Progressing };
        let ends = (!waits).then(|| at.wall.plus(self.left));
        ShiftRecord { phase, ends, left: Duration::ZERO, halt: None, changed: at.wall, by: at.by.to_string(), ..self.clone() }
    }

    pub(in crate::control) fn aborted(&self, halt: Option<Halt>, at: At<'_>) -> ShiftRecord {
        ShiftRecord { phase: Phase::Aborted, halt, left: Duration::ZERO, ends: None, changed: at.wall, by: at.by.to_string(), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    const AT: At<'static> = At { wall: Timestamp(5_000), by: "bert", left: Duration::from_secs(55) };

    fn halt() -> Halt {
        Halt { code: "target_unhealthy".into(), message: "dr is not up".into(), value: None, limit: None, hint: "wait".into() }
    }

    fn word(next: Result<Next, String>) -> String {
        match next {
            Err(_) => "no".into(),
            Ok(Next::Nothing(_)) => "–".into(),
            Ok(Next::Again) => "again".into(),
            Ok(Next::Write(record)) => record.phase.word().into(),
            Ok(Next::Step(record)) => format!("step {} {}", record.step + 1, record.phase.word()),
            Ok(Next::Back(record)) => format!("back {}", record.phase.word()),
        }
    }

    #[test]
    fn the_table_of_orders() {
        let begun = record("weighted prod=80 dr=20", "weighted prod=20 dr=80", "5,25,50p,100");
        let orders = [Order::Pause, Order::Resume, Order::Promote { full: false }, Order::Promote { full: true }, Order::Retry, Order::Abort];
        let table: Vec<String> = Phase::ALL
            .into_iter()
            .map(|phase| {
                let step = if phase == Phase::Waiting { 2 } else { 0 };
                let shift = ShiftRecord { phase, step, ..begun.clone() };
                format!("{}: {}", phase.word(), orders.map(|order| word(shift.ordered(order, AT))).join(" | "))
            })
            .collect();
        assert_eq!(
            table,
            [
                "progressing: paused | – | step 2 progressing | step 4 completed | – | back aborted",
                "paused: – | progressing | step 2 progressing | step 4 completed | progressing | back aborted",
                "waiting: paused | – | step 4 completed | step 4 completed | – | back aborted",
                "aborted: no | no | no | no | again | –",
                "completed: no | no | no | no | no | no",
            ]
        );
    }

    #[test]
    fn a_move_from_a_step_that_has_passed_is_nothing() {
        let shift = ShiftRecord { step: 1, ..record("weighted prod=80 dr=20", "weighted prod=20 dr=80", "5,25,50p,100") };
        assert_eq!(word(Ok(shift.moved(&Move::Advance { from: 0 }, AT))), "–");
        assert_eq!(word(Ok(shift.moved(&Move::Advance { from: 1 }, AT))), "step 3 waiting");
        assert_eq!(word(Ok(shift.moved(&Move::Halt { from: 0, halt: halt(), abort: true }, AT))), "–");
        assert_eq!(word(Ok(shift.moved(&Move::Halt { from: 1, halt: halt(), abort: true }, AT))), "back aborted");
        assert_eq!(word(Ok(shift.moved(&Move::Halt { from: 1, halt: halt(), abort: false }, AT))), "paused");
        let aborted = ShiftRecord { phase: Phase::Aborted, ..shift };
        assert_eq!(word(Ok(aborted.moved(&Move::Advance { from: 1 }, AT))), "–", "nothing is applied again after an abort");
    }

    #[test]
    fn a_pause_keeps_what_is_left_of_the_hold() {
        let shift = record("weighted prod=80 dr=20", "weighted prod=20 dr=80", "5,100");
        let Ok(Next::Write(paused)) = shift.ordered(Order::Pause, AT) else { panic!("not paused") };
        assert_eq!((paused.ends, paused.left), (None, Duration::from_secs(55)));
        let later = At { wall: Timestamp(100_000), by: "anna", left: Duration::ZERO };
        let Ok(Next::Write(resumed)) = paused.ordered(Order::Resume, later) else { panic!("not resumed") };
        assert_eq!((resumed.phase, resumed.ends), (Phase::Progressing, Some(Timestamp(155_000))));
    }
}
