//! A running Windrose: the built binary, a folder of its own, free ports.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longest wait for the server to be ready, and for it to end.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The built binary.
pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_windrose")
}

/// A loopback port that is free for UDP and TCP now, below the range that clients' sockets get theirs from, and given out once.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (std::process::id() as u16 % 50) * 200 + offset % 2_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Asks `check` again and again until it gives something, at most `patience`; `what` is for the failure.
pub fn wait_for<T>(what: &str, patience: Duration, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A folder with a configuration, and perhaps a process that serves it. The process ends with it.
pub struct TestNode {
    pub folder: TempDir,
    pub dns: SocketAddr,
    pub admin: SocketAddr,
    pub metrics: SocketAddr,
    /// What is started.
    pub program: PathBuf,
    /// Added to its environment.
    pub environment: Vec<(OsString, OsString)>,
    child: Option<Child>,
    /// The process that has taken over from `child`; nobody's child any more.
    heir: Option<u32>,
    started: Instant,
    log: Option<mpsc::Receiver<String>>,
}

impl TestNode {
    /// Serves `services` (monitors, pools, policies, services; zone `api.example.com` and the tables of this node are added).
    pub fn start(services: &str) -> Self {
        let mut node = Self::prepare(services);
        node.launch();
        node
    }

    /// A folder with everything, nothing started yet.
    pub fn prepare(services: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("windrose-test-").tempdir().expect("a temporary folder");
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let node = Self {
            dns: at(free_port()),
            admin: at(free_port()),
            metrics: at(free_port()),
            folder,
            child: None,
            heir: None,
            program: binary().into(),
            environment: Vec::new(),
            started: Instant::now(),
            log: None,
        };
        std::fs::write(node.path("api.example.com.zone"), ZONE).expect("writable");
        node.configure(services);
        node
    }

    /// Writes another configuration (a reload takes it).
    pub fn configure(&self, services: &str) {
        let Self { dns, admin, metrics, .. } = self;
        let socket = self.socket();
        let store = self.path("store");
        let text = format!(
            "schema = 1\n[node]\nname = \"ns1\"\n[dns]\nlisten = [\"{dns}\"]\nworkers = 2\n[admin]\nlisten = \"{admin}\"\nsocket = \"{}\"\n[metrics]\nlisten = \"{metrics}\"\n[store]\npath = \"{}\"\n[zone.\"api.example.com\"]\nfile = \"api.example.com.zone\"\n{services}",
            socket.display(),
            store.display(),
        );
        std::fs::write(self.config(), text).expect("writable");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn config(&self) -> PathBuf {
        self.path("windrose.toml")
    }

    pub fn socket(&self) -> PathBuf {
        self.path("admin.sock")
    }

    pub fn pid(&self) -> u32 {
        self.heir.unwrap_or_else(|| self.child.as_ref().expect("it runs").id())
    }

    /// `windrose upgrade`; returns when the process before has ended, and well.
    pub fn upgrade(&mut self) {
        let heir = self.json(&["upgrade"])["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("a process");
        self.inherit(heir);
    }

    /// Another process has taken over: waits for the end of the one before.
    pub fn inherit(&mut self, heir: u32) {
        let before = self.heir.replace(heir);
        match (before, self.child.take()) {
            (_, Some(mut child)) => {
                let status = wait_for("the process before to end", PATIENCE, || child.try_wait().expect("ours"));
                assert!(status.success(), "it ended with {status}");
            }
            (Some(before), None) => wait_for("the process before to end", PATIENCE, || (!is_running(before)).then_some(())),
            (None, None) => panic!("nothing ran"),
        }
    }

    /// Starts the process and waits until it says that it is ready.
    pub fn launch(&mut self) {
        self.launch_with(&[]);
    }

    /// The same with further arguments.
    pub fn launch_with(&mut self, arguments: &[&str]) {
        assert!(self.child.is_none(), "it runs already");
        self.started = Instant::now();
        let mut child = Command::new(&self.program)
            .arg("serve")
            .arg("--config")
            .arg(self.config())
            .args(arguments)
            .env("WINDROSE_LOG", "info")
            .envs(self.environment.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let (line, lines) = mpsc::channel();
        for stream in [Box::new(child.stdout.take().expect("piped")) as Box<dyn std::io::Read + Send>, Box::new(child.stderr.take().expect("piped"))] {
            let line = line.clone();
            std::thread::spawn(move || {
                for text in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = line.send(text);
                }
            });
        }
        // Only the streams hold it now: their end is seen at once.
        drop(line);
        self.child = Some(child);
        let mut seen = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(text) if text.starts_with("windrose is ready") => break,
                Ok(text) => seen.push(text),
                Err(_) => panic!("not ready after {PATIENCE:?}; it said:\n{}", seen.join("\n")),
            }
        }
        self.log = Some(lines);
    }

    /// Waits for a log line that contains `text`.
    pub fn wait_for_log(&self, text: &str) -> String {
        let log = self.log.as_ref().expect("it was started");
        let mut seen = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no log line with `{text}`; it said:\n{}", seen.join("\n")),
            }
        }
    }

    /// Every line that it has said and nobody waited for, until it ends. Stop it first.
    pub fn rest_of_log(&mut self) -> Vec<String> {
        self.log.take().map(|log| log.iter().collect()).unwrap_or_default()
    }

    /// Time since the process was started.
    pub fn since_start(&self) -> Duration {
        self.started.elapsed()
    }

    /// SIGKILL: nothing is said goodbye to.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("ours");
            child.wait().expect("ours");
        }
        if let Some(heir) = self.heir.take().filter(|heir| is_running(*heir)) {
            signal(heir, "KILL");
            wait_for("the kill", PATIENCE, || (!is_running(heir)).then_some(()));
        }
    }

    /// SIGTERM, and waits for a clean end.
    pub fn stop(&mut self) {
        if let Some(heir) = self.heir.take() {
            signal(heir, "TERM");
            return wait_for("the server to stop", PATIENCE, || (!is_running(heir)).then_some(()));
        }
        let mut child = self.child.take().expect("it runs");
        signal(child.id(), "TERM");
        let status = wait_for("the server to stop", PATIENCE, || child.try_wait().expect("ours"));
        assert!(status.success(), "it ended with {status}");
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        signal(self.pid(), "HUP");
    }

    /// Runs a `windrose` command against this node over its socket.
    pub fn cli(&self, arguments: &[&str]) -> Said {
        run(Command::new(binary()).args(arguments).env("WINDROSE_SOCKET", self.socket()).env("NO_COLOR", "1"))
    }

    /// The same, and it must succeed; gives what it printed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let said = self.cli(arguments);
        assert_eq!(said.code, 0, "windrose {} failed:\n{}{}", arguments.join(" "), said.out, said.err);
        said.out
    }

    /// The same with `-o json`.
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let mut all = arguments.to_vec();
        all.extend(["-o", "json"]);
        let out = self.ok(&all);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("windrose {} -o json did not print JSON: {error}\n{out}", arguments.join(" ")))
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Said {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    Said { code: status.code().unwrap_or(-1), out: String::from_utf8_lossy(&stdout).into_owned(), err: String::from_utf8_lossy(&stderr).into_owned() }
}

/// Is it there, and more than a name (a zombie is not)?
pub fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next()).is_some_and(|state| !"ZX".contains(state))
}

/// Sends a signal to a process that this test started.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().expect("kill runs");
    assert!(status.success());
}

/// Is this program there? Else says that the test is skipped, and why.
pub fn tool(name: &str) -> bool {
    let found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/bin"].iter().any(|folder| Path::new(folder).join(name).exists());
    if !found {
        println!("skipped: {name} is not installed (tests/run installs it)");
    }
    found
}

const ZONE: &str = "\
$TTL 1h
@       IN  SOA  ns1 hostmaster 2026112101 1h 15m 1w 5s
        IN  NS   ns1
ns1     IN  A    127.0.0.1
static  IN  A    192.0.2.80
        IN  TXT  \"static\"
alias   IN  CNAME static
";
