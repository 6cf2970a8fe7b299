//! NSD, Knot and BIND with the zones, each in a folder of its own, on a loopback port, quiet.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::super::node::{PATIENCE, free_port, signal, tool};
use super::super::raw::{Query, Stream, Udp};
use super::queries::UDP_OCTETS_MAX;
use super::zones;

/// Who is asked beside us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    Nsd,
    Knot,
    Bind,
}

impl Peer {
    pub const ALL: [Peer; 3] = [Peer::Nsd, Peer::Knot, Peer::Bind];

    fn program(self) -> &'static str {
        match self {
            Peer::Nsd => "nsd",
            Peer::Knot => "knotd",
            Peer::Bind => "named",
        }
    }

    /// Its configuration, and the arguments that name it.
    fn configure(self, folder: &Path, port: u16) -> (String, Vec<&'static str>) {
        let path = folder.display();
        let each = |zone: &dyn Fn(&str) -> String| zones::all().iter().map(|(apex, _)| zone(apex)).collect::<String>();
        match self {
            Peer::Nsd => (
                format!(
                    "server:\n ip-address: 127.0.0.1@{port}\n server-count: 1\n username: \"\"\n chroot: \"\"\n zonesdir: \"{path}\"\n pidfile: \"\"\n xfrdfile: \"{path}/xfrd\"\n xfrdir: \"{path}\"\n \
                     zonelistfile: \"{path}/zones\"\n database: \"\"\n ipv4-edns-size: {UDP_OCTETS_MAX}\n refuse-any: no\n minimal-responses: yes\n rrl-ratelimit: 0\nremote-control:\n control-enable: no\n{}",
                    each(&|apex| format!("zone:\n name: \"{apex}\"\n zonefile: \"{apex}.zone\"\n"))
                ),
                vec!["-d", "-c"],
            ),
            Peer::Knot => (
                format!(
                    "server:\n  listen: 127.0.0.1@{port}\n  rundir: {path}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n  udp-max-payload: {UDP_OCTETS_MAX}\n\
                     control:\n  listen: {path}/knot.sock\ndatabase:\n  storage: {path}/db\ntemplate:\n- id: default\n  storage: {path}\n  semantic-checks: off\n  zonefile-sync: -1\nzone:\n{}",
                    each(&|apex| format!("- domain: {apex}\n  file: {apex}.zone\n"))
                ),
                vec!["-c"],
            ),
            Peer::Bind => (
                format!(
                    "options {{ directory \"{path}\"; pid-file none; session-keyfile none; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; notify no;\n\
                     max-udp-size {UDP_OCTETS_MAX}; edns-udp-size {UDP_OCTETS_MAX}; minimal-responses no-auth; minimal-any yes; zero-no-soa-ttl no; answer-cookie no; version none; hostname none; server-id none; check-names primary ignore;\n\
                     check-integrity no; check-wildcard no; check-mx ignore; check-mx-cname ignore; check-srv-cname ignore; allow-transfer {{ none; }}; tcp-clients 1000; }};\ncontrols {{ }};\nlogging {{ channel log {{ stderr; severity warning; }}; category default {{ log; }}; }};\n{}",
                    each(&|apex| format!("zone \"{apex}\" {{ type primary; file \"{apex}.zone\"; }};\n"))
                ),
                vec!["-f", "-n", "1", "-c"],
            ),
        }
    }
}

/// A server that is asked, which ends with this.
pub struct Server {
    address: SocketAddr,
    socket: Udp,
    stream: Option<Stream>,
    process: Option<(Child, TempDir)>,
}

impl Server {
    /// Windrose: it runs already.
    pub fn ours(address: SocketAddr) -> Self {
        Self { address, socket: Udp::to(address), stream: None, process: None }
    }

    /// `None` if it is not installed, which is told.
    pub fn start(peer: Peer) -> Option<Self> {
        if !tool(peer.program()) {
            return None;
        }
        let folder = tempfile::Builder::new().prefix("windrose-peer-").tempdir().expect("a folder");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        std::fs::create_dir(folder.path().join("db")).expect("writable");
        for (apex, text) in zones::all() {
            std::fs::write(folder.path().join(format!("{apex}.zone")), text).expect("writable");
        }
        let (text, arguments) = peer.configure(folder.path(), address.port());
        let config = folder.path().join("peer.conf");
        std::fs::write(&config, text).expect("writable");
        let log_path = folder.path().join("log");
        let log = std::fs::File::create(&log_path).expect("writable");
        let path = format!("/usr/sbin:/sbin:{}", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new(peer.program());
        command.args(arguments).arg(&config).env("PATH", path).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap_or_else(|why| panic!("{peer:?} starts: {why}"));
        let mut server = Self::ours(address);
        server.process = Some((child, folder));
        let serves = |server: &mut Self, apex: &str| {
            let query = Query::new(apex, 6).octets();
            server.socket = Udp::to(address);
            server.socket.ask_within(&query, Duration::from_millis(300)).is_some_and(|response| response[3] & 0x0f == 0 && response[7] == 1)
        };
        let deadline = Instant::now() + PATIENCE;
        while !zones::all().iter().all(|(apex, _)| serves(&mut server, apex)) {
            let log = std::fs::read_to_string(&log_path).unwrap_or_default();
            assert!(Instant::now() < deadline, "{peer:?} does not serve all zones; it said:\n{log}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
        server.socket = Udp::to(address);
        Some(server)
    }

    pub fn is_ours(&self) -> bool {
        self.process.is_none()
    }

    pub fn ask(&mut self, octets: &[u8]) -> Option<Vec<u8>> {
        self.socket.send(octets);
        loop {
            let response = self.socket.next()?;
            // A late answer to the one before is not ours.
            if response.get(..2) == octets.get(..2) {
                return Some(response);
            }
        }
    }

    /// By a connection that is kept as long as the server keeps it.
    pub fn ask_tcp(&mut self, octets: &[u8]) -> Option<Vec<u8>> {
        if let Some(stream) = &mut self.stream
            && stream.try_send(octets)
            && let Some(response) = stream.next()
        {
            return Some(response);
        }
        let stream = self.stream.insert(Stream::to(self.address));
        stream.send(octets);
        stream.next()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((mut child, folder)) = self.process.take() {
            // SIGTERM: it ends its own child processes.
            signal(child.id(), "TERM");
            let _ended = child.wait();
            drop(folder);
        }
    }
}
