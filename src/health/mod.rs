//! From probe outcomes to verdicts.
//!
//! Pure: the caller supplies outcomes in order and the time of each; nothing here knows sockets, overrides or policy.
//!
//! `verdict` is the state machine of one judgement (a target by somebody's thresholds), `composite` makes one verdict of several, `pools` what a pool looks like from its endpoints,
//! `quality` what is known beside (degraded, busy, told weights); [`HealthTable`] holds them for a whole estate.
//! [`Guard`] stands between them and policy: which verdicts must wait because we may be the broken ones.

mod composite;
mod detail;
mod forecast;
mod guard;
mod history;
mod hosts;
mod outcome;
mod pools;
mod quality;
mod recorded;
mod streak;
mod table;
mod verdict;

#[cfg(test)]
pub(crate) mod testing;

pub use composite::MemberHealth;
pub use detail::{BodyDetail, CertificateDetail, Examination, ProbeDetail, TlsDetail};
pub use forecast::forecast;
pub use guard::{Blind, Delay, Guard, GuardEvent, GuardNames};
pub use history::{History, HistorySize, Moment, Past, Said};
pub use hosts::{HostFound, HostHealth};
pub use outcome::{DataAt, LoadRead, Outcome, Phase, ProbeReport, Reason, Reported, Resolved};
pub use pools::{PoolObserved, pool_state, requirement_state, requirements_state};
pub use quality::{BusySince, Certificate, CertificateState, Quality};
pub use recorded::{Outcomes, Recording, Run, Tried};
pub use streak::Streak;
pub use table::{ByKey, EndpointHealth, HealthTable, JudgementHealth, Observed, TargetHealth, Transition, Turn};
pub use verdict::State;
