//! Requests read: JSON bodies and query strings, every fault at once, each with a JSON pointer and what to do.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use super::api::{Fault, ProblemKind};
use super::problem::Refused;
use super::router::Route;

/// Largest body that is read.
pub(super) const BODY_MAX: usize = 1 << 20;
/// Faults listed in one problem.
const FAULTS_MAX: usize = 16;

/// A JSON body; an empty one is `{}`.
pub(super) struct Body<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        is_json(request.headers())?;
        let bytes = whole(request.into_body()).await?;
        read(if bytes.is_empty() { b"{}" } else { &bytes }).map(Self).map_err(Refused::invalid)
    }
}

/// Whoever names the body's kind says JSON. One that is not named is taken for it: there is no other.
fn is_json(headers: &HeaderMap) -> Result<(), Refused> {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")) {
        return Ok(());
    }
    let mut refused = Refused::new(ProblemKind::UnsupportedMediaType, format!("`{}` is not read here; nothing was changed", kind.escape_debug()));
    let hint = "send the header Content-Type: application/json (curl: --json, or -H)".to_string();
    refused.problem.errors.push(Fault { code: "content-type".into(), message: "the body must be JSON".into(), hint, ..Fault::default() });
    Err(refused)
}

/// A route without a query string gets none: what its sender meant would not be done.
pub(super) fn check_query(route: &Route, uri: &Uri) -> Result<(), Refused> {
    if route.words.query.is_some() {
        return Ok(());
    }
    let fields = if route.looks() { "fields" } else { "" };
    let unknown =
        uri.query().unwrap_or_default().split('&').map(|part| part.split('=').next().unwrap_or_default()).find(|name| !name.is_empty() && *name != fields);
    let Some(unknown) = unknown else { return Ok(()) };
    let message = format!("in the query string: unknown field `{}`", unknown.escape_debug());
    let hint = if route.looks() { "there is `fields` alone here" } else { "leave it out" }.to_string();
    Err(Refused::invalid(vec![Fault { code: "query".into(), message, hint, ..Fault::default() }]))
}

/// The octets of a body, all of them.
pub(super) async fn whole(body: axum::body::Body) -> Result<axum::body::Bytes, Refused> {
    match Limited::new(body, BODY_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Refused::new(ProblemKind::PayloadTooLarge, format!("the body is larger than {BODY_MAX} bytes; nothing was changed")))
        }
        Err(_) => Err(Refused::new(ProblemKind::InvalidRequest, "the body ended before it was whole; nothing was changed")),
    }
}

/// The query string.
pub(super) struct Query<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        axum::extract::Query::try_from_uri(&parts.uri).map(|axum::extract::Query(query)| Self(query)).map_err(|rejection| {
            let message = rejection.body_text();
            let message = message.strip_prefix("Failed to deserialize query string: ").unwrap_or(&message).to_string();
            let hint = nearest_field(&message).map(|near| format!("did you mean `{near}`?")).unwrap_or_default();
            Refused::invalid(vec![Fault { code: "query".into(), message: format!("in the query string: {message}"), hint, ..Fault::default() }])
        })
    }
}

/// A body's meaning, or everything that is wrong with it.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Vec<Fault>> {
    // serde reads an array as an object's values in the order of its fields; nothing here is documented so.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        let message = "the body is an array, and must be an object".to_string();
        return Err(vec![Fault { code: "invalid-value".into(), message, hint: "write {\"name\": value}".into(), ..Fault::default() }]);
    }
    // The text first, and not a `Value`: only so a key that stands twice is seen.
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let first = match serde_path_to_error::deserialize(&mut deserializer) {
        Ok(read) => match deserializer.end() {
            Ok(()) => return Ok(read),
            Err(error) => return Err(vec![malformed(&error)]),
        },
        Err(error) => error,
    };
    let mut value: Value = serde_json::from_slice(bytes).map_err(|error| vec![malformed(&error)])?;
    let mut faults: Vec<Fault> = Vec::new();
    let mut removed: Vec<String> = Vec::new();
    // serde stops at the first fault: take what it complains of out and ask again.
    while faults.len() < FAULTS_MAX {
        let error = match serde_path_to_error::deserialize::<_, T>(&value) {
            Ok(_) => break,
            Err(error) => error,
        };
        let mut fault = fault_of(&error);
        // The path of a wrong word ends in the word, which is a value and no place.
        while value.pointer(&fault.pointer).is_none() {
            fault.pointer = fault.pointer.rsplit_once('/').map(|(parent, _)| parent.to_string()).unwrap_or_default();
        }
        let text = error.inner().to_string();
        let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()).map(str::to_string);
        if missing.is_some_and(|field| removed.contains(&field)) {
            break;
        }
        let took = take_out(&mut value, &fault.pointer);
        // What is left of an object after that is not its sender's fault.
        if !faults.iter().any(|known| known.pointer.strip_prefix(&fault.pointer).is_some_and(|below| below.starts_with('/'))) {
            faults.push(fault);
        }
        match took {
            Some(key) => removed.push(key),
            None => break,
        }
    }
    if faults.is_empty() {
        faults.push(fault_of(&first));
    }
    Err(faults)
}

/// Not JSON at all.
fn malformed(error: &serde_json::Error) -> Fault {
    let (line, column) = (error.line(), error.column());
    let text = without_place(&error.to_string());
    Fault { code: "malformed-json".into(), message: format!("the body is not JSON: line {line}, column {column}: {text}"), ..Fault::default() }
}

