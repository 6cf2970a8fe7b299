//! A small network of namespaces: a node, its router, two regions; and nft rules that hurt it.
//!
//! ```text
//!   the test ── node ── router ── prod (.1 .2, ::1 ::2)
//!                            └─── dr   (.1 .2, ::1 ::2)
//! ```
//!
//! The test's own link to the node stays whole: DNS clients come another way than probes go. Names are unique per process; all goes with the value.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::super::node::{PATIENCE, TestNode, binary, tool, wait_for};

/// Port of all gateways, and of the router's own.
pub const PORT: u16 = 8080;

/// The network.
pub struct Network {
    prefix: String,
    /// Third octet of everything in 198.18.0.0/15 (RFC 2544: for tests), so that several networks stand side by side.
    number: u8,
    folder: TempDir,
    children: Vec<Child>,
}

/// Runs a command; its error if it fails.
fn command(line: &str) -> Result<(), String> {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap_or_default()).args(words).output().map_err(|error| format!("{line}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(format!("{line}: {}", String::from_utf8_lossy(&output.stderr).trim())) }
}

impl Network {
    /// `None`, said as "skipped: why", where that can't be done.
    pub fn build() -> Option<Self> {
        static NUMBER: AtomicU8 = AtomicU8::new(0);
        if !tool("ip") || !tool("nft") || !tool("nginx") {
            return None;
        }
        let of_process = NUMBER.fetch_add(1, Ordering::Relaxed);
        let number = (std::process::id() as u8).wrapping_mul(8).wrapping_add(of_process);
        let folder = tempfile::Builder::new().prefix("windrose-netns-").tempdir().expect("a folder");
        let mut network = Self { prefix: format!("wr{}x{of_process}", std::process::id()), number, folder, children: Vec::new() };
        if let Err(why) = command(&format!("ip netns add {}", network.space("n"))) {
            println!("skipped: no network namespaces here ({why})");
            return None;
        }
        network.link().expect("where there are namespaces, there are links");
        network.serve();
        Some(network)
    }

    /// Name of a namespace.
    fn space(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn link(&self) -> Result<(), String> {
        let [node, router, prod, dr] = ["n", "r", "p", "d"].map(|name| self.space(name));
        let Self { prefix, number, .. } = self;
        for space in [&node, &router, &prod, &dr] {
            if space != &node {
                command(&format!("ip netns add {space}"))?;
            }
            command(&format!("ip -n {space} link set lo up"))?;
            // Addresses are there at once, and routers route.
            for (setting, value) in
                [("ipv6/conf/all/accept_dad", 0), ("ipv6/conf/default/accept_dad", 0), ("ipv6/conf/all/forwarding", 1), ("ipv4/ip_forward", 1)]
            {
                set(space, setting, value)?;
            }
        }
        command(&format!("ip link add {prefix}c type veth peer name clients netns {node}"))?;
        command(&format!("ip addr add 198.18.{number}.1/30 dev {prefix}c"))?;
        command(&format!("ip link set {prefix}c up"))?;
        command(&format!("ip -n {node} addr add 198.18.{number}.2/30 dev clients"))?;
        command(&format!("ip -n {node} link set clients up"))?;
        for (space, here, net) in [(&node, "uplink", 1), (&prod, "prod", 2), (&dr, "dr", 3)] {
            command(&format!("ip -n {router} link add {here} type veth peer name wan netns {space}"))?;
            for (space, device, host) in [(&router, here, 254), (space, "wan", 1)] {
                command(&format!("ip -n {space} addr add 10.{number}.{net}.{host}/24 dev {device}"))?;
                command(&format!("ip -n {space} -6 addr add fd00:{number}:{net}::{host}/64 dev {device} nodad"))?;
                command(&format!("ip -n {space} link set {device} up"))?;
            }
            command(&format!("ip -n {space} addr add 10.{number}.{net}.2/24 dev wan"))?;
            command(&format!("ip -n {space} -6 addr add fd00:{number}:{net}::2/64 dev wan nodad"))?;
            command(&format!("ip -n {space} route add default via 10.{number}.{net}.254"))?;
            command(&format!("ip -n {space} -6 route add default via fd00:{number}:{net}::254"))?;
        }
        Ok(())
    }

    /// An nginx in each region, and one on the router, which is asked by sentinels.
    fn serve(&mut self) {
        for name in ["r", "p", "d"] {
            let folder = self.folder.path().join(name);
            std::fs::create_dir(&folder).expect("writable");
            let configuration = folder.join("nginx.conf");
            std::fs::write(&configuration, nginx(&folder)).expect("writable");
            let child = Command::new("ip")
                .args(["netns", "exec", &self.space(name), "nginx", "-c"])
                .arg(&configuration)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("nginx starts");
            self.children.push(child);
        }
        for name in ["r", "p", "d"] {
            let pid = self.folder.path().join(name).join("nginx.pid");
            wait_for("nginx", PATIENCE, || pid.exists().then_some(()));
        }
    }

    /// Addresses of a region's gateways, as they stand in a file.
    pub fn gateways(&self, region: &str) -> Vec<String> {
        let (number, net) = (self.number, if region == "prod" { 2 } else { 3 });
        (1..3).flat_map(|host| [format!("10.{number}.{net}.{host}"), format!("fd00:{number}:{net}::{host}")]).collect()
    }

    /// The router's address, for a sentinel.
    pub fn router(&self) -> String {
        format!("10.{}.1.254", self.number)
    }

    /// A node in its namespace, with these tables.
    pub fn node(&self, services: &str) -> TestNode {
        let mut node = TestNode::prepare("");
        let at = |port| SocketAddr::from(([198, 18, self.number, 2], port));
        (node.dns, node.metrics) = (at(5300), at(9153));
        node.configure(services);
        let program = node.path("windrose-in-namespace");
        std::fs::write(&program, format!("#!/bin/sh\nexec ip netns exec {} {} \"$@\"\n", self.space("n"), binary())).expect("writable");
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
        node.program = program;
        node.launch();
        wait_for("the node's own link", PATIENCE, || TcpStream::connect_timeout(&node.metrics, Duration::from_secs(1)).ok());
        node
    }

    /// Rules on the router, in nft's words: a chain that every packet passes before it is routed. Replaces those before.
    pub fn hurt(&self, rules: &str) {
        self.nft(&format!(
            "table inet drill\ndelete table inet drill\ntable inet drill {{\nchain incoming {{\ntype filter hook prerouting priority 0;\n{rules}\n}}\n}}\n"
        ));
    }

    /// Any other rules on the router.
    pub fn nft(&self, text: &str) {
        let mut nft = Command::new("ip").args(["netns", "exec", &self.space("r"), "nft", "-f", "-"]).stdin(Stdio::piped()).spawn().expect("nft starts");
        let mut stdin = nft.stdin.take().expect("piped");
        stdin.write_all(text.as_bytes()).and_then(|()| stdin.write_all(b"\n")).expect("it reads");
        drop(stdin);
        assert!(nft.wait().expect("ours").success(), "nft refused\n{text}");
    }

    /// Whole again.
    pub fn heal(&self) {
        self.hurt("");
    }
}

fn set(space: &str, setting: &str, value: u8) -> Result<(), String> {
    let script = format!("echo {value} > /proc/sys/net/{setting}");
    let output = Command::new("ip").args(["netns", "exec", space, "sh", "-c", &script]).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(format!("{setting}: {}", String::from_utf8_lossy(&output.stderr).trim())) }
}

fn nginx(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
         server {{ listen {PORT}; listen [::]:{PORT}; location / {{ return 200 'ok\\n'; }} }} }}\n"
    )
}

impl Drop for Network {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = command(&format!("ip link del {}c", self.prefix));
        for name in ["n", "r", "p", "d"] {
            let _ = command(&format!("ip netns del {}", self.space(name)));
        }
    }
}
