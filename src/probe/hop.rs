//! Where a request goes, and where a redirect leads it.
//!
//! | a redirect leads to                              | and then                                                                     |
//! |--------------------------------------------------|------------------------------------------------------------------------------|
//! | the host that is probed                          | its endpoint's address is asked, on the port that the redirect names         |
//! | another host, written as an address              | that address is asked, unless it is one that no probe may reach              |
//! | another host, written as a name                  | the probe fails: names are not resolved here                                 |
//! | anything but http and https, or with a user name | the probe fails                                                              |
//!
//! Credentials (the monitor's headers but User-Agent, and the client certificate) go to the origin that is probed alone: scheme, host and port
//! must be the same (RFC 9110, section 15.4), and have been so on the whole way. Never here: sockets.

use std::net::{IpAddr, SocketAddr};

use hyper::StatusCode;
use url::{Host, Position, Url};

use crate::health::Reason;
use crate::model::{HttpCheck, Method, Scheme};

use super::fail::{Failure, quotable};
use super::permit::Permit;
use super::tls;

/// One request's way.
#[derive(Clone, Debug)]
pub struct Hop {
    /// Plain or TLS.
    pub scheme: Scheme,
    /// Who is asked.
    pub peer: SocketAddr,
    /// `Host`, with the port unless it is the scheme's own.
    pub host: String,
    /// Name that is sent and verified in TLS.
    pub name: String,
    /// Path and query.
    pub path: String,
    /// What is asked for.
    pub method: Method,
    /// It is the origin that is probed, and no other was on the way: credentials are sent.
    pub trusted: bool,
    /// Redirects so far.
    pub redirects: u8,
}

impl Hop {
    /// What the monitor asks of `peer`.
    pub fn first(check: &HttpCheck, peer: SocketAddr) -> Self {
        let host = check.host.clone().unwrap_or_else(|| match (check.scheme, peer.port()) {
            (Scheme::Http, 80) | (Scheme::Https, 443) if peer.is_ipv6() => format!("[{}]", peer.ip()),
            (Scheme::Http, 80) | (Scheme::Https, 443) => peer.ip().to_string(),
            _ => peer.to_string(),
        });
        let name = tls::server_name(&check.tls, check.host.as_deref(), peer.ip());
        Self { scheme: check.scheme, peer, host, name, path: check.path.clone(), method: check.method, trusted: true, redirects: 0 }
    }

    /// Where `location` leads from here. `first`: where it all began. What must not be probed is not followed, and that is the endpoint's fault:
    /// asked only when it is connected to, it would be ours, and count for nothing.
    pub fn follow(&self, first: &Hop, check: &HttpCheck, (status, location): (StatusCode, &str), permit: &Permit) -> Result<Hop, Failure> {
        let refused = |why: String| Failure::new(Reason::Status, format!("redirected ({}) to {}: {why}", status.as_u16(), quotable(location)));
        if self.redirects == check.outcomes.redirects {
            let followed = if self.redirects == 1 { "1 redirect".to_string() } else { format!("{} redirects", self.redirects) };
            return Err(refused(format!("{followed} followed already, as many as `redirects` allows")));
        }
        let to = self.url().and_then(|here| here.join(location)).map_err(|why| refused(format!("not an address of a page ({why})")))?;
        let (scheme, port) = match to.scheme() {
            "http" => (Scheme::Http, to.port().unwrap_or(80)),
            "https" => (Scheme::Https, to.port().unwrap_or(443)),
            _ => return Err(refused("only http and https are followed".to_string())),
        };
        if !to.username().is_empty() || to.password().is_some() {
            return Err(refused("it names a user, and nobody's credentials are sent".to_string()));
        }
        let Some(host) = to.host() else { return Err(refused("it names no host".to_string())) };
        let home = self.is_home(first, &to, &host);
        let address = if home {
            first.peer.ip()
        } else {
            literal(&host).ok_or_else(|| refused("another host is followed only by its address, because names are not resolved here".to_string()))?
        };
        // A name without a port in `host` stands for the port that is probed, whatever it is.
        let same_port = self.is_relative(location) || SocketAddr::new(address, port) == first.peer;
        let peer = if self.is_relative(location) { self.peer } else { SocketAddr::new(address, port) };
        permit.check(peer).map_err(|forbidden| refused(forbidden.message))?;
        Ok(Hop {
            scheme,
            peer,
            host: if self.is_relative(location) { self.host.clone() } else { to[Position::BeforeHost..Position::AfterPort].to_string() },
            name: if home { first.name.clone() } else { peer.ip().to_string() },
            path: to[Position::BeforePath..Position::AfterQuery].to_string(),
            method: match (status, self.method) {
                // RFC 9110, sections 15.4.2 to 15.4.4.
                (StatusCode::SEE_OTHER, Method::Post | Method::Options) | (StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND, Method::Post) => Method::Get,
                (_, method) => method,
            },
            trusted: self.trusted && home && same_port && scheme == first.scheme,
            redirects: self.redirects + 1,
        })
    }

