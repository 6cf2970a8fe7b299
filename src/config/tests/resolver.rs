//! Host names that probes connect to, and the resolver that is asked for them.

use crate::model::{Answering, Host, ResolverRules, Target, TargetId};

use super::*;

/// One endpoint that is probed at `connect`, a service `s` and a wildcard one; `rest` is added.
fn text(connect: &str, rest: &str) -> String {
    format!(
        "schema = 1\n[zone.'example.com']\nfile = 'z'\n[monitor.m]\ntcp = 80\n[pool.a]\nmonitor = 'm'\nendpoints = [{{ address = '192.0.2.1', connect = '{connect}' }}]\n[service.s]\nname = ['s.example.com', '*.w.example.com']\npolicy = {{ failover = ['a'] }}\n{rest}"
    )
}

const SERVERS: &str = "[resolver]\nservers = ['192.0.2.53', '192.0.2.54:5353', '2001:db8::53']\n";

#[track_caller]
fn refused(text: &str) -> String {
    problems(text).into_iter().map(|(_, _, path, message)| format!("{path}: {message}")).collect::<Vec<_>>().join("; ")
}

#[test]
fn the_resolver_is_what_the_file_says() {
    let loaded = good(&text("gw", &format!("{SERVERS}timeout = '500ms'\nattempts = 3\n")));
    let servers = ["192.0.2.53:53", "192.0.2.54:5353", "[2001:db8::53]:53"].map(|server| server.parse().unwrap()).to_vec();
    assert_eq!(loaded.estate.resolver, ResolverRules { servers, timeout: Duration::from_millis(500), attempts: 3 });
    // Who has no host names needs none, whatever the system has.
    assert_eq!(good(&text("192.0.2.7", "")).estate.resolver, ResolverRules::default());
}

#[test]
fn a_host_name_is_part_of_a_target_and_its_endpoints_family_is_asked_for_first() {
    let endpoints = "endpoints = [{ address = '192.0.2.1', connect = 'GW.internal.example:8443' }, { address = '192.0.2.2', connect = 'gw.internal.example.:8443' }, { address = '2001:db8::1', connect = 'gw.internal.example:8443' }]";
    let loaded = good(&format!(
        "[monitor.m]\ntcp = 80\n[pool.a]\nmonitor = 'm'\n{endpoints}\n[sentinel.router]\nmonitor = 'm'\naddress = 'router.internal.example'\n{SERVERS}"
    ));
    let estate = &loaded.estate;
    let target = |(at, target): (usize, &Target)| (target.address.clone(), target.port, estate.endpoints_of(TargetId::at(at)).count());
    let targets: Vec<_> = estate.targets.iter().enumerate().map(target).collect();
    let name = |name: &str, family| Host::Name(name.parse().unwrap(), family);
    assert_eq!(
        targets,
        [
            (name("gw.internal.example", Family::V4), Some(8443), 2),
            (name("gw.internal.example", Family::V6), Some(8443), 1),
            (name("router.internal.example", Family::V4), None, 0)
        ]
    );
    let keys: Vec<_> = loaded.estate.targets.iter().map(|target| target.key.split('#').next().unwrap()).collect();
    assert_eq!(keys, ["m@gw.internal.example:8443", "m@gw.internal.example:8443/ipv6", "m@router.internal.example"]);
}

#[test]
fn what_is_neither_an_address_nor_a_name_is_refused() {
    for (connect, why) in [
        ("192.0.2.300", "neither an IP address nor a host name"),
        ("192.0.2.1:99999", "`99999` is not a port"),
        ("gw:https", "`https` is not a port"),
        ("", "neither an IP address nor a host name"),
        ("*.example.net", "neither an IP address nor a host name"),
        ("-gw.example.net", "neither an IP address nor a host name"),
        ("http://gw.example.net/", "`//gw.example.net/` is not a port"),
        ("gw..example.net", "`gw..example.net` has an empty label"),
        ("gw.exämple.net", "`gw.exämple.net` has a character outside ASCII; write it in its xn--… form"),
    ] {
        assert_eq!(refused(&text(connect, SERVERS)), format!("pool.a.endpoints[0].connect: {why}"), "{connect}");
    }
    let sentinel = format!("[sentinel.x]\nmonitor = 'm'\naddress = 'gw:80'\n{SERVERS}");
    assert_eq!(refused(&text("gw", &sentinel)), "sentinel.x.address: neither an IP address nor a host name", "it has no port of its own");
}

