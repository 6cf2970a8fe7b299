//! What is known of one host name, and when to ask again. Pure: moments are handed in.
//!
//! ```text
//!            addresses                 ask again at ~4/5 of the TTL
//!  new ──▶ good ◀──────────────────────┐
//!   │        │ trouble                 │ addresses
//!   │        ▼                         │
//!   │      good, with trouble ─────────┤  ask again after 1 s, 2 s, … 30 s; the last good addresses serve, however old
//!   └──▶ trouble alone ────────────────┘  the same; lookups fail at once
//! ```

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::health::{HostFound, HostHealth, Resolved};
use crate::model::{Family, Timestamp};

use super::{Found, Unresolved};

/// However short or long its TTL says, an answer counts for so long.
const TTL_MIN: Duration = Duration::from_secs(5);
const TTL_MAX: Duration = Duration::from_secs(3600);
/// After the first failure.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
const BACK_OFF_MAX: Duration = Duration::from_secs(30);

/// What the resolver said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// In its order; at least one.
    pub addresses: Vec<IpAddr>,
    /// As it says.
    pub ttl: Duration,
    /// Nobody knows of this family now.
    pub unknown: Option<Family>,
}

/// One host name.
#[derive(Debug)]
pub struct Kept {
    good: Option<(Arc<Resolved>, Instant)>,
    /// How long that counts.
    ttl: Duration,
    trouble: Option<Unresolved>,
    failures: u32,
    /// Has an answer, good or bad, ever come?
    answered: bool,
    /// Targets have it: it is kept fresh. Others are asked for when somebody wants them.
    pub pinned: bool,
    /// When to ask next.
    pub due: Instant,
    /// A question is under way.
    pub asking: bool,
    /// When somebody last wanted it.
    pub used: Instant,
    /// Told when an answer has come.
    pub news: Arc<Notify>,
}

/// What can be said now.
#[derive(Debug)]
pub enum Look {
    /// This.
    Known(Found),
    /// That there is nothing.
    Failed(Unresolved),
    /// Nothing yet: an answer is on its way, or must be asked for.
    Wait,
}

impl Kept {
    /// Wanted now, nothing known.
    pub fn new(now: Instant, pinned: bool) -> Self {
        Self { good: None, ttl: Duration::ZERO, trouble: None, failures: 0, answered: false, pinned, due: now, asking: false, used: now, news: Arc::default() }
    }

    /// What was known before this process serves, unless more is known, and is asked for when it is due: at once.
    pub fn recall(&mut self, found: &HostFound, now: Instant) {
        if self.good.is_none() {
            self.good = Some((Arc::new(Resolved { addresses: found.all().collect(), at: found.at }), now));
            (self.ttl, self.answered) = (Duration::from_secs(found.ttl.into()), true);
        }
    }

    /// Something is known of it, good or bad.
    pub fn is_told(&self) -> bool {
        self.answered
    }

    /// How the name stands, for answers.
    pub fn stands(&self, now: Instant) -> HostHealth {
        let is_old = self.good.as_ref().is_none_or(|(_, expires)| *expires <= now);
        let trouble = self.trouble.as_ref().filter(|_| is_old).map(|trouble| trouble.message.as_str().into());
        let found = self.good.as_ref().map(|(resolved, _)| {
            // Answers take turns anyway; resolvers do, too, and that is no change.
            let of = |family| {
                let mut addresses: Vec<IpAddr> = resolved.addresses.iter().copied().filter(|address| Family::of(*address) == family).collect();
                addresses.sort_unstable();
                addresses.dedup();
                addresses.into()
            };
            Arc::new(HostFound { addresses: Family::ALL.map(of), ttl: u32::try_from(self.ttl.as_secs()).unwrap_or(u32::MAX), at: resolved.at })
        });
        HostHealth { found, trouble }
    }

    /// When it was last resolved, and whether there is trouble since.
    pub fn state(&self) -> (Option<Timestamp>, bool) {
        (self.good.as_ref().map(|(resolved, _)| resolved.at), self.trouble.is_some())
    }

    /// What is known of `name`.
    pub fn look(&self, name: &dyn std::fmt::Display, now: Instant, wall: Timestamp) -> Look {
        // Nobody keeps it fresh, so that it must be asked for now.
        let lapsed = !self.pinned && self.due <= now;
        match (&self.good, &self.trouble) {
            (_, _) if !self.answered || lapsed => Look::Wait,
            (Some((resolved, expires)), trouble) => {
                let trouble = trouble.as_ref().filter(|_| *expires <= now);
                let warning =
                    trouble.map(|trouble| format!("{name} was last resolved {} ago; since then: {}", age_text(age(resolved.at, wall)), trouble.message));
                Look::Known(Found { resolved: resolved.clone(), warning })
            }
            (None, Some(trouble)) => Look::Failed(trouble.clone()),
            (None, None) => Look::Wait,
        }
    }

