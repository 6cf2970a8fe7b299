//! `url = "http://…"`: what is asked over HTTP, and what the response must look like.

use crate::config::file::Monitor as Table;
use crate::config::problem::Sink;
use crate::config::read::{At, Entry, HeaderValue, Key, Named, OneOrMany};
use crate::model::{Header, HttpCheck, HttpVersion, JsonTest, Method, Pattern, Scheme, Secret, TlsTerms};

use super::super::keys::{is_public, read_secret};
use super::outcomes::outcomes;
use super::url::{Url, host_name};
use super::{Context, refuse_beside, tls};

pub(super) fn http(table: &Table, path: &str, cx: &mut Context<'_>, sink: &mut Sink<'_>) -> HttpCheck {
    let follows = table.redirects.get().is_some_and(|redirects| 0 < redirects.value);
    let Table { url, method, user_agent, body, body_regex, json, status, headers, host, sni, .. } = table;
    let mut parsed = Url { scheme: Scheme::Http, host: None, port: 80, path: "/".to_string() };
    if let Some(url) = url.get() {
        match Url::parse(&url.value) {
            Ok(url) => parsed = url,
            Err(why) => sink.problem(
                &url.span,
                format_args!("{path}.url"),
                why,
                "write it like \"http://{address}:8080/healthcheck\"; {address} stands for each endpoint's",
            ),
        }
        if parsed.scheme == Scheme::Http && !follows {
            refuse_beside("http://", &tls::keys(table), path, sink);
        }
        if parsed.scheme == Scheme::Https && parsed.host.is_none() && host.is_absent() && sni.is_absent() && tls::verifies_names(table) {
            let help = "add host = \"api.example.com\": the name that the certificate is for";
            sink.problem(&url.span, format_args!("{path}.url"), "https with {address} needs a host name to verify", help);
        }
    }
    if let Some(found) = host.get().filter(|found| !host_name(&found.value, true)) {
        let message = format!("`{}` is not a host name", found.value);
        sink.problem(&found.span, format_args!("{path}.host"), message, "write it like host = \"api.example.com\"");
    }
    let terms = match parsed.scheme {
        Scheme::Http if !follows => TlsTerms { sni: tls::name(table, path, sink), ..TlsTerms::default() },
        // A redirect may lead there.
        Scheme::Http | Scheme::Https => tls::terms(table, path, cx, sink),
    };
    let default_port = if parsed.scheme == Scheme::Https { 443 } else { 80 };
    let from_url = parsed.host.map(|name| if parsed.port == default_port { name } else { format!("{name}:{}", parsed.port) });
    let host = host.get().map(|host| host.value.clone()).or(from_url);
    // A port may stand in `Host`, never in a TLS server name.
    let name_alone = host.as_deref().and_then(|host| host.split_once(':')).map(|(name, _)| name.to_string());
    let method = check_method(method, table, path, sink);
    HttpCheck {
        scheme: parsed.scheme,
        port: parsed.port,
        path: parsed.path,
        host,
        version: check_version(table, parsed.scheme, path, sink),
        method,
        headers: check_headers(headers, user_agent, path, cx, sink),
        status: match status.get() {
            Some(status) => {
                if status.value.0.is_empty() {
                    sink.problem(&status.span, format_args!("{path}.status"), "no status passes", "[\"200-299\"] by default");
                }
                status.value.0.iter().filter_map(|range| range.get()).map(|range| range.value.0.clone()).collect()
            }
            None => vec![200..=299],
        },
        body: body.get().map(|body| {
            if body.value.is_empty() {
                sink.problem(&body.span, format_args!("{path}.body"), "every body contains nothing", "write the text to look for, or remove the key");
            }
            body.value.clone()
        }),
        body_regex: body_regex.get().and_then(|found| {
            Pattern::parse(&found.value)
                .map_err(|why| {
                    let help = "a regular expression without look-around and back references: it takes time linear in the body's length";
                    sink.problem(&found.span, format_args!("{path}.body_regex"), why, help);
                })
                .ok()
        }),
        json: check_json(json, path, sink),
        tls: TlsTerms { sni: terms.sni.or(name_alone), ..terms },
        outcomes: Box::new(outcomes(table, method, path, sink)),
    }
}

fn check_version(table: &Table, scheme: Scheme, path: &str, sink: &mut Sink<'_>) -> HttpVersion {
    let Some(found) = table.http.get() else { return HttpVersion::default() };
    let known = HttpVersion::ALL.into_iter().find(|version| version.word() == found.value);
    let at = format!("{path}.http");
    match known {
        None => sink.problem(&found.span, at, format!("`{}` is not a version of HTTP", found.value), "there are \"1.1\", \"2\" and \"auto\""),
        Some(HttpVersion::Two | HttpVersion::Auto) if scheme == Scheme::Http => {
            sink.problem(
                &found.span,
                at,
                "without TLS there is HTTP/1.1 alone",
                "remove it, or write https:// in `url`: versions are agreed on in the TLS handshake",
            );
        }
        Some(_) => {}
    }
    known.unwrap_or_default()
}

