//! What happened, and what becomes of it: events, live or listed, and messages to webhooks.

use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::admin::api::{Delivery, EventQuery, List, WebhookTest};

use super::args::{EventsArgs, Global, Output, WebhookCommand, Write};
use super::client::{Client, Got, Stream};
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
    let query =
        EventQuery { since: args.since.clone(), type_: args.type_.clone(), service: args.service.clone(), limit: args.count, after: None, cursor: None };
    if !args.follow {
        let got = list(client, &query).await?;
        let text = if got.value.items.is_empty() { String::new() } else { table(&got.value.items, paint) };
        let note = if got.value.items.is_empty() { "nothing happened\n" } else { "" };
        return Ok(Report::new(text, got.raw).note(note));
    }
    let json = global.output == Output::Json;
    let Err(failure) = follow(client, &query, |heard| match heard {
        Heard::Event(event) => say(&line(event, json, paint)),
        Heard::Gap => {
            let _ = writeln!(std::io::stderr().lock(), "some events are missing: they were forgotten before they could be read");
        }
    })
    .await;
    Err(failure)
}

/// What is heard of.
pub enum Heard<'a> {
    /// Something happened.
    Event(&'a Value),
    /// Some events are missing: they were forgotten before they could be read.
    Gap,
}

/// Tells of what `query` lists, and then goes on with what happens, each once, also over a server that restarts; ends when the server refuses.
pub async fn follow(client: &Client, query: &EventQuery, mut heard: impl FnMut(Heard<'_>)) -> Result<Infallible, Failure> {
    let live = EventQuery { since: None, limit: None, ..query.clone() };
    // The stream first, the list then: what happens in between is on both, and told once.
    let mut stream = Blocks::open(client, &live, None).await?;
    let mut seen = stream.position().await?;
    let listed = list(client, query).await?.value.items;
    listed.iter().for_each(|event| heard(Heard::Event(event)));
    let mut told = listed.last().and_then(sequence).unwrap_or(0);
    loop {
        let ended = loop {
            let block = match stream.next().await {
                Ok(Some(block)) => block,
                Ok(None) => break None,
                Err(failure) => break Some(failure),
            };
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            seen = field("id:").and_then(|id| id.parse().ok()).or(seen);
            if field("event:") == Some("reset") {
                heard(Heard::Gap);
                told = 0;
            } else if let Some(event) = field("data:").and_then(|data| serde_json::from_str::<Value>(data).ok())
                && sequence(&event).is_none_or(|sequence| told < sequence)
            {
                heard(Heard::Event(&event));
                told = sequence(&event).unwrap_or(told);
            }
        };
        // The server cut the stream, or is starting again: nothing is lost, it takes up from its ring.
        stream = match ended {
            None | Some(Failure::Unreachable { .. }) => loop {
                tokio::time::sleep(RECONNECT).await;
                match Blocks::open(client, &live, seen).await {
                    Ok(stream) => break stream,
                    Err(Failure::Unreachable { .. }) => (),
                    Err(failure) => return Err(failure),
                }
            },
            Some(failure) => return Err(failure),
        };
    }
}

/// Without a count everything since then; page by page.
async fn list(client: &Client, query: &EventQuery) -> Result<Got<List<Value>>, Failure> {
    let mut got: Got<List<Value>> = client.get_query(&["events"], query).await?;
    while let (None, Some(cursor)) = (query.limit, got.value.next_cursor.take()) {
        let more: Got<List<Value>> = client.get_query(&["events"], &EventQuery { cursor: Some(cursor), ..query.clone() }).await?;
        if let Some(all) = got.raw["items"].as_array_mut() {
            all.extend(more.value.items.iter().cloned());
        }
        got.raw["next_cursor"] = Value::Null;
        got.value.items.extend(more.value.items);
        got.value.next_cursor = more.value.next_cursor;
    }
    Ok(got)
}

/// A stream of events, block by block.
struct Blocks<'a> {
    stream: Stream<'a>,
    rest: Vec<u8>,
}

impl<'a> Blocks<'a> {
    async fn open(client: &'a Client, query: &EventQuery, seen: Option<u64>) -> Result<Self, Failure> {
        Ok(Self { stream: client.stream(&["events", "stream"], query, seen).await?, rest: Vec::new() })
    }

    /// `None`: it has ended.
    async fn next(&mut self) -> Result<Option<String>, Failure> {
        loop {
            if let Some(end) = self.rest.windows(2).position(|pair| pair == b"\n\n") {
                return Ok(Some(String::from_utf8_lossy(&self.rest.drain(..end + 2).collect::<Vec<u8>>()).into_owned()));
            }
            match self.stream.next().await? {
                Some(piece) => self.rest.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }

    /// Where the stream is: it says so before it tells of anything new.
    async fn position(&mut self) -> Result<Option<u64>, Failure> {
        while let Some(block) = self.next().await? {
            if let Some(id) = block.lines().find_map(|line| line.strip_prefix("id:")) {
                return Ok(id.trim().parse().ok());
            }
        }
        Ok(None)
    }
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
