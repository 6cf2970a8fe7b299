//! `reveal`, `[dns.cookies]` and `[dns.rate_limit]`: what shapes responses.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;

use crate::config::file::{Cookies, Dns, Node, RateLimit as Table};
use crate::config::problem::Sink;
use crate::config::read::{Key, OneOrMany};
use crate::model::{AnswerSettings, CookieSecret, CookieSettings, RateLimit, did_you_mean};

use super::number;
use super::settings::host_name;

/// What can be revealed.
const REVEALED: [&str; 4] = ["nsid", "id", "version", "config"];
/// Secrets that a file may hold: the one in use, the one before, the next.
const SECRETS_MAX: usize = 4;
/// A second's worth of responses is the burst; beyond this nothing is ever limited.
const PER_SECOND_MAX: i64 = 1_000_000;

pub(super) fn check(node: &Key<Node>, dns: &Key<Dns>, folder: &Path, files: &mut Vec<PathBuf>, sink: &mut Sink<'_>) -> AnswerSettings {
    let named = node.get().and_then(|node| node.value.name.get()).map(|name| name.value.clone());
    let Some(dns) = dns.get().map(|dns| &dns.value) else {
        return AnswerSettings { nsid: named.map(Arc::from), rate_limit: Some(RateLimit::default()), ..AnswerSettings::default() };
    };
    // A name that somebody wrote is meant to be seen; the host's own name is not.
    let mut revealed = if named.is_some() && dns.reveal.is_absent() { vec!["nsid"] } else { Vec::new() };
    for (index, word) in dns.reveal.get().map(|reveal| &reveal.value.0[..]).unwrap_or_default().iter().enumerate() {
        let Some(word) = word.get() else { continue };
        match REVEALED.into_iter().find(|known| *known == word.value) {
            Some(known) => revealed.push(known),
            None => {
                let help = did_you_mean(&word.value, REVEALED.into_iter())
                    .map_or_else(|| "one of \"nsid\", \"id\", \"version\", \"config\"".to_string(), |near| format!("did you mean \"{near}\"?"));
                sink.problem(&word.span, format_args!("dns.reveal[{index}]"), format!("`{}` can't be revealed", word.value), help);
            }
        }
    }
    let name: Arc<str> = named.unwrap_or_else(host_name).into();
    let reveals = |word: &str| revealed.contains(&word);
    AnswerSettings {
        nsid: reveals("nsid").then(|| name.clone()),
        id: reveals("id").then_some(name),
        version: reveals("version").then(|| concat!("windrose ", env!("CARGO_PKG_VERSION")).into()),
        // The hash is known when every file is read.
        config: reveals("config").then(|| Arc::from("")),
        explain: networks(&dns.explain, "dns.explain", sink).unwrap_or_default(),
        cookies: check_cookies(&dns.cookies, folder, files, sink),
        rate_limit: check_rate_limit(&dns.rate_limit, sink),
    }
}

fn check_cookies(cookies: &Key<Cookies>, folder: &Path, files: &mut Vec<PathBuf>, sink: &mut Sink<'_>) -> CookieSettings {
    let Some(Cookies { secret_file, required }) = cookies.get().map(|cookies| &cookies.value) else { return CookieSettings::default() };
    let mut secrets = Vec::new();
    if let Some(file) = secret_file.get() {
        let path = folder.join(&file.value);
        match std::fs::read_to_string(&path) {
            Ok(text) => match read_secrets(&text) {
                Ok(found) => secrets = found,
                Err(why) => sink.problem(
                    &file.span,
                    "dns.cookies.secret_file",
                    format!("`{}`: {why}", path.display()),
                    "each line is one secret of 32 hex digits (openssl rand -hex 16), the one in use first; all nodes behind one address share the file",
                ),
            },
            Err(why) => sink.problem(
                &file.span,
                "dns.cookies.secret_file",
                format!("`{}` can't be read: {why}", path.display()),
                "a path is relative to this file; the user that runs windrose must be allowed to read it",
            ),
        }
        files.push(path);
    }
    CookieSettings { secrets, required: required.get().is_some_and(|required| required.value) }
}

