//! OpenAPI 3.1 of the admin API, made from the table of routes and the types that handlers read and write: `GET /api/v1/openapi.json`.
//!
//! Nothing is described twice: paths, scopes and types are the router's own. What holds for all routes of a kind is added here, from the same facts
//! that the middleware goes by. The document says nothing about this node, so whoever reaches the port may read it.

use std::collections::BTreeSet;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::api::{BASE, Problem, ProblemKind};
use super::describe::{Condition, Reply, Shape, Words};
use super::router::{OPEN, PAGES, ROUTES, Route};

/// Where components stand.
const COMPONENTS: &str = "/components/schemas";

const ABOUT: &str = "Moves traffic between places and shows why it is where it is. Times are RFC 3339 in UTC, durations like `30s`, shares per cent. \
Every refusal is `application/problem+json` whose `type` ends in a stable word. On the unix socket no token is needed: who can open it may operate, \
and its owner is admin.";

/// The whole document.
pub fn document(version: &str) -> Value {
    let mut schemas = Schemas::new();
    let problem = schemas.replied(SchemaGenerator::subschema_for::<Problem>);
    let mut paths: Map<String, Value> = Map::new();
    let mut add = |path: String, method: &str, operation: Value| {
        if let Some(item) = paths.entry(path).or_insert_with(|| json!({})).as_object_mut() {
            item.insert(method.to_ascii_lowercase(), operation);
        }
    };
    for route in ROUTES {
        add(format!("{BASE}{}", route.path), route.method, operation(route, &mut schemas, &problem));
    }
    for page in OPEN.iter().chain(&PAGES) {
        add(page.path.to_string(), "GET", open(&page.words, &mut schemas));
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": { "title": "Windrose", "version": version, "summary": "Admin API of a global traffic manager", "description": ABOUT, "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" } },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "`windrose token create NAME --scope SCOPE`; each scope includes the smaller ones: read, operate, admin." },
                "certificate": { "type": "mutualTLS", "description": "A certificate whose subject stands in `[admin.tls.subjects]`." },
            },
            "schemas": schemas.all(),
        },
    });
    polish(&mut document);
    document
}

/// Names that `?fields=` may ask for; `None`: any, since the objects have no fixed form.
pub(super) fn fields_of(words: &Words) -> Option<Vec<String>> {
    let Reply::Json(shape) = words.reply else { return None };
    let mut schemas = Schemas::new();
    let found = schemas.replied(shape);
    let all = Value::Object(schemas.all());
    let properties = |schema: &Value| {
        let name = schema.get("$ref").and_then(Value::as_str).and_then(|at| at.rsplit('/').next());
        name.map_or(Some(schema), |name| all.get(name)).and_then(|schema| schema.get("properties")).and_then(Value::as_object).cloned()
    };
    let own = properties(&found)?;
    let of = match own.get("items").filter(|_| own.contains_key("next_cursor")) {
        Some(list) => properties(list.get("items")?)?,
        None => own,
    };
    Some(of.keys().cloned().collect())
}

/// Schemas of what is read and of what is written: a field that may be left out of a request can be one that every reply has.
struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = COMPONENTS.into();
            settings.meta_schema = None;
        });
        Self { read: settings.clone().for_deserialize().into_generator(), written: settings.for_serialize().into_generator() }
    }

    fn asked(&mut self, shape: Shape) -> Value {
        shape(&mut self.read).to_value()
    }

    fn replied(&mut self, shape: Shape) -> Value {
        shape(&mut self.written).to_value()
    }

    /// Everything that was referred to, by name. A test sees to it that no name means two things.
    fn all(&mut self) -> Map<String, Value> {
        let mut all: Vec<(String, Value)> = self.read.take_definitions(true).into_iter().chain(self.written.take_definitions(true)).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all.into_iter().collect()
    }
}

