//! The words of a message: the CloudEvent itself, a line of chat, or alerts.

use serde_json::{Value, json};

use crate::control::Happening;
use crate::model::{Timestamp, WebhookTemplate};

/// Lines of one chat message.
const LINES_MAX: usize = 10;

/// The body that tells `events`, of which there were `count` (more than are kept of a great storm).
pub(super) fn body(template: WebhookTemplate, events: &[Value], count: usize) -> String {
    match (template, events) {
        (WebhookTemplate::Json, [one]) if count == 1 => one.to_string(),
        (WebhookTemplate::Json, many) => Value::from(many).to_string(),
        (WebhookTemplate::Slack, many) => json!({ "text": chat(many, count) }).to_string(),
        (WebhookTemplate::Alertmanager, many) => many.iter().map(alert).collect::<Value>().to_string(),
    }
}

/// One sentence for all of them: `12 × endpoint.down of eu-west`.
pub(super) fn summary(happenings: &[std::sync::Arc<Happening>], count: usize) -> String {
    match happenings {
        [one] if count <= 1 => one.summary.to_string(),
        [first, ..] => format!("{}{}", storm(&first.kind, count), first.region.as_ref().map(|region| format!(" of {region}")).unwrap_or_default()),
        [] => String::new(),
    }
}

/// `12 endpoints down`.
fn storm(kind: &str, count: usize) -> String {
    match kind.split_once('.') {
        Some((noun @ ("endpoint" | "service" | "region" | "override" | "failover"), verb)) => format!("{count} {noun}s {verb}"),
        _ => format!("{count} × {kind}"),
    }
}

fn field<'a>(event: &'a Value, key: &str) -> &'a str {
    event.get("data").and_then(|data| data.get(key)).and_then(Value::as_str).unwrap_or_default()
}

fn kind(event: &Value) -> &str {
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    kind.strip_prefix("windrose.").unwrap_or(kind)
}

fn chat(events: &[Value], count: usize) -> String {
    let sign = |event: &Value| match field(event, "severity") {
        "critical" => "🔴",
        "warning" => "🟠",
        _ => "🔵",
    };
    // Slack's own signs: what a name holds must not become a link or a mention.
    let plain = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut lines: Vec<String> = Vec::new();
    if let (Some(first), true) = (events.first(), count > 1) {
        let region = field(first, "region");
        let place = if region.is_empty() { String::new() } else { format!(" of {region}") };
        lines.push(format!("*{}{}*", plain(&storm(kind(first), count)), plain(&place)));
    }
    lines.extend(events.iter().take(LINES_MAX).map(|event| format!("{} {}", sign(event), plain(field(event, "summary")))));
    if LINES_MAX < count {
        lines.push(format!("… and {} more", count - LINES_MAX.min(events.len())));
    }
    lines.join("\n")
}

/// Beginnings, the ends that resolve them, and the name that both share.
const ALERTS: [(&str, &str, &str); 11] = [
    ("endpoint.down", "endpoint.up", "WindroseEndpointDown"),
    ("region.down", "region.up", "WindroseRegionDown"),
    ("region.guarded", "region.unguarded", "WindroseRegionGuarded"),
    ("pool.outdated", "pool.fresh", "WindroseDataTooOld"),
    ("pool.shedding", "pool.shed_ended", "WindroseShedding"),
    ("latency.ran_out", "latency.measured", "WindroseLatencyRanOut"),
    ("failover.started", "failover.ended", "WindroseFailover"),
    ("service.down", "service.up", "WindroseServiceDown"),
    ("node.blind", "node.sees", "WindroseNodeBlind"),
    ("store.lost", "store.recovered", "WindroseStoreLost"),
    ("override.created", "override.ended", "WindroseOverride"),
];

/// An alert of the Alertmanager API v2: what ends something resolves the alert that its beginning raised.
fn alert(event: &Value) -> Value {
    let kind = kind(event);
    let named = ALERTS.iter().find(|(begins, ends, _)| [*begins, *ends].contains(&kind));
    let ends = named.is_some_and(|(_, ends, _)| *ends == kind);
    let name = named.map_or_else(|| format!("Windrose {kind}"), |(_, _, name)| name.to_string());
    let text = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut labels = json!({ "alertname": name, "source": text("source"), "subject": text("subject") });
    if !ends {
        labels["severity"] = json!(field(event, "severity"));
    }
    // The end has another severity than the beginning, and labels are the alert's identity.
    if let Some((begins, ..)) = named {
        labels["severity"] = json!(if begins.starts_with("endpoint") {
            "warning"
        } else if begins.starts_with("override") {
            "info"
        } else {
            "critical"
        });
    }
    for key in ["service", "region", "pool", "endpoint"] {
        let value = field(event, key);
        // A failover's region is where it began; at its end it may be another.
        let elsewhere = key == "region" && kind.starts_with("failover.");
        if !value.is_empty() && !elsewhere {
            labels[key] = json!(value);
        }
    }
    let mut alert = json!({ "labels": labels, "annotations": { "summary": field(event, "summary") } });
    alert[if ends { "endsAt" } else { "startsAt" }] = json!(text("time"));
    alert
}

/// What `windrose webhook test` sends.
pub(super) fn test_event(node: &str, now: Timestamp) -> Value {
    json!({
        "specversion": "1.0",
        "id": format!("{:x}-test", now.0),
        "source": format!("/windrose/{node}"),
        "type": "windrose.webhook.test",
        "time": now.to_string(),
        "subject": "webhook",
        "datacontenttype": "application/json",
        "data": { "severity": "info", "summary": format!("a test from {node}: this receiver hears windrose") },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, endpoint: &str) -> Value {
        json!({
            "type": format!("windrose.{kind}"), "source": "/windrose/ns1", "time": "2026-11-21T12:00:17.412Z", "subject": format!("endpoint/{endpoint}"),
            "data": {"severity": "warning", "summary": format!("{endpoint} is <down>"), "region": "eu-west", "endpoint": endpoint},
        })
    }

    #[test]
    fn one_event_is_sent_as_it_is_and_a_storm_as_a_list() {
        let one = event("endpoint.down", "a");
        assert_eq!(body(WebhookTemplate::Json, std::slice::from_ref(&one), 1), one.to_string());
        assert_eq!(body(WebhookTemplate::Json, &[one.clone(), one.clone()], 2), json!([one, one]).to_string());
    }

    #[test]
    fn chat_says_what_and_where_and_no_name_can_mention_anybody() {
        let events: Vec<Value> = (0..12).map(|at| event("endpoint.down", &format!("e{at}"))).collect();
        let text: Value = serde_json::from_str(&body(WebhookTemplate::Slack, &events, 12)).unwrap();
        let text = text["text"].as_str().unwrap();
        assert!(text.starts_with("*12 endpoints down of eu-west*\n🟠 e0 is &lt;down&gt;\n"), "{text}");
        assert!(text.ends_with("… and 2 more"), "{text}");
    }

    #[test]
    fn an_end_resolves_the_alert_of_its_beginning() {
        let alerts = |kind: &str| -> Value { serde_json::from_str(&body(WebhookTemplate::Alertmanager, &[event(kind, "a")], 1)).unwrap() };
        let (down, up) = (alerts("endpoint.down"), alerts("endpoint.up"));
        assert_eq!(down[0]["labels"], up[0]["labels"]);
        assert_eq!(down[0]["labels"]["alertname"], "WindroseEndpointDown");
        assert!(down[0]["startsAt"].is_string() && up[0]["endsAt"].is_string() && up[0]["startsAt"].is_null());
    }
}
