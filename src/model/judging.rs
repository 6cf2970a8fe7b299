//! What has a verdict (a target by somebody's thresholds), and what is made of several: composite monitors. Definition only; judging is the `health` room's.

use std::sync::Arc;

use super::{CompositeId, EndpointId, JudgementId, MonitorId, TargetId, Thresholds};

/// Target × thresholds: what one probe means to those who judge by them. Probed once, judged as often as somebody wants it otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What is probed.
    pub target: TargetId,
    /// How outcomes become the verdict.
    pub thresholds: Thresholds,
    /// Identity across reloads and restarts: the target's key, with the thresholds behind it if they are not the monitor's: `gateway@192.0.2.10#9f3c…~2/5/5`.
    pub key: Arc<str>,
    /// The endpoints that it has a say in, each once; a sentinel's may have none.
    pub endpoints: Vec<EndpointId>,
    /// The next judgement of the same target.
    pub next: Option<JudgementId>,
}

impl Judgement {
    /// The key of a judgement; the target's own if it judges as the monitor says.
    pub fn key_of(target: &Arc<str>, thresholds: &Thresholds, monitor: &Thresholds) -> Arc<str> {
        if thresholds == monitor {
            return target.clone();
        }
        let Thresholds { down_after, ok_after, up_after } = thresholds;
        format!("{target}~{down_after}/{ok_after}/{up_after}").into()
    }

    /// The target's key of a judgement's key. Who changes thresholds keeps the verdict: it is looked for under this where there is none of its own.
    pub fn target_key(key: &str) -> &str {
        key.split_once('~').map_or(key, |(target, _)| target)
    }
}

/// A composite monitor: `[monitor.portal] all = ["web", "database"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composite {
    /// Its name in the file.
    pub name: Arc<str>,
    /// How many of the voters must be up.
    pub need: Need,
    /// In file order.
    pub members: Vec<Member>,
}

/// How many voters must be up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Every one.
    All,
    /// One.
    Any,
    /// So many.
    AtLeast(u16),
}

impl Need {
    /// The key in the file.
    pub fn word(self) -> &'static str {
        match self {
            Need::All => "all",
            Need::Any => "any",
            Need::AtLeast(_) => "at_least",
        }
    }
}

/// One of those that a composite listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub monitor: AnyMonitor,
    /// What its verdict counts for.
    pub mark: Mark,
}

/// A monitor by whichever table it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnyMonitor {
    /// Probes, or is always up.
    Simple(MonitorId),
    /// Listens to others.
    Composite(CompositeId),
}

/// What a member's verdict counts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// A condition beside the vote: Down makes the whole Down, Unknown lets it be Unknown at best.
    Critical,
    /// One vote.
    #[default]
    Voting,
    /// None: it is only shown.
    Watch,
}

impl Mark {
    /// All of them, heaviest first.
    pub const ALL: [Mark; 3] = [Mark::Critical, Mark::Voting, Mark::Watch];

    /// The word in the file and the API.
    pub fn word(self) -> &'static str {
        match self {
            Mark::Critical => "critical",
            Mark::Voting => "voting",
            Mark::Watch => "watch",
        }
    }

    /// The other way.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mark| mark.word() == word)
    }
}

/// Endpoint × composite monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combined {
    /// How.
    pub composite: CompositeId,
    /// What: the verdicts by its simple members that probe, in the order of a walk through the tree, members of composites in their place.
    pub judgements: Box<[JudgementId]>,
}