fn operation(route: &Route, schemas: &mut Schemas, problem: &Value) -> Value {
    let Route { words, needs, .. } = route;
    let mut parameters: Vec<Value> =
        names_in(route.path).map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })).collect();
    parameters.extend(words.query.map(|query| query_parameters(&schemas.asked(query))).unwrap_or_default());
    parameters.extend(parameters_of_kind(route));
    let mut responses = Map::new();
    if let Some(statuses) = good(route, schemas) {
        responses.extend(statuses);
    }
    let kinds = refusals(route);
    let statuses: BTreeSet<u16> = kinds.iter().map(|kind| kind.status()).collect();
    for status in statuses {
        responses.insert(status.to_string(), refused(status, &kinds, problem));
    }
    let mut operation = json!({
        "operationId": words.id,
        "summary": words.summary,
        "description": format!("Needs the scope `{}`.", needs.word()),
        "tags": [route.path.split('/').nth(1).unwrap_or_default()],
        "security": [{ "token": [needs.word()] }, { "certificate": [needs.word()] }],
        "parameters": parameters,
    });
    if let Some(body) = words.body {
        let schema = schemas.asked(body);
        let required = requires_something(&schema, &schemas.read);
        operation["requestBody"] = json!({ "required": required, "content": { "application/json": { "schema": schema } } });
    }
    operation["responses"] = responses.into();
    operation
}

/// `{name}` of a path.
fn names_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// An object's properties as parameters of a query string, where nothing is null.
fn query_parameters(schema: &Value) -> Vec<Value> {
    let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let one = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        if let Some(kinds) = schema.get("type").and_then(Value::as_array) {
            schema["type"] = kinds.iter().find(|kind| *kind != "null").cloned().unwrap_or_default();
        }
        let mut parameter = json!({ "name": name, "in": "query", "required": required(name) });
        if let Some(object) = schema.as_object_mut() {
            object.remove("default");
            parameter["description"] = object.remove("description").unwrap_or_default();
        }
        parameter["schema"] = schema;
        parameter
    };
    schema["properties"].as_object().map(|all| all.iter().map(one).collect()).unwrap_or_default()
}

/// What the middleware reads, by the kind of route.
fn parameters_of_kind(route: &Route) -> Vec<Value> {
    let mut all = Vec::new();
    let header = |name: &str, required: bool, description: &str, schema: Value| json!({ "name": name, "in": "header", "required": required, "description": description, "schema": schema });
    if route.looks() {
        let items = fields_of(&route.words).map_or_else(|| json!({ "type": "string" }), |names| json!({ "enum": names }));
        let about = "Only these fields of the object, or of each entry of the list.";
        all.push(json!({ "name": "fields", "in": "query", "description": about, "style": "form", "explode": false, "schema": { "type": "array", "items": items, "minItems": 1 } }));
        all.push(header("If-None-Match", false, "ETags that were seen: 304 if nothing has changed since.", json!({ "type": "string" })));
    }
    if route.words.condition != Condition::None {
        let about = "The ETag that was seen, or `*`: 412 if somebody else has changed it meanwhile.";
        all.push(header("If-Match", route.words.condition == Condition::Required, about, json!({ "type": "string", "pattern": "^[^,]*$" })));
    }
    if route.repeatable() {
        let about = "Sent again with the same key, a change is made once; kept for a day.";
        all.push(header("Idempotency-Key", false, about, json!({ "type": "string", "pattern": "^[!-~]{1,255}$" })));
    }
    if matches!(route.words.reply, Reply::Other("text/event-stream")) {
        all.push(header("Last-Event-ID", false, "Go on after this event.", json!({ "type": "string" })));
    }
    all
}

/// Statuses of success.
fn good(route: &Route, schemas: &mut Schemas) -> Option<Vec<(String, Value)>> {
    let content = match route.words.reply {
        Reply::Json(shape) => json!({ "application/json": { "schema": replied(route, schemas.replied(shape), schemas) } }),
        Reply::Other(kind) => json!({ kind: { "schema": { "type": "string" } } }),
        Reply::Nothing => return Some(vec![("204".to_string(), json!({ "description": "Done." }))]),
        Reply::Switch => return Some(vec![("101".to_string(), json!({ "description": "The connection is handed over." }))]),
    };
    let mut ok = json!({ "description": "Done, or for a dry run: what would be.", "content": content });
    if !route.mutating() {
        ok["description"] = "What was asked for.".into();
    }
    if route.looks() || route.words.condition != Condition::None {
        ok["headers"] = json!({ "ETag": { "schema": { "type": "string" } } });
    }
    let mut all = vec![("200".to_string(), ok.clone())];
    if route.words.makes {
        ok["description"] = "Made.".into();
        all.push(("201".to_string(), ok));
    }
    if route.looks() {
        all.push(("304".to_string(), json!({ "description": "Nothing has changed." })));
    }
    Some(all)
}

