//! What every GET can do beside its handler: show some fields alone, and say that nothing has changed.
//!
//! Each JSON reply has an ETag. Where a change takes it as `If-Match`, it is `"REVISION~LOOKS"`: the first part names what was set, the second what the reply
//! says, live facts too; `If-Match` goes by the first. Elsewhere it is `"~LOOKS"`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::model::did_you_mean;

use super::api::{Fault, ProblemKind};
use super::openapi;
use super::problem::Refused;
use super::router::Route;

/// Between what was set and what it looks like.
pub(super) const LOOKS: char = '~';

/// What a route's replies have, for `?fields=`; `None`: whatever comes.
#[derive(Clone)]
pub(super) struct Fields(Option<Arc<[String]>>);

impl Fields {
    /// From the type that it replies with.
    pub(super) fn of(route: &Route) -> Self {
        Self(openapi::fields_of(&route.words).map(Arc::from))
    }
}

/// Around the handler of a GET.
pub(super) async fn looks(State(Fields(known)): State<Fields>, mut request: Request, next: Next) -> Result<Response, Refused> {
    let fields = take_fields(request.uri_mut())?;
    if let (Some(known), Some(fields)) = (&known, &fields) {
        let unknown = fields.iter().find(|field| !known.contains(field));
        unknown.map_or(Ok(()), |unknown| Err(no_field(unknown, known.iter().map(String::as_str))))?;
    }
    let seen: Vec<HeaderValue> = request.headers().get_all(header::IF_NONE_MATCH).iter().cloned().collect();
    let response = next.run(request).await;
    let json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if response.status() != StatusCode::OK || !json {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    let failed = |_| Refused::new(ProblemKind::Internal, "the reply could not be put together; this is a bug");
    let mut octets = body.collect().await.map_err(failed)?.to_bytes();
    if let Some(fields) = fields {
        octets = only(&octets, &fields, known.is_some())?.into();
        parts.headers.remove(header::CONTENT_LENGTH);
    }
    let etag = with_looks(parts.headers.get(header::ETAG), &octets);
    let same = seen.iter().any(|seen| names(seen, &etag));
    parts.headers.insert(header::ETAG, etag);
    // To be asked again each time, by the one whom it was for.
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if same {
        // RFC 9110, section 15.4.5.
        let kept = [header::ETAG, header::CACHE_CONTROL];
        let headers: HeaderMap = parts.headers.iter().filter(|(name, _)| kept.contains(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok(Response::from_parts(parts, octets.into()))
}

fn with_looks(set: Option<&HeaderValue>, octets: &[u8]) -> HeaderValue {
    let looks: String = Sha256::digest(octets).iter().take(8).map(|octet| format!("{octet:02x}")).collect();
    let set = set.and_then(|set| set.to_str().ok()).unwrap_or_default().trim_matches('"');
    HeaderValue::from_str(&format!("\"{set}{LOOKS}{looks}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// `If-None-Match` names this ETag; it compares weakly (RFC 9110, section 13.1.2).
fn names(seen: &HeaderValue, etag: &HeaderValue) -> bool {
    let (seen, etag) = (seen.to_str().unwrap_or_default(), etag.to_str().unwrap_or_default());
    seen.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
}

/// Takes `fields=a,b` out of the query string: no handler needs to know of it.
fn take_fields(uri: &mut Uri) -> Result<Option<Vec<String>>, Refused> {
    let query = uri.query().unwrap_or_default();
    let is_fields = |part: &&str| *part == "fields" || part.starts_with("fields=");
    if !query.split('&').any(|part| is_fields(&part)) {
        return Ok(None);
    }
    let unreadable = |message: &str| Refused::invalid(vec![fault(message.to_string(), "write fields=name,state")]);
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| unreadable("the query string can't be read"))?;
    let named = pairs.0.iter().filter(|(key, _)| key == "fields").flat_map(|(_, value)| value.split(','));
    let fields: Vec<String> = named.map(|field| field.trim().to_string()).filter(|field| !field.is_empty()).collect();
    if fields.is_empty() {
        return Err(unreadable("`fields` names none"));
    }
    let rest = query.split('&').filter(|part| !is_fields(part)).collect::<Vec<_>>().join("&");
    let path = if rest.is_empty() { uri.path().to_string() } else { format!("{}?{rest}", uri.path()) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).map_err(|_| unreadable("the query string can't be read"))?);
    *uri = Uri::from_parts(parts).map_err(|_| unreadable("the query string can't be read"))?;
    Ok(Some(fields))
}

fn no_field<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Refused {
    let hint = did_you_mean(unknown, known).map_or_else(|| "leave `fields` out to see all".to_string(), |near| format!("did you mean `{near}`?"));
    Refused::invalid(vec![fault(format!("there is no field `{}` here", unknown.escape_debug()), &hint)])
}

/// The fields of an object, or of each entry of a list, that are asked for. `checked`: they are known, and may be left out.
fn only(octets: &[u8], fields: &[String], checked: bool) -> Result<Vec<u8>, Refused> {
    let bug = |_| Refused::new(ProblemKind::Internal, "the reply is not JSON; this is a bug");
    let mut value: Value = serde_json::from_slice(octets).map_err(bug)?;
    let mut objects: Vec<&mut Map<String, Value>> = match &mut value {
        Value::Object(list) if list.contains_key("items") && list.contains_key("next_cursor") => match list.get_mut("items") {
            Some(Value::Array(items)) => items.iter_mut().filter_map(Value::as_object_mut).collect(),
            _ => Vec::new(),
        },
        Value::Object(object) => vec![object],
        _ => Vec::new(),
    };
    // A field that some entries leave out is known if one has it.
    let unknown = fields.iter().find(|field| !checked && !objects.is_empty() && !objects.iter().any(|object| object.contains_key(*field)));
    if let Some(unknown) = unknown {
        return Err(no_field(unknown, objects.iter().flat_map(|object| object.keys()).map(String::as_str)));
    }
    for object in &mut objects {
        object.retain(|key, _| fields.contains(key));
    }
    serde_json::to_vec(&value).map_err(bug)
}

fn fault(message: String, hint: &str) -> Fault {
    Fault { pointer: "/fields".into(), code: "query".into(), message, hint: hint.into(), ..Fault::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_out_of_the_query() {
        let table = [
            ("/a", None, "/a"),
            ("/a?limit=1", None, "/a?limit=1"),
            ("/a?fields=x", Some(vec!["x"]), "/a"),
            ("/a?limit=1&fields=x,y&cursor=2", Some(vec!["x", "y"]), "/a?limit=1&cursor=2"),
            ("/a?fields=x%2Cy&fields=z", Some(vec!["x", "y", "z"]), "/a"),
            ("/a?fieldsy=x", None, "/a?fieldsy=x"),
        ];
        for (text, fields, rest) in table {
            let mut uri: Uri = text.parse().unwrap();
            let found = take_fields(&mut uri).unwrap();
            assert_eq!(found, fields.map(|fields| fields.into_iter().map(String::from).collect::<Vec<_>>()), "{text}");
            assert_eq!(uri.to_string(), rest);
        }
        assert!(take_fields(&mut "/a?fields=".parse().unwrap()).is_err());
    }

    #[test]
    fn if_none_match_is_a_list_and_compares_weakly() {
        let etag = HeaderValue::from_static("\"1~ab\"");
        for (seen, same) in [("\"1~ab\"", true), ("W/\"1~ab\"", true), ("\"x\", \"1~ab\"", true), ("*", true), ("\"1\"", false), ("1~ab", false), ("", false)] {
            assert_eq!(names(&HeaderValue::from_str(seen).unwrap(), &etag), same, "{seen}");
        }
    }
}
