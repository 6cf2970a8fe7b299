//! Certificates that all expire at once, and an authority's file that is replaced by rubbish: guarded as a mass failure, the true reason shown.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hickory_proto::rr::RecordType;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::super::node::{TestNode, free_port, tool, wait_for};
use super::{Flips, Steady, measured, pass, seconds, total};

const PATIENCE: Duration = Duration::from_secs(20);

/// Six gateways in two regions, one nginx, one certificate for all.
struct Gateways {
    folder: TempDir,
    addresses: Vec<String>,
    port: u16,
    authority: CertifiedIssuer<'static, KeyPair>,
    child: Option<Child>,
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

impl Gateways {
    fn new(net: u8, port: u16) -> Self {
        let folder = tempfile::Builder::new().prefix("windrose-tls-").tempdir().expect("a folder");
        let addresses = [1, 2, 3, 11, 12, 13].iter().map(|host| format!("127.10.{net}.{host}")).collect();
        Self { folder, addresses, port, authority: authority("authority of the drill"), child: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts with a certificate for so long, or takes one.
    fn up(&mut self, lasts: Duration) {
        self.down();
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["gateway.example.com".to_string()]).expect("a name");
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs((since_epoch + lasts).as_secs());
        let certificate = params.signed_by(&key, &self.authority).expect("signed");
        std::fs::write(self.path("leaf.pem"), certificate.pem()).expect("writable");
        std::fs::write(self.path("leaf.key"), key.serialize_pem()).expect("writable");
        let folder = self.folder.path().display();
        let listen = self.addresses.iter().map(|address| format!("listen {address}:{} ssl;", self.port)).collect::<Vec<_>>().join(" ");
        let text = format!(
            "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
             server {{ {listen} ssl_certificate {folder}/leaf.pem; ssl_certificate_key {folder}/leaf.key; location / {{ return 200 'ok\\n'; }} }} }}\n"
        );
        std::fs::write(self.path("nginx.conf"), text).expect("writable");
        let child = Command::new("nginx").arg("-c").arg(self.path("nginx.conf")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("nginx starts");
        self.child = Some(child);
        let to = SocketAddr::new(self.addresses[0].parse().expect("an address"), self.port);
        wait_for("nginx to accept", PATIENCE, || TcpStream::connect_timeout(&to, Duration::from_secs(1)).ok());
    }

    fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("ours");
            child.wait().expect("ours");
        }
    }

    fn configuration(&self) -> String {
        let list = |part: &[String]| part.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ");
        let (prod, dr) = self.addresses.split_at(3);
        format!(
            r#"[health]
window = "5s"
[monitor.gateway]
url = "https://{{address}}:{}/healthcheck"
sni = "gateway.example.com"
ca = "{}"
interval = "500ms"
timeout = "450ms"
[pool.prod]
monitor = "gateway"
endpoints = [{}]
[pool.dr]
monitor = "gateway"
endpoints = [{}]
[service.orders]
name = "orders.api.example.com"
policy = {{ failover = ["prod", "dr"] }}
failback = "1s"
"#,
            self.port,
            self.path("ca.pem").display(),
            list(prod),
            list(dr)
        )
    }

    /// What `ca.pem` says.
    fn trust(&self, pem: &str) {
        std::fs::write(self.path("ca.pem"), pem).expect("writable");
    }

    fn right(&self) -> Vec<&str> {
        self.addresses.iter().map(String::as_str).collect()
    }
}

impl Drop for Gateways {
    fn drop(&mut self) {
        self.down();
    }
}

fn up(node: &TestNode) -> u64 {
    total(node, "windrose_endpoint_up", "")
}

fn is_blind(node: &TestNode) -> bool {
    total(node, "windrose_node_blind", "") == 1
}

