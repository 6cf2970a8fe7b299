//! The HTTP client of the admin API: over the daemon's unix socket, or HTTP(S) with a token.
//!
//! Never here: what is asked for, or how it is shown. A token never travels unencrypted beyond loopback.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::admin::api::{BASE, List, Problem, WriteQuery};

use super::args::{Global, Write};
use super::asking;
use super::exit::{Exit, Failure};
use super::table::Paint;

/// Where the packaged service listens.
const SYSTEM_SOCKET: &str = "/run/windrose/admin.sock";
/// Longest wait for a connection; the rest of `--timeout` is for the answer.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// Reads an environment variable; a function, so that tests need not change the process's own.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// How the server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `admin.socket`
    Socket(PathBuf),
    /// `admin.listen`
    Server(Url),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Server(url) => f.write_str(url.as_str().trim_end_matches('/')),
        }
    }
}

/// A handle to one server.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// How the server is reached.
    pub place: Place,
    base: Url,
    token: Option<String>,
    timeout: Duration,
    /// Whom to ask before much traffic moves, if anybody.
    pub(super) person: Option<Paint>,
}

/// Longest life of a stream; then it is begun anew.
const STREAM_MAX: Duration = Duration::from_secs(24 * 3600);
/// A stream that says nothing for so long is dead: the server has a comment for it every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// A reply that comes in pieces.
pub struct Stream<'a> {
    client: &'a Client,
    response: reqwest::Response,
}

impl Stream<'_> {
    /// The next piece; `None`: it is over.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match tokio::time::timeout(SILENCE_MAX, self.response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece.map(|piece| piece.to_vec())),
            Ok(Err(error)) => Err(self.client.unreachable(&error)),
            Err(_) => Ok(None),
        }
    }
}

/// What came back.
pub struct Got<T> {
    /// As the CLI understands it.
    pub value: T,
    /// As the API said it, for `-o json`.
    pub raw: Value,
    /// Its version, for `If-Match`.
    pub etag: Option<String>,
}

