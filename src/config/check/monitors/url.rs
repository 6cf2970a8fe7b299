//! A monitor's URL, taken apart. `{address}` stands for each endpoint's, and nothing else can.

use crate::model::Scheme;

/// The parts of a monitor's URL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub scheme: Scheme,
    /// `None`: `{address}`.
    pub host: Option<String>,
    pub port: u16,
    /// With the query.
    pub path: String,
}

impl Url {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("a URL begins with http:// or https://")?;
        let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Scheme::Http, 80),
            "https" => (Scheme::Https, 443),
            other => return Err(format!("`{other}` is not supported: a URL begins with http:// or https://")),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("a URL with a user name is not supported; use headers = { Authorization = \"…\" }".to_string());
        }
        if authority.starts_with('[') {
            return Err("an address in the URL: probes go to each endpoint's own".to_string());
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0).ok_or(format!("`{port}` is not a port"))?),
            None => (authority, default_port),
        };
        if host != "{address}" && host.parse::<std::net::Ipv4Addr>().is_ok() {
            return Err("an address in the URL: probes go to each endpoint's own".to_string());
        }
        if host != "{address}" && !host_name(host, false) {
            return Err(format!("`{host}` is not a host name"));
        }
        if path.contains('#') {
            return Err("a fragment (#…) is never sent".to_string());
        }
        if path.contains(['{', '}']) {
            return Err("{address} can only stand as the host".to_string());
        }
        if !path.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err("the path has a character that must be written as %XX".to_string());
        }
        let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
        Ok(Self { scheme, host: (host != "{address}").then(|| host.to_ascii_lowercase()), port, path })
    }
}

/// Whether a text is a host's name, perhaps with a port.
pub(super) fn host_name(text: &str, with_port: bool) -> bool {
    let name = match text.split_once(':') {
        Some((name, port)) if with_port && port.parse::<u16>().is_ok_and(|port| port > 0) => name,
        Some(_) => return false,
        None => text,
    };
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| (1..=63).contains(&label.len()) && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let cases = [
            ("http://{address}:8080/healthcheck", Ok((Scheme::Http, None, 8080, "/healthcheck"))),
            ("https://API.example.com/a?b=c", Ok((Scheme::Https, Some("api.example.com"), 443, "/a?b=c"))),
            ("http://{address}", Ok((Scheme::Http, None, 80, "/"))),
            ("HTTP://{address}?x", Ok((Scheme::Http, None, 80, "/?x"))),
            ("{address}/x", Err("a URL begins with")),
            ("ftp://{address}/x", Err("`ftp` is not supported")),
            ("http://{adress}/", Err("`{adress}` is not a host name")),
            ("http://192.0.2.1/", Err("an address in the URL")),
            ("http://[::1]/", Err("an address in the URL")),
            ("http://a:b@c/", Err("a URL with a user name")),
            ("http://{address}:0/", Err("`0` is not a port")),
            ("http://{address}:70000/", Err("`70000` is not a port")),
            ("http://{address}/#a", Err("a fragment")),
            ("http://{address}/a b", Err("the path has")),
            ("http://{address}/{address}", Err("{address} can only")),
            ("http:///x", Err("`` is not a host name")),
        ];
        for (text, expected) in cases {
            match (Url::parse(text), expected) {
                (Ok(url), Ok((scheme, host, port, path))) => {
                    assert_eq!(url, Url { scheme, host: host.map(str::to_string), port, path: path.to_string() }, "{text}");
                }
                (Err(why), Err(begin)) => assert!(why.starts_with(begin), "{text}: {why}"),
                (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
            }
        }
    }
}
