//! `[resolver]`: who is asked for host names, and that it is never ourselves.
//!
//! A node that asks itself, or that follows its own answers, judges health by what it has decided from health: such a loop must not be, so it is refused
//! here. Never here: asking (the `probe` room's).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::time::Duration;

use crate::config::file::Resolver as Table;
use crate::config::problem::Sink;
use crate::config::read::Key;
use crate::model::{Estate, ResolverRules, Service};
use crate::wire::Name;

use super::number;
use super::pools::never_answered;
use super::zones::{Unfit, Zones};

/// Host names that are answered or that probes connect to: the name, where it stands, and its path.
pub(super) type HostNames = Vec<(Name, Range<usize>, String)>;

const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(10);
/// Where the system keeps its resolvers.
const SYSTEM: &str = "/etc/resolv.conf";
/// Of that file's servers so many are asked, as everybody else on the system does.
const SYSTEM_SERVERS_MAX: usize = 3;
/// More servers are no safer, and each one that is dead costs a timeout.
const SERVERS_MAX: usize = 8;
/// Aliases in a row that are followed.
const ALIASES_MAX: usize = 8;

/// Fills `estate.resolver`. Call it when the services are known.
pub(super) fn check(table: Key<Table>, listen: &[SocketAddr], host_names: &HostNames, zones: &Zones, estate: &mut Estate, sink: &mut Sink<'_>) {
    let span = table.get().map(|table| table.span.clone());
    let Table { servers, timeout, attempts } = table.or_default();
    let default = ResolverRules::default();
    if let Some(found) = timeout.get().filter(|found| !TIMEOUTS.contains(&found.value)) {
        sink.problem(&found.span, "resolver.timeout", "out of range", "from \"100ms\" to \"10s\": the longest wait for one response; \"2s\" by default");
    }
    let attempts = number(&attempts, 1..=5, i64::from(default.attempts), "resolver.attempts", sink);
    let mut rules = ResolverRules { servers: Vec::new(), timeout: timeout.or(default.timeout), attempts: u8::try_from(attempts).unwrap_or(default.attempts) };
    match servers.get() {
        Some(list) => {
            if list.value.0.is_empty() {
                sink.problem(&list.span, "resolver.servers", "no server", format!("remove the key for those of {SYSTEM}"));
            }
            for (index, found) in list.value.0.iter().enumerate().filter_map(|(index, server)| Some((index, server.get()?))) {
                let server = found.value.0;
                let path = format!("resolver.servers[{index}]");
                if let Some(why) = refused(server, listen) {
                    sink.problem(&found.span, path, format!("`{server}` {why}"), "write the address of the resolver that this node's names are known to");
                } else if rules.servers.contains(&server) {
                    sink.problem(&found.span, path, format!("`{server}` stands twice"), "remove one");
                } else if index == SERVERS_MAX {
                    sink.problem(
                        &found.span,
                        path,
                        format!("more than {SERVERS_MAX} servers"),
                        "two or three that fail independently of each other are plenty",
                    );
                }
                rules.servers.push(server);
            }
        }
        // Who has no host names needs no resolver, and a machine without one is fine.
        None if host_names.is_empty() || !servers.is_absent() => {}
        None => {
            let place = span.or_else(|| host_names.first().map(|(_, span, _)| span.clone())).unwrap_or_default();
            rules.servers = system(Path::new(SYSTEM), &place, listen, sink);
        }
    }
    for (name, span, path) in host_names {
        if let Some(message) = own_answer(name, &estate.services, zones) {
            let help = "health would follow from answers that follow from health: write the gateway's own name, or its address";
            sink.problem(span, path, message, help);
        }
    }
    estate.resolver = rules;
}

/// The system's resolvers.
fn system(file: &Path, place: &Range<usize>, listen: &[SocketAddr], sink: &mut Sink<'_>) -> Vec<SocketAddr> {
    let help = "add [resolver] with servers = [\"192.0.2.53\"]: who knows the host names of endpoints";
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(why) => {
            sink.problem(place, "resolver.servers", format!("host names need a resolver, and `{}` can't be read: {why}", file.display()), help);
            return Vec::new();
        }
    };
    let servers = name_servers(&text);
    if servers.is_empty() {
        sink.problem(place, "resolver.servers", format!("host names need a resolver, and `{}` names none", file.display()), help);
    }
    for server in &servers {
        if let Some(why) = refused(*server, listen) {
            sink.problem(place, "resolver.servers", format!("`{server}`, from `{}`, {why}", file.display()), help);
        }
    }
    servers
}