    /// A failure after redirects says where it happened.
    pub fn blame(&self, failure: Failure) -> Failure {
        match self.redirects {
            0 => failure,
            _ => Failure { message: format!("{} (redirected to {})", failure.message, quotable(&format!("{}{}", self.host, self.path))), ..failure },
        }
    }

    fn url(&self) -> Result<Url, url::ParseError> {
        let scheme = if self.scheme == Scheme::Https { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{}{}", self.host, self.path))
    }

    /// It stays where it is: scheme, host and port are this hop's.
    fn is_relative(&self, location: &str) -> bool {
        Url::parse(location) == Err(url::ParseError::RelativeUrlWithoutBase) && !location.trim_start().replace('\\', "/").starts_with("//")
    }

    /// The host that is probed, by its name or its address.
    fn is_home(&self, first: &Hop, to: &Url, host: &Host<&str>) -> bool {
        let named = first.url().ok().and_then(|first| first.host_str().map(|name| to.host_str().is_some_and(|host| host.eq_ignore_ascii_case(name))));
        named == Some(true) || literal(host) == Some(first.peer.ip())
    }
}

fn literal(host: &Host<&str>) -> Option<IpAddr> {
    match host {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some((*address).into()),
        Host::Ipv6(address) => Some(IpAddr::from(*address).to_canonical()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Own, ProbeRules};

    fn first(scheme: Scheme, host: Option<&str>, peer: &str) -> (HttpCheck, Hop) {
        let mut check = HttpCheck::get(scheme, 0, "/a/health?x=1");
        check.host = host.map(str::to_string);
        check.outcomes.redirects = 3;
        let hop = Hop::first(&check, peer.parse().unwrap());
        (check, hop)
    }

    /// The admin API listens at 127.0.0.1:8090, and one link-local network is allowed.
    fn permit() -> Permit {
        let (own, allow) = (vec![(Own::Admin, "127.0.0.1:8090".parse().unwrap())], vec!["169.254.7.0/24".parse().unwrap()]);
        Permit(Arc::new(ProbeRules { own, allow }))
    }

    /// `https 192.0.2.1:443 host /path trusted`.
    fn led(from: (&HttpCheck, &Hop), status: u16, location: &str) -> String {
        match from.1.follow(from.1, from.0, (StatusCode::from_u16(status).unwrap(), location), &permit()) {
            Ok(Hop { scheme, peer, host, path, trusted, .. }) => {
                format!("{} {peer} {host} {path}{}", if scheme == Scheme::Https { "https" } else { "http" }, if trusted { " trusted" } else { "" })
            }
            Err(failure) => failure.message,
        }
    }

    #[test]
    fn the_host_is_the_address_with_the_port_unless_it_is_the_schemes_own() {
        for (scheme, peer, host) in [
            (Scheme::Http, "192.0.2.10:80", "192.0.2.10"),
            (Scheme::Http, "192.0.2.10:443", "192.0.2.10:443"),
            (Scheme::Https, "192.0.2.10:443", "192.0.2.10"),
            (Scheme::Http, "[2001:db8::1]:80", "[2001:db8::1]"),
            (Scheme::Https, "[2001:db8::1]:8443", "[2001:db8::1]:8443"),
        ] {
            assert_eq!(first(scheme, None, peer).1.host, host);
        }
    }

    #[test]
    fn a_redirect_leads_to_the_endpoint_itself_to_literal_addresses_and_nowhere_else() {
        let (check, named) = first(Scheme::Https, Some("api.example.com:8443"), "192.0.2.1:8443");
        let (plain_check, plain) = first(Scheme::Http, None, "192.0.2.1:8080");
        let unresolved = "another host is followed only by its address, because names are not resolved here";
        let refused = |location: &str, why: &str| format!("redirected (302) to {location}: {why}");
        // The rules and their words are those of every probe.
        let forbidden = |location: &str, peer: &str| refused(location, &permit().check(peer.parse().unwrap()).unwrap_err().message);
        for (from, location, to) in [
            (0, "/ready", "https 192.0.2.1:8443 api.example.com:8443 /ready trusted".to_string()),
            (0, "ready?y=2#top", "https 192.0.2.1:8443 api.example.com:8443 /a/ready?y=2 trusted".to_string()),
            (0, "../../../up", "https 192.0.2.1:8443 api.example.com:8443 /up trusted".to_string()),
            (0, "https://API.example.com:8443/ready", "https 192.0.2.1:8443 api.example.com:8443 /ready trusted".to_string()),
            // Another port and another scheme are other origins: the endpoint is asked, without credentials.
            (0, "https://api.example.com/", "https 192.0.2.1:443 api.example.com /".to_string()),
            (0, "http://api.example.com:8443/", "http 192.0.2.1:8443 api.example.com:8443 /".to_string()),
            (0, "https://192.0.2.9/x", "https 192.0.2.9:443 192.0.2.9 /x".to_string()),
            (0, "//192.0.2.9/x", "https 192.0.2.9:443 192.0.2.9 /x".to_string()),
            (0, "https://login.example.com/", refused("https://login.example.com/", unresolved)),
            (0, "//api.example.com.evil.example/", refused("//api.example.com.evil.example/", unresolved)),
            (0, "ftp://192.0.2.1/", refused("ftp://192.0.2.1/", "only http and https are followed")),
            (0, "https://user:pw@192.0.2.1/", refused("https://user:pw@192.0.2.1/", "it names a user, and nobody's credentials are sent")),
            (1, "http://192.0.2.1:8080/ready", "http 192.0.2.1:8080 192.0.2.1:8080 /ready trusted".to_string()),
            (1, "https://192.0.2.1/", "https 192.0.2.1:443 192.0.2.1 /".to_string()),
            (1, "http://[2001:db8::7]:81/", "http [2001:db8::7]:81 [2001:db8::7]:81 /".to_string()),
            (1, "http://169.254.169.254/latest/meta-data", forbidden("http://169.254.169.254/latest/meta-data", "169.254.169.254:80")),
            (1, "http://0xa9fea9fe/", forbidden("http://0xa9fea9fe/", "169.254.169.254:80")),
            (1, "http://[::ffff:169.254.169.254]/", forbidden("http://[::ffff:169.254.169.254]/", "169.254.169.254:80")),
            (1, "http://[fe80::1]/", forbidden("http://[fe80::1]/", "[fe80::1]:80")),
            (1, "http://127.0.0.1:8090/api/v1/overview", forbidden("http://127.0.0.1:8090/api/v1/overview", "127.0.0.1:8090")),
            (1, "http://169.254.7.7/", "http 169.254.7.7:80 169.254.7.7 /".to_string()),
            (1, "http://0.0.0.0/", forbidden("http://0.0.0.0/", "0.0.0.0:80")),
        ] {
            let from = if from == 0 { (&check, &named) } else { (&plain_check, &plain) };
            assert_eq!(led(from, 302, location), to, "{location}");
        }
    }

    #[test]
    fn trust_that_was_lost_on_the_way_does_not_return() {
        let (check, home) = first(Scheme::Http, None, "192.0.2.1:8080");
        let away = home.follow(&home, &check, (StatusCode::FOUND, "http://192.0.2.9/"), &permit()).unwrap();
        let back = away.follow(&home, &check, (StatusCode::FOUND, "http://192.0.2.1:8080/admin"), &permit()).unwrap();
        assert_eq!((away.trusted, back.trusted, back.peer), (false, false, home.peer));
        assert!(!away.follow(&home, &check, (StatusCode::FOUND, "/x"), &permit()).unwrap().trusted);
    }

    #[test]
    fn as_many_as_allowed_are_followed_and_methods_change_as_rfc_9110_says() {
        let (mut check, home) = first(Scheme::Http, None, "192.0.2.1:8080");
        check.outcomes.redirects = 1;
        let next = home.follow(&home, &check, (StatusCode::FOUND, "/b"), &permit()).unwrap();
        let failure = next.follow(&home, &check, (StatusCode::FOUND, "/c"), &permit()).unwrap_err();
        assert_eq!(failure.message, "redirected (302) to /c: 1 redirect followed already, as many as `redirects` allows");
        for (status, method, then) in [
            (301, Method::Post, Method::Get),
            (302, Method::Head, Method::Head),
            (303, Method::Post, Method::Get),
            (303, Method::Head, Method::Head),
            (307, Method::Post, Method::Post),
            (308, Method::Options, Method::Options),
        ] {
            let from = Hop { method, ..home.clone() };
            assert_eq!(
                from.follow(&home, &check, (StatusCode::from_u16(status).unwrap(), "/b"), &permit()).unwrap().method,
                then,
                "{status} {}",
                method.word()
            );
        }
    }
}