fn check_method(method: &Key<String>, table: &Table, path: &str, sink: &mut Sink<'_>) -> Method {
    let Some(found) = method.get() else { return Method::Get };
    let known = Method::ALL.into_iter().find(|method| method.word() == found.value);
    if known.is_none() {
        let words = Method::ALL.map(Method::word);
        let help = sink.suggestion(&found.value.to_ascii_uppercase(), words.into_iter(), format!("there are {}", words.join(", ")));
        sink.problem(&found.span, format_args!("{path}.method"), format!("`{}` is not a method that probes use", found.value), help);
    }
    if known == Some(Method::Head) {
        let wants = [("body", &table.body), ("body_regex", &table.body_regex)].map(|(key, found)| (key, found.get().map(|found| found.span.clone())));
        let json = ("json", table.json.get().map(|found| found.span.clone()));
        refuse_beside("HEAD", &[&wants[..], &[json]].concat(), path, sink);
    }
    known.unwrap_or_default()
}

pub(super) fn check_json(json: &Key<OneOrMany<String>>, path: &str, sink: &mut Sink<'_>) -> Vec<JsonTest> {
    let mut tests = Vec::new();
    for found in json.get().map(|json| &json.value.0[..]).unwrap_or_default().iter().filter_map(Key::get) {
        match JsonTest::parse(&found.value) {
            Ok(test) => tests.push(test),
            Err(why) => {
                let help = "write it like \"$.lag_seconds <= 30\" or '$.nodes[0].state == \"ok\"'; several in a list must all pass";
                sink.problem(&found.span, format_args!("{path}.json"), why, help);
            }
        }
    }
    tests
}

fn check_headers(headers: &Key<Named<HeaderValue>>, user_agent: &Key<String>, path: &str, cx: &mut Context<'_>, sink: &mut Sink<'_>) -> Vec<Header> {
    let mut checked: Vec<Header> = Vec::new();
    if let Some(found) = user_agent.get() {
        if let Some(wrong) = unsendable(&found.value) {
            sink.problem(&found.span, format_args!("{path}.user_agent"), wrong, "visible ASCII characters and spaces");
        }
        checked.push(Header { name: "User-Agent".to_string(), value: Secret::new(found.value.trim().to_string()), file: None });
    }
    for Entry { name, span, value } in headers.get().map(|headers| &headers.value.0[..]).unwrap_or_default() {
        let token = is_token(name);
        let ours = ["host", "connection", "content-length", "transfer-encoding", "te", "upgrade"];
        let at = format!("{path}.headers.{name}");
        let (text, file) = match value {
            HeaderValue::Text(text) => (text.0.clone(), None),
            HeaderValue::File(file) => match secret_of(file, &at, cx, sink) {
                Some(text) => (text.trim().to_string(), Some(file.value.clone())),
                None => continue,
            },
        };
        let (wrong, help) = if !token {
            (Some("not a header's name"), "letters, digits and `-`")
        } else if ours.contains(&name.to_ascii_lowercase().as_str()) {
            (Some("this header is set by Windrose"), "for Host there is the key host = \"…\"")
        } else if checked.iter().any(|earlier| earlier.name.eq_ignore_ascii_case(name)) {
            (Some("this header stands twice"), "names of headers have no case; user_agent is one, too")
        } else {
            (unsendable(&text), "visible ASCII characters and spaces")
        };
        match wrong {
            Some(wrong) => sink.problem(span, at, wrong, help),
            None => checked.push(Header { name: name.clone(), value: Secret::new(text.trim().to_string()), file }),
        }
    }
    checked
}

/// A header's name (RFC 9110, section 5.6.2).
pub(super) fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet))
}

fn unsendable(value: &str) -> Option<&'static str> {
    let fit = value.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' ' || octet == b'\t');
    (!fit).then_some("the value has a character that headers can't have")
}

/// What a file holds; no message tells it.
fn secret_of(file: &At<String>, at: &str, cx: &mut Context<'_>, sink: &mut Sink<'_>) -> Option<String> {
    let path = cx.folder.join(&file.value);
    cx.files.push(path.clone());
    if is_public(&path) {
        sink.warning(&file.span, at, format!("everybody on this host can read `{}`", file.value), format!("chmod o= {}", file.value));
    }
    let read = read_secret(&path).and_then(|text| if text.trim().is_empty() { Err("is empty".to_string()) } else { Ok(text) });
    read.map_err(|why| {
        let help = "a path is relative to this file; the user that runs windrose must be allowed to read it";
        sink.problem(&file.span, at, format!("`{}` {why}", path.display()), help);
    })
    .ok()
}
