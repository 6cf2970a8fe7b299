//! Host names: who they are resolved by, what is known of them, and the task that keeps it fresh.
//!
//! ```text
//! plan(rules, hosts) ─▶ kept names ◀── lookup(host): what is kept at once; the first time, as soon as an answer comes
//!                        │      ▲
//!                    due ▼      │ answer
//!                    one task ─▶ ask: server after server
//! ```
//!
//! Names of targets are kept fresh ahead of the ends of their TTLs, so that no probe waits for a resolver but the first. When no server answers, or says that
//! there is no such name, the last good addresses serve on, without an end: a resolver that dies must not take gateways with it.
//! Never here: our own answers. `config` refuses servers that are ourselves, and names that our services answer.

mod ask;
mod kept;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::{Id, JoinHandle, JoinSet};
use tokio::time::sleep_until;
use tracing::{info, warn};

use crate::health::{HostFound, HostHealth, Reason, Resolved};
use crate::metrics::ProbeMetrics;
use crate::model::{Estate, Host, ResolverRules, Timestamp};
use crate::wire::Name;

use super::attempt::wall_clock;
use super::fail::Failure;

use self::ask::{ask, ask_both};
use self::kept::{Answer, Kept, Look};

pub use crate::metrics::ResolverTrouble as Trouble;

/// Questions under way at once; further names wait.
const ASKED_AT_ONCE_MAX: usize = 64;
/// Names kept that no target has.
const PASSERS_BY_MAX: usize = 1000;
/// So long after somebody wanted it last.
const PASSER_BY_KEPT: Duration = Duration::from_secs(600);

/// A host name's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which, and since when.
    pub resolved: Arc<Resolved>,
    /// They are the last good ones: one sentence that says why they are old.
    pub warning: Option<String>,
}

/// Why there are no addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// From a closed list: the metric label.
    pub trouble: Trouble,
    /// One sentence: which server said what.
    pub message: String,
}

/// Handle; clones share what is known. When the last one is dropped, nothing is asked any more.
#[derive(Clone, Debug)]
pub struct Resolver {
    shared: Arc<Shared>,
    task: Arc<Task>,
}

/// Ends the task with the last handle.
#[derive(Debug)]
struct Task(Mutex<Option<JoinHandle<()>>>);

impl Task {
    fn take(&self) -> Option<JoinHandle<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(task) = self.take() {
            task.abort();
        }
    }
}

#[derive(Debug)]
struct Shared {
    names: Mutex<Names>,
    /// Something is due, or due earlier.
    changed: Notify,
    /// A name that is answered stands otherwise.
    told: Notify,
    /// End.
    stop: Notify,
    metrics: Arc<ProbeMetrics>,
}

/// Written by lookups and plans, read by the task.
#[derive(Debug, Default)]
struct Names {
    rules: Arc<ResolverRules>,
    /// The server that answered last, by its place in the rules.
    first: Arc<AtomicUsize>,
    kept: HashMap<Host, Kept>,
    /// What is to be asked, by when.
    due: BTreeSet<(Instant, Host)>,
    /// How names that are answered stand, since somebody last asked.
    answered: BTreeMap<Name, HostHealth>,
}

impl Resolver {
    /// Spawns the task on the current tokio runtime. Nothing is asked until there are a [`plan`](Self::plan) and names.
    pub fn start(metrics: Arc<ProbeMetrics>) -> Self {
        let shared = Arc::new(Shared { names: Mutex::default(), changed: Notify::new(), told: Notify::new(), stop: Notify::new(), metrics });
        let task = tokio::spawn(keep_fresh(shared.clone()));
        Self { shared, task: Arc::new(Task(Mutex::new(Some(task)))) }
    }

    /// Ends all asking; returns when no task is left. Lookups that wait then wait for ever: call it when nobody is left who looks up.
    pub async fn stop(&self) {
        if let Some(task) = self.task.take() {
            self.shared.stop.notify_one();
            // It can only fail by having panicked, and then it is over, too.
            let _ = task.await;
        }
    }

