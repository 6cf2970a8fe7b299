//! Real peers for each kind of monitor: nginx, `openssl s_server` with certificates that are wrong in each way, a gRPC server (Python's grpcio), unbound.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::super::node::{PATIENCE, TestNode, free_port, signal, tool, wait_for};
use super::super::resolver::Resolver;

const ADDRESS: &str = "127.10.66.1";

/// grpc.health.v1 by hand: no generated code, the messages are one field each.
const GRPC: &str = r#"
import sys
from concurrent import futures
import grpc
def check(request, context):
    if b"orders" in request:
        return b"\x08\x01"
    if b"search" in request:
        return b"\x08\x02"
    context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
handler = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(check)})
server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((handler,))
assert server.add_insecure_port(sys.argv[1])
server.start()
server.wait_for_termination()
"#;

/// Processes that end with the test.
struct Children(Vec<Child>);

impl Children {
    fn start(&mut self, command: &mut Command) -> u32 {
        // s_server reads its standard input, and ends with it: the pipe stays open as long as the child is kept.
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let pid = child.id();
        self.0.push(child);
        pid
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Writes `NAME.pem` and `NAME.key`; `authority`: signed by it, else by itself.
fn issue(folder: &Path, name: &str, host: &str, end_year: i32, authority: Option<&CertifiedIssuer<'static, KeyPair>>) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![host.to_string()]).expect("a name");
    params.not_after = rcgen::date_time_ymd(end_year, 1, 1);
    let certificate = match authority {
        Some(authority) => params.signed_by(&key, authority),
        None => params.self_signed(&key),
    };
    std::fs::write(folder.join(format!("{name}.pem")), certificate.expect("signed").pem()).expect("writable");
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("writable");
}

fn nginx(folder: &Path, http: u16, https: u16) {
    let at = folder.display();
    let text = format!(
        "daemon off; master_process off; pid {at}/nginx.pid; error_log {at}/error.log;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
         server {{ listen {ADDRESS}:{http}; listen {ADDRESS}:{https} ssl http2; ssl_certificate {at}/good.pem; ssl_certificate_key {at}/good.key;\n\
         location /ok {{ return 200 '{{\"lag_seconds\": 12}}\\n'; }} location /busy {{ return 503; }} }} }}\n"
    );
    std::fs::write(folder.join("nginx.conf"), text).expect("writable");
}