/// `nameserver` lines of a resolv.conf. Addresses with a zone (`fe80::1%eth0`) are left out: they mean something on one interface only.
fn name_servers(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())?;
        Some(SocketAddr::new(address.parse().ok()?, 53))
    };
    let mut servers = Vec::new();
    for server in text.lines().filter_map(server) {
        if !servers.contains(&server) && servers.len() < SYSTEM_SERVERS_MAX {
            servers.push(server);
        }
    }
    servers
}

/// Why a server must not be asked.
fn refused(server: SocketAddr, listen: &[SocketAddr]) -> Option<String> {
    if let Some(why) = never_answered(server.ip()) {
        return Some(why.to_string());
    }
    let family = |listener: &SocketAddr| listener.is_ipv4() == server.is_ipv4();
    let hears =
        |listener: &&SocketAddr| listener.port() == server.port() && (listener.ip() == server.ip() || listener.ip().is_unspecified() && family(listener));
    let listener = listen.iter().find(hears)?;
    let ours = listener.ip() == server.ip() || is_own(server.ip());
    ours.then(|| format!("is this server itself (dns.listen has {listener}): it would ask itself"))
}

/// Is it an address of this machine? The way to it then begins at that very address. Nothing is sent.
fn is_own(address: IpAddr) -> bool {
    let any = if address.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let begins_at = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((address, 53))?;
        socket.local_addr()
    };
    address.is_loopback() || begins_at().is_ok_and(|from| from.ip() == address)
}

/// Is what a resolver says of this name our own answer for a service? Aliases in our zones are followed.
fn own_answer(name: &Name, services: &[Service], zones: &Zones) -> Option<String> {
    let mut at = name.clone();
    for _ in 0..=ALIASES_MAX {
        let fit = zones.fit(at.wire());
        if matches!(fit, Err(Unfit::NoZone | Unfit::Delegated(_))) {
            return None;
        }
        if let Some(service) = service_of(&at, fit.is_ok(), services) {
            let via = if at == *name { String::new() } else { format!("is an alias of `{at}`, which ") };
            return Some(format!("`{name}` {via}is answered by service `{}`", service.name));
        }
        at = zones.alias(&at)?;
    }
    None
}

/// The service with this name, or whose wildcard covers it. `free`: no static record stands there, which would hide it from wildcards (RFC 4592 §2.2.1).
fn service_of<'s>(name: &Name, free: bool, services: &'s [Service]) -> Option<&'s Service> {
    let covers = |own: &Name| free && own.is_wildcard() && own.parent().is_some_and(|parent| name.is_within(&parent) && *name != parent);
    services.iter().find(|service| service.names.iter().any(|own| own == *name || covers(&own)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_servers_are_its_nameserver_lines() {
        let text = "# nameserver 192.0.2.1\nsearch example.com\nnameserver 192.0.2.53\nnameserver\t2001:db8::53 # second\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver 192.0.2.54\nnameserver 192.0.2.55\noptions timeout:1\n";
        let servers: Vec<String> = name_servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.53:53", "[2001:db8::53]:53", "192.0.2.54:53"]);
    }

    #[test]
    fn a_server_that_is_ourselves_is_known_by_its_listener_and_by_our_addresses() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let ours = |server: &str, listen: &str| refused(at(server), &[at(listen)]).is_some();
        assert!(ours("192.0.2.53:53", "192.0.2.53:53"));
        assert!(ours("127.0.0.1:53", "0.0.0.0:53") && ours("127.0.0.53:53", "0.0.0.0:53") && ours("[::1]:53", "[::]:53"));
        assert!(!ours("127.0.0.1:53", "0.0.0.0:5353") && !ours("127.0.0.1:53", "127.0.0.2:53") && !ours("127.0.0.1:53", "[::]:53"));
        assert!(!ours("192.0.2.53:53", "0.0.0.0:53"), "a documentation address is nobody's");
        assert_eq!(refused(at("0.0.0.0:53"), &[]).as_deref(), Some("is no host's address"));
        // The address that this machine is known by elsewhere, if it has one.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket.connect("192.0.2.1:53").is_ok() {
            assert!(is_own(socket.local_addr().unwrap().ip()));
        }
    }
}