impl Client {
    /// Finds the server: flags, then environment, then the system's socket, then the demo's.
    pub fn new(global: &Global, env: Env<'_>) -> Result<Self, Failure> {
        let place = place(global, env, &super::demo_socket())?;
        let token = token(global, env)?;
        // One provider in the whole tree; installing it twice is no fault.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder().user_agent(concat!("windrose/", env!("CARGO_PKG_VERSION"))).timeout(global.timeout);
        builder = builder.connect_timeout(global.timeout.min(CONNECT_MAX)).redirect(reqwest::redirect::Policy::none());
        let base = match &place {
            Place::Socket(path) => {
                builder = builder.unix_socket(path.as_path());
                Url::parse("http://localhost/").map_err(|error| Failure::local(Exit::Failed, error.to_string()))?
            }
            Place::Server(url) => {
                if token.is_some() && url.scheme() == "http" && !is_loopback(url) {
                    return Err(Failure::local(Exit::Usage, format!("the token would travel unencrypted to {url}"))
                        .hint("use https://, or the socket on the server itself"));
                }
                if is_loopback(url) {
                    builder = builder.no_proxy();
                }
                url.clone()
            }
        };
        if let Some(path) = global.ca_file.clone().or_else(|| env("WINDROSE_CA_FILE").map(PathBuf::from)) {
            let pem = read(&path)?;
            let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes());
            let certificates = certificates.map_err(|error| Failure::local(Exit::Usage, format!("{}: not PEM certificates: {error}", path.display())))?;
            builder = builder.tls_certs_only(certificates);
        }
        let http = builder.build().map_err(|error| Failure::local(Exit::Failed, format!("can't set up HTTP: {}", causes(&error))))?;
        Ok(Self { http, place, base, token, timeout: global.timeout, person: asking::person(global, env) })
    }

    /// The same server, and nobody is asked anything at the terminal.
    pub fn unasked(&self) -> Self {
        Self { person: None, ..self.clone() }
    }

    /// Reads a resource below `/api/v1`; `path` is its segments.
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Got<T>, Failure> {
        self.send(self.request(Method::GET, &api(path)).query(query)).await
    }

    /// The same with a query as the API has it.
    pub async fn get_query<T: DeserializeOwned>(&self, path: &[&str], query: &impl Serialize) -> Result<Got<T>, Failure> {
        self.send(self.request(Method::GET, &api(path)).query(query)).await
    }

    /// Listens to a stream of events; `seen`: the last one that is known.
    pub async fn stream(&self, path: &[&str], query: &impl Serialize, seen: Option<u64>) -> Result<Stream<'_>, Failure> {
        let mut request = self.request(Method::GET, &api(path)).query(query).timeout(STREAM_MAX).header("Accept", "text/event-stream");
        if let Some(seen) = seen {
            request = request.header("Last-Event-ID", seen.to_string());
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Stream { client: self, response });
        }
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Err(match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => Failure::Problem(Box::new(Problem { status: status.as_u16(), ..problem })),
            Err(_) => self.gibberish(status),
        })
    }

    /// Reads a whole list, page by page.
    pub async fn list<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Got<Vec<T>>, Failure> {
        let mut got: Got<List<T>> = self.get(path, &[]).await?;
        let mut items = std::mem::take(&mut got.value.items);
        while let Some(cursor) = got.value.next_cursor.take() {
            let page: Got<List<T>> = self.get(path, &[("cursor", &cursor)]).await?;
            let Got { value: List { items: more, next_cursor, revision }, raw, etag: _ } = page;
            // A cursor that leads nowhere must not become an endless loop.
            got.value = List { items: Vec::new(), next_cursor: next_cursor.filter(|next| *next != cursor && !more.is_empty()), revision };
            items.extend(more);
            if let (Some(all), Some(more)) = (got.raw["items"].as_array_mut(), raw["items"].as_array()) {
                all.extend(more.iter().cloned());
            }
            got.raw["next_cursor"] = Value::Null;
        }
        Ok(Got { value: items, raw: got.raw, etag: got.etag })
    }

    /// Writes below `/api/v1`. `if_match` goes out as it is; without one, `--if-revision` does.
    pub async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&impl Serialize>,
        write: &Write,
        if_match: Option<String>,
    ) -> Result<Got<T>, Failure> {
        let reason = body.is_none().then(|| write.reason.clone()).filter(|reason| !reason.is_empty());
        // A body says it itself.
        let break_glass = (body.is_none() && !write.break_glass.is_empty()).then(|| write.break_glass.join(","));
        let mut request = self.request(method, &api(path)).query(&WriteQuery {
            dry_run: write.dry_run,
            reason,
            end_shift: write.end_shift,
            break_glass,
            at: write.at.clone(),
        });
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(tag) = if_match.or_else(|| write.if_revision.map(|revision| format!("\"{revision}\""))) {
            request = request.header("If-Match", tag);
        }
        self.send(request).await
    }

    /// `DELETE` below `/api/v1`, of what a query names.
    pub async fn withdraw<T: DeserializeOwned>(&self, path: &[&str], query: &impl Serialize) -> Result<Got<T>, Failure> {
        self.send(self.request(Method::DELETE, &api(path)).query(query)).await
    }

    /// Writes without a body and waits longer than `--timeout`, if that is shorter.
    pub async fn post_and_wait<T: DeserializeOwned>(&self, path: &[&str], most: Duration) -> Result<Got<T>, Failure> {
        self.send(self.request(Method::POST, &api(path)).timeout(self.timeout.max(most))).await
    }

    /// Posts `body`, if there is one, and waits longer than `--timeout`, if that is shorter.
    pub async fn post_body_and_wait<T: DeserializeOwned>(&self, path: &[&str], body: Option<&impl Serialize>, most: Duration) -> Result<Got<T>, Failure> {
        let request = self.request(Method::POST, &api(path)).timeout(self.timeout.max(most));
        self.send(if let Some(body) = body { request.json(body) } else { request }).await
    }

    /// `GET /readyz`, which says 503 when it is not.
    pub async fn ready(&self) -> Result<Got<crate::admin::api::Ready>, Failure> {
        let (status, bytes, _) = self.exchange(self.request(Method::GET, &["readyz"])).await?;
        let raw: Value = serde_json::from_slice(&bytes).map_err(|_| self.gibberish(status))?;
        let value = serde_json::from_value(raw.clone()).map_err(|_| self.gibberish(status))?;
        Ok(Got { value, raw, etag: None })
    }

    fn request(&self, method: Method, segments: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        let request = self.http.request(method, url).header("Accept", "application/json");
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>, Option<String>), Failure> {
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let etag = answer.headers().get("etag").and_then(|value| value.to_str().ok()).map(str::to_string);
        let bytes = answer.bytes().await.map_err(|error| self.unreachable(&error))?;
        Ok((status, bytes.to_vec(), etag))
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<Got<T>, Failure> {
        let (status, bytes, etag) = self.exchange(request).await?;
        if !status.is_success() {
            return Err(match serde_json::from_slice::<Problem>(&bytes) {
                Ok(problem) => Failure::Problem(Box::new(Problem { status: status.as_u16(), ..problem })),
                Err(_) => self.gibberish(status),
            });
        }
        let raw: Value = serde_json::from_slice(&bytes).map_err(|_| self.gibberish(status))?;
        let value = serde_json::from_value(raw.clone()).map_err(|error| {
            Failure::local(Exit::Failed, format!("{} answered in a form that this program does not know: {error}", self.place))
                .hint("use the windrose program of the server's own release")
        })?;
        Ok(Got { value, raw, etag })
    }

    fn gibberish(&self, status: StatusCode) -> Failure {
        let problem = Problem { status: status.as_u16(), ..Problem::default() };
        let exit = if status.is_success() { Exit::Failed } else { Exit::of(&problem) };
        Failure::local(exit, format!("{} answered {status}, and not as the admin API of Windrose does", self.place))
            .hint("is this the address of `[admin] listen`? DNS and metrics have their own")
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let (why, hint) = super::reach::explain(error, &self.place, self.timeout);
        Failure::Unreachable { place: self.place.to_string(), why, hint }
    }
}

