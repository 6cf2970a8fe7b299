//! `push = true`: how long what is told holds, and what silence means.

use std::time::Duration;

use crate::config::file::Monitor as Table;
use crate::config::problem::Sink;
use crate::model::{PushCheck, Silence, duration_text};

/// Shorter ones are over before they are known.
const TTL_MIN: Duration = Duration::from_secs(1);
/// Who tells less often than once a week tells nothing.
const TTL_MAX: Duration = Duration::from_secs(7 * 86_400);
const TTL: Duration = Duration::from_secs(120);
const TTL_MAX_DEFAULT: Duration = Duration::from_secs(600);

pub(super) fn push(table: &Table, path: &str, sink: &mut Sink<'_>) -> PushCheck {
    let Table { push, ttl, ttl_max, silence, .. } = table;
    if let Some(found) = push.get().filter(|found| !found.value) {
        sink.problem(&found.span, format_args!("{path}.push"), "`false` is no monitor", "push = true");
    }
    for (key, name) in [(ttl, "ttl"), (ttl_max, "ttl_max")] {
        if let Some(found) = key.get().filter(|found| !(TTL_MIN..=TTL_MAX).contains(&found.value)) {
            sink.problem(&found.span, format_args!("{path}.{name}"), "out of range", "from \"1s\" to \"7days\"; ttl is \"2m\" by default, ttl_max \"10m\"");
        }
    }
    let (written, most) = (ttl.get().map_or(TTL, |found| found.value), ttl_max.get().map(|found| found.value));
    // A longer ttl alone raises the most, a lower most alone the ttl.
    let ttl = if ttl.is_absent() { most.map_or(TTL, |most| most.min(TTL)) } else { written };
    let most = most.unwrap_or(TTL_MAX_DEFAULT.max(ttl));
    if let Some(found) = ttl_max.get().filter(|_| most < ttl) {
        let message = format!("ttl_max ({}) is shorter than ttl ({})", duration_text(most), duration_text(ttl));
        sink.problem(&found.span, format_args!("{path}.ttl_max"), message, "ttl holds where a push says nothing else");
    }
    let silence = match silence.get().map(|found| (found, found.value.as_str())) {
        None | Some((_, "unknown")) => Silence::Unknown,
        Some((_, "down")) => Silence::Down,
        Some((found, other)) => {
            let help = "\"unknown\" (default: used where nothing better is known to be up) or \"down\"";
            sink.problem(&found.span, format_args!("{path}.silence"), format!("`{other}` is not what silence can mean"), help);
            Silence::Unknown
        }
    };
    PushCheck { ttl, ttl_max: most, silence }
}
