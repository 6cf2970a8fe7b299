//! What happened, and what becomes of it: events, live or listed, and messages to webhooks.

use std::io::Write as _;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::admin::api::{Delivery, EventQuery, List, WebhookTest};

use super::args::{EventsArgs, Global, Output, WebhookCommand, Write};
use super::client::{Client, Got};
use super::exit::{Exit, Failure};
use super::report::Report;
use super::table::{Cell, Grid, Paint, Tone, clock};

/// Between two attempts to listen again.
const RECONNECT: Duration = Duration::from_secs(2);

/// `windrose events`
pub async fn run(client: &Client, args: &EventsArgs, global: &Global, paint: Paint) -> Result<Report, Failure> {
    if args.deliveries {
        return deliveries(client, paint).await;
    }
    let query = EventQuery { since: args.since.clone(), type_: args.type_.clone(), service: args.service.clone(), limit: args.count, cursor: None };
    let mut got: Got<List<Value>> = client.get_query(&["events"], &query).await?;
    // Without --count everything since then; page by page.
    while let (None, Some(cursor)) = (args.count, got.value.next_cursor.take()) {
        let more: Got<List<Value>> = client.get_query(&["events"], &EventQuery { cursor: cursor.parse().ok(), ..query.clone() }).await?;
        if let Some(all) = got.raw["items"].as_array_mut() {
            all.extend(more.value.items.iter().cloned());
        }
        got.raw["next_cursor"] = Value::Null;
        got.value.items.extend(more.value.items);
        got.value.next_cursor = more.value.next_cursor;
    }
    if !args.follow {
        let text = if got.value.items.is_empty() { String::new() } else { table(&got.value.items, paint) };
        let note = if got.value.items.is_empty() { "nothing happened\n" } else { "" };
        return Ok(Report::new(text, got.raw).note(note));
    }
    let json = global.output == Output::Json;
    let mut seen = got.value.items.last().and_then(sequence);
    got.value.items.iter().for_each(|event| say(&line(event, json, paint)));
    let live = EventQuery { since: None, limit: None, ..query };
    loop {
        let heard = |heard: Heard<'_>| match heard {
            Heard::Event(event) => say(&line(event, json, paint)),
            Heard::Gap => {
                let _ = writeln!(std::io::stderr().lock(), "some events are missing: they were forgotten before they could be read");
            }
        };
        match follow(client, &live, &mut seen, heard).await {
            // The server cut the stream, or is starting again: nothing is lost, it takes up from its ring.
            Ok(()) | Err(Failure::Unreachable { .. }) => tokio::time::sleep(RECONNECT).await,
            Err(failure) => return Err(failure),
        }
    }
}

/// What the stream says.
pub enum Heard<'a> {
    /// Something happened.
    Event(&'a Value),
    /// Some events are missing: they were forgotten before they could be read.
    Gap,
}

/// Follows the stream until it ends; `seen` is the last event that is known, before and after.
pub async fn follow(client: &Client, query: &EventQuery, seen: &mut Option<u64>, mut heard: impl FnMut(Heard<'_>)) -> Result<(), Failure> {
    let mut stream = client.stream(&["events", "stream"], query, *seen).await?;
    let mut rest = Vec::new();
    while let Some(piece) = stream.next().await? {
        rest.extend_from_slice(&piece);
        while let Some(end) = rest.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = rest.drain(..end + 2).collect();
            let block = String::from_utf8_lossy(&block);
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if field("event:") == Some("reset") {
                heard(Heard::Gap);
                *seen = field("id:").and_then(|id| id.parse().ok()).or(*seen);
            } else if let Some(event) = field("data:").and_then(|data| serde_json::from_str::<Value>(data).ok()) {
                *seen = sequence(&event).or(*seen);
                heard(Heard::Event(&event));
            }
        }
    }
    Ok(())
}

/// Prints a line at once; a reader that has gone away ends the process as it should.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Its number.
pub fn sequence(event: &Value) -> Option<u64> {
    event.get("sequence").and_then(Value::as_u64)
}

/// A text of it.
pub fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// What kind of event, without the prefix that all have.
pub fn kind(event: &Value) -> &str {
    let kind = text(event, "type");
    kind.strip_prefix("windrose.").unwrap_or(kind)
}

/// How bad it is.
pub fn severity(event: &Value) -> Tone {
    match event.get("data").map(|data| text(data, "severity")) {
        Some("critical") => Tone::Bad,
        Some("warning") => Tone::Warn,
        _ => Tone::Plain,
    }
}

/// One sentence.
pub fn summary(event: &Value) -> &str {
    event.get("data").map(|data| text(data, "summary")).unwrap_or_default()
}

fn line(event: &Value, json: bool, paint: Paint) -> String {
    match json {
        true => event.to_string(),
        false => format!("{}  {}  {}", text(event, "time"), paint.tone(severity(event), &format!("{:<18}", kind(event))), summary(event)),
    }
}

fn table(events: &[Value], paint: Paint) -> String {
    let mut grid = Grid::new(&["TIME", "TYPE", "WHAT"]);
    for event in events {
        grid.row(vec![text(event, "time").into(), Cell::toned(severity(event), kind(event)), summary(event).into()]);
    }
    grid.render(paint)
}

async fn deliveries(client: &Client, paint: Paint) -> Result<Report, Failure> {
    let got: Got<List<Delivery>> = client.get(&["webhooks", "deliveries"], &[]).await?;
    let mut grid = Grid::new(&["MADE", "RECEIVER", "STATE", ">TRIED", "NEXT", "WHAT"]);
    for Delivery { receiver, summary, made, attempts, state, next, error, .. } in &got.value.items {
        let tone = if state == "delivered" {
            Tone::Good
        } else if state == "waiting" {
            Tone::Warn
        } else {
            Tone::Bad
        };
        let next = next.map_or(String::new(), |next| clock(next, Default::default()));
        let why = error.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        let cells = [made.to_string().into(), receiver.as_str().into(), Cell::toned(tone, state), attempts.to_string().into(), next.into()];
        grid.row(cells.into_iter().chain([format!("{summary}{why}").into()]).collect());
    }
    let note = if grid.is_empty() { "no messages to webhooks\n" } else { "" };
    let text = if grid.is_empty() { String::new() } else { grid.render(paint) };
    Ok(Report::new(text, got.raw).note(note))
}

/// `windrose webhook`
pub async fn webhook(client: &Client, command: &WebhookCommand, paint: Paint) -> Result<Report, Failure> {
    match command {
        WebhookCommand::List => deliveries(client, paint).await,
        WebhookCommand::Test { name } => {
            let got: Got<WebhookTest> = client.write(Method::POST, &["webhooks", name, "test"], None::<&()>, &Write::default(), None).await?;
            let WebhookTest { receiver, delivered, detail } = &got.value;
            match delivered {
                true => Ok(Report::done(format!("webhook `{receiver}` took the message: {detail}\n"), got.raw)),
                false => Err(Failure::local(Exit::Failed, format!("webhook `{receiver}` did not take the message: {detail}"))),
            }
        }
    }
}