/// With `fields`, some are missing.
fn replied(route: &Route, full: Value, schemas: &Schemas) -> Value {
    if !route.looks() {
        return full;
    }
    let resolve = |schema: &Value| {
        let name = schema.get("$ref").and_then(Value::as_str).and_then(|at| at.rsplit('/').next());
        name.and_then(|name| schemas.written.definitions().get(name)).unwrap_or(schema).clone()
    };
    let mut some = resolve(&full);
    let is_list = some["properties"].get("next_cursor").is_some() && some["properties"].get("items").is_some();
    let partial = if is_list { some.pointer_mut("/properties/items/items") } else { Some(&mut some) };
    if let Some(partial) = partial {
        *partial = resolve(partial);
        if let Some(object) = partial.as_object_mut() {
            object.remove("required");
        }
    }
    some["description"] = "With `fields`: those alone.".into();
    json!({ "anyOf": [full, some] })
}

/// Everything that a route may be refused with.
fn refusals(route: &Route) -> Vec<ProblemKind> {
    use ProblemKind::{
        Forbidden, IfMatchRequired, Internal, InvalidRequest, KeyReused, NotFound, PayloadTooLarge, RateLimited, RequestInProgress, RevisionMismatch,
        StoreUnavailable, Unauthorized, UnsupportedMediaType,
    };
    let mut all = vec![InvalidRequest, Unauthorized, Forbidden, RateLimited, Internal, StoreUnavailable];
    let mut add = |is: bool, kinds: &[ProblemKind]| all.extend(kinds.iter().filter(|_| is));
    add(route.path.contains('{'), &[NotFound]);
    add(route.words.body.is_some(), &[PayloadTooLarge, UnsupportedMediaType]);
    add(route.repeatable(), &[PayloadTooLarge, RequestInProgress, KeyReused]);
    add(route.words.condition != Condition::None, &[RevisionMismatch]);
    add(route.words.condition == Condition::Required, &[IfMatchRequired]);
    all.extend(route.words.refuses);
    all
}

/// One status with the words that its problems end in.
fn refused(status: u16, kinds: &[ProblemKind], problem: &Value) -> Value {
    let words: BTreeSet<String> = kinds.iter().filter(|kind| kind.status() == status).map(|kind| format!("`{}`", kind.word())).collect();
    let words = words.into_iter().collect::<Vec<_>>().join(", ");
    let mut response = json!({ "description": format!("Refused: {words}."), "content": { "application/problem+json": { "schema": problem } } });
    match status {
        401 => response["headers"] = json!({ "WWW-Authenticate": { "schema": { "type": "string" } } }),
        429 | 503 => response["headers"] = json!({ "Retry-After": { "schema": { "type": "integer" } } }),
        _ => (),
    }
    response
}

/// A page that needs no token.
fn open(words: &Words, schemas: &mut Schemas) -> Value {
    let (content, query) = match words.reply {
        Reply::Json(shape) => (json!({ "application/json": { "schema": schemas.replied(shape) } }), Vec::<Value>::new()),
        Reply::Other(kind) => (json!({ kind: { "schema": { "type": "string" } } }), Vec::new()),
        Reply::Nothing | Reply::Switch => (json!({}), Vec::new()),
    };
    let mut responses = json!({ "200": { "description": "What was asked for.", "content": content } });
    if words.or_unavailable {
        responses["503"] = json!({ "description": "Not now; why not is told.", "content": content });
    }
    json!({ "operationId": words.id, "summary": words.summary, "tags": ["open"], "security": [], "parameters": query, "responses": responses })
}

/// An empty body won't do.
fn requires_something(schema: &Value, known: &SchemaGenerator) -> bool {
    let name = schema["$ref"].as_str().and_then(|at| at.rsplit('/').next());
    let found = name.and_then(|name| known.definitions().get(name)).unwrap_or(schema);
    found["required"].as_array().is_some_and(|all| !all.is_empty())
}

