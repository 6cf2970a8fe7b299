//! `[health]` and `[sentinel.NAME]`: how this node guards against its own mistakes (SEMANTICS, 26 and 27). Definition only; the judging is the `health` room's.

use std::sync::Arc;
use std::time::Duration;

use super::JudgementId;

/// `[health]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardRules {
    /// What goes down within it goes down together. Zero: nothing does, so only sentinels make a node blind and no region is delayed.
    pub window: Duration,
    /// Per cent of endpoints that must turn in every region for this node to be blind; 0: however many turn, it is not.
    pub blind_share: u8,
}

impl Default for GuardRules {
    fn default() -> Self {
        Self { window: Duration::from_secs(60), blind_share: 60 }
    }
}

/// `[sentinel.NAME]`: a target that says only whether this node sees the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinel {
    /// Its name.
    pub name: Arc<str>,
    /// The verdict on what is probed; endpoints may be judged by it, too.
    pub judgement: JudgementId,
}
