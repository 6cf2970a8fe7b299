//! A Windrose with something of everything, and another node that sees the world differently.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::super::dns::Client;
use super::super::gateway::Gateway;
use super::super::node::{PATIENCE, TestNode, free_port, wait_for};

/// Gateways `127.10.net.1` (prod) and `.2` (dr), a TLS gateway at `.3`, a gate with a host name at `.4`, a sentinel at `.8`.
pub struct Scene {
    pub net: u8,
    pub node: TestNode,
    /// Knows the gate's name, and can't reach dr.
    pub other: TestNode,
    pub prod: Gateway,
    pub dr: Gateway,
    pub tls: Tls,
    /// What the sentinel watches; `None` while it is down.
    sentinel: Option<TcpListener>,
    _gate: TcpListener,
    port: u16,
}

impl Scene {
    pub fn start(net: u8) -> Self {
        let (port, tls_port) = (free_port(), free_port());
        let gate = TcpListener::bind((format!("127.10.{net}.4"), port)).expect("a free address");
        let mut other = TestNode::prepare(&format!(
            r#"[monitor.gateway]
tcp = {port}
interval = "1s"
timeout = "500ms"
[pool.dr]
monitor = "gateway"
endpoints = [{{ name = "a", address = "127.10.{net}.9" }}]
[service.other]
name = "other.api.example.com"
policy = {{ failover = ["dr"] }}
"#
        ));
        let zone = other.path("api.example.com.zone");
        let mut text = std::fs::read_to_string(&zone).expect("readable");
        let _ = writeln!(text, "gw 5 IN A 127.10.{net}.4");
        std::fs::write(&zone, text).expect("writable");
        other.launch();
        let tls = Tls::start(SocketAddr::new(format!("127.10.{net}.3").parse().expect("an address"), tls_port), Duration::from_secs(3 * 86_400));
        let (prod, dr) = (Gateway::start(&format!("127.10.{net}.1")), Gateway::start(&format!("127.10.{net}.2")));
        let mut scene = Self { net, node: TestNode::prepare(""), other, prod, dr, tls, sentinel: None, _gate: gate, port };
        scene.sentinel(true);
        scene.configure("");
        scene.node.launch();
        // Of this moment: no alert about it here.
        scene.node.ok(&["freshness", "beyond"]);
        scene.node.ok(&["load", "beyond", "40"]);
        let measured = scene.node.path("measured.csv");
        std::fs::write(&measured, "203.0.113.0/24,prod,80\n203.0.113.0/24,dr,20\n").expect("writable");
        scene.node.ok(&["latency", "push", measured.to_str().expect("UTF-8")]);
        scene
    }

    /// Writes the node's configuration, with more at its end.
    pub fn configure(&self, more: &str) {
        let Self { net, other, tls, port, .. } = self;
        let (resolver, tls_port, ca) = (other.dns, tls.address.port(), tls.folder.path().join("ca.pem").display().to_string());
        self.node.configure(&format!(
            r#"secondaries = ["127.0.0.1:9"]
[resolver]
servers = ["{resolver}"]
timeout = "300ms"
attempts = 1
[health]
window = "6s"
[monitor.gateway]
url = "http://{{address}}:8080/healthcheck"
body = "<status>ok</status>"
interval = "1s"
timeout = "500ms"
down_after = 2
up_after = 2
[monitor.gate]
tcp = {port}
interval = "1s"
timeout = "500ms"
down_after = 2
up_after = 2
[monitor.secure]
tls = {tls_port}
sni = "gateway.example.com"
ca = "{ca}"
expires_within = "30d"
interval = "1s"
timeout = "500ms"
[sentinel.router]
monitor = "gate"
address = "127.10.{net}.8"
[pool.prod]
monitor = "gateway"
endpoints = [{{ name = "a", address = "127.10.{net}.1" }}]
[pool.dr]
monitor = "gateway"
endpoints = [{{ name = "a", address = "127.10.{net}.2" }}]
[pool.secure]
monitor = "secure"
endpoints = ["127.10.{net}.3"]
[pool.named]
monitor = "gate"
endpoints = [{{ name = "gw", address = "192.0.2.10", connect = "gw.api.example.com:{port}" }}]
[pool.beyond]
monitor = "gateway"
endpoints = [{{ name = "x", address = "127.10.{net}.2" }}]
hold_if_older_than = "1d"
shed = {{ over = 80, share = 30, max_age = "1h" }}
[webhook.ops]
url = "http://127.10.{net}.8:9/"
[service.orders]
name = "orders.api.example.com"
ttl = "2s"
ttl_min = "1s"
policy = {{ weighted = {{ prod = 80, dr = 20 }} }}
failback = "manual"
[service.portal]
name = "portal.api.example.com"
ttl = "2s"
ttl_min = "1s"
policy = {{ failover = ["prod", "dr"] }}
failback = "0s"
[service.web]
name = "web.api.example.com"
policy = {{ failover = ["secure", "named", "beyond"] }}
{more}"#
        ));
        // The fifth endpoint has no series of its own.
        let text = std::fs::read_to_string(self.node.config()).expect("readable").replace("[metrics]\n", "[metrics]\nendpoints_max = 4\n");
        std::fs::write(self.node.config(), text).expect("writable");
    }

    /// What the sentinel watches goes up or down.
    pub fn sentinel(&mut self, up: bool) {
        let at = (format!("127.10.{}.8", self.net), self.port);
        // The kernel accepts into the backlog.
        self.sentinel = up.then(|| TcpListener::bind(at).expect("a free address"));
    }

    /// Twenty queries for each service, for a static name and for one that is not there.
    pub fn traffic(&self) {
        let mut client = Client::new(self.node.dns);
        for name in ["orders.api.example.com.", "portal.api.example.com.", "web.api.example.com.", "static.api.example.com.", "no.api.example.com."] {
            for _ in 0..20 {
                client.first(name);
            }
        }
    }
}

/// An nginx with a certificate of its own authority.
pub struct Tls {
    pub address: SocketAddr,
    pub folder: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
    child: Option<Child>,
}

impl Tls {
    fn start(address: SocketAddr, lasts: Duration) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority of the scene");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
        let folder = tempfile::Builder::new().prefix("windrose-tls-").tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("writable");
        let mut tls = Self { address, folder, authority, child: None };
        tls.renew(lasts);
        tls
    }

    /// Starts anew with a certificate that lasts so long.
    pub fn renew(&mut self, lasts: Duration) {
        self.down();
        let path = |name: &str| self.folder.path().join(name);
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["gateway.example.com".to_string()]).expect("a name");
        let end = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970") + lasts;
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(end.as_secs());
        std::fs::write(path("leaf.pem"), params.signed_by(&key, &self.authority).expect("signed").pem()).expect("writable");
        std::fs::write(path("leaf.key"), key.serialize_pem()).expect("writable");
        let (folder, address) = (self.folder.path().display(), self.address);
        let text = format!(
            "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n\
             events {{ worker_connections 64; }}\n\
             http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
             server {{ listen {address} ssl; ssl_certificate {folder}/leaf.pem; ssl_certificate_key {folder}/leaf.key; location / {{ return 200 'ok\\n'; }} }} }}\n"
        );
        std::fs::write(path("nginx.conf"), text).expect("writable");
        let child = Command::new("nginx").arg("-c").arg(path("nginx.conf")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("nginx starts");
        self.child = Some(child);
        wait_for("nginx to accept", PATIENCE, || TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).ok());
    }

    fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("ours");
            child.wait().expect("ours");
        }
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.down();
    }
}
