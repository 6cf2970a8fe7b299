//! `POST /replay`: yesterday again, with today's or another configuration. One at a time, away from the core, for so long at most.
//!
//! Never here: a change of anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Extension, State};

use crate::control::{self, Configuration, OUTCOMES_MAX, Replaying, Stored, Unreplayed};
use crate::health::Recording;
use crate::model::Timestamp;

use super::api::{self, Fault, ProblemKind};
use super::auth::Caller;
use super::body::Body;
use super::problem::Refused;
use super::{App, simulate, view};

/// Reads what is recorded from a moment on. Blocks. An error is one sentence.
pub type OutcomeReader = Arc<dyn Fn(Timestamp) -> Result<Recording, String> + Send + Sync>;

/// Longest look back.
const SINCE_MAX: Duration = Duration::from_secs(400 * 86_400);
/// The look back, unless told otherwise.
const SINCE: Duration = Duration::from_secs(86_400);
/// Played before what is counted, so that verdicts are settled by then.
const WARM_UP: Duration = Duration::from_secs(900);
/// Longest replay of one configuration; its request waits for two.
const PLAY_MAX: Duration = Duration::from_secs(45);
/// Services of one replay: it holds a second core.
const SERVICES_MAX: usize = 100_000;
/// Names that one sentence lists.
const NAMED_MAX: usize = 3;

/// Ends a replay that nobody waits for any more.
struct Waits(Arc<AtomicBool>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What is played.
struct Play {
    reader: OutcomeReader,
    now: Configuration,
    with: Option<Configuration>,
    traffic: Vec<Stored>,
    from: Timestamp,
    until: Timestamp,
    gone: Arc<AtomicBool>,
}

pub(super) async fn replay(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<api::ReplayPost>,
) -> Result<Json<api::Replay>, Refused> {
    let api::ReplayPost { since, text, path } = body;
    let since = since.map_or(SINCE, |since| since.0);
    if SINCE_MAX < since || since.is_zero() {
        return Err(refused("/since", "not between a moment and 400 days".to_string(), "24h, for example"));
    }
    let Ok(turn) = app.replays.clone().try_acquire_owned() else {
        return Err(Refused::new(ProblemKind::RateLimited, "another replay is under way, and there is one at a time; try again when it is over"));
    };
    let with = simulate::other(&app, &caller, text, path).await?;
    let (now, traffic, until) = app.look(|core, now| (core.configuration().clone(), core.stored_traffic(), now.wall)).await?;
    let most = [Some(&now), with.as_ref()].into_iter().flatten().map(|one| one.estate.services.len()).max().unwrap_or(0);
    if SERVICES_MAX < most {
        return Err(refused(
            "",
            format!("{most} services are more than are replayed, {SERVICES_MAX}"),
            "replay a configuration with the services in question: --with",
        ));
    }
    let waits = Waits(Arc::default());
    let from = Timestamp(until.0.saturating_sub(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)));
    let play = Play { reader: app.parts.outcomes.clone(), now, with, traffic, from, until, gone: waits.0.clone() };
    let bug = |_| Refused::new(ProblemKind::Internal, "the replay failed; this is a bug");
    let work = move || {
        let _turn = turn;
        play.play()
    };
    tokio::task::spawn_blocking(work).await.map_err(bug)?.map(Json)
}

impl Play {
    fn play(self) -> Result<api::Replay, Refused> {
        let Play { reader, now, with, traffic, from, until, gone } = self;
        let early = Timestamp(from.0.saturating_sub(i64::try_from(WARM_UP.as_millis()).unwrap_or(0)));
        let recording = reader(early).map_err(|why| Refused::new(ProblemKind::StoreUnavailable, why))?;
        let Some(first) = recording.runs.first().map(|run| run.first) else {
            let hint = "outcomes are recorded while probes run; see [outcomes] keep";
            return Err(refused("/since", "nothing is recorded since then".to_string(), hint));
        };
        let mut messages = Vec::new();
        let from = if from < first {
            messages.push(format!("what is recorded begins at {}", first.whole_seconds()));
            first
        } else {
            from
        };
        if traffic.is_empty() {
            messages.push("overrides and reloads of back then are not played again".to_string());
        } else {
            messages.push("operators' traffic is as it stands now; overrides, reloads and other traffic of back then are not played again".to_string());
        }
        let mut one = |configuration: Configuration, word: &str| {
            // Names of services and static records decide nothing.
            let configuration = Configuration { zones: Vec::new(), ..configuration };
            let began = Instant::now();
            let stop = || gone.load(Ordering::Relaxed) || PLAY_MAX <= began.elapsed();
            let replaying = Replaying { configuration, traffic: traffic.clone(), recording: &recording, from, until };
            let played = control::replay(replaying, &stop).map_err(|why| match why {
                Unreplayed::TooMany(outcomes) => {
                    refused("/since", format!("{outcomes} outcomes are more than are replayed, {OUTCOMES_MAX}"), "look less far back")
                }
                Unreplayed::Stopped => refused("/since", format!("more than can be replayed in {} s", PLAY_MAX.as_secs()), "look less far back"),
            })?;
            if !played.unheard.is_empty() {
                let named = played.unheard.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
                let more = played.unheard.len().saturating_sub(NAMED_MAX);
                let more = if 0 < more { format!(" and {more} more") } else { String::new() };
                messages.push(format!("{word}: nothing is recorded of {named}{more}, so they stay without a verdict, which policy takes for up"));
            }
            if 0 < played.unused {
                messages.push(format!("{word}: {} recorded targets are not part of it", played.unused));
            }
            Ok::<_, Refused>(played)
        };
        let played = one(now, "now")?;
        let with = with.map(|with| one(with, "with")).transpose()?;
        let gap = |(from, until): &(Timestamp, Timestamp)| api::ReplayGap { from: (*from).into(), until: (*until).into() };
        let (gaps, outcomes) = (played.gaps.iter().map(gap).collect(), played.outcomes.max(with.as_ref().map_or(0, |with| with.outcomes)));
        Ok(api::Replay { from: from.into(), until: until.into(), outcomes, gaps, messages, now: view::replayed(played), with: with.map(view::replayed) })
    }
}

fn refused(pointer: &str, message: String, hint: &str) -> Refused {
    Refused::invalid(vec![Fault { pointer: pointer.into(), code: "invalid-value".into(), message, hint: hint.into(), ..Fault::default() }])
}
