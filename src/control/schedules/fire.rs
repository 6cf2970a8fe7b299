//! Moments that come: each becomes a change like any other, asked by the core itself.

use crate::control::change::Change;
use crate::control::commits::{RETRY, Waiting};
use crate::control::core::{Core, Serving, StoreState};
use crate::control::record::{Key, Op};
use crate::model::Now;

impl Core {
    /// Looks after every schedule whose moment has come.
    pub(in crate::control) fn watch_schedules(&mut self, now: Now) {
        if self.serving != Serving::Told || self.store == StoreState::Absent {
            return;
        }
        for id in self.schedules.due(now) {
            // Nobody is there to tell whether a node that can't see should move traffic: it waits until it sees, or is missed.
            let blind = self.blind_because().map(|why| format!("this node was blind: {why}"));
            let Some(kept) = self.schedules.kept.get_mut(&id) else { continue };
            match blind {
                Some(why) if now.mono < kept.missed => kept.held = Some((now.mono + RETRY, why)),
                _ => {
                    kept.queued = true;
                    let record = kept.record.clone();
                    let waiting = Waiting { change: Change::Fire { id }, ..self.scheduled(id, &record) };
                    self.commits.waiting.push_back(waiting);
                }
            }
        }
    }

    /// The store refused what a moment brought: it is tried again, until it is missed.
    pub(in crate::control) fn schedule_commit_failed(&mut self, ops: &[Op], why: &str, now: Now) {
        for op in ops {
            if let Key::Schedule(id) = op.key()
                && let Some(kept) = self.schedules.kept.get_mut(id)
            {
                kept.queued = false;
                kept.held = Some((now.mono + RETRY, format!("the store refused it: {why}")));
            }
        }
    }
}
