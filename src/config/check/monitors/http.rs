//! `url = "http://…"`: what is asked over HTTP, and what the response must look like.

use crate::config::file::Monitor as Table;
use crate::config::problem::Sink;
use crate::config::read::{Entry, Key, Named};
use crate::model::{HttpCheck, Scheme, TlsTerms};

use super::url::{Url, host_name};
use super::{Context, refuse_beside, tls};

pub(super) fn http(table: &Table, path: &str, cx: &mut Context<'_>, sink: &mut Sink<'_>) -> HttpCheck {
    let Table { url, body, status, headers, host, sni, .. } = table;
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
        if parsed.scheme == Scheme::Http {
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
        Scheme::Http => TlsTerms { sni: tls::name(table, path, sink), ..TlsTerms::default() },
        Scheme::Https => tls::terms(table, path, cx, sink),
    };
    let default_port = if parsed.scheme == Scheme::Https { 443 } else { 80 };
    let from_url = parsed.host.map(|name| if parsed.port == default_port { name } else { format!("{name}:{}", parsed.port) });
    let host = host.get().map(|host| host.value.clone()).or(from_url);
    // A port may stand in `Host`, never in a TLS server name.
    let name_alone = host.as_deref().and_then(|host| host.split_once(':')).map(|(name, _)| name.to_string());
    HttpCheck {
        scheme: parsed.scheme,
        port: parsed.port,
        path: parsed.path,
        host,
        headers: check_headers(headers, path, sink),
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
        tls: TlsTerms { sni: terms.sni.or(name_alone), ..terms },
    }
}

fn check_headers(headers: &Key<Named<String>>, path: &str, sink: &mut Sink<'_>) -> Vec<(String, String)> {
    let mut checked: Vec<(String, String)> = Vec::new();
    for Entry { name, span, value } in headers.get().map(|headers| &headers.value.0[..]).unwrap_or_default() {
        let token = !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet));
        let ours = ["host", "connection", "content-length", "transfer-encoding", "te", "upgrade"];
        let (wrong, help) = if !token {
            (Some("not a header's name"), "letters, digits and `-`")
        } else if ours.contains(&name.to_ascii_lowercase().as_str()) {
            (Some("this header is set by Windrose"), "for Host there is the key host = \"…\"")
        } else if checked.iter().any(|(earlier, _)| earlier.eq_ignore_ascii_case(name)) {
            (Some("this header stands twice"), "names of headers have no case")
        } else if value.bytes().any(|octet| !(octet.is_ascii_graphic() || octet == b' ' || octet == b'\t')) {
            (Some("the value has a character that headers can't have"), "visible ASCII characters and spaces")
        } else {
            (None, "")
        };
        match wrong {
            Some(wrong) => sink.problem(span, format_args!("{path}.headers.{name}"), wrong, help),
            None => checked.push((name.clone(), value.trim().to_string())),
        }
    }
    checked
}
