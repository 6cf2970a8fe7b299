//! What classes of clients are made from while the daemon runs: GeoIP databases, the last sound content of each file, and what was measured of latency.
//!
//! A file that is replaced is read aside, made into classes of clients, and handed to the core in one piece; no query waits for it. One that is broken
//! changes nothing but what is told of it: what was read before counts on. Orders that measurements have changed go the same way, together, with pauses.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use crate::admin::door::Door;
use crate::client::{Clients, DatabaseInfo, Measured, Origins, Questions};
use crate::config::{Database, Mmdb, Stamp};
use crate::control::{Event, Notice};
use crate::metrics::Metrics;
use crate::model::{Estate, PolicyForm};
use crate::policy::too_many_variants;

/// How often it is asked whether there are databases by now.
const IDLE: Duration = Duration::from_secs(60);

/// Between two times that measured orders are made into classes at least.
const CALM: Duration = Duration::from_secs(1);
/// And so many times as long as the last one took: with a large database that is seconds, and a tenth of one core is enough.
const CALM_TIMES: u32 = 9;

/// What is known of the files.
#[derive(Default)]
pub(super) struct Databases {
    kept: Mutex<HashMap<PathBuf, Kept>>,
    /// As the core knew it when it was last asked.
    measured: Mutex<Arc<Measured>>,
    /// Whoever reads files to have them counted (a reload, or a look) has it alone.
    pub(super) turn: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Kept {
    /// Of the file that was read last, sound or not.
    stamp: Option<Stamp>,
    sound: Option<Arc<Mmdb>>,
    problem: Option<String>,
}

/// Classes of clients, and what they were made from.
pub(super) struct Made {
    pub(super) clients: Clients,
    pub(super) infos: Vec<DatabaseInfo>,
}

impl Databases {
    /// What counts of these files: each as it was read, or as it was before if it is broken. Takes a second for a million networks.
    /// `asked`: what operators' traffic asks beside the file.
    pub(super) fn make(&self, estate: &Estate, read: &[Database], asked: &[PolicyForm]) -> Result<Made, String> {
        let kept = self.with(read);
        let questions = Questions::of(estate).with_forms(estate, asked);
        let measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (mut origins, mut infos) = (Origins { measured, ..Origins::default() }, Vec::new());
        for path in &estate.geo.databases {
            let Kept { stamp: _, sound, problem } = kept.get(path).cloned().unwrap_or_default();
            let mut info = DatabaseInfo { file: path.to_string_lossy().into(), kind: String::new(), built: None, networks: 0, problem };
            if let Some(sound) = sound {
                (info.kind, info.built, info.networks) = (sound.kind.clone(), Some(sound.built), sound.networks as u64);
                // It was looked at from end to end before it was kept.
                sound.origins(&questions, &mut origins).map_err(|why| format!("`{}` {why}", path.display()))?;
            }
            infos.push(info);
        }
        let clients = Clients::build(estate, &questions, &origins);
        if let Some(why) = clients.too_many() {
            return Err(why);
        }
        let mut seen = std::collections::HashSet::new();
        for service in estate.services.iter().filter(|service| seen.insert(Arc::as_ptr(&service.policy))) {
            if let Some(why) = too_many_variants(&service.policy, &clients, estate) {
                return Err(format!("the policy of `{}` {why}", service.name));
            }
        }
        for tree in asked.iter().filter_map(|form| estate.resolve(form).ok()) {
            if let Some(why) = too_many_variants(&tree, &clients, estate) {
                return Err(format!("a policy that operators have set {why}"));
            }
        }
        Ok(Made { clients, infos })
    }

    /// Asks the core what was measured: [`Self::make`] goes by it.
    pub(super) async fn learn(&self, door: &Door) {
        if let Ok(measured) = door.look(|core, _| core.latency().measured()).await {
            self.learned(measured);
        }
    }

    /// This was measured.
    pub(super) fn learned(&self, measured: Measured) {
        *self.measured.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(measured);
    }

    /// These count from now on.
    pub(super) fn keep(&self, read: &[Database]) {
        let next = self.with(read);
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }

    fn with(&self, read: &[Database]) -> HashMap<PathBuf, Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for Database { path, stamp, read } in read {
            let place = kept.entry(path.clone()).or_default();
            place.stamp = *stamp;
            match read {
                Ok(sound) => (place.sound, place.problem) = (Some(sound.clone()), None),
                Err(why) => place.problem = Some(why.clone()),
            }
        }
        kept
    }

    /// The files that are no longer what was read.
    fn replaced(&self, files: &[PathBuf]) -> Vec<PathBuf> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |path: &PathBuf| kept.get(path).map(|kept| kept.stamp);
        files.iter().filter(|path| known(path) != Some(Stamp::of(path))).cloned().collect()
    }
}

