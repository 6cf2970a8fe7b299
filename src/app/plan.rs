//! What a reload would do: reads and checks a configuration, and asks the core. Takes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use crate::admin::config::{From, PlanOutcome, Planned, Planner, Reader};
use crate::admin::door::Door;
use crate::config::{self, Loaded, Problem};
use crate::control::{self, Configuration};
use crate::model::Settings;

use super::reload::{configuration, needs_restart};

/// Makes the planner of the API. One plan at a time: each reads every file.
pub(super) fn planner(path: PathBuf, settings: Arc<Settings>, door: Door) -> Planner {
    let turn = Arc::new(tokio::sync::Mutex::new(()));
    Arc::new(move |from| {
        let (path, settings, door, turn) = (path.clone(), settings.clone(), door.clone(), turn.clone());
        Box::pin(async move {
            let _turn = turn.lock().await;
            plan(path, from, settings, door).await
        })
    })
}

/// Makes the reader of the API.
pub(super) fn reader(path: PathBuf) -> Reader {
    let turn = Arc::new(tokio::sync::Mutex::new(()));
    Arc::new(move |from| {
        let (path, turn) = (path.clone(), turn.clone());
        Box::pin(async move {
            let _turn = turn.lock().await;
            read(path, from).await.map(|loaded| configuration(loaded, Vec::new()))
        })
    })
}

async fn read(own: PathBuf, from: From) -> Result<Loaded, PlanOutcome> {
    let panicked = |_| PlanOutcome::Problems(vec!["reading the file ended in a panic, which is a bug; nothing was changed".to_string()]);
    tokio::task::spawn_blocking(move || load(own, from)).await.map_err(panicked)?.map_err(PlanOutcome::Problems)
}

async fn plan(own: PathBuf, from: From, settings: Arc<Settings>, door: Door) -> PlanOutcome {
    let loaded = match read(own, from).await {
        Ok(loaded) => loaded,
        Err(outcome) => return outcome,
    };
    let warnings = loaded.warnings.iter().map(sentence).collect();
    let restart = needs_restart(&settings, &loaded.settings);
    let (before, after) = (control::outline_of_settings(&settings), control::outline_of_settings(&loaded.settings));
    let next = configuration(loaded, restart);
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
