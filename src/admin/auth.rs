//! Who asks, and what they may do.
//!
//! Over TCP a bearer token or a client's certificate always, on loopback too: any page in a browser and any user of the host can reach loopback. Over the
//! unix socket whoever can open it may operate; root and the daemon's own user are admin. Secrets are compared as hashes, in constant time, and reach no log.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::control::{Actor, Core, Event, Scope};
use crate::model::{Now, Subject, glob_matches};

use super::App;
use super::api::{Fault, ProblemKind};
use super::certificate::Presented;
use super::problem::Refused;
use super::tls::Certificates;

/// What secrets begin with, so that leaked ones can be found.
const PREFIX: &str = "wr_";
/// Random octets of a secret.
const SECRET_OCTETS: usize = 32;

/// How a request came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// TCP: only a token or a certificate counts.
    Tcp {
        /// From where.
        address: IpAddr,
        /// What the client has shown in its TLS handshake.
        certificate: Option<Arc<Presented>>,
    },
    /// The unix socket, from this user.
    Socket {
        /// Shown name: the user's, else the uid.
        user: String,
        /// Root, or the user that the daemon runs as.
        owner: bool,
    },
}

impl Peer {
    pub(super) fn is_tcp(&self) -> bool {
        matches!(self, Peer::Tcp { .. })
    }

    /// Where it comes from, for the audit: an IP address, or `socket`.
    pub fn place(&self) -> String {
        match self {
            Peer::Tcp { address, .. } => address.to_string(),
            Peer::Socket { .. } => "socket".to_string(),
        }
    }
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
pub(super) async fn caller(peer: &Peer, headers: &HeaderMap, app: &App) -> Result<Caller, Refused> {
    match peer {
        Peer::Socket { user, owner } => {
            let scope = if *owner { Scope::Admin } else { Scope::Operate };
            Ok(Caller { actor: Actor(format!("socket:{user}")), scope, limit: Vec::new() })
        }
        Peer::Tcp { certificate: Some(certificate), .. } if !headers.contains_key(header::AUTHORIZATION) => by_certificate(certificate, app).await,
        Peer::Tcp { address, .. } => by_token(*address, headers, app).await,
    }
}

/// A token, unless its address has been wrong too often.
async fn by_token(address: IpAddr, headers: &HeaderMap, app: &App) -> Result<Caller, Refused> {
    if !headers.contains_key(header::AUTHORIZATION) {
        // Nothing was tried, so nothing counts.
        return Err(unauthorized("there is no token"));
    }
    let (attempts, secret) = (&app.attempts, bearer(headers));
    let hash = secret.as_ref().map(|secret| hash_of(secret)).unwrap_or_default();
    attempts.may_try(address, &hash, Instant::now()).map_err(|wait| Refused::slow_down(address, wait))?;
    let found = match secret {
        Err(refused) => Err(refused),
        Ok(_) => {
            let wanted = hash.clone();
            let found = app.look(move |core, now| by_hash(core, &wanted, now)).await?;
            found.map_err(|why| unauthorized(&why))
        }
    };
    match found {
        Ok((caller, news)) => {
            attempts.passed(address, &hash, Instant::now());
            if let Some(id) = news {
                app.parts.door.mention(Event::TokenUsed { id });
            }
            Ok(caller)
        }
        Err(refused) => {
            attempts.failed(address, &hash, Instant::now());
            Err(refused)
        }
    }
}

/// A certificate that rustls has verified; it must still be good, and named in the file.
async fn by_certificate(certificate: &Presented, app: &App) -> Result<Caller, Refused> {
    let Some(terms) = app.certificates.as_ref().map(Certificates::terms) else { return Err(unauthorized("there is no token")) };
    let now = app.look(|_, now| now.wall).await?;
    let Presented { subject, ends, .. } = certificate;
    if certificate.terms != terms.number {
        return Err(unauthorized("the authorities of clients' certificates have changed since this connection began; connect again"));
    }
    if *ends <= now {
        return Err(unauthorized(&format!("the certificate of `{}` has expired", subject.escape_debug())));
    }
    match certificate.found_in(&terms.subjects) {
        Some(Subject { name, scope, services }) => Ok(Caller { actor: Actor(format!("cert:{name}")), scope: *scope, limit: services.clone() }),
        None => Err(unauthorized(&format!("the certificate of `{}` is not named in [admin.tls.subjects], and there is no token", subject.escape_debug()))),
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

/// The token with this hash, and its id if its use is news. Every token is compared, and each in constant time.
fn by_hash(core: &Core, hash: &str, now: Now) -> Result<(Caller, Option<Arc<str>>), String> {
    let mut found = None;
    for (id, record) in core.tokens() {
        let same: Choice = record.hash.as_bytes().ct_eq(hash.as_bytes());
        if bool::from(same) {
            found = Some((id, record));
        }
    }
    let (id, record) = found.ok_or("the token is not known here; it may have been revoked")?;
    if record.ends.is_some_and(|ends| ends <= now.wall) {
        return Err(format!("the token `{}` has expired", record.name));
    }
    let caller = Caller { actor: Actor(format!("token:{}", record.name)), scope: record.scope, limit: record.services.clone() };
    Ok((caller, core.token_use_is_news(id, now).then(|| id.clone())))
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

pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

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
