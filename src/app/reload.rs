//! A reload: read and check the file, compare what needs a restart, hand it to the core.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tracing::{error, warn};

use crate::admin::door::Door;
use crate::admin::{Certificates, ReloadOutcome, Reloader, Renewal};
use crate::config;
use crate::control::{Configuration, Event, Notice, Refusal, ReloadBy};
use crate::metrics::Metrics;
use crate::model::{AdminSettings, PolicyForm, Settings};

use super::clock::Clock;
use super::databases::{Databases, Made};

/// Makes the reload that SIGHUP, the API and `windrose reload` share. One at a time.
pub(super) fn reloader(
    path: PathBuf,
    settings: Settings,
    databases: Arc<Databases>,
    door: Door,
    metrics: Arc<Metrics>,
    clock: Clock,
    tls: Arc<OnceLock<Certificates>>,
) -> Reloader {
    let settings = Arc::new(settings);
    Arc::new(move |by| {
        let (path, settings, door, metrics, databases, tls) = (path.clone(), settings.clone(), door.clone(), metrics.clone(), databases.clone(), tls.clone());
        Box::pin(async move {
            let _turn = databases.turn.lock().await;
            let outcome = reload(path, &settings, &databases, &door, &metrics, tls.get(), by).await;
            metrics.reloaded(matches!(outcome, ReloadOutcome::Taken(_)), clock.now().wall);
            match &outcome {
                // The first says what was taken and is told by the core; the others are what to look at.
                ReloadOutcome::Taken(messages) => messages.iter().skip(1).for_each(|message| warn!("{message}")),
                ReloadOutcome::Problems(problems) => error!("reload refused, the old configuration serves on:\n{}", problems.join("\n")),
                ReloadOutcome::Refused(refusal) => error!("reload refused: {}", told(refusal)),
            }
            let why = match &outcome {
                ReloadOutcome::Taken(_) => None,
                ReloadOutcome::Problems(problems) => Some(format!("{} in the file, the first: {}", problems.len(), problems.first().map_or("", |first| first))),
                ReloadOutcome::Refused(refusal) => Some(told(refusal)),
            };
            if let Some(why) = why {
                let text = format!("a new configuration was refused, the old one serves on: {why}");
                door.mention(Event::Noticed(Notice::ReloadFailed { text }));
            }
            outcome
        })
    })
}

/// So often clients are told apart for one reload, if operators ask something new about them meanwhile.
const ATTEMPTS_MAX: usize = 3;

async fn reload(
    path: PathBuf,
    settings: &Settings,
    databases: &Arc<Databases>,
    door: &Door,
    metrics: &Metrics,
    tls: Option<&Certificates>,
    by: ReloadBy,
) -> ReloadOutcome {
    let loaded = match tokio::task::spawn_blocking(move || config::load(&path)).await {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(problems)) => return ReloadOutcome::Problems(problems.0.iter().map(ToString::to_string).collect()),
        Err(_) => return ReloadOutcome::Problems(vec!["reading the file ended in a panic, which is a bug; nothing was changed".to_string()]),
    };
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let needs_restart = needs_restart(settings, &loaded.settings);
    // All or nothing: certificates that can't be used refuse the file, and come into force only with it.
    let renewal = match (tls, loaded.settings.admin.tls.clone()) {
        (Some(tls), Some(files)) => {
            let tls = tls.clone();
            match tokio::task::spawn_blocking(move || tls.renew(&files)).await {
                Ok(Ok(renewal)) => Some(renewal),
                Ok(Err(problem)) => return ReloadOutcome::Problems(vec![problem]),
                Err(_) => return ReloadOutcome::Problems(vec!["reading the certificates ended in a panic, which is a bug; nothing was changed".to_string()]),
            }
        }
        _ => None,
    };
    let read = Arc::new(loaded.databases.clone());
    let mut configuration = match told_apart(databases, door, move |known, asked| configuration(loaded, needs_restart, known, asked)).await {
        Ok(configuration) => configuration,
        Err(problem) => return ReloadOutcome::Problems(vec![problem]),
    };
    let mut attempts = 1;
    let outcome = loop {
        let (next, by) = (configuration.clone(), by.clone());
        match door.ask(|ticket| Event::Reload { ticket, configuration: next, by }).await {
            // Operators asked something new about clients in between.
            Err(refusal) if refusal.asks().is_some() && attempts < ATTEMPTS_MAX => {
                attempts += 1;
                let (estate, read) = (configuration.estate.clone(), read.clone());
                match told_apart(databases, door, move |known, asked| known.make(&estate, &read, asked)).await {
                    Ok(made) => configuration.clients = Arc::new(made.clients),
                    Err(problem) => return ReloadOutcome::Problems(vec![problem]),
                }
            }
            outcome => break outcome,
        }
    };
    let infos = configuration.databases;
    match outcome {
        Ok(applied) => {
            databases.keep(&read);
            metrics.databases(&infos);
            for info in infos.iter() {
                if let Some(why) = &info.problem {
                    let text = format!("GeoIP database {} {why}; what was read before counts on", info.file);
                    door.mention(Event::Noticed(Notice::Database { sound: false, text }));
                }
            }
            let mut messages = applied.messages;
            if renewal.is_some_and(Renewal::apply) {
                messages.push("the certificates of [admin] tls were taken".to_string());
            }
            ReloadOutcome::Taken(messages)
        }
        Err(refusal) => ReloadOutcome::Refused(refusal),
    }
}

