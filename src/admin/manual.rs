//! What the API says of itself: the OpenAPI document, and one page with all operations.
//!
//! The page is plain HTML from the same document. It has no scripts, loads nothing and needs no token, since it is the same on every node.

use std::fmt::Write as _;
use std::sync::OnceLock;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{App, openapi};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 1rem;color:#1b1f24;background:#fff}\
h2{margin:2rem 0 .3rem;font-size:1.1rem}code{font:13px ui-monospace,monospace}details{border-top:1px solid #d8dee4;padding:.35rem 0}\
summary{cursor:pointer}b{display:inline-block;width:4.5rem}table{border-collapse:collapse;margin:.4rem 0 .6rem 1.2rem}\
td{padding:.1rem .8rem .1rem 0;vertical-align:top}@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}details{border-color:#30363d}}";

/// Document and page, made when they are first asked for.
static MADE: OnceLock<(String, String)> = OnceLock::new();

fn made(app: &App) -> &'static (String, String) {
    MADE.get_or_init(|| {
        let document = openapi::document(app.parts.version);
        let page = page_of(&document);
        (document.to_string(), page)
    })
}

/// `GET /api/v1/openapi.json`
pub(super) async fn document(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, "application/vnd.oai.openapi+json"), (header::CACHE_CONTROL, "no-cache")], made(&app).0.as_str()).into_response()
}

/// `GET /api/v1/docs`
pub(super) async fn page(State(app): State<App>) -> Response {
    let mut response = Html(made(&app).1.as_str()).into_response();
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!("default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    let headers = response.headers_mut();
    headers.extend(HeaderValue::from_str(&policy).ok().map(|policy| (header::CONTENT_SECURITY_POLICY, policy)));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// All operations, by what they are about.
fn page_of(document: &Value) -> String {
    let title = format!("Windrose {}: the admin API", plain(&document["info"]["version"]));
    let about = plain(&document["info"]["description"]);
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style>\
         <h1>{title}</h1><p>{about}</p><p>The same for programs: <a href=\"openapi.json\">openapi.json</a></p>"
    );
    let mut tag = "";
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let about = operation["tags"][0].as_str().unwrap_or_default();
            if about != tag {
                tag = about;
                let _ = write!(out, "<h2>{}</h2>", escaped(tag));
            }
            shown(&mut out, path, method, operation);
        }
    }
    out.push_str("</html>");
    out
}

/// One operation. Writing to a `String` never fails.
fn shown(out: &mut String, path: &str, method: &str, operation: &Value) {
    let (method, summary) = (method.to_ascii_uppercase(), plain(&operation["summary"]));
    let _ = write!(out, "<details><summary><b>{method}</b> <code>{}</code> · {summary}</summary><table>", escaped(path));
    let scope = &operation["security"][0]["token"][0];
    let _ = write!(out, "<tr><td>scope<td>{}", scope.as_str().map_or("no token needed".to_string(), escaped));
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let must = if parameter["required"] == true { ", required" } else { "" };
        let (place, name, about) = (plain(&parameter["in"]), plain(&parameter["name"]), plain(&parameter["description"]));
        let _ = write!(out, "<tr><td>{place}{must}<td><code>{name}</code> {about}");
    }
    if let Some(content) = operation["requestBody"]["content"].as_object() {
        let _ = write!(out, "<tr><td>body<td><code>{}</code>", kinds(content));
    }
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let kinds = response["content"].as_object().map(kinds).unwrap_or_default();
        let _ = write!(out, "<tr><td>{}<td>{} <code>{kinds}</code>", escaped(status), plain(&response["description"]));
    }
    out.push_str("</table></details>");
}

/// Names of the types, else the media types.
fn kinds(content: &serde_json::Map<String, Value>) -> String {
    let name = |(kind, content): (&String, &Value)| {
        let schema = &content["schema"];
        let reference = schema["$ref"].as_str().or_else(|| schema["anyOf"][0]["$ref"].as_str());
        escaped(reference.and_then(|at| at.rsplit('/').next()).unwrap_or(kind))
    };
    content.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn plain(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_operation_and_nothing_that_runs_or_loads() {
        let document = openapi::document("1.2.3");
        let page = page_of(&document);
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let line = format!("<b>{}</b> <code>{path}</code> · {}", method.to_ascii_uppercase(), plain(&operation["summary"]));
                assert!(page.contains(&line), "{line}");
            }
        }
        for wrong in ["<script", "src=", "http:", "https:", "onclick", "style="] {
            assert!(!page.contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_is_text() {
        assert_eq!(escaped("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
