//! `[audit]` and `[webhook.NAME]`: what is kept of what happened, and who is told.
//!
//! Secrets are looked at here and shown to nobody; so is a receiver's URL, which is one for many.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::file::{Audit, WebhookTable};
use crate::config::problem::Sink;
use crate::config::read::{At, Entry, Key, Named};
use crate::model::{AuditSettings, Secret, Webhook, WebhookTemplate};

use super::keys::{is_public, read_secret};
use super::{check_name, number};

/// The least that keeps the entries of a busy day.
const KEEP_MIN: Duration = Duration::from_secs(86_400);
/// Standard Webhooks, "Symmetric signatures": 24 to 64 octets.
const SECRET_OCTETS: std::ops::RangeInclusive<usize> = 24..=64;
/// Receivers: each has a queue of its own.
const WEBHOOKS_MAX: usize = 32;

pub(super) fn audit(table: Key<Audit>, sink: &mut Sink<'_>) -> AuditSettings {
    let Audit { keep, entries_max } = table.or_default();
    let default = AuditSettings::default();
    if let Some(short) = keep.get().filter(|keep| keep.value < KEEP_MIN) {
        sink.problem(&short.span, "audit.keep", "less than a day", "\"400d\" by default: what was changed a year ago is still asked for");
    }
    let most = number(&entries_max, 100..=1_000_000, default.entries_max as i64, "audit.entries_max", sink);
    AuditSettings { keep: keep.or(default.keep), entries_max: usize::try_from(most).unwrap_or(default.entries_max) }
}

pub(super) fn webhooks(tables: Named<WebhookTable>, folder: &Path, files: &mut Vec<PathBuf>, sink: &mut Sink<'_>) -> Vec<Webhook> {
    let mut checked: Vec<Webhook> = Vec::new();
    for Entry { name, span, value: WebhookTable { url, secret_file, events, template } } in tables.0 {
        let path = format!("webhook.{name}");
        check_name(&name, &span, "webhook", sink);
        if checked.len() == WEBHOOKS_MAX {
            sink.problem(&span, &path, format!("more than {WEBHOOKS_MAX} webhooks"), "let one receiver pass messages on");
            break;
        }
        let url = match url {
            Key::Is(At { value, span }) => match sound(&value) {
                Ok(()) => Some(Secret::new(value)),
                Err(why) => {
                    sink.problem(&span, format_args!("{path}.url"), why, "such as \"https://hooks.example.com/windrose\"");
                    None
                }
            },
            Key::Absent => {
                sink.missing(&span, &path, "`url` is missing", "add url = \"https://…\": where messages are to be sent");
                None
            }
            Key::Unreadable => None,
        };
        let secret = match secret_file {
            Key::Is(At { value, span }) => {
                let file = folder.join(&value);
                files.push(file.clone());
                let at = format!("{path}.secret_file");
                let help = "one line, whsec_ and base64 of 24 to 64 octets; make one with: echo whsec_$(openssl rand -base64 32)";
                match read_secret(&file).and_then(|text| octets(&text)) {
                    Ok(octets) => {
                        if is_public(&file) {
                            sink.warning(&span, &at, format!("everybody on this host can read `{value}`"), format!("chmod o= {value}"));
                        }
                        Some(Secret::new(octets))
                    }
                    Err(why) => {
                        sink.problem(&span, &at, format!("`{}` {why}", file.display()), help);
                        None
                    }
                }
            }
            Key::Absent | Key::Unreadable => None,
        };
        let globs: Vec<String> = match events {
            Key::Absent => vec!["*".to_string()],
            Key::Unreadable => Vec::new(),
            Key::Is(At { value, span }) => {
                let globs: Vec<Key<String>> = value.0;
                let mut seen = BTreeSet::new();
                let at = format!("{path}.events");
                for At { value, span } in globs.iter().filter_map(Key::get) {
                    let plain = value.bytes().all(|octet| octet.is_ascii_lowercase() || b"._*".contains(&octet));
                    if value.is_empty() || !plain {
                        let help = "such as \"failover.*\", \"*.down\" or \"*\"; docs/events.md lists all types";
                        sink.problem(span, &at, format!("`{}` is no pattern of event types", value.escape_debug()), help);
                    } else if !seen.insert(value.clone()) {
                        sink.problem(span, &at, format!("`{value}` stands twice"), "remove one");
                    }
                }
                if globs.is_empty() {
                    sink.problem(&span, &at, "no events: it would never be told anything", "leave the key away for all of them");
                }
                seen.into_iter().collect()
            }
        };
        let template = match template {
            Key::Is(At { value, span }) => {
                let known = WebhookTemplate::ALL;
                let found = known.into_iter().find(|template| template.word() == value);
                if found.is_none() {
                    let help = sink.suggestion(&value, known.into_iter().map(WebhookTemplate::word), "there are json, slack and alertmanager");
                    sink.problem(&span, format_args!("{path}.template"), format!("`{}` is not a template", value.escape_debug()), help);
                }
                found.unwrap_or_default()
            }
            Key::Absent | Key::Unreadable => WebhookTemplate::default(),
        };
        if let Some(url) = url {
            checked.push(Webhook { name: name.as_str().into(), url, secret, events: globs, template });
        }
    }
    checked
}

