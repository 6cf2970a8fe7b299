//! The zones and services that the checks ask for.

/// Zones and their files; services of every kind.
pub fn config() -> String {
    let zones: String = files().iter().map(|(file, _)| format!("[zone.\"{}\"]\nfile = \"{file}\"\n", file.trim_end_matches(".zone"))).collect();
    format!("{zones}{SERVICES}")
}

pub fn files() -> Vec<(&'static str, String)> {
    vec![("conf.test.zone", conf()), ("child.conf.test.zone", CHILD.to_string()), ("short.test.zone", SHORT.to_string()), ("long.test.zone", long())]
}

/// A label of 63 octets.
pub const LABEL_63: &str = "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz-";

/// 255 octets in wire form, below `long.test`.
pub fn longest_name() -> String {
    format!("{LABEL_63}.{LABEL_63}.{LABEL_63}.{}.long.test.", &LABEL_63[..51])
}

/// 127 labels: as many as 255 octets hold.
pub fn deepest_name() -> String {
    // 11 octets are the zone's name; each label before it takes 2.
    format!("{}long.test.", "a.".repeat(122))
}

fn conf() -> String {
    let large: String = (0..40).map(|n| format!("large 60 TXT \"{n:02} {}\"\n", "x".repeat(60))).collect();
    let medium: String = (0..9).map(|n| format!("medium 60 TXT \"{n:02} {}\"\n", "y".repeat(60))).collect();
    let chain: String = (0..30).map(|n| format!("c{n} 60 CNAME c{}\n", n + 1)).collect();
    let glue: String = (0..24).map(|n| format!("ns.fat 60 AAAA 2001:db8:fa7::{n:x}\n")).collect();
    let optional: String = (0..40).map(|n| format!("many 60 A 198.18.0.{n}\n")).collect();
    format!("{CONF}{large}{medium}{chain}c30 60 A 192.0.2.30\n{glue}{optional}")
}

fn long() -> String {
    format!(
        "$TTL 60\n@ SOA ns.host. root.host. 1 2 3 4 5\n@ NS ns.host.\n{} A 192.0.2.63\n{} A 192.0.2.127\n*.{} A 192.0.2.99\n",
        longest_name(),
        deepest_name(),
        &longest_name()[64..]
    )
}

const CONF: &str = r#"$TTL 1h
@               SOA     ns1 Hostmaster 2026112101 1h 15m 1w 5m
                NS      ns1
                NS      ns2.elsewhere.example.
                MX      10 mail
                MX      20 MAIL.Backup
                TXT     "apex"
                CAA     0 issue "ca.example.net"
ns1             A       192.0.2.53
                AAAA    2001:db8::53
host            A       192.0.2.1
                TXT     "one" "two; three" ""
                TXT     "bytes \000\255"
mail            A       192.0.2.25
                AAAA    2001:db8::25
mail.backup     A       192.0.2.26
pair    120     A       192.0.2.2
        120     A       192.0.2.3
zero    0       A       192.0.2.4
; equal but for letters, and outright twice: each is there once
twice           MX      10 mail
                MX      10 MAIL
; differing TTLs are levelled to the least (RFC 2181, section 5.2)
uneven  300     A       192.0.2.5
        60      A       192.0.2.6
MiXeD           TXT     "mixed"
\000\255b\.d    TXT     "binary"
sp\032ace       TXT     "space"
other           TYPE65280 \# 3 0a0b0c
_sip._tcp       SRV     10 60 5060 host
web             HTTPS   1 . alpn=h2
                SVCB    1 host alpn=h2
naptr           NAPTR   100 10 "S" "SIP+D2U" "" _sip._udp
rp              RP      Hostmaster txt.rp
deep.down.below TXT     "deep"
; wildcards
*.wild          A       192.0.2.9
                TXT     "any"
                MX      10 mail
exact.wild      TXT     "exact"
a.b.wild        A       192.0.2.10
*.star          A       192.0.2.11
*.*.twostar     A       192.0.2.12
*.alias         CNAME   host
sub.*.mid       A       192.0.2.13
; chains
www             CNAME   host
www2            CNAME   www
lost            CNAME   nobody
void            CNAME   below
away            CNAME   www.elsewhere.example.
down            CNAME   x.cut
across          CNAME   www.child
loop1           CNAME   loop2
loop2           CNAME   loop1
self            CNAME   self
wildloop        CNAME   x.wildloops
*.wildloops     CNAME   y.wildloops
tosvc           CNAME   v4.svc
towild          CNAME   q.wild
; cuts
cut     600     NS      ns.cut
        600     NS      ns.nocut
        600     NS      ns2.elsewhere.example.
        600     DS      12345 13 2 49FD46E6C4B45C55D4AC69CBD3CD34AC1AFE51DE8DEB5A2EC4A2C9D5E3E1D6A3
ns.cut          A       198.51.100.53
hidden.cut      TXT     "occluded"
*.cut           TXT     "occluded"
nocut           NS      ns.nocut
ns.nocut        AAAA    2001:db8:2::53
bare            NS      ns.elsewhere.example.
under.ent.cut2  NS      ns1
fat     60      NS      ns.fat
child           NS      ns.child
                DS      54321 13 2 49FD46E6C4B45C55D4AC69CBD3CD34AC1AFE51DE8DEB5A2EC4A2C9D5E3E1D6A4
ns.child        A       192.0.2.77
"#;

const CHILD: &str = "$TTL 10m
@       SOA     ns hostmaster.conf.test. 7 1h 15m 1w 2m
        NS      ns
ns      A       192.0.2.77
www     A       192.0.2.78
up      CNAME   host.conf.test.
upper   CNAME   nobody.conf.test.
";

/// An SOA that lives shorter than its MINIMUM.
const SHORT: &str = "$TTL 1h
@       30 SOA  ns.elsewhere.example. hostmaster 1 1h 15m 1w 1d
        NS      ns.elsewhere.example.
a       A       192.0.2.200
";

const SERVICES: &str = r#"
[monitor.trusted]
always = "up"
[monitor.nobody]
tcp = 1
interval = "1s"
timeout = "500ms"
down_after = 1
[pool.v4]
monitor = "trusted"
endpoints = ["203.0.113.1", "203.0.113.2"]
[pool.both]
monitor = "trusted"
endpoints = ["203.0.113.3", "2001:db8:3::3"]
[pool.crowd]
monitor = "trusted"
endpoints = ["203.0.113.11", "203.0.113.12", "203.0.113.13", "203.0.113.14", "203.0.113.15", "203.0.113.16", "203.0.113.17", "203.0.113.18", "203.0.113.19", "203.0.113.20"]
[pool.gone]
monitor = "nobody"
endpoints = ["127.0.0.1"]
[service.v4]
name = ["v4.svc.conf.test", "*.any.svc.conf.test", "MiXed.svc.conf.test"]
ttl = "20s"
policy = { failover = ["v4"] }
[service.both]
name = "both.svc.conf.test"
ttl = "45s"
policy = { weighted = { both = 100 } }
[service.slow]
name = "slow.svc.conf.test"
ttl = "1h"
policy = { failover = ["v4"] }
[service.crowd]
name = "crowd.svc.conf.test"
max_answers = 4
policy = { failover = ["crowd"] }
[service.gone]
name = "gone.svc.conf.test"
policy = { failover = ["gone"] }
when_all_down = "servfail"
[service.void]
name = "void.svc.conf.test"
ttl = "15s"
policy = { failover = ["gone"] }
when_all_down = "nodata"
[service.web]
name = "web.conf.test"
policy = { failover = ["both"] }
"#;
