//! Who asks, and what they may do.
//!
//! Over TCP a bearer token always, on loopback too: any page in a browser and any user of the host can reach loopback. Over the unix socket whoever
//! can open it may operate; root and the daemon's own user are admin. Secrets are compared as hashes, in constant time, and reach no log.

use std::sync::Arc;

use axum::http::{HeaderMap, Uri, header};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::control::{Actor, Core, Scope};
use crate::model::{Timestamp, glob_matches};

use super::api::{Fault, ProblemKind};
use super::door::Door;
use super::problem::Refused;

/// What secrets begin with, so that leaked ones can be found.
const PREFIX: &str = "wr_";
/// Random octets of a secret.
const SECRET_OCTETS: usize = 32;

/// How a request came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// TCP: only a token counts.
    Tcp,
    /// The unix socket, from this user.
    Socket {
        /// Shown name: the user's, else the uid.
        user: String,
        /// Root, or the user that the daemon runs as.
        owner: bool,
    },
}

/// Who asks, once known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub actor: Actor,
    pub scope: Scope,
    /// Globs of the services that it may change; empty: all of them, and the node.
    pub limit: Vec<Arc<str>>,
}

impl Caller {
    /// May change these services. One that it may not is named.
    pub(super) fn may_touch<'a>(&self, services: impl IntoIterator<Item = &'a str>) -> Result<(), Refused> {
        let outside = |name: &&str| !self.limit.is_empty() && !self.limit.iter().any(|glob| glob_matches(glob, name));
        match services.into_iter().find(outside) {
            None => Ok(()),
            Some(service) => Err(self.outside(&format!("the service `{}`", service.escape_debug()))),
        }
    }

    /// May change what is not one service's alone.
    pub(super) fn may_touch_the_node(&self) -> Result<(), Refused> {
        if self.limit.is_empty() { Ok(()) } else { Err(self.outside("the node as a whole")) }
    }

    fn outside(&self, what: &str) -> Refused {
        let Actor(actor) = &self.actor;
        let limit = self.limit.join(", ");
        let mut refused = Refused::new(ProblemKind::Forbidden, format!("this changes {what}, and {actor} may change only: {limit}; nothing was changed"));
        let hint = "use a token that is not limited, or one limited to services that include this".to_string();
        refused.problem.errors.push(Fault { code: "service-limit".into(), message: format!("{what} is outside the token's limit"), hint, ..Fault::default() });
        refused
    }
}

/// Finds out who asks.
pub(super) async fn caller(peer: &Peer, headers: &HeaderMap, door: &Door) -> Result<Caller, Refused> {
    match peer {
        Peer::Socket { user, owner } => {
            let scope = if *owner { Scope::Admin } else { Scope::Operate };
            Ok(Caller { actor: Actor(format!("socket:{user}")), scope, limit: Vec::new() })
        }
        Peer::Tcp => {
            let hash = hash_of(bearer(headers)?);
            door.look(move |core, now| by_hash(core, &hash, now.wall)).await?.map_err(|why| unauthorized(&why))
        }
    }
}

/// The secret of `Authorization: Bearer …` (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Result<&str, Refused> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Err(unauthorized("there is no token")) };
    let text = value.to_str().unwrap_or_default();
    match text.split_once(' ') {
        Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") => Ok(secret.trim()),
        _ => Err(unauthorized("the Authorization header is not `Bearer wr_…`")),
    }
}

/// The token with this hash. Every token is compared, and each in constant time.
fn by_hash(core: &Core, hash: &str, now: Timestamp) -> Result<Caller, String> {
    let mut found = None;
    for (_, record) in core.tokens() {
        let same: Choice = record.hash.as_bytes().ct_eq(hash.as_bytes());
        if bool::from(same) {
            found = Some(record);
        }
    }
    let record = found.ok_or("the token is not known here; it may have been revoked")?;
    if record.ends.is_some_and(|ends| ends <= now) {
        return Err(format!("the token `{}` has expired", record.name));
    }
    Ok(Caller { actor: Actor(format!("token:{}", record.name)), scope: record.scope, limit: record.services.clone() })
}

fn unauthorized(why: &str) -> Refused {
    let mut refused = Refused::new(ProblemKind::Unauthorized, why);
    let hint = "send `Authorization: Bearer wr_…`; an admin makes a token with `windrose token create NAME --scope read`, and on the server's host the unix socket needs none";
    refused.problem.errors.push(Fault { code: "token".into(), message: why.to_string(), hint: hint.to_string(), ..Fault::default() });
    refused
}

/// A new secret. Not `Debug`: it is shown once, to the one who asked for it.
pub(super) struct Secret(pub String);

impl Secret {
    /// From the system's randomness.
    pub(super) fn draw() -> Result<Self, getrandom::Error> {
        let mut octets = [0; SECRET_OCTETS];
        getrandom::fill(&mut octets)?;
        Ok(Self(format!("{PREFIX}{}", hex(&octets))))
    }

    /// What is stored of it.
    pub(super) fn hash(&self) -> String {
        hash_of(&self.0)
    }
}

/// Random octets as hex, for ids.
pub(super) fn random_id<const N: usize>() -> String {
    let mut octets = [0; N];
    // An id need not be secret: where randomness fails, so will the token's secret, which says so.
    let _ = getrandom::fill(&mut octets);
    hex(&octets)
}

fn hash_of(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// `Host` must be an address, `localhost`, or one of `admin.hosts`: a name that somebody else's DNS points here (DNS rebinding) is not.
pub(super) fn check_host(uri: &Uri, headers: &HeaderMap, hosts: &[String]) -> Result<(), Refused> {
    let from_header = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    // RFC 9112, section 3.2.2: an absolute-form target wins over Host.
    let Some(authority) = uri.authority().map(|authority| authority.as_str()).or(from_header) else {
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
    use axum::http::HeaderValue;

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
    fn secrets_are_long_differ_and_hash_as_sha_256() {
        let (a, b) = (Secret::draw().unwrap(), Secret::draw().unwrap());
        assert!(a.0.starts_with("wr_") && a.0.len() == 3 + 64 && a.0 != b.0);
        assert_eq!(Secret("wr_".into()).hash().len(), 64);
        assert_eq!(hash_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "FIPS 180-4's example");
    }

    #[test]
    fn only_bearer_is_taken() {
        for (value, ok) in [("Bearer wr_x", true), ("bearer wr_x", true), ("Basic abc", false), ("wr_x", false)] {
            let headers = [(header::AUTHORIZATION, HeaderValue::from_static(value))].into_iter().collect();
            assert_eq!(bearer(&headers).is_ok(), ok, "{value}");
        }
        assert_eq!(bearer(&HeaderMap::new()).unwrap_err().problem.status, 401);
    }
}
