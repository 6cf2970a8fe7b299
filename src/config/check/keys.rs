//! `[key.NAME]` and the `secondaries` of zones: who may transfer, and with which secret.
//!
//! A secret is looked at here and goes into a [`TsigKey`], which shows it to nobody. Problems with a secret point at the header of its table,
//! because a problem shows the line that it points at.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::file::{Secondary as Table, SecondaryTable, TsigKeyTable};
use crate::config::problem::Sink;
use crate::config::read::{At, Entry, Key, Named};
use crate::model::{Estate, Secondary};
use crate::wire::Name;
use crate::wire::tsig::{Algorithm, TsigKey};

/// Where secondaries listen if nothing else is said.
const PORT: u16 = 53;
/// Shorter secrets can be guessed (RFC 8945, section 8: at least as long as the MAC; this is the least that anybody should have).
const SECRET_OCTETS_MIN: usize = 16;
/// A file with more is no secret.
const SECRET_FILE_OCTETS_MAX: u64 = 4096;

/// Keys by name; `None`: it has problems of its own.
pub(super) type Keys = HashMap<Name, Option<Arc<TsigKey>>>;

/// The keys, which go into the estate.
pub(super) fn check(tables: Named<TsigKeyTable>, folder: &Path, estate: &mut Estate, files: &mut Vec<PathBuf>, sink: &mut Sink<'_>) -> Keys {
    let mut keys = Keys::new();
    for Entry { name: text, span, value: TsigKeyTable { algorithm, secret, secret_file } } in tables.0 {
        let path = format!("key.{text:?}");
        let name = match Name::parse(&text) {
            Ok(name) if name != Name::root() => name,
            Ok(_) => {
                sink.problem(&span, &path, "a key needs a name", "both servers must call it the same: [key.\"ns1-ns2.example.com\"]");
                continue;
            }
            Err(why) => {
                sink.problem(&span, &path, format!("`{text}` {why}"), "a key is named like a domain: [key.\"ns1-ns2.example.com\"]");
                continue;
            }
        };
        if keys.contains_key(&name) {
            sink.problem(&span, &path, format!("key `{name}` stands twice"), "names of keys have no case");
            continue;
        }
        let algorithm = match &algorithm {
            Key::Absent => Some(Algorithm::default()),
            Key::Unreadable => None,
            Key::Is(At { value, span }) => {
                let known = Algorithm::ALL.map(Algorithm::word);
                let found = Algorithm::parse(value);
                if found.is_none() {
                    let help = sink.suggestion(value, known.into_iter(), format!("there are {}", known.join(", ")));
                    sink.problem(span, format_args!("{path}.algorithm"), format!("`{value}` is not an algorithm for keys"), help);
                }
                found
            }
        };
        let secret = secret_of(&span, &path, (secret, secret_file), folder, files, sink);
        let key = algorithm.zip(secret).map(|(algorithm, secret)| Arc::new(TsigKey::new(name.clone(), algorithm, &secret)));
        estate.keys.extend(key.clone());
        keys.insert(name, key);
    }
    keys
}

/// The secret's octets.
fn secret_of(
    span: &Range<usize>,
    path: &str,
    (secret, file): (Key<crate::config::read::Secret>, Key<String>),
    folder: &Path,
    files: &mut Vec<PathBuf>,
    sink: &mut Sink<'_>,
) -> Option<Vec<u8>> {
    let (text, from) = match (secret, file) {
        (Key::Is(_), Key::Is(_) | Key::Unreadable) => {
            sink.problem(span, path, "`secret` and `secret_file` exclude each other", "keep the file: this one is read by more people");
            return None;
        }
        (Key::Is(At { value, .. }), Key::Absent) => (value.0, "secret".to_string()),
        (Key::Absent, Key::Is(At { value, span })) => {
            let file = folder.join(&value);
            files.push(file.clone());
            match read_secret(&file) {
                Ok(text) => {
                    if is_public(&file) {
                        sink.warning(
                            &span,
                            format_args!("{path}.secret_file"),
                            format!("everybody on this host can read `{value}`"),
                            format!("chmod o= {value}"),
                        );
                    }
                    (text, format!("`{value}`"))
                }
                Err(why) => {
                    let help = "a path is relative to this file; the user that runs windrose must be allowed to read it";
                    sink.problem(&span, format_args!("{path}.secret_file"), format!("`{}` {why}", file.display()), help);
                    return None;
                }
            }
        }
        (Key::Absent, Key::Absent) => {
            let help = "add secret_file = \"transfer.key\" (a file with the secret in base64), or secret = \"…\"; make one with: openssl rand -base64 32";
            sink.missing(span, path, "`secret` or `secret_file` is missing", help);
            return None;
        }
        (Key::Unreadable, _) | (_, Key::Unreadable) => return None,
    };
    let help = "the secret in base64 as other DNS servers have it; make one with: openssl rand -base64 32";
    let Ok(octets) = STANDARD.decode(text.trim()) else {
        sink.problem(span, format_args!("{path}.secret"), format!("{from} is not base64"), help);
        return None;
    };
    if octets.len() < SECRET_OCTETS_MIN {
        sink.problem(
            span,
            format_args!("{path}.secret"),
            format!("{from} has {} octets, of which {SECRET_OCTETS_MIN} are the least that can't be guessed", octets.len()),
            help,
        );
        return None;
    }
    Some(octets)
}

