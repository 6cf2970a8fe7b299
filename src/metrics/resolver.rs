//! Host names that probes connect to: how asking for them ended, and how old what is used is.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::model::{Family, Host, Timestamp};

use super::series::{Series, flag};
use super::{catalog, lock};

/// Why a host name could not be resolved. Closed list: these are metric label values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResolverTrouble {
    /// No server answered in time, or none could be reached.
    NoAnswer,
    /// A server answered with neither addresses nor their absence: SERVFAIL, REFUSED and the like.
    Rcode,
    /// NXDOMAIN.
    NoSuchName,
    /// There is such a name, and it has no address.
    NoAddress,
}

impl ResolverTrouble {
    const ALL: [Self; 4] = [Self::NoAnswer, Self::Rcode, Self::NoSuchName, Self::NoAddress];

    fn word(self) -> &'static str {
        match self {
            Self::NoAnswer => "no_answer",
            Self::Rcode => "rcode",
            Self::NoSuchName => "no_such_name",
            Self::NoAddress => "no_address",
        }
    }
}

/// When a name was last resolved, and whether there is trouble since.
type State = (Option<Timestamp>, bool);

/// Written by the `probe` room.
#[derive(Debug, Default)]
pub struct ResolverMetrics {
    passes: AtomicU64,
    /// In the order of [`ResolverTrouble::ALL`].
    failures: [AtomicU64; ResolverTrouble::ALL.len()],
    /// Names of targets and the family asked for first; `both` of those that are answered.
    names: Mutex<BTreeMap<(String, &'static str), State>>,
}

impl ResolverMetrics {
    /// A name was asked for.
    pub fn asked(&self, outcome: Result<(), ResolverTrouble>) {
        let counter = match outcome {
            Ok(()) => Some(&self.passes),
            Err(trouble) => ResolverTrouble::ALL.iter().zip(&self.failures).find(|(known, _)| **known == trouble).map(|(_, counter)| counter),
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// These are the names that targets have.
    pub fn planned<'h>(&self, names: impl Iterator<Item = (&'h Host, State)>) {
        *lock(&self.names) = names.map(|(host, state)| (key(host), state)).collect();
    }

    /// An answer came for one of them.
    pub fn told(&self, host: &Host, state: State) {
        if let Some(row) = lock(&self.names).get_mut(&key(host)) {
            *row = state;
        }
    }

    pub(super) fn collect(&self, now: Timestamp, out: &mut Vec<Series>) {
        let mut lookups = Series::new(catalog::RESOLVER_LOOKUPS);
        let mut failures = Series::new(catalog::RESOLVER_FAILURES);
        let mut age = Series::new(catalog::RESOLVER_AGE);
        let mut resolved = Series::new(catalog::RESOLVER_RESOLVED);
        let failed: Vec<u64> = self.failures.iter().map(|counter| counter.load(Relaxed)).collect();
        lookups.push(&["pass"], self.passes.load(Relaxed) as f64);
        lookups.push(&["fail"], failed.iter().sum::<u64>() as f64);
        for (trouble, count) in ResolverTrouble::ALL.into_iter().zip(failed) {
            failures.push(&[trouble.word()], count as f64);
        }
        for ((host, family), (at, troubled)) in &*lock(&self.names) {
            resolved.push(&[host, family], flag(at.is_some() && !troubled));
            if let Some(at) = at {
                age.push(&[host, family], (now.as_secs_f64() - at.as_secs_f64()).max(0.0));
            }
        }
        out.extend([lookups, failures, age, resolved]);
    }
}

fn key(host: &Host) -> (String, &'static str) {
    let family = match host {
        Host::Name(_, Family::V6) => "ipv6",
        Host::Answered(_) => "both",
        _ => "ipv4",
    };
    (host.to_string(), family)
}