    /// An answer came. `part`: 0 to 99, so that names of one TTL are not all asked for at once.
    pub fn take(&mut self, answer: Result<Answer, Unresolved>, now: Instant, wall: Timestamp, part: u32) {
        (self.answered, self.asking) = (true, false);
        match answer {
            Ok(Answer { mut addresses, ttl, unknown }) => {
                let ttl = ttl.clamp(TTL_MIN, TTL_MAX);
                // Of the family that nobody knows of now, what was good last.
                let last = self.good.iter().flat_map(|(resolved, _)| resolved.addresses.iter().copied());
                addresses.extend(last.filter(|address| unknown == Some(Family::of(*address))));
                self.good = Some((Arc::new(Resolved { addresses, at: wall }), now + ttl));
                (self.trouble, self.failures, self.ttl) = (None, 0, ttl);
                // 75 to 85 per cent; one that nobody keeps fresh lasts to its end.
                self.due = if self.pinned { now + ttl * (750 + part) / 1000 } else { now + ttl };
                if unknown.is_some() {
                    self.due = self.due.min(now + BACK_OFF_MAX);
                }
            }
            Err(trouble) => {
                self.due = now + (BACK_OFF_MIN * 2_u32.saturating_pow(self.failures)).min(BACK_OFF_MAX);
                self.failures = (self.failures + 1).min(5);
                self.trouble = Some(trouble);
            }
        }
        self.news.notify_waiters();
    }
}

fn age(at: Timestamp, wall: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(wall.0.saturating_sub(at.0)).unwrap_or(0))
}

/// `40s`, `12min`, `3h`, `2days`: nobody needs it closer.
fn age_text(age: Duration) -> String {
    match age.as_secs() {
        seconds @ ..120 => format!("{seconds}s"),
        seconds @ ..7_200 => format!("{}min", seconds / 60),
        seconds @ ..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Trouble;
    use super::*;

    fn answer(ttl: u64) -> Result<Answer, Unresolved> {
        Ok(Answer { addresses: vec!["192.0.2.7".parse().unwrap()], ttl: Duration::from_secs(ttl), unknown: None })
    }

    fn trouble() -> Result<Answer, Unresolved> {
        Err(Unresolved { trouble: Trouble::NoAnswer, message: "192.0.2.53 did not answer within 2s".to_string() })
    }

    struct World {
        begun: Instant,
        kept: Kept,
    }

    impl World {
        fn new(pinned: bool) -> Self {
            let begun = Instant::now();
            Self { begun, kept: Kept::new(begun, pinned) }
        }

        fn take(&mut self, at: u64, answer: Result<Answer, Unresolved>) {
            self.kept.take(answer, self.begun + Duration::from_secs(at), Timestamp(at as i64 * 1000), 50);
        }

        fn look(&self, at: u64) -> Look {
            self.kept.look(&"gw", self.begun + Duration::from_secs(at), Timestamp(at as i64 * 1000))
        }

        fn due(&self) -> f64 {
            (self.kept.due - self.begun).as_secs_f64()
        }
    }

    #[test]
    fn a_ttl_is_bounded_and_asked_for_ahead_of_its_end() {
        for (ttl, due) in [(0, 4.0), (5, 4.0), (60, 48.0), (3600, 2880.0), (86_400, 2880.0)] {
            let mut world = World::new(true);
            world.take(0, answer(ttl));
            assert_eq!(world.due(), due, "TTL {ttl}");
        }
    }

    #[test]
    fn the_last_good_addresses_serve_however_old_and_trouble_is_told_from_their_end_on() {
        let mut world = World::new(true);
        assert!(matches!(world.look(0), Look::Wait), "nothing is known");
        world.take(0, answer(60));
        world.take(48, trouble());
        assert!(matches!(world.look(59), Look::Known(Found { warning: None, .. })), "the answer counts still");
        let Look::Known(Found { resolved, warning: Some(warning) }) = world.look(3 * 3600) else { panic!() };
        assert_eq!(resolved.addresses.len(), 1);
        assert_eq!(warning, "gw was last resolved 3h ago; since then: 192.0.2.53 did not answer within 2s");
        world.take(3 * 3600 + 1, answer(60));
        assert!(matches!(world.look(3 * 3600 + 1), Look::Known(Found { warning: None, .. })));
    }

    #[test]
    fn failures_are_asked_again_later_and_later_and_half_a_minute_apart_at_most() {
        let mut world = World::new(true);
        let mut at = 0;
        let mut waits = Vec::new();
        for _ in 0..8 {
            world.take(at, trouble());
            assert!(matches!(world.look(at), Look::Failed(_)), "at once, without waiting for the next try");
            waits.push(world.due() as u64 - at);
            at = world.due() as u64;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn a_name_that_no_target_has_is_asked_for_when_it_is_wanted_after_its_end() {
        let mut world = World::new(false);
        world.take(0, answer(60));
        assert!(matches!(world.look(59), Look::Known(_)));
        assert!(matches!(world.look(60), Look::Wait));
        world.take(60, trouble());
        assert!(matches!(world.look(60), Look::Known(Found { warning: Some(_), .. })), "the last good one");
    }
}