/// `http(s)://host…`, without a name and password.
fn sound(url: &str) -> Result<(), &'static str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).ok_or("not a URL that begins with https:// or http://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority {
        "" => Err("a URL without a host"),
        authority if authority.contains('@') => Err("a user name in the URL is not supported; receivers verify the signature instead"),
        _ if !url.bytes().all(|octet| octet.is_ascii_graphic()) => Err("a URL with a character that must be written as %XX"),
        _ => Ok(()),
    }
}

/// What a secret's text stands for.
fn octets(text: &str) -> Result<Vec<u8>, String> {
    let text = text.trim();
    let octets = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).map_err(|_| "is not whsec_ and base64".to_string())?;
    if SECRET_OCTETS.contains(&octets.len()) { Ok(octets) } else { Err(format!("holds {} octets, and needs 24 to 64", octets.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_as_the_standard_says() {
        assert_eq!(octets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap().len(), 24);
        assert_eq!(octets("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap().len(), 24);
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "not base64!"] {
            assert!(octets(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_page_on_events_shows_a_table_that_is_right() {
        let page = include_str!("../../../docs/events.md");
        let shown = page.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ops.secret"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let service = "[monitor.m]\nalways = \"up\"\n[pool.a]\nmonitor = \"m\"\nendpoints = [\"192.0.2.1\"]\n";
        let loaded = crate::config::load_text(&format!("schema = 1\n{service}{shown}"), &folder.path().join("windrose.toml")).unwrap();
        let [webhook] = loaded.estate.webhooks.as_slice() else { panic!("one webhook") };
        assert!(webhook.wants("failover.started") && webhook.wants("region.down") && !webhook.wants("traffic.changed"));
        assert!(webhook.secret.is_some() && !format!("{webhook:?}").contains("hooks.example.com"));
    }

    #[test]
    fn every_problem_of_a_webhook_is_told() {
        let text = "schema = 1\n[webhook.a]\nurl = \"ftp://x\"\nsecret_file = \"missing\"\nevents = [\"Failover\", \"a.*\", \"a.*\"]\ntemplate = \"slak\"\n[webhook.b]\nevents = []\n[audit]\nkeep = \"1h\"\nentries_max = 1\n";
        let told = crate::config::load_text(text, Path::new("windrose.toml")).unwrap_err().to_string();
        for part in [
            "3:7: webhook.a.url: not a URL",
            "4:15: webhook.a.secret_file:",
            "webhook.a.events: `Failover` is no pattern",
            "webhook.a.events: `a.*` stands twice",
            "6:12: webhook.a.template: `slak` is not a template",
            "did you mean `slack`?",
            "webhook.b: `url` is missing",
            "webhook.b.events: no events",
            "audit.keep: less than a day",
            "audit.entries_max: 1 is out of range",
        ] {
            assert!(told.contains(part), "{part} is missing:\n{told}");
        }
    }

    #[test]
    fn urls_are_absolute_and_name_nobody() {
        for (url, fine) in [
            ("https://hooks.example.com/a?b=c", true),
            ("http://127.0.0.1:9093/api/v2/alerts", true),
            ("ftp://x", false),
            ("https://", false),
            ("https://user:secret@hooks.example.com/", false),
            ("https://hooks.example.com/ä", false),
            ("hooks.example.com", false),
        ] {
            assert_eq!(sound(url).is_ok(), fine, "{url}");
        }
    }
}
