//! Moments at which services must be decided again by themselves (the ends of holds).
//!
//! Services that are decided alike wake together, so a moment is kept once, with all who wait for it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::ServiceId;

/// See above. Who leaves a moment stays in its list until the last one has left: callers check that a service still waits for it.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    moments: BTreeMap<Duration, Moment>,
}

#[derive(Debug, Default)]
struct Moment {
    waiting: usize,
    services: Vec<ServiceId>,
}

impl Wakes {
    pub(super) fn insert(&mut self, at: Duration, service: ServiceId) {
        let moment = self.moments.entry(at).or_default();
        moment.waiting += 1;
        moment.services.push(service);
    }

    /// A service that was entered for this moment waits for it no longer.
    pub(super) fn remove(&mut self, at: Duration) {
        if let Some(moment) = self.moments.get_mut(&at) {
            moment.waiting = moment.waiting.saturating_sub(1);
            if moment.waiting == 0 {
                self.moments.remove(&at);
            }
        }
    }

    /// The earliest moment, if it has come, with everybody who ever waited for it.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<(Duration, Vec<ServiceId>)> {
        let due = self.moments.first_entry().filter(|first| *first.key() <= now)?;
        let (at, moment) = due.remove_entry();
        Some((at, moment.services))
    }

    /// The earliest one.
    pub(super) fn first(&self) -> Option<Duration> {
        self.moments.keys().next().copied()
    }

    pub(super) fn clear(&mut self) {
        self.moments.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_goes_with_the_last_who_waits_for_it() {
        let [one, two] = [1, 2].map(Duration::from_secs);
        let mut wakes = Wakes::default();
        wakes.insert(one, ServiceId(5));
        wakes.insert(one, ServiceId(6));
        wakes.insert(two, ServiceId(7));
        wakes.remove(one);
        assert_eq!(wakes.first(), Some(one));
        wakes.remove(one);
        assert_eq!(wakes.first(), Some(two));
        assert_eq!(wakes.take_due(one), None);
        assert_eq!(wakes.take_due(two), Some((two, vec![ServiceId(7)])));
        assert_eq!(wakes.first(), None);
    }
}