pub fn certificates_that_all_expire_at_once_are_a_mass_and_said_to_be_expired() {
    if !tool("nginx") {
        return;
    }
    let mut gateways = Gateways::new(64, free_port());
    gateways.trust(&gateways.authority.pem());
    gateways.up(seconds(6, 20));
    let node = TestNode::start(&gateways.configuration());
    let steady = Steady::start(node.dns, RecordType::A, &gateways.right());
    wait_for("all to be up", PATIENCE, || (up(&node) == 6).then_some(()));
    let before = Flips::of(&node);
    pass(Duration::from_millis(200));
    steady.take();
    wait_for("blindness", seconds(20, 40), || is_blind(&node).then_some(()));
    wait_for("all to be down underneath", PATIENCE, || (up(&node) == 0).then_some(()));
    pass(seconds(2, 12));
    assert!(is_blind(&node), "it lasts until sight returns");
    for item in node.json(&["get", "endpoints"])["items"].as_array().expect("endpoints") {
        assert!(item.to_string().contains("expired on 20"), "the true reason: {item}");
    }
    let status = node.ok(&["status"]);
    assert!(status.contains("this node is blind"), "{status}");
    println!("measured: status says: {}", status.lines().find(|line| line.contains("blind")).unwrap_or_default().trim());
    gateways.up(Duration::from_secs(3600));
    wait_for("all to be up again", PATIENCE, || (up(&node) == 6 && !is_blind(&node)).then_some(()));
    wait_for("prod to answer", PATIENCE, || {
        (total(&node, "windrose_service_share_ratio", "pool=\"prod\",region=\"prod\",kind=\"effective\"") == 1).then_some(())
    });
    let (flips, seen) = (Flips::since(&node, before), steady.take());
    measured("all certificates expire at once, and are renewed", flips, &seen, "");
    assert_eq!((seen.lost, seen.wrong), (0, 0), "{seen:?}");
    // Endpoint by endpoint prod goes before it is known to be a mass; then all of it is taken back.
    assert!(flips.failovers <= 2 && flips.verdicts <= 12, "{flips:?}");
}

pub fn rubbish_in_a_ca_file_is_refused_and_a_wrong_authority_leaves_answers_and_says_why() {
    if !tool("nginx") {
        return;
    }
    let mut gateways = Gateways::new(65, free_port());
    let right = gateways.authority.pem();
    gateways.trust(&right);
    gateways.up(Duration::from_secs(3600));
    let node = TestNode::start(&gateways.configuration());
    let steady = Steady::start(node.dns, RecordType::A, &gateways.right());
    wait_for("all to be up", PATIENCE, || (up(&node) == 6).then_some(()));
    let before = Flips::of(&node);
    for rubbish in ["<html>404 Not Found</html>\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ""] {
        gateways.trust(rubbish);
        let said = node.cli(&["reload"]);
        assert!(said.code != 0 && format!("{}{}", said.out, said.err).contains("ca.pem"), "{said:?}");
    }
    pass(seconds(2, 12));
    let (flips, seen) = (Flips::since(&node, before), steady.take());
    measured("rubbish in the CA file", flips, &seen, "; three reloads refused");
    assert_eq!((flips, seen.lost, seen.wrong), (Flips { verdicts: 0, failovers: 0 }, 0, 0), "{seen:?}");

    // Another authority is nothing that a reload can refuse: all gateways fail at once.
    gateways.trust(&authority("a stranger").pem());
    node.ok(&["reload"]);
    wait_for("all to fail", PATIENCE, || (up(&node) == 0).then_some(()));
    pass(seconds(2, 12));
    for item in node.json(&["get", "endpoints"])["items"].as_array().expect("endpoints") {
        assert!(item.to_string().contains("unknown issuer"), "the true reason: {item}");
    }
    gateways.trust(&right);
    node.ok(&["reload"]);
    wait_for("all to be up again", PATIENCE, || (up(&node) == 6 && !is_blind(&node)).then_some(()));
    let (flips, seen) = (Flips::since(&node, before), steady.take());
    measured("another authority in the CA file, and the right one again", flips, &seen, "");
    assert_eq!((seen.lost, seen.wrong), (0, 0), "{seen:?}");
    assert!(flips.failovers <= 2, "{flips:?}");
}
