//! What a reload would do: reads and checks a configuration, and asks the core. Takes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use crate::admin::config::{From, PlanOutcome, Planned, Planner, Reader};
use crate::admin::door::Door;
use crate::config::{self, Loaded, Problem};
use crate::control::{self, Configuration};
use crate::model::Settings;

use super::databases::Databases;
use super::reload::{configuration, needs_restart};

/// Makes the planner of the API. One plan at a time: each reads every file.
pub(super) fn planner(path: PathBuf, settings: Arc<Settings>, databases: Arc<Databases>, door: Door) -> Planner {
    let turn = Arc::new(tokio::sync::Mutex::new(()));
    Arc::new(move |from| {
        let (path, settings, databases, door, turn) = (path.clone(), settings.clone(), databases.clone(), door.clone(), turn.clone());
        Box::pin(async move {
            let _turn = turn.lock().await;
            plan(path, from, settings, databases, door).await
        })
    })
}

/// Makes the reader of the API.
pub(super) fn reader(path: PathBuf, databases: Arc<Databases>, door: Door) -> Reader {
    let turn = Arc::new(tokio::sync::Mutex::new(()));
    Arc::new(move |from| {
        let (path, databases, door, turn) = (path.clone(), databases.clone(), door.clone(), turn.clone());
        Box::pin(async move {
            let _turn = turn.lock().await;
            made(read(path, from).await?, Vec::new(), databases, &door).await
        })
    })
}

async fn read(own: PathBuf, from: From) -> Result<Loaded, PlanOutcome> {
    let panicked = |_| PlanOutcome::Problems(vec!["reading the file ended in a panic, which is a bug; nothing was changed".to_string()]);
    tokio::task::spawn_blocking(move || load(own, from)).await.map_err(panicked)?.map_err(PlanOutcome::Problems)
}

/// Telling clients apart takes a second for a million networks.
async fn made(loaded: Loaded, restart: Vec<String>, databases: Arc<Databases>, door: &Door) -> Result<Configuration, PlanOutcome> {
    databases.learn(door).await;
    let asked = door.look(|core, _| core.asked_by_operators()).await.map_err(|_| PlanOutcome::Closed)?;
    let panicked = |_| PlanOutcome::Problems(vec!["telling clients apart ended in a panic, which is a bug; nothing was changed".to_string()]);
    let made = tokio::task::spawn_blocking(move || configuration(loaded, restart, &databases, &asked)).await.map_err(panicked)?;
    made.map_err(|problem| PlanOutcome::Problems(vec![problem]))
}

async fn plan(own: PathBuf, from: From, settings: Arc<Settings>, databases: Arc<Databases>, door: Door) -> PlanOutcome {
    let loaded = match read(own, from).await {
        Ok(loaded) => loaded,
        Err(outcome) => return outcome,
    };
    let warnings = loaded.warnings.iter().map(sentence).collect();
    let restart = needs_restart(&settings, &loaded.settings);
    let (before, after) = (control::outline_of_settings(&settings), control::outline_of_settings(&loaded.settings));
    let next = match made(loaded, restart, databases, &door).await {
        Ok(next) => next,
        Err(outcome) => return outcome,
    };
    // A reload in between is no harm: what is compared is told by its hash.
    let compared = next.clone();
    let Ok((running, preview, drift)) = door.look(move |core, now| (core.configuration().clone(), core.preview(&next, now), core.drift(&next))).await else {
        return PlanOutcome::Closed;
    };
    let differ = move || {
        let mut changes = control::differences(&running, &compared);
        changes.extend(control::compared(before, after));
        let Configuration { hash, .. } = compared;
        Planned { hash, running: running.hash, changes, preview, drift, warnings }
    };
    match tokio::task::spawn_blocking(differ).await {
        Ok(planned) => PlanOutcome::Planned(Box::new(planned)),
        Err(_) => PlanOutcome::Problems(vec!["comparing ended in a panic, which is a bug; nothing was changed".to_string()]),
    }
}

/// What is wrong with a text is told of the text alone: it may name any file of the server, and problems quote what they find.
fn load(own: PathBuf, from: From) -> Result<Loaded, Vec<String>> {
    let (loaded, sent) = match from {
        From::Own => (config::load(&own), false),
        From::File(path) => (config::load(&path), false),
        From::Text(text) => (config::load_text(&text, &own), true),
    };
    let loaded = loaded.map(|mut loaded| {
        loaded.warnings.retain(|warning| !sent || warning.file == own);
        loaded
    });
    loaded.map_err(|problems| {
        let mut said: Vec<String> = Vec::new();
        for problem in problems.0 {
            let hidden = sent && problem.file != own;
            let text = if hidden {
                format!("{}: this file of the server has problems, which are not shown to others", problem.file.display())
            } else {
                sentence(&problem)
            };
            if !said.contains(&text) {
                said.push(text);
            }
        }
        said
    })
}

fn sentence(problem: &Problem) -> String {
    problem.to_string()
}
