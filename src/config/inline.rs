//! One monitor that stands in no file: given to the API or on the command line, for a probe without effect.
//!
//! The way is the file's, so that a key means the same; but only keys that are harmless in a stranger's hand: none that reads a file or starts a program.

use std::path::Path;

use serde_json::{Map, Value};

use crate::model::{Estate, Monitor};
use crate::zone::Source;

use super::check::inline_monitor;
use super::file;
use super::problem::{Problems, Route, Sink};
use super::read::Read;
use super::syntax;

/// Keys that may be given. All others are the file's alone.
const KEYS: [&str; 22] = [
    "url",
    "tcp",
    "tls",
    "dns",
    "grpc",
    "icmp",
    "port",
    "rcode",
    "address",
    "send",
    "expect",
    "http",
    "method",
    "user_agent",
    "body",
    "body_regex",
    "json",
    "status",
    "headers",
    "host",
    "sni",
    "verify",
];
const MORE_KEYS: [&str; 3] = ["expires_within", "expiry_down", "timeout"];

/// What the keys of a `[monitor.NAME]` mean, or every problem, one sentence each. Never reads a file.
pub fn monitor(keys: &Map<String, Value>) -> Result<Monitor, Vec<String>> {
    let mut refused = Vec::new();
    let known = || KEYS.iter().chain(&MORE_KEYS).copied();
    for (key, value) in keys {
        if !known().any(|known| known == key) {
            refused.push(format!("`{}` can't be given here: it stands in a monitor of the file alone, or is no key", key.escape_debug()));
        } else if key == "headers" && value.as_object().is_some_and(|headers| headers.values().any(Value::is_object)) {
            refused.push("a header from a file can't be given here: it stands in a monitor of the file alone".to_string());
        }
    }
    if !refused.is_empty() {
        return Err(refused);
    }
    let mut text = "schema = 1\n[monitor.probe]\ninterval = \"1day\"\n".to_string();
    for (key, value) in keys {
        text.push_str(&format!("{} = {}\n", Value::from(key.as_str()), toml_text(value)));
    }
    let name = Path::new("monitor");
    let mut sink = Sink::new(Source::new(name, &text));
    let mut repaired = String::new();
    let table = syntax::parse(&text, &mut repaired, &mut sink);
    let span = table.span();
    let value = toml::Spanned::new(span, toml::de::DeValue::Table(table.into_inner()));
    let file = file::File::read(value, &Route::Top, &mut sink).unwrap_or_default();
    let mut estate = Estate::default();
    inline_monitor(file, &mut estate, &mut sink);
    let problems = Problems(std::mem::take(&mut sink.problems));
    match estate.monitors.pop() {
        Some(monitor) if problems.0.is_empty() => Ok(monitor),
        _ => Err(problems.0.iter().map(|problem| sentence(&problem.to_string())).collect()),
    }
}

/// Without the place in a text that nobody has written.
fn sentence(problem: &str) -> String {
    problem.rsplit_once("monitor.probe.").map_or(problem, |(_, sentence)| sentence).to_string()
}

/// JSON as TOML: texts and numbers look the same, tables differ.
fn toml_text(value: &Value) -> String {
    match value {
        Value::Object(table) => {
            let pairs: Vec<String> = table.iter().map(|(key, value)| format!("{} = {}", Value::from(key.as_str()), toml_text(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(toml_text).collect::<Vec<_>>().join(", ")),
        // There is no nothing in TOML; said as a text, it is refused by whoever reads it.
        Value::Null => "\"null\"".to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Monitor, Vec<String>> {
        monitor(serde_json::from_str::<Value>(text).unwrap().as_object().unwrap())
    }

    #[test]
    fn a_monitor_means_what_it_means_in_the_file() {
        let given =
            read(r#"{"url": "http://{address}:8080/ready?x=1", "status": ["200", "204-206"], "headers": {"Accept": "text/plain"}, "timeout": "20s"}"#).unwrap();
        assert_eq!((given.check.port(), given.timeout.as_secs()), (8080, 20));
        assert_eq!(read(r#"{"tcp": 3306}"#).unwrap().check.port(), 3306);
    }

    #[test]
    fn keys_that_read_files_or_start_programs_are_refused() {
        for text in [
            r#"{"tls": 443, "sni": "a.example", "ca": "/etc/shadow"}"#,
            r#"{"tls": 443, "cert": "/a", "key": "/b"}"#,
            r#"{"exec": ["/bin/sh"]}"#,
            r#"{"url": "http://{address}/", "headers": {"X": {"file": "/etc/shadow"}}}"#,
            r#"{"tcp": 1, "source": "192.0.2.1"}"#,
            r#"{"tcp": 1, "ca\"]\n[monitor.x]\nca": "/a"}"#,
        ] {
            assert!(read(text).unwrap_err()[0].contains("can't be given here"), "{text}");
        }
    }

    #[test]
    fn problems_are_told_as_for_the_file() {
        assert!(read(r#"{"tcp": 0}"#).unwrap_err()[0].contains("out of range"));
        assert!(read("{}").unwrap_err()[0].contains("nothing to check"));
        assert!(!read(r#"{"tcp": null}"#).unwrap_err().is_empty());
        assert!(!read(r#"{"tcp": "x\"\n[store]\npath=\"/\""}"#).unwrap_err().is_empty());
    }
}