/// One pool with a monitor of its own, and what is to be seen of its endpoint: `up`, or a part of the sentence.
type Row = (&'static str, String, String);

#[test]
fn real_peers_of_each_kind_pass_or_fail_in_the_right_words() {
    if !tool("nginx") || !tool("openssl") || !tool("unbound") {
        return;
    }
    let folder: TempDir = tempfile::Builder::new().prefix("windrose-real-").tempdir().expect("a folder");
    let path = folder.path();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "authority of the drill");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
    std::fs::write(path.join("ca.pem"), authority.pem()).expect("writable");
    let host = "gateway.example.com";
    issue(path, "good", host, 2090, Some(&authority));
    issue(path, "expired", host, 2020, Some(&authority));
    issue(path, "misnamed", "other.example.com", 2090, Some(&authority));
    issue(path, "selfsigned", host, 2090, None);
    issue(path, "stalled", host, 2090, Some(&authority));

    let mut children = Children(Vec::new());
    let [http, https] = [free_port(), free_port()];
    nginx(path, http, https);
    children.start(Command::new("nginx").arg("-c").arg(path.join("nginx.conf")));
    let ca = format!("sni = \"{host}\"\nca = \"{}\"\n", path.join("ca.pem").display());
    let url = |port: u16, rest: &str, more: &str| format!("url = \"https://{{address}}:{port}{rest}\"\nhost = \"{host}\"\n{ca}{more}");
    let mut rows: Vec<Row> = vec![
        ("http", format!("url = \"http://{{address}}:{http}/ok\"\njson = [\"$.lag_seconds <= 30\"]\n"), "up".into()),
        ("lagging", format!("url = \"http://{{address}}:{http}/ok\"\njson = [\"$.lag_seconds <= 10\"]\n"), "lag_seconds".into()),
        ("busy", format!("url = \"http://{{address}}:{http}/busy\"\n"), "expected status 200-299, got 503 Service Unavailable".into()),
        ("https", url(https, "/ok", ""), "up".into()),
        ("h2", url(https, "/ok", "http = \"2\"\n"), "up".into()),
        ("plaintls", url(http, "/ok", ""), "TLS handshake".into()),
        ("tcp", format!("tcp = {http}\n"), "up".into()),
        ("tls", format!("tls = {https}\n{ca}"), "up".into()),
    ];
    for (name, words) in [
        ("expired", "expired on 2020-01-01"),
        ("misnamed", "gateway.example.com"),
        ("selfsigned", "unknown issuer"),
        ("stalled", "during the TLS handshake with"),
    ] {
        let port = free_port();
        let pid = children.start(
            Command::new("openssl")
                .args(["s_server", "-quiet", "-www", "-accept", &format!("{ADDRESS}:{port}")])
                .arg("-cert")
                .arg(path.join(format!("{name}.pem")))
                .arg("-key")
                .arg(path.join(format!("{name}.key"))),
        );
        let to = std::net::SocketAddr::new(ADDRESS.parse().expect("an address"), port);
        wait_for("s_server to accept", PATIENCE, || std::net::TcpStream::connect_timeout(&to, Duration::from_secs(1)).ok());
        if name == "stalled" {
            // The kernel goes on accepting; nobody speaks.
            signal(pid, "STOP");
        }
        rows.push((name, format!("tls = {port}\n{ca}"), words.into()));
    }
    if Command::new("/usr/bin/python3").args(["-c", "import grpc"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        let port = free_port();
        std::fs::write(path.join("health.py"), GRPC).expect("writable");
        children.start(Command::new("/usr/bin/python3").arg(path.join("health.py")).arg(format!("{ADDRESS}:{port}")));
        rows.push(("grpc", format!("grpc = \"orders\"\nport = {port}\n"), "up".into()));
        rows.push(("grpcnot", format!("grpc = \"search\"\nport = {port}\n"), "NOT_SERVING".into()));
        rows.push(("grpcnobody", format!("grpc = \"nobody\"\nport = {port}\n"), "nobody".into()));
    } else {
        println!("skipped: the gRPC server: python3-grpcio is not installed (tests/run installs it)");
    }

    // unbound asks this very node.
    let mut node = TestNode::prepare("");
    node.launch();
    let resolver = Resolver::start(node.dns);
    let port = resolver.address.port();
    rows.push(("resolver", format!("dns = \"static.api.example.com A\"\naddress = \"192.0.2.80\"\nport = {port}\n"), "up".into()));
    rows.push(("nxdomain", format!("dns = \"nobody.api.example.com A\"\nport = {port}\n"), "NXDOMAIN".into()));
    let mut text = String::new();
    for (name, monitor, _) in &rows {
        let address = if monitor.starts_with("dns") { "127.0.0.1" } else { ADDRESS };
        text.push_str(&format!("[monitor.{name}]\n{monitor}interval = \"1s\"\ntimeout = \"900ms\"\nup_after = 1\n"));
        text.push_str(&format!("[pool.{name}]\nmonitor = \"{name}\"\nendpoints = [\"{address}\"]\n"));
    }
    let pools = rows.iter().map(|(name, ..)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    text.push_str(&format!("[service.orders]\nname = \"orders.api.example.com\"\npolicy = {{ multivalue = [{pools}] }}\n"));
    node.configure(&text);
    node.ok(&["reload"]);
    for (name, _, words) in &rows {
        let (item, what) = wait(&node, name, words);
        assert!(what, "{name}: expected {words}, got {item}");
        println!("measured: {name}: {}", sentence(&item));
    }
}

fn endpoint(node: &TestNode, pool: &str) -> serde_json::Value {
    let items = node.json(&["get", "endpoints"]);
    items["items"].as_array().and_then(|items| items.iter().find(|item| item["pool"] == pool)).cloned().unwrap_or_default()
}

/// Looks until it is as expected, at most [`PATIENCE`]; the last look, and whether it was.
fn wait(node: &TestNode, pool: &str, words: &str) -> (serde_json::Value, bool) {
    let until = Instant::now() + PATIENCE;
    loop {
        let item = endpoint(node, pool);
        let state = item["state"]["observed"].as_str().unwrap_or_default();
        let found = if words == "up" { state == "up" } else { state == "down" && sentence(&item).contains(words) };
        if found || until < Instant::now() {
            return (item, found);
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// What the last probe said.
fn sentence(item: &serde_json::Value) -> &str {
    item["last_probe"]["message"].as_str().unwrap_or("passed")
}