#[test]
fn a_node_never_asks_itself() {
    let loop_of = |listen: &str, server: &str| refused(&text("gw", &format!("[dns]\nlisten = ['{listen}']\n[resolver]\nservers = ['{server}']\n")));
    assert_eq!(
        loop_of("192.0.2.1:53", "192.0.2.1"),
        "resolver.servers[0]: `192.0.2.1:53` is this server itself (dns.listen has 192.0.2.1:53): it would ask itself"
    );
    assert_eq!(
        loop_of("0.0.0.0:5353", "127.0.0.1:5353"),
        "resolver.servers[0]: `127.0.0.1:5353` is this server itself (dns.listen has 0.0.0.0:5353): it would ask itself"
    );
    assert_eq!(loop_of("[::]:53", "::1"), "resolver.servers[0]: `[::1]:53` is this server itself (dns.listen has [::]:53): it would ask itself");
    assert_eq!(loop_of("127.0.0.1:5353", "127.0.0.1"), "", "another port is another server");
    // Where nothing is written it listens everywhere on port 53.
    assert!(refused(&text("gw", "[resolver]\nservers = '127.0.0.1'\n")).contains("is this server itself (dns.listen has 0.0.0.0:53)"));
}

#[test]
fn a_node_never_follows_its_own_answers() {
    for (name, why) in [
        ("s.example.com", "`s.example.com` is answered by service `s`"),
        ("x.y.w.example.com", "`x.y.w.example.com` is answered by service `s`"),
        ("loop.example.com", "`loop.example.com` is an alias of `s.example.com`, which is answered by service `s`"),
    ] {
        assert_eq!(refused(&with_alias(name)), format!("pool.a.endpoints[0].connect: {why}"));
    }
    // Static, delegated, next to a wildcard, an alias to elsewhere, or nobody's: their answers don't follow from health.
    for name in ["old.example.com", "x.cut.example.com", "w.example.com", "alias.example.com", "none.example.com", "gw.internal.example"] {
        assert_eq!(refused(&with_alias(name)), "", "{name}");
    }
}

fn with_alias(connect: &str) -> String {
    let records = format!("{ZONE}loop CNAME s\n");
    text(connect, SERVERS).replace("file = 'z'", &format!("records = '''\n{records}'''"))
}

#[test]
fn every_problem_of_the_resolver_is_told() {
    for (rest, why) in [
        ("servers = []", "resolver.servers: no server"),
        ("servers = ['dns.example.net']", "resolver.servers[0]: not an IP address, with or without a port"),
        ("servers = ['0.0.0.0']", "resolver.servers[0]: `0.0.0.0:53` is no host's address"),
        ("servers = ['192.0.2.1', '192.0.2.1:53']", "resolver.servers[1]: `192.0.2.1:53` stands twice"),
        ("servers = '192.0.2.1'\ntimeout = '1m'", "resolver.timeout: out of range"),
        ("servers = '192.0.2.1'\nattempts = 0", "resolver.attempts: 0 is out of range"),
        ("servers = '192.0.2.1'\nretries = 1", "resolver.retries: unknown key"),
    ] {
        assert_eq!(refused(&text("gw", &format!("[resolver]\n{rest}\n"))), why);
    }
}

#[test]
fn what_the_page_about_host_names_shows_is_a_configuration() {
    let page = include_str!("../../../docs/hostnames.md");
    let block = page.split("```toml\n").nth(3).and_then(|rest| rest.split("```").next()).unwrap();
    let answered = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let alias = page.split("```toml\n").nth(2).and_then(|rest| rest.split("```").next()).unwrap();
    let other = "[pool.other]\nmonitor = 'saas'\nendpoints = [{ host = 'gw.other.example' }]\n";
    let loaded = good(&format!("[zone.'example.com']\nfile = 'z'\n{answered}{other}{alias}"));
    assert_eq!((loaded.estate.hosts.len(), loaded.estate.services.len()), (2, 2));
    let loaded = good(block);
    assert_eq!((loaded.estate.targets.len(), loaded.estate.resolver.servers.len()), (4, 2));
    let default = ResolverRules::default();
    assert_eq!((loaded.estate.resolver.timeout, loaded.estate.resolver.attempts), (default.timeout, default.attempts), "it shows the defaults");
}

/// A pool with this endpoint beside the others of [`text`].
fn hosted(endpoint: &str) -> String {
    text("192.0.2.7", SERVERS).replace("[service.s]", &format!("[pool.saas]\nmonitor = 'm'\nendpoints = [{endpoint}]\n[service.s]"))
}

