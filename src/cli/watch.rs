//! `windrose status -w`: the table again whenever it changes, as plain lines; also what `windrose top` is without a terminal.
//!
//! Ages and rates grow all the time; they alone print nothing. Ends when it is stopped, or its reader goes away.

use std::io::Write as _;
use std::time::Duration;

use crate::admin::api::{Overview, Shares, Time};

use super::client::Client;
use super::events::say;
use super::exit::Failure;
use super::report::Report;
use super::status::{look, text};
use super::table::Paint;

/// Between two looks; one that found the server gone waits as long.
pub const EVERY: Duration = Duration::from_secs(2);

/// Looks until somebody ends it. A server that is gone later on is waited for; one that was never there is a failure.
pub async fn run(client: &Client, services: &[String], every: Duration, json: bool, paint: Paint) -> Result<Report, Failure> {
    let mut shown: Option<Overview> = None;
    let mut lost = false;
    loop {
        match look(client, services).await {
            Ok(got) => {
                let still = still(&got.value);
                if lost || shown.as_ref() != Some(&still) {
                    let gap = if shown.is_none() || json { "" } else { "\n" };
                    say(&if json { got.raw.to_string() } else { format!("{gap}{}   {}", got.value.at, text(&got.value, paint).trim_end()) });
                }
                (shown, lost) = (Some(still), false);
            }
            Err(Failure::Unreachable { place, why, .. }) if shown.is_some() => {
                if !lost {
                    let _ = writeln!(std::io::stderr().lock(), "not connected to {place}: {why}; what is above is old");
                }
                lost = true;
            }
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(every).await;
    }
}

/// Without what grows by itself.
fn still(overview: &Overview) -> Overview {
    let mut still = overview.clone();
    (still.at, still.queries_per_second, still.revision, still.generation) = (Time::default(), None, 0, 0);
    still.sentinels.iter_mut().for_each(|sentinel| (sentinel.since, sentinel.message, sentinel.resolved) = (None, None, None));
    for service in &mut still.services {
        service.answers_per_second = None;
        service.traffic.shares.answered = Shares::default();
        service.pools.iter_mut().for_each(|pool| pool.answers = None);
    }
    still
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::api::State;
    use crate::cli::testing::overview;

    #[test]
    fn ages_and_counters_are_no_change_and_health_is() {
        let mut later = overview();
        later.at = Time(later.at.0.plus(Duration::from_secs(60)));
        later.queries_per_second = Some(7.0);
        later.services[0].pools[0].answers = Some(1_000);
        assert_eq!(still(&later), still(&overview()));
        later.services[0].pools[0].state = State::Down;
        assert_ne!(still(&later), still(&overview()));
    }
}
