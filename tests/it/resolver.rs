//! The client's view: a real unbound with `api.example.com` as a stub zone, everything else at its defaults.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::dns::{Client, addresses};
use super::node::{PATIENCE, free_port, tool, wait_for};

/// A running unbound.
pub struct Resolver {
    pub address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

impl Resolver {
    /// Is unbound there?
    pub fn available() -> bool {
        tool("unbound")
    }

    /// Resolves `api.example.com` at `authority`.
    pub fn start(authority: SocketAddr) -> Self {
        Self::start_with(authority, "")
    }

    /// The same with more lines in `server:`.
    pub fn start_with(authority: SocketAddr, lines: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("windrose-unbound-").tempdir().expect("a folder");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let text = format!(
            "server:\n interface: {}@{}\n do-not-query-localhost: no\n username: \"\"\n chroot: \"\"\n directory: \"{}\"\n pidfile: \"\"\n use-syslog: no\n {lines}\n\
             remote-control:\n control-enable: no\n\
             stub-zone:\n name: \"api.example.com\"\n stub-addr: {}@{}\n",
            address.ip(),
            address.port(),
            folder.path().display(),
            authority.ip(),
            authority.port(),
        );
        let config = folder.path().join("unbound.conf");
        std::fs::write(&config, text).expect("writable");
        let child = Command::new("unbound").arg("-d").arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("unbound starts");
        let resolver = Self { address, child, _folder: folder };
        wait_for("unbound to answer", PATIENCE, || {
            let mut client = Client::with_timeout(address, Duration::from_millis(500));
            client.ask("static.api.example.com.", RecordType::A).filter(|response| response.metadata.response_code == ResponseCode::NoError)
        });
        resolver
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.child.kill().expect("ours");
        self.child.wait().expect("ours");
    }
}

/// One try of the client: resolve, connect to port 8080.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    pub at: Instant,
    /// The address that it was sent to, if any.
    pub address: Option<IpAddr>,
    /// What the resolver said; `None`: nothing in time.
    pub rcode: Option<ResponseCode>,
    /// It reached a gateway.
    pub ok: bool,
}

/// A client that resolves `name` through the resolver and connects, ten times a second, until told to end.
pub struct Watcher {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Attempt>>>,
}

impl Watcher {
    pub fn start(resolver: SocketAddr, name: &str) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let (until, name) = (end.clone(), name.to_string());
        let thread = std::thread::spawn(move || {
            let mut client = Client::with_timeout(resolver, Duration::from_secs(1));
            let mut attempts = Vec::new();
            while !until.load(Ordering::Relaxed) {
                let at = Instant::now();
                let response = client.ask(&name, RecordType::A);
                let rcode = response.as_ref().map(|response| response.metadata.response_code);
                let address = response.and_then(|response| addresses(&response).first().copied());
                let ok = address.is_some_and(|address| TcpStream::connect_timeout(&SocketAddr::new(address, 8080), Duration::from_millis(500)).is_ok());
                attempts.push(Attempt { at, address, rcode, ok });
                std::thread::park_timeout(Duration::from_millis(100).saturating_sub(at.elapsed()));
            }
            attempts
        });
        Self { end, thread: Some(thread) }
    }

    /// All attempts so far; the client ends.
    pub fn finish(mut self) -> Vec<Attempt> {
        self.end.store(true, Ordering::Relaxed);
        self.thread.take().expect("once").join().expect("the client ran")
    }
}

/// The story of the attempts: runs of the same address and outcome, with the seconds since `since`.
pub fn story(attempts: &[Attempt], since: Instant) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut last = None;
    for attempt in attempts {
        if last != Some((attempt.address, attempt.rcode, attempt.ok)) {
            last = Some((attempt.address, attempt.rcode, attempt.ok));
            let at = attempt.at.checked_duration_since(since).map_or(-1.0, |span| span.as_secs_f64());
            let address = attempt.address.map_or_else(|| format!("no address ({:?})", attempt.rcode), |address| address.to_string());
            lines.push(format!("{at:6.2} s  {address} {}", if attempt.ok { "ok" } else { "failed" }));
        }
    }
    lines.join("\n")
}

/// Time from `since` to the end of the last failed attempt; zero if none failed.
pub fn last_error(attempts: &[Attempt], since: Instant) -> Duration {
    attempts.iter().filter(|attempt| !attempt.ok).map(|attempt| attempt.at.saturating_duration_since(since)).max().unwrap_or_default()
}
