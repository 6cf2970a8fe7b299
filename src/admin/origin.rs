//! Which pages may speak to us: none but our own.
//!
//! A browser sends whatever a page tells it to, to loopback, too, and with the client's certificate. `Host` tells whose name led it here (DNS rebinding),
//! `Origin` and `Sec-Fetch-Site` whose page it is. The unix socket is exempt: no browser speaks to it.

use axum::http::{HeaderMap, Method, Uri, header};

use super::api::{Fault, ProblemKind};
use super::problem::Refused;

/// `Host` must be an address, `localhost`, or one of `admin.hosts`: a name that somebody else's DNS points here (DNS rebinding) is not.
pub(super) fn check_host(uri: &Uri, headers: &HeaderMap, hosts: &[String]) -> Result<(), Refused> {
    let Some(authority) = authority(uri, headers) else {
        return Err(Refused::new(ProblemKind::InvalidRequest, "the request has no Host header"));
    };
    let name = host_of(authority);
    let address = name.parse::<std::net::IpAddr>().is_ok();
    if address || name.eq_ignore_ascii_case("localhost") || hosts.iter().any(|host| host.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    let mut refused = Refused::new(ProblemKind::Forbidden, format!("`{}` is not a name of this server", name.escape_debug()));
    let hint = "use its IP address or localhost, or add the name to hosts = [\"…\"] in [admin]".to_string();
    refused.problem.errors.push(Fault { code: "host".into(), message: "the Host header names another server".into(), hint, ..Fault::default() });
    Err(refused)
}

/// A request that may change something comes from no page, or from one of this very server.
pub(super) fn check_origin(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) {
        return Ok(());
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let foreign = match (text("origin"), text("sec-fetch-site")) {
        (Some(origin), _) => {
            let origin = origin.to_ascii_lowercase();
            let own = authority(uri, headers).map(|own| own.to_ascii_lowercase());
            origin.split_once("://").zip(own).is_none_or(|((scheme, host), own)| with_port(scheme, host) != with_port(scheme, &own))
        }
        (None, Some(site)) => !["same-origin", "none"].contains(&site),
        (None, None) => false,
    };
    if !foreign {
        return Ok(());
    }
    let mut refused = Refused::new(ProblemKind::Forbidden, "a page of another site may not change anything here; nothing was changed");
    let hint = "send the request from a page of this server, or from a program, which sends no Origin".to_string();
    refused.problem.errors.push(Fault { code: "origin".into(), message: "the Origin header names another site".into(), hint, ..Fault::default() });
    Err(refused)
}

/// The default port of the scheme written out.
fn with_port(scheme: &str, authority: &str) -> String {
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit()));
    match (has_port, scheme) {
        (true, _) => authority.to_string(),
        (false, "https") => format!("{authority}:443"),
        (false, _) => format!("{authority}:80"),
    }
}

/// RFC 9112, section 3.2.2: an absolute-form target wins over Host.
fn authority<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
    let from_header = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    uri.authority().map(|authority| authority.as_str()).or(from_header)
}

/// Without userinfo, port and brackets.
fn host_of(authority: &str) -> &str {
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(address, _)| address),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn hosts_are_addresses_localhost_and_those_of_the_file() {
        let table = [
            ("127.0.0.1:8090", true),
            ("[::1]:8090", true),
            ("192.0.2.1", true),
            ("localhost:8090", true),
            ("LOCALHOST", true),
            ("gtm.example.com:443", true),
            ("evil.example.org:8090", false),
            ("localhost.evil.example.org", false),
            ("127.0.0.1.evil.example.org", false),
            ("127.0.0.1@evil.example.org", false),
            ("", false),
        ];
        let hosts = ["gtm.example.com".to_string()];
        for (host, allowed) in table {
            let headers = [(header::HOST, HeaderValue::from_static(host))].into_iter().collect();
            let found = check_host(&Uri::from_static("/api/v1/whoami"), &headers, &hosts);
            assert_eq!(found.is_ok(), allowed, "{host}");
        }
        assert_eq!(check_host(&Uri::from_static("/"), &HeaderMap::new(), &hosts).unwrap_err().problem.status, 400);
        let headers = [(header::HOST, HeaderValue::from_static("localhost"))].into_iter().collect();
        assert!(check_host(&Uri::from_static("http://evil.example.org/api"), &headers, &hosts).is_err(), "the absolute form wins");
    }

    #[test]
    fn only_a_page_of_this_very_server_may_change_something() {
        let table = [
            (&[("origin", "https://gtm.example.com")][..], true),
            (&[("origin", "https://gtm.example.com:443")], true),
            (&[("origin", "HTTPS://GTM.example.com")], true),
            (&[("origin", "https://gtm.example.com:8443")], false),
            (&[("origin", "https://evil.example.org")], false),
            (&[("origin", "https://gtm.example.com.evil.example.org")], false),
            (&[("origin", "null")], false),
            (&[("origin", "https://gtm.example.com"), ("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "none")], true),
            (&[], true),
        ];
        for (sent, allowed) in table {
            let mut headers: HeaderMap = [(header::HOST, HeaderValue::from_static("gtm.example.com:443"))].into_iter().collect();
            headers.extend(sent.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))));
            let uri = Uri::from_static("/api/v1/overrides");
            assert_eq!(check_origin(&Method::POST, &uri, &headers).is_ok(), allowed, "{sent:?}");
            assert!(check_origin(&Method::GET, &uri, &headers).is_ok(), "a page of another site can't read the reply: {sent:?}");
        }
    }
}