/// Ends of whole numbers, which `format` alone only hints at; links of the documentation as plain code.
fn polish(value: &mut Value) {
    match value {
        Value::Object(object) => {
            let most = match object.get("format").and_then(Value::as_str) {
                Some("uint16") => Some(u64::from(u16::MAX)),
                Some("uint32") => Some(u64::from(u32::MAX)),
                Some("uint64" | "uint") => Some(u64::MAX),
                _ => None,
            };
            if let Some(most) = most {
                object.entry("maximum").or_insert(most.into());
            }
            if let Some(Value::String(text)) = object.get_mut("description") {
                *text = plain(text);
            }
            object.values_mut().for_each(polish);
        }
        Value::Array(all) => all.iter_mut().for_each(polish),
        _ => (),
    }
}

/// ``[`Name`](path)`` is `` `Name` ``.
fn plain(text: &str) -> String {
    let mut parts = text.split("[`");
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (name, rest) = part.split_once("`]").unwrap_or((part, ""));
        let rest = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |(_, rest)| rest);
        out.push_str(&format!("`{name}`{rest}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_schema_means_two_things() {
        let mut schemas = Schemas::new();
        for route in ROUTES {
            operation(route, &mut schemas, &Value::Null);
        }
        let (read, written) = (schemas.read.take_definitions(true), schemas.written.take_definitions(true));
        assert!(read.len() > 8 && written.len() > 40, "{} and {}", read.len(), written.len());
        let both: Vec<_> = read.iter().filter(|(name, schema)| written.get(*name).is_some_and(|other| other != *schema)).map(|(name, _)| name).collect();
        assert!(both.is_empty(), "{both:?} are read in one form and written in another: name them apart, or describe them by hand");
    }

    #[test]
    fn every_route_is_described_and_every_reference_leads_somewhere() {
        let document = document("0");
        let mut ids = BTreeSet::new();
        for route in ROUTES {
            let at = &document["paths"][format!("{BASE}{}", route.path)][route.method.to_ascii_lowercase()];
            let Words { id, summary, .. } = route.words;
            assert_eq!(at["operationId"], id, "{} {}", route.method, route.path);
            assert!(ids.insert(id) && id.bytes().all(|octet| octet.is_ascii_alphanumeric()), "{id} stands twice, or is no name");
            assert!(summary.len() > 10 && !summary.ends_with('.'), "{id}: `{summary}`");
            assert_eq!(at["security"][0]["token"][0], route.needs.word());
            let described = at["parameters"].as_array().unwrap().iter().filter(|one| one["in"] == "path").count();
            assert_eq!(described, names_in(route.path).count(), "{id}");
            let looks_like_a_change = route.mutating() && !matches!(route.words.reply, Reply::Nothing | Reply::Switch);
            assert!(!looks_like_a_change || at["responses"].get("200").is_some(), "{id}");
            assert!(at["responses"]["403"]["content"]["application/problem+json"].is_object(), "{id}");
        }
        fn references<'v>(value: &'v Value, all: &mut Vec<&'v str>) {
            match value {
                Value::Object(object) => {
                    all.extend(object.get("$ref").and_then(Value::as_str));
                    object.values().for_each(|value| references(value, all));
                }
                Value::Array(values) => values.iter().for_each(|value| references(value, all)),
                _ => (),
            }
        }
        let mut all = Vec::new();
        references(&document, &mut all);
        assert!(all.len() > 100);
        for reference in all {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
        }
    }

    #[test]
    fn links_of_the_documentation_are_plain() {
        assert_eq!(plain("a [`Problem`](super::Problem) of [`Kind`], `x`"), "a `Problem` of `Kind`, `x`");
    }

    #[test]
    fn fields_that_can_be_asked_for_are_those_of_the_entries() {
        let of = |path: &str| ROUTES.iter().find(|route| route.path == path && route.method == "GET").and_then(|route| fields_of(&route.words));
        assert!(of("/endpoints").unwrap().contains(&"connect".to_string()), "also those that are left out at times");
        assert!(of("/overview").unwrap().contains(&"queries_per_second".to_string()));
        assert_eq!(of("/audit"), None);
    }
}