/// One secret a line; what a line says is never told.
fn read_secrets(text: &str) -> Result<Vec<CookieSecret>, String> {
    let lines = text.lines().zip(1..).map(|(line, number)| (line.trim(), number)).filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let secrets = lines.map(|(line, number)| secret(line).ok_or_else(|| format!("line {number} is not 32 hex digits"))).collect::<Result<Vec<_>, _>>()?;
    match secrets.len() {
        0 => Err("there is no secret in it".to_string()),
        1..=SECRETS_MAX => Ok(secrets),
        count => Err(format!("{count} secrets are more than {SECRETS_MAX}")),
    }
}

fn secret(line: &str) -> Option<CookieSecret> {
    let number = (line.len() == 32 && line.bytes().all(|digit| digit.is_ascii_hexdigit())).then(|| u128::from_str_radix(line, 16).ok())??;
    Some(CookieSecret(number.to_be_bytes()))
}

fn check_rate_limit(table: &Key<Table>, sink: &mut Sink<'_>) -> Option<RateLimit> {
    let default = RateLimit::default();
    let Some(Table { per_second, slip, ipv4_prefix, ipv6_prefix, exempt }) = table.get().map(|table| &table.value) else { return Some(default) };
    let per_second = number(per_second, 0..=PER_SECOND_MAX, default.per_second.into(), "dns.rate_limit.per_second", sink);
    let slip = number(slip, 0..=10, default.slip.into(), "dns.rate_limit.slip", sink);
    let ipv4_prefix = number(ipv4_prefix, 8..=32, default.ipv4_prefix.into(), "dns.rate_limit.ipv4_prefix", sink);
    let ipv6_prefix = number(ipv6_prefix, 16..=64, default.ipv6_prefix.into(), "dns.rate_limit.ipv6_prefix", sink);
    let exempt = networks(exempt, "dns.rate_limit.exempt", sink).unwrap_or(default.exempt);
    let small = |value: i64| u8::try_from(value).unwrap_or(u8::MAX);
    let limit = RateLimit {
        per_second: u32::try_from(per_second).unwrap_or(0),
        slip: u32::try_from(slip).unwrap_or(0),
        ipv4_prefix: small(ipv4_prefix),
        ipv6_prefix: small(ipv6_prefix),
        exempt,
    };
    (limit.per_second > 0).then_some(limit)
}

/// A list of networks; `None`: there is no such key.
fn networks(list: &Key<OneOrMany<String>>, path: &str, sink: &mut Sink<'_>) -> Option<Vec<IpNet>> {
    let mut networks = Vec::new();
    for (index, network) in list.get()?.value.0.iter().enumerate() {
        let Some(text) = network.get() else { continue };
        match network_of(&text.value) {
            Some(network) => networks.push(network),
            None => sink.problem(
                &text.span,
                format_args!("{path}[{index}]"),
                format!("`{}` is not a network", text.value),
                "an address or a prefix: \"192.0.2.0/24\", \"2001:db8::/32\", \"::1\"",
            ),
        }
    }
    Some(networks)
}

fn network_of(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_lines_of_32_hex_digits() {
        let text = "# in use\n000102030405060708090a0b0c0d0e0f\n\n  FFffffffffffffffffffffffffffffff\r\n";
        assert_eq!(read_secrets(text).unwrap(), [CookieSecret(std::array::from_fn(|at| at as u8)), CookieSecret([255; 16])]);
        let bad = ["", "# none", "0001", "+00102030405060708090a0b0c0d0e0f", "00 102030405060708090a0b0c0d0e0f0"].map(|text| read_secrets(text).unwrap_err());
        assert_eq!(bad[2], "line 1 is not 32 hex digits", "and what it says is not told");
        assert_eq!(bad[0], "there is no secret in it");
        assert!(read_secrets(&format!("{}\n", "00".repeat(16)).repeat(5)).unwrap_err().contains("more than 4"));
        assert_eq!(format!("{:?}", CookieSecret([1; 16])), "CookieSecret(…)");
    }

    #[test]
    fn networks_are_prefixes_or_addresses() {
        assert_eq!(network_of("192.0.2.0/24"), "192.0.2.0/24".parse().ok());
        assert_eq!(network_of("::1"), "::1/128".parse().ok());
        assert_eq!(network_of("192.0.2"), None);
    }
}
