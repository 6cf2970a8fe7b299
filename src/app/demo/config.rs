//! The configuration that the demo runs, and that `demo --config` prints: a newcomer's first own file.

use std::path::Path;

/// Where the demo listens and keeps its state.
pub(super) struct Places<'a> {
    pub dns: std::net::SocketAddr,
    pub admin: std::net::SocketAddr,
    pub metrics: std::net::SocketAddr,
    pub folder: &'a Path,
    pub gateway_port: u16,
}

/// The file, with everything in it.
pub(super) fn text(places: &Places<'_>) -> String {
    let Places { dns, admin, metrics, folder, gateway_port } = places;
    let folder = folder.display();
    format!(
        r#"# What `windrose demo` runs. Make it your own: change the addresses of the endpoints, the names, and where it listens.
# Try it:  windrose check --config FILE    then    windrose serve --config FILE
schema = 1

[node]
name = "demo"

[dns]
listen = ["{dns}"]               # port 53 for real: ["0.0.0.0:53", "[::]:53"]

[admin]
listen = "{admin}"
socket = "{folder}/admin.sock"

[metrics]
listen = "{metrics}"

[store]
path = "{folder}/store"                    # /var/lib/windrose for real

[zone."windrose.test"]
records = """
$TTL 1h
@       IN  SOA  ns1 hostmaster 2026112101 1h 15m 1w 5s
        IN  NS   ns1
ns1     IN  A    127.0.0.1
about   IN  TXT  "static records stand beside the computed ones"
"""

[monitor.gateway]
url = "http://{{address}}:{gateway_port}/healthcheck"
body = "<status>ok</status>"
interval = "1s"                  # 10s is a good value for real
timeout = "500ms"
down_after = 2
up_after = 2

[pool.prod]
monitor = "gateway"
endpoints = ["127.0.1.1"]

[pool.dr]
monitor = "gateway"
endpoints = ["127.0.2.1"]

[service.orders]                 # active/passive
name = "orders.windrose.test"
ttl = "5s"
policy = {{ failover = ["prod", "dr"] }}
failback = "3s"                  # how long a returned region must be up before it is used again

[service.search]                 # active/active by shares
name = "search.windrose.test"
ttl = "5s"
policy = {{ weighted = {{ prod = 80, dr = 20 }} }}
failback = "3s"
"#
    )
}