/// Looks at the files now and then, until the daemon stops.
pub(super) async fn watch(databases: Arc<Databases>, door: Door, metrics: Arc<Metrics>, mut stopping: watch::Receiver<bool>) {
    loop {
        let Ok(geo) = door.look(|core, _| core.estate().geo.clone()).await else { return };
        let pause = if geo.databases.is_empty() { IDLE } else { geo.check_every };
        tokio::select! {
            () = tokio::time::sleep(pause) => look(&databases, &door, &metrics).await,
            _ = stopping.changed() => return,
        }
    }
}

/// Makes classes of clients anew when measured orders have changed, until the daemon stops.
pub(super) async fn classify(databases: Arc<Databases>, door: Door, mut asked: watch::Receiver<u64>, mut stopping: watch::Receiver<bool>) {
    let mut calm = Duration::ZERO;
    loop {
        // What changes during the pause is taken together.
        tokio::select! {
            () = tokio::time::sleep(calm) => {}
            _ = stopping.changed() => return,
        }
        tokio::select! {
            changed = asked.changed() => if changed.is_err() { return },
            _ = stopping.changed() => return,
        }
        let began = Instant::now();
        reorder(&databases, &door).await;
        calm = CALM.max(began.elapsed() * CALM_TIMES);
    }
}

async fn reorder(databases: &Arc<Databases>, door: &Door) {
    let _turn = databases.turn.lock().await;
    let Ok((estate, asked)) = door.look(|core, _| (core.estate().clone(), core.asked_by_operators())).await else { return };
    databases.learn(door).await;
    let (known, of) = (databases.clone(), estate.clone());
    let failed = |why: &str| Event::Noticed(Notice::Database { sound: false, text: format!("what was measured of latency can't be used: {why}") });
    match tokio::task::spawn_blocking(move || known.make(&of, &[], &asked)).await {
        Ok(Ok(Made { clients, infos })) => {
            // It may not be lost; if the core is gone, so is the need.
            let _ = door.tell(Event::Databases { estate, clients: Arc::new(clients), databases: infos.into() }).await;
        }
        // The classes before count on.
        Ok(Err(why)) => door.mention(failed(&why)),
        Err(_) => door.mention(failed("telling clients apart ended in a panic, which is a bug")),
    }
}

/// One look: reads what was replaced, and has it counted.
async fn look(databases: &Arc<Databases>, door: &Door, metrics: &Metrics) {
    let _turn = databases.turn.lock().await;
    let Ok((estate, asked)) = door.look(|core, _| (core.estate().clone(), core.asked_by_operators())).await else { return };
    let (known, of) = (databases.clone(), estate.clone());
    let made = tokio::task::spawn_blocking(move || {
        let replaced = known.replaced(&of.geo.databases);
        if replaced.is_empty() {
            return None;
        }
        let read: Vec<Database> = replaced.iter().map(|path| Database::read(path)).collect();
        let made = known.make(&of, &read, &asked);
        Some((read, made))
    });
    match made.await {
        Ok(None) => {}
        Ok(Some((read, Ok(Made { clients, infos })))) => {
            databases.keep(&read);
            metrics.databases(&infos);
            read.iter().for_each(|database| door.mention(Event::Noticed(notice(database))));
            // It may not be lost; if the core is gone, so is the need.
            let _ = door.tell(Event::Databases { estate, clients: Arc::new(clients), databases: infos.into() }).await;
        }
        // It is told at each look: the file counts as not yet read.
        Ok(Some((_, Err(why)))) => door.mention(Event::Noticed(Notice::Database { sound: false, text: format!("GeoIP databases can't be used: {why}") })),
        Err(_) => {
            door.mention(Event::Noticed(Notice::Database { sound: false, text: "reading a GeoIP database ended in a panic, which is a bug".to_string() }))
        }
    }
}

/// An order to tell clients apart by what these policies ask, too.
pub(super) type Order = (Arc<Estate>, Vec<PolicyForm>);

/// Carries out orders to tell clients apart, until the daemon stops. Files that were replaced meanwhile count with the next look.
pub(super) async fn tell_apart(databases: Arc<Databases>, door: Door, mut orders: mpsc::Receiver<Order>) {
    while let Some((estate, asked)) = orders.recv().await {
        let _turn = databases.turn.lock().await;
        databases.learn(&door).await;
        let (known, of) = (databases.clone(), estate.clone());
        let made = tokio::task::spawn_blocking(move || known.make(&of, &[], &asked).map(|made| Arc::new(made.clients)));
        let made = made.await.unwrap_or_else(|_| Err("telling them apart ended in a panic, which is a bug".to_string()));
        if door.tell(Event::ToldApart { estate, made }).await.is_err() {
            return;
        }
    }
}

/// What came of reading a file.
fn notice(database: &Database) -> Notice {
    let Database { path, stamp: _, read } = database;
    let file = Path::new(path).display();
    match read {
        Ok(sound) => {
            let text = format!("GeoIP database {file} was replaced: {}, made {}, {} networks", sound.kind, sound.built.whole_seconds(), sound.networks);
            Notice::Database { sound: true, text }
        }
        Err(why) => Notice::Database { sound: false, text: format!("GeoIP database {file} {why}; what was read before counts on") },
    }
}