    /// These servers from now on, and the names of this estate's targets are kept fresh. What is known stays known.
    pub fn plan(&self, estate: &Estate) {
        let now = Instant::now();
        let mut names = self.shared.lock();
        let turned = *names.rules != estate.resolver;
        if turned {
            (names.rules, names.first) = (Arc::new(estate.resolver.clone()), Arc::default());
        }
        let names = &mut *names;
        names.kept.values_mut().for_each(|kept| kept.pinned = false);
        let probed = estate.targets.iter().filter(|target| estate.monitor(target.monitor).check.is_probed());
        let probed = probed.map(|target| target.address.clone()).filter(|host| host.name().is_some());
        for host in probed.chain(estate.hosts.iter().cloned().map(Host::Answered)) {
            names.kept.entry(host).or_insert_with(|| Kept::new(now, true)).pinned = true;
        }
        names.kept.retain(|_, kept| kept.pinned || kept.asking || now < kept.used + PASSER_BY_KEPT);
        // Other servers may know what the last ones did not.
        names.kept.values_mut().filter(|kept| turned && kept.pinned).for_each(|kept| kept.due = now);
        // Whoever wants to know has another estate by now.
        for (host, kept) in names.kept.iter().filter(|(_, kept)| kept.pinned && kept.is_told()) {
            if let Host::Answered(name) = host {
                names.answered.insert(name.clone(), kept.stands(now));
                self.shared.told.notify_one();
            }
        }
        let due = names.kept.iter().filter(|(_, kept)| kept.pinned && !kept.asking).map(|(host, kept)| (kept.due, host.clone())).collect();
        let passers_by = std::mem::replace(&mut names.due, due);
        // Somebody waits for these.
        for due in passers_by {
            if names.kept.get(&due.1).is_some_and(|kept| !kept.pinned) {
                names.due.insert(due);
            }
        }
        let rows = names.kept.iter().filter(|(_, kept)| kept.pinned).map(|(host, kept)| (host, kept.state()));
        self.shared.metrics.resolver.planned(rows);
        self.shared.changed.notify_one();
    }