/// Makes something by telling clients apart, aside.
async fn told_apart<T: Send + 'static>(
    databases: &Arc<Databases>,
    door: &Door,
    make: impl FnOnce(&Databases, &[PolicyForm]) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let asked = door.look(|core, _| core.asked_by_operators()).await.map_err(|closed| closed.to_string())?;
    databases.learn(door).await;
    let known = databases.clone();
    let made = tokio::task::spawn_blocking(move || make(&known, &asked)).await;
    made.unwrap_or_else(|_| Err("telling clients apart ended in a panic, which is a bug; nothing was changed".to_string()))
}

/// A refusal for log and event, which have no list: with every guard, and what to do about it.
fn told(refusal: &Refusal) -> String {
    let guards = refusal.guards.iter().map(|finding| format!("; {}: {} → {}", finding.guard.word(), finding.message, finding.way_on));
    std::iter::once(refusal.detail.clone()).chain(guards).collect()
}

/// What the core needs of a loaded file; `Err`: clients can't be told apart as it wishes.
/// `asked`: what operators' traffic asks beside the file.
pub(super) fn configuration(loaded: config::Loaded, needs_restart: Vec<String>, databases: &Databases, asked: &[PolicyForm]) -> Result<Configuration, String> {
    let made = databases.make(&loaded.estate, &loaded.databases, asked)?;
    Ok(configured(loaded, needs_restart, made))
}

/// The same, with clients told apart already.
pub(super) fn configured(loaded: config::Loaded, needs_restart: Vec<String>, made: Made) -> Configuration {
    let Made { clients, infos } = made;
    Configuration {
        clients: Arc::new(clients),
        databases: infos.into(),
        estate: Arc::new(loaded.estate),
        zones: loaded.zones.into_iter().map(Arc::new).collect(),
        answers: Arc::new(super::secret::with_secret(loaded.answers)),
        needs_restart,
        hash: loaded.hash.into(),
    }
}

/// Tables whose keys take no part in a reload and differ (SEMANTICS, 16).
pub(super) fn needs_restart(old: &Settings, new: &Settings) -> Vec<String> {
    let Settings { node, dns, admin, metrics, store, outcomes, audit } = old;
    // TLS files and subjects are taken by a reload; whether there is TLS at all is not.
    let without_files = |settings: &AdminSettings| AdminSettings { tls: None, ..settings.clone() };
    let admin_differs = without_files(admin) != without_files(&new.admin) || admin.tls.is_some() != new.admin.tls.is_some();
    let differs = [
        ("[node]", *node != new.node),
        ("[dns]", *dns != new.dns),
        ("[admin]", admin_differs),
        ("[metrics]", *metrics != new.metrics),
        ("[store]", *store != new.store),
        ("[outcomes]", *outcomes != new.outcomes),
        ("[audit]", *audit != new.audit),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(table, _)| table.to_string()).collect()
}
