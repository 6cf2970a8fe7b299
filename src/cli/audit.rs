//! The audit: listed, exported as JSON lines, verified; an exported file proves itself without a server.

use std::path::Path;

use serde_json::{Value, json};

use crate::admin::api::{AuditHead, AuditPage};
use crate::control::{Anchor, Broken, Proved, verify};

use super::args::AuditCommand;
use super::client::{Client, Got};
use super::exit::{Exit, Failure};
use super::report::Report;
use super::table::{Cell, Grid, Paint, Tone};

/// What the first line of an exported file has.
const FORMAT: &str = "windrose_audit";

/// `windrose audit`
pub async fn run(client: Result<Client, Failure>, command: &AuditCommand, paint: Paint) -> Result<Report, Failure> {
    match command {
        AuditCommand::List { count } => list(&client?, *count, paint).await,
        AuditCommand::Export => {
            let whole = whole(&client?).await?;
            let lines = std::iter::once(whole.header()).chain(whole.lines.iter().cloned());
            Ok(Report::new(lines.map(|line| format!("{line}\n")).collect::<String>(), json!({ "header": whole.header_value(), "items": whole.values() })))
        }
        AuditCommand::Verify { file, head } => {
            let whole = match file {
                Some(file) => read(file)?,
                None => whole(&client?).await?,
            };
            Ok(verdict(&whole, head.as_deref()))
        }
    }
}

/// All of the audit.
struct Whole {
    lines: Vec<String>,
    anchor: Option<AuditHead>,
    /// The end as the server knew it.
    head: Option<AuditHead>,
}

impl Whole {
    fn header_value(&self) -> Value {
        json!({ FORMAT: 1, "anchor": self.anchor, "head": self.head })
    }

    fn header(&self) -> String {
        self.header_value().to_string()
    }

    fn values(&self) -> Vec<Value> {
        self.lines.iter().map(|line| serde_json::from_str(line).unwrap_or(Value::String(line.clone()))).collect()
    }
}

async fn list(client: &Client, count: usize, paint: Paint) -> Result<Report, Failure> {
    let got: Got<AuditPage> = client.get(&["audit"], &[("limit", &count.to_string())]).await?;
    let mut grid = Grid::new(&[">N", "TIME", "WHO", "FROM", "WHAT", "ON", "WHY"]);
    for entry in &got.value.items {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
        let denied = text("outcome") == "denied";
        let verb = match (denied, entry.get("status").and_then(Value::as_u64)) {
            (true, Some(status)) => format!("✖ {status} {}", text("call").split(' ').next().unwrap_or_default()),
            (true, None) => "✖ denied".to_string(),
            _ => text("verb"),
        };
        let why = if text("reason").is_empty() { text("detail") } else { text("reason") };
        let number = entry.get("number").map_or("?".to_string(), Value::to_string);
        let what = Cell::toned(if denied { Tone::Warn } else { Tone::Plain }, verb);
        grid.row(vec![number.into(), text("at").into(), text("actor").into(), text("peer").into(), what, text("subject").into(), why.into()]);
    }
    let (text, note) = if grid.is_empty() { (String::new(), "the audit has no entries\n") } else { (grid.render(paint), "") };
    Ok(Report::new(text, got.raw).note(note))
}

async fn whole(client: &Client) -> Result<Whole, Failure> {
    let mut whole = Whole { lines: Vec::new(), anchor: None, head: None };
    let mut cursor: Option<String> = None;
    loop {
        let begin = [("after", "0"), ("limit", "1000")];
        let query: Vec<(&str, &str)> = begin.into_iter().chain(cursor.as_deref().map(|cursor| ("cursor", cursor))).collect();
        let got: Got<AuditPage> = client.get(&["audit"], &query).await?;
        let AuditPage { items, next_cursor, head, anchor } = got.value;
        if whole.lines.is_empty() {
            whole.anchor = anchor;
        }
        whole.head = head;
        whole.lines.extend(items.iter().map(|item| if let Value::String(damaged) = item { damaged.clone() } else { item.to_string() }));
        match next_cursor {
            Some(next) if Some(&next) != cursor.as_ref() && !items.is_empty() => cursor = Some(next),
            _ => return Ok(whole),
        }
    }
}

/// An exported file.
fn read(file: &Path) -> Result<Whole, Failure> {
    let problem = |why: String| Failure::local(Exit::Usage, format!("{}: {why}", file.display()));
    let octets = std::fs::read(file).map_err(|error| problem(format!("can't be read: {error}")))?;
    let text = String::from_utf8_lossy(&octets);
    let mut lines = text.lines();
    let header: Value = lines.next().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    if header.get(FORMAT) != Some(&json!(1)) {
        return Err(problem("not an exported audit: its first line must say \"windrose_audit\": 1".to_string())
            .hint("make one with: windrose audit export > audit.jsonl"));
    }
    let place = |key: &str| serde_json::from_value(header.get(key).cloned().unwrap_or_default()).map_err(|error| problem(format!("{key}: {error}")));
    Ok(Whole { lines: lines.map(str::to_string).collect(), anchor: place("anchor")?, head: place("head")? })
}

/// `noted`: the hash of an entry that somebody wrote down elsewhere.
fn verdict(whole: &Whole, noted: Option<&str>) -> Report {
    let anchor = whole.anchor.as_ref().map(|anchor| Anchor { number: anchor.number, hash: anchor.hash.clone() });
    let broken = |number: u64, why: String| {
        let raw = json!({ "whole": false, "entry": number, "why": why });
        Report::new("", raw).note(format!("✖ the audit is broken at entry {number}: {why}\n")).condition(true)
    };
    let proved = match verify(anchor.as_ref(), whole.lines.iter().map(String::as_str)) {
        Ok(proved) => proved,
        Err(Broken { number, why, .. }) => return broken(number, why),
    };
    let Proved { range, hash } = proved;
    let last = range.map_or(anchor.as_ref().map_or(0, |anchor| anchor.number), |(_, last)| last);
    if let Some(head) = whole.head.as_ref().filter(|head| last < head.number || last == head.number && head.hash != hash) {
        return broken(last + 1, format!("entries end at {last}, and the server knows {} of them: the end is missing or was replaced", head.number));
    }
    if let Some(noted) = noted.filter(|noted| !whole.lines.iter().any(|line| line.contains(*noted))) {
        return broken(0, format!("no entry has the hash {noted}: the chain was written anew, or the entry was cut off"));
    }
    let raw = json!({ "whole": true, "first": range.map(|(first, _)| first), "last": range.map(|(_, last)| last), "hash": hash });
    match range {
        Some((first, last)) => Report::new(format!("✔ entries {first} to {last} are as they were written\nlast hash {hash}\n"), raw),
        None => Report::new("✔ there are no entries\n", raw),
    }
}