/// Segments below [`BASE`].
fn api<'a>(path: &[&'a str]) -> Vec<&'a str> {
    BASE.split('/').filter(|segment| !segment.is_empty()).chain(path.iter().copied()).collect()
}

/// Flags beat the environment, which beats the well-known places.
fn place(global: &Global, env: Env<'_>, demo: &Path) -> Result<Place, Failure> {
    let filled = |name: &str| env(name).filter(|value| !value.is_empty());
    let server = |text: &str| {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        url.map(Place::Server).ok_or_else(|| Failure::local(Exit::Usage, format!("`{text}` is not a server; write it like https://ns1.example.com:8090")))
    };
    match (&global.server, &global.socket) {
        (Some(text), _) => return server(text),
        (None, Some(path)) => return Ok(Place::Socket(path.clone())),
        (None, None) => (),
    }
    if let Some(text) = filled("WINDROSE_SERVER") {
        return server(&text);
    }
    if let Some(path) = filled("WINDROSE_SOCKET") {
        return Ok(Place::Socket(path.into()));
    }
    let system = Path::new(SYSTEM_SOCKET);
    Ok(Place::Socket(if !system.exists() && super::is_ours(demo) { demo.to_path_buf() } else { system.to_path_buf() }))
}

fn token(global: &Global, env: Env<'_>) -> Result<Option<String>, Failure> {
    let from_file = |path: PathBuf| {
        let text = read(&path)?;
        let token = text.trim().to_string();
        if token.is_empty() { Err(Failure::local(Exit::Usage, format!("{} holds no token", path.display()))) } else { Ok(Some(token)) }
    };
    if let Some(path) = &global.token_file {
        return from_file(path.clone());
    }
    if let Some(token) = env("WINDROSE_TOKEN").map(|token| token.trim().to_string()).filter(|token| !token.is_empty()) {
        return Ok(Some(token));
    }
    env("WINDROSE_TOKEN_FILE").filter(|path| !path.is_empty()).map_or(Ok(None), |path| from_file(path.into()))
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::local(Exit::Usage, format!("can't read {}: {error}", path.display())))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// All reasons, outermost first.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut inner = error;
    while let Some(source) = inner.source() {
        text.push_str(": ");
        text.push_str(&source.to_string());
        inner = source;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_DEMO: &str = "/nonexistent/demo.sock";

    fn found(global: &Global, env: &[(&str, &str)]) -> String {
        let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
        place(global, &env, Path::new(NO_DEMO)).unwrap().to_string()
    }

    #[test]
    fn flags_beat_the_environment_which_beats_the_well_known_place() {
        let none = Global::default();
        let socket = Global { socket: Some("/a".into()), ..Global::default() };
        let server = Global { server: Some("https://ns1:8090".into()), ..Global::default() };
        let both = [("WINDROSE_SERVER", "http://127.0.0.1:1"), ("WINDROSE_SOCKET", "/b")];
        assert_eq!(found(&socket, &both), "/a");
        assert_eq!(found(&server, &both), "https://ns1:8090");
        assert_eq!(found(&none, &both), "http://127.0.0.1:1");
        assert_eq!(found(&none, &both[1..]), "/b");
        assert_eq!(found(&none, &[]), SYSTEM_SOCKET);
    }

    #[test]
    fn a_server_must_be_a_url() {
        for text in ["ns1.example.com", "ftp://ns1", "ns1:8090"] {
            let global = Global { server: Some(text.into()), ..Global::default() };
            assert_eq!(place(&global, &|_| None, Path::new(NO_DEMO)).unwrap_err().exit(), Exit::Usage, "{text}");
        }
    }

    #[test]
    fn a_token_does_not_travel_unencrypted() {
        let env = |name: &str| (name == "WINDROSE_TOKEN").then(|| "wr_secret".to_string());
        let client = |server: &str| Client::new(&Global { server: Some(server.into()), timeout: Duration::from_secs(1), ..Global::default() }, &env);
        let failure = client("http://192.0.2.1:8090").err().unwrap();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(!failure.text(true, super::super::table::Paint::PLAIN).contains("wr_secret"));
        assert!(client("http://127.0.0.1:8090").is_ok());
        assert!(client("http://[::1]:8090").is_ok());
        assert!(client("https://192.0.2.1:8090").is_ok());
    }

    #[test]
    fn segments_are_encoded() {
        let client =
            Client::new(&Global { server: Some("http://127.0.0.1:1/prefix/".into()), timeout: Duration::from_secs(1), ..Global::default() }, &|_| None)
                .unwrap();
        let request = client.request(Method::GET, &api(&["endpoints", "prod", "2001:db8::1/ü"])).build().unwrap();
        assert_eq!(request.url().path(), "/prefix/api/v1/endpoints/prod/2001:db8::1%2F%C3%BC");
    }
}
