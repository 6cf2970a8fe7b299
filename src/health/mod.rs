//! From probe outcomes to verdicts.
//!
//! Pure: the caller supplies outcomes in order and the time of each; nothing here knows sockets, overrides or policy.
//!
//! `verdict` is the state machine of one target, `pools` what a pool looks like from its endpoints, `quality` what is known beside (degraded, busy, told weights);
//! [`HealthTable`] holds them for a whole estate.
//! [`Guard`] stands between them and policy: which verdicts must wait because we may be the broken ones.

mod guard;
mod outcome;
mod pools;
mod quality;
mod table;
mod verdict;

#[cfg(test)]
pub(crate) mod testing;

pub use guard::{Blind, Delay, Guard, GuardEvent, GuardNames};
pub use outcome::{Outcome, Phase, ProbeReport, Reason, Reported};
pub use pools::{PoolObserved, pool_state};
pub use quality::{BusySince, Certificate, CertificateState, Quality};
pub use table::{HealthTable, TargetHealth, Transition};
pub use verdict::State;