fn fault_of(error: &serde_path_to_error::Error<serde_json::Error>) -> Fault {
    if matches!(error.inner().classify(), serde_json::error::Category::Syntax | serde_json::error::Category::Eof) {
        return malformed(error.inner());
    }
    let message = without_place(&error.inner().to_string());
    let mut pointer: String = error.path().iter().filter_map(token).map(|token| format!("/{}", token.replace('~', "~0").replace('/', "~1"))).collect();
    let field = |prefix: &str| message.strip_prefix(prefix).and_then(|rest| rest.split('`').next()).map(str::to_string);
    let near = nearest_field(&message).map(|near| format!("did you mean `{near}`?"));
    let (unknown_field, unknown_word) = (field("unknown field `"), field("unknown variant `"));
    if let Some(unknown) = unknown_field.as_ref().or(unknown_word.as_ref())
        && !pointer.ends_with(&format!("/{unknown}"))
    {
        pointer = format!("{pointer}/{unknown}");
    }
    let (code, hint) = match (unknown_field, field("missing field `")) {
        (Some(_), _) => ("unknown-field", near.unwrap_or("remove it".to_string())),
        (_, Some(missing)) => ("missing-field", format!("add `{missing}`")),
        _ => ("invalid-value", near.unwrap_or_default()),
    };
    Fault { pointer, code: code.to_string(), message, hint, ..Fault::default() }
}

fn token(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Unknown => None,
    }
}

/// Takes the value at `pointer` out of its object; the whole array if it stands in one, so that no index changes its meaning. `None` at the top.
fn take_out(value: &mut Value, pointer: &str) -> Option<String> {
    let (parent, key) = pointer.rsplit_once('/')?;
    match value.pointer_mut(parent)? {
        Value::Object(object) => {
            let key = key.replace("~1", "/").replace("~0", "~");
            object.shift_remove(&key).map(|_| key)
        }
        _ => take_out(value, parent),
    }
}

/// From serde's "unknown field `x`, expected `a` or `b`": the nearest of what was expected.
fn nearest_field(message: &str) -> Option<String> {
    let mut words = message.split('`').skip(1).step_by(2);
    let unknown = words.next()?;
    message.contains("unknown ").then(|| crate::model::did_you_mean(unknown, words))?
}

/// serde_json pastes the place into its texts.
fn without_place(text: &str) -> String {
    text.rsplit_once(" at line ").map_or(text, |(text, _)| text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::api::{OverridePost, TrafficPut};

    fn faults<T: DeserializeOwned>(text: &str) -> Vec<(String, String)> {
        read::<T>(text.as_bytes()).err().unwrap().into_iter().map(|fault| (fault.pointer, fault.code)).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(pointer, code)| (pointer.to_string(), code.to_string())).collect()
    }

    #[test]
    fn every_fault_is_listed_with_its_pointer() {
        let text = r#"{"kind": "drian", "target": {"regoin": "eu"}, "expires_in": 5, "raeson": "x", "services": ["a", 7]}"#;
        let found = faults::<OverridePost>(text);
        let wanted = [
            ("/kind", "invalid-value"),
            ("/target/regoin", "invalid-value"),
            ("/expires_in", "invalid-value"),
            ("/raeson", "unknown-field"),
            ("/services/1", "invalid-value"),
        ];
        assert_eq!(found, pairs(&wanted));
    }

    #[test]
    fn unknown_fields_have_a_hint() {
        let fault = read::<TrafficPut>(br#"{"policy": {"failover": ["a"]}, "raeson": "x"}"#).err().unwrap().remove(0);
        assert_eq!((&*fault.pointer, &*fault.code, &*fault.hint), ("/raeson", "unknown-field", "did you mean `reason`?"));
        let fault = read::<TrafficPut>(br#"{"policy": {"wieghted": {"a": 100}}}"#).err().unwrap().remove(0);
        assert_eq!((&*fault.pointer, &*fault.hint), ("/policy/wieghted", "did you mean `weighted`?"));
    }

    #[test]
    fn a_bad_share_is_pointed_at() {
        assert_eq!(faults::<TrafficPut>(r#"{"policy": {"weighted": {"a": 100, "b/c": -1}}}"#), pairs(&[("/policy/weighted/b~1c", "invalid-value")]));
    }

    #[test]
    fn malformed_json_says_where() {
        let fault = read::<TrafficPut>(b"{\"policy\":\n  nonsense}").err().unwrap().remove(0);
        assert!(fault.message.contains("line 2, column "), "{}", fault.message);
        assert_eq!(
            faults::<TrafficPut>("{} x"),
            pairs(&[("/policy", "missing-field")]).into_iter().map(|_| (String::new(), "malformed-json".to_string())).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_missing_field_is_named_but_not_when_it_was_there_and_wrong() {
        assert_eq!(faults::<TrafficPut>("{}")[0].1, "missing-field");
        assert_eq!(faults::<TrafficPut>(r#"{"policy": 7}"#).len(), 1);
    }

    #[test]
    fn an_array_is_no_object() {
        for text in ["[null, null]", " [null,null]", "[]"] {
            assert_eq!(faults::<crate::admin::api::ConfigPlanPost>(text), pairs(&[("", "invalid-value")]), "{text}");
        }
        assert!(read::<crate::admin::api::ConfigPlanPost>(b"{}").is_ok());
    }

    #[test]
    fn no_body_makes_reading_panic() {
        for text in ["", "null", "[]", "7", "\"x\"", "{", "{\"\": {}}", "{\"policy\": {\"weighted\": [1]}}", "{\"policy\": {\"failover\": {}}}"] {
            assert!(read::<TrafficPut>(text.as_bytes()).is_err(), "{text}");
        }
    }
}