    /// What was known of names before this process began, or took over. Call it before [`plan`](Self::plan); what is known already counts more.
    pub fn recall<'f>(&self, known: impl Iterator<Item = (&'f Name, &'f HostFound)>) {
        let now = Instant::now();
        let mut names = self.shared.lock();
        for (name, found) in known {
            let kept = names.kept.entry(Host::Answered(name.clone())).or_insert_with(|| Kept::new(now, false));
            kept.recall(found, now);
        }
    }

    /// Returns when [`take_answered`](Self::take_answered) has something.
    pub async fn has_answered(&self) {
        self.shared.told.notified().await;
    }

    /// Names that are answered and stand otherwise than when this was called last. Bounded by the names of the plan.
    pub fn take_answered(&self) -> BTreeMap<Name, HostHealth> {
        std::mem::take(&mut self.shared.lock().answered)
    }

    /// What is known of a host name without waiting; `None`: nothing yet, [`lookup`](Self::lookup) waits for it.
    pub fn known(&self, host: &Host) -> Option<Result<Found, Unresolved>> {
        if let Host::Address(address) = host {
            return Some(Ok(Found { resolved: Arc::new(Resolved { addresses: vec![*address], at: wall_clock() }), warning: None }));
        }
        let now = Instant::now();
        let mut names = self.shared.lock();
        let kept = names.kept.get_mut(host)?;
        kept.used = now;
        match kept.look(host, now, wall_clock()) {
            Look::Known(found) => Some(Ok(found)),
            Look::Failed(unresolved) => Some(Err(unresolved)),
            Look::Wait => None,
        }
    }

    /// The addresses of a host name: what is kept, or else what the resolver says. Waits for at most `timeout × attempts` per server and family; what is
    /// shorter, and the end of the resolver, is the caller's deadline.
    pub async fn lookup(&self, host: &Host) -> Result<Found, Unresolved> {
        loop {
            if let Some(known) = self.known(host) {
                return known;
            }
            let news = {
                let now = Instant::now();
                let mut names = self.shared.lock();
                let names = &mut *names;
                if !names.kept.contains_key(host) {
                    names.kept.retain(|_, kept| kept.pinned || kept.asking || now < kept.used + PASSER_BY_KEPT);
                    if PASSERS_BY_MAX <= names.kept.values().filter(|kept| !kept.pinned).count() {
                        return Err(Unresolved { trouble: Trouble::NoAnswer, message: format!("more than {PASSERS_BY_MAX} names are asked for already") });
                    }
                }
                let kept = names.kept.entry(host.clone()).or_insert_with(|| Kept::new(now, false));
                if matches!(kept.look(host, now, wall_clock()), Look::Wait) && !kept.asking {
                    names.due.insert((kept.due, host.clone()));
                }
                // Made while no answer can come between.
                kept.news.clone().notified_owned()
            };
            if self.known(host).is_none() {
                self.shared.changed.notify_one();
                news.await;
            }
        }
    }

    /// Who is asked, for sentences.
    pub fn servers_text(&self) -> String {
        let rules = self.shared.lock().rules.clone();
        rules.servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl Failure {
    /// A host name without addresses.
    pub fn unresolved(host: &Host, unresolved: &Unresolved) -> Self {
        Self::new(Reason::Resolve, format!("{host} can't be resolved: {}", unresolved.message))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next name that is due.
    fn take_due(&self, now: Instant) -> Option<(Host, Arc<ResolverRules>, Arc<AtomicUsize>)> {
        let mut names = self.lock();
        loop {
            let (due, _) = names.due.first()?;
            if now < *due {
                return None;
            }
            let (_, host) = names.due.pop_first()?;
            if let Some(kept) = names.kept.get_mut(&host).filter(|kept| !kept.asking) {
                kept.asking = true;
                return Some((host, names.rules.clone(), names.first.clone()));
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.lock().due.first().map(|(due, _)| *due)
    }

    fn take(&self, host: Host, answer: Result<Answer, Unresolved>) {
        self.metrics.resolver.asked(answer.as_ref().map(|_| ()).map_err(|unresolved| unresolved.trouble));
        let mut names = self.lock();
        let names = &mut *names;
        let Some(kept) = names.kept.get_mut(&host) else { return };
        let (before, found) = (kept.state(), answer.as_ref().map(|answer| answer.addresses.clone()).map_err(|unresolved| unresolved.message.clone()));
        let now = Instant::now();
        kept.take(answer, now, wall_clock(), part(&host));
        if kept.pinned {
            if let Host::Answered(name) = &host {
                names.answered.insert(name.clone(), kept.stands(now));
                self.told.notify_one();
            }
            names.due.insert((kept.due, host.clone()));
            self.metrics.resolver.told(&host, kept.state());
            tell(&host, before, found);
        }
    }
}

/// Once per change: trouble that begins, trouble that ends.
fn tell(host: &Host, (before, troubled): (Option<Timestamp>, bool), found: Result<Vec<std::net::IpAddr>, String>) {
    match found {
        Err(why) if !troubled && before.is_some() => warn!(%host, "host name {host} can't be resolved any more, its last addresses serve on: {why}"),
        Err(why) if !troubled => warn!(%host, "host name {host} can't be resolved: {why}"),
        Ok(addresses) if troubled => info!(%host, "host name {host} is resolved again: {addresses:?}"),
        _ => {}
    }
}

/// 0 to 99, the same for a name every time.
fn part(host: &Host) -> u32 {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(host);
    u32::try_from(hash % 100).unwrap_or(0)
}

/// Asks for what is due, a bounded number at once, until it is told to stop.
async fn keep_fresh(shared: Arc<Shared>) {
    let mut asked: JoinSet<Result<Answer, Unresolved>> = JoinSet::new();
    let mut hosts: HashMap<Id, Host> = HashMap::new();
    loop {
        while asked.len() < ASKED_AT_ONCE_MAX {
            let Some((host, rules, first)) = shared.take_due(Instant::now()) else { break };
            let task = match host.clone() {
                Host::Address(_) => continue,
                Host::Name(name, family) => asked.spawn(async move { ask(&rules, &first, &name, family).await }),
                Host::Answered(name) => asked.spawn(async move { ask_both(&rules, &first, &name).await }),
            };
            hosts.insert(task.id(), host);
        }
        let next = shared.next_due().filter(|_| asked.len() < ASKED_AT_ONCE_MAX);
        tokio::select! {
            () = shared.stop.notified() => break,
            () = shared.changed.notified() => {}
            Some(joined) = asked.join_next_with_id() => {
                let (id, answer) = match joined {
                    Ok((id, answer)) => (id, answer),
                    Err(broken) => (broken.id(), Err(bug())),
                };
                if let Some(host) = hosts.remove(&id) {
                    shared.take(host, answer);
                }
            }
            () = until(next), if next.is_some() => {}
        }
    }
    asked.shutdown().await;
}

async fn until(moment: Option<Instant>) {
    if let Some(moment) = moment {
        sleep_until(moment.into()).await;
    }
}

fn bug() -> Unresolved {
    Unresolved { trouble: Trouble::NoAnswer, message: "asking broke off, which is a bug in windrose".to_string() }
}