pub(super) fn read_secret(file: &Path) -> Result<String, String> {
    let length = std::fs::metadata(file).map_err(|why| format!("can't be read: {why}"))?.len();
    if length > SECRET_FILE_OCTETS_MAX {
        return Err("is too long for a secret: it holds that and nothing else".to_string());
    }
    std::fs::read_to_string(file).map_err(|why| format!("can't be read: {why}"))
}

/// Whether everybody on this host may read a file.
#[cfg(unix)]
pub(super) fn is_public(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|about| about.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
pub(super) fn is_public(_file: &Path) -> bool {
    false
}

/// `secondaries` of a zone.
pub(super) fn secondaries(found: Vec<Key<Table>>, zone: &str, keys: &Keys, sink: &mut Sink<'_>) -> Vec<Secondary> {
    let mut checked: Vec<Secondary> = Vec::new();
    for (index, secondary) in found.into_iter().enumerate() {
        let at = format!("{zone}.secondaries[{index}]");
        let Key::Is(At { value: Table(SecondaryTable { address, key }), span }) = secondary else { continue };
        let address = match address {
            Key::Is(At { value, span }) => address_of(&value, &span, &at, sink),
            Key::Absent => {
                sink.problem(&span, &at, "`address` is missing", "{ address = \"192.0.2.53\", key = \"NAME\" }");
                None
            }
            Key::Unreadable => None,
        };
        let key = match key {
            Key::Absent => Some(None),
            Key::Unreadable => None,
            Key::Is(At { value, span }) => named(&value, &span, &at, keys, sink).map(Some),
        };
        let Some(address) = address else { continue };
        if checked.iter().any(|other| other.address == address) {
            sink.problem(&span, &at, format!("`{address}` stands twice"), "remove one");
        }
        if let Some(key) = key {
            checked.push(Secondary { address, key });
        }
    }
    checked
}

/// `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53`, `[2001:db8::53]:5353`.
fn address_of(text: &str, span: &Range<usize>, at: &str, sink: &mut Sink<'_>) -> Option<SocketAddr> {
    let parsed = text.parse::<SocketAddr>().ok().or_else(|| text.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, PORT)));
    match parsed {
        Some(address) if address.ip().is_unspecified() || address.port() == 0 => {
            sink.problem(span, format_args!("{at}.address"), format!("`{text}` is nobody's address"), "write the address of the secondary server");
            None
        }
        Some(address) => Some(address),
        None => {
            let help = "write it like \"192.0.2.53\", \"192.0.2.53:5353\" or \"[2001:db8::53]:5353\"; host names don't belong here";
            sink.problem(span, format_args!("{at}.address"), format!("`{text}` is not an IP address"), help);
            None
        }
    }
}

fn named(text: &str, span: &Range<usize>, at: &str, keys: &Keys, sink: &mut Sink<'_>) -> Option<Arc<TsigKey>> {
    match Name::parse(text).ok().and_then(|name| keys.get(&name)) {
        Some(key) => key.clone(),
        None => {
            let names: Vec<String> = keys.keys().map(ToString::to_string).collect();
            let all = format!("add [key.{text:?}] with secret_file = \"…\"");
            let help = sink.suggestion(text, names.iter().map(String::as_str), all);
            sink.problem(span, format_args!("{at}.key"), format!("there is no key `{text}`"), help);
            None
        }
    }
}