#[test]
fn an_endpoint_may_have_a_host_name_instead_of_an_address() {
    let loaded = good(
        &hosted("{ name = 'saas', host = 'GW.vendor.example.', weight = 2 }, { host = 'gw.vendor.example', connect = '10.0.0.1:81', tier = 1 }")
            .replace("host = 'gw.vendor", "host = 'gx.vendor"),
    );
    let estate = &loaded.estate;
    let pool = estate.pool(estate.pool_named("saas").unwrap());
    let shown: Vec<_> =
        pool.endpoints.iter().map(|id| (&*estate.endpoint(*id).name, estate.address_text(*id), estate.probed_elsewhere(*id).is_some())).collect();
    assert_eq!(
        shown,
        [("saas", "gw.vendor.example".to_string(), false), ("gx.vendor.example", "gx.vendor.example".to_string(), true)],
        "the name is the default name, and where it is probed unless `connect` says otherwise"
    );
    assert_eq!(estate.hosts.len(), 2);
    let target = estate.targets_of(pool.endpoints[0]).next().unwrap();
    assert_eq!(estate.target(target).address, Host::Answered("gw.vendor.example".parse().unwrap()));
    assert!(estate.target(target).key.starts_with("m@gw.vendor.example/both#"), "{}", estate.target(target).key);
}

#[test]
fn every_problem_of_a_host_name_is_told() {
    for (endpoint, why) in [
        (
            "{ name = 'x', address = '192.0.2.1', host = 'gw.vendor.example' }",
            "pool.saas.endpoints[0].host: an endpoint has an address or a host name, not both",
        ),
        ("{ name = 'x' }", "pool.saas.endpoints[0].address: `address` is missing"),
        ("{ host = '192.0.2.1' }", "pool.saas.endpoints[0].host: neither an IP address nor a host name"),
        ("{ host = 'gw.vendor.example:443' }", "pool.saas.endpoints[0].host: neither an IP address nor a host name"),
        (
            "{ host = 'gw.vendor.example' }, { name = 'y', host = 'gw.vendor.example' }",
            "pool.saas.endpoints[1]: `gw.vendor.example` stands twice in this pool; the first is at ",
        ),
        ("{ host = 's.example.com' }", "pool.saas.endpoints[0].host: `s.example.com` is answered by service `s`"),
    ] {
        let told = refused(&hosted(endpoint));
        assert!(told.starts_with(why), "{endpoint}: {told}");
    }
    // The system's resolvers are taken where there are some, and that there are some is looked at.
    let without = hosted("{ host = 'gw.vendor.example' }").replace(SERVERS, "[resolver]\nservers = []\n");
    assert_eq!(refused(&without), "resolver.servers: no server");
}

/// A service `c` of this name that answers with CNAMEs from a pool with these endpoints.
fn aliased(name: &str, endpoints: &str, rest: &str) -> String {
    format!("{}[service.c]\nname = '{name}'\nanswer = 'cname'\npolicy = {{ failover = ['saas'] }}\n{rest}", hosted(endpoints))
}

const HOSTED: &str = "{ name = 'a', host = 'gw.vendor.example' }, { name = 'b', host = 'gw.other.example' }";

#[test]
fn a_service_may_answer_with_the_names_of_its_endpoints() {
    for name in ["c.example.com", "*.c.example.com", "c.d.e.example.com"] {
        let loaded = good(&aliased(name, HOSTED, ""));
        let answer = |name: &str| loaded.estate.service(loaded.estate.service_named(name).unwrap()).answer;
        assert_eq!((answer("c"), answer("s")), (Answering::Cname, Answering::Addresses));
    }
}

#[test]
fn where_no_cname_may_stand_or_lead_is_a_problem() {
    for (name, endpoints, rest, why) in [
        ("example.com", HOSTED, "", "service.c.name: `example.com` is the apex of its zone, where no CNAME may stand (RFC 1034, section 3.6.2)"),
        (
            "near.example.com",
            HOSTED,
            "",
            "service.c.name: `near.example.com` has static records, and nothing may stand beside a CNAME (RFC 1034, section 3.6.2)",
        ),
        ("old.example.com", HOSTED, "", "service.c.name: `old.example.com` has a static A record at "),
        (
            "c.example.com",
            "{ name = 'a', host = 'gw.vendor.example' }, { name = 'b', address = '192.0.2.9' }",
            "",
            "service.c.policy: endpoint `b` of pool `saas` has an address, and a service with answer = \"cname\" answers with host names alone",
        ),
        ("c.example.com", HOSTED, "when_all_down = { pool = 'a' }\n", "service.c.policy: endpoint `192.0.2.1` of pool `a` has an address, "),
    ] {
        let told = refused(&aliased(name, endpoints, rest));
        assert!(told.contains(why), "{name}: {told}");
    }
    assert_eq!(refused(&hosted(HOSTED).replace("[service.s]", "[service.s]\nanswer = 'alias'")), "service.s.answer: a service can't answer with `alias`");
    // Beside addresses a TXT record may stand.
    good(&aliased("near.example.com", HOSTED, "").replace("answer = 'cname'", "answer = 'addresses'"));
}
