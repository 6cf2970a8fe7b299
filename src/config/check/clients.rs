//! `[clients]`: what is assumed of clients. It shapes forecasts, and no answer.

use std::time::Duration;

use crate::config::file::Clients;
use crate::config::problem::Sink;
use crate::model::Fading;

use super::number;

/// Nobody waits longer before switching something off.
const STRAGGLERS_FOR_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

pub(super) fn check(clients: Clients, sink: &mut Sink<'_>) -> Fading {
    let Clients { stragglers, stragglers_for } = clients;
    let default = Fading::default();
    let share = number(&stragglers, 0..=100, i64::from(default.stragglers), "clients.stragglers", sink);
    if let Some(found) = stragglers_for.get().filter(|found| STRAGGLERS_FOR_MAX < found.value) {
        sink.problem(&found.span, "clients.stragglers_for", "longer than a week", "how long the last client goes on with an old answer: \"30m\" by default");
    }
    Fading { stragglers: u8::try_from(share).unwrap_or(default.stragglers), stragglers_for: stragglers_for.or(default.stragglers_for) }
}
