//! The new process: asks the one that runs for its place.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tracing::warn;

use crate::admin;
use crate::admin::api::Problem;
use crate::admin::upgrade::{HANDOVER, PROTOCOL};
use crate::control::Legacy;
use crate::dns::{self, Parcel};

use super::link::Link;
use super::{LEAVE_MAX, Message, Place, REST_MAX, Secret, WORD_MAX};
use crate::app::secret;
use crate::model::CookieSecret;

/// Longest head of a response.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// What the process before gave.
#[derive(Debug)]
pub(in crate::app) struct Inheritance {
    link: Link,
    pub dns: Vec<dns::Sockets>,
    pub admin: admin::Sockets,
    pub legacy: Legacy,
}

/// The way back to the process before.
#[derive(Debug)]
pub(in crate::app) struct Before {
    link: Link,
}

/// Asks the server behind `socket` to hand over; `None`: there is none. An error is one sentence; that server goes on.
pub(in crate::app) async fn ask(socket: &Path) -> Result<Option<Inheritance>, String> {
    let mut stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(format!("can't ask the server at {} to hand over: {error}", socket.display())),
    };
    let consent = timeout(WORD_MAX, consent(&mut stream)).await.map_err(|_| "the running server does not answer".to_string())?;
    consent.map_err(|why| format!("the server at {} does not hand over: {why}", socket.display()))?;
    receive(Link::new(stream)).await.map(Some)
}

/// HTTP until both agree to leave it.
async fn consent(stream: &mut UnixStream) -> Result<(), String> {
    let broken = |error: std::io::Error| format!("the connection broke: {error}");
    let request = format!("POST {HANDOVER} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: {PROTOCOL}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    // Octet by octet: what follows the head is not HTTP, and its descriptors would be lost in a plain read.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.map_err(broken)?);
        if HEAD_BYTES_MAX < head.len() {
            return Err("its answer has no end".to_string());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status == "101" {
        return Ok(());
    }
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").and_then(|value| value.trim().parse().ok()));
    let mut body = vec![0; length.unwrap_or(0).min(HEAD_BYTES_MAX)];
    stream.read_exact(&mut body).await.map_err(broken)?;
    Err(match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) if status == "404" => format!("it is of a release that can't ({}); restart it instead", problem.detail),
        Ok(problem) => problem.detail,
        Err(_) => format!("it answered {status}"),
    })
}

/// Everything up to the legacy, which is the last.
async fn receive(link: Link) -> Result<Inheritance, String> {
    let mut inheritance = Inheritance { link, dns: Vec::new(), admin: admin::Sockets::default(), legacy: Legacy::default() };
    loop {
        let next = timeout(REST_MAX + WORD_MAX, inheritance.link.receive()).await.map_err(|_| "the running server stopped handing over".to_string())?;
        let (message, descriptors) = match next {
            Ok(Some(next)) => next,
            Ok(None) => return Err("the running server ended while it was handing over".to_string()),
            Err(error) => return Err(format!("the running server handed over something that can't be read: {error}")),
        };
        match message {
            Message::Sockets(places) if places.len() == descriptors.len() => {
                places.into_iter().zip(descriptors).for_each(|(place, descriptor)| inheritance.put(place, descriptor));
            }
            Message::Legacy { core, secret } => {
                if let Some(Secret(secret)) = secret {
                    secret::inherit(CookieSecret(secret));
                }
                inheritance.legacy = *core;
                return Ok(inheritance);
            }
            Message::Abort(why) => return Err(why),
            other => return Err(format!("the running server said something unexpected: {other:?}")),
        }
    }
}

impl Inheritance {
    fn put(&mut self, place: Place, descriptor: OwnedFd) {
        match place {
            Place::DnsUdp(address) => self.dns_at(address).udp.push(descriptor),
            Place::DnsTcp(address) => self.dns_at(address).tcp.push(descriptor),
            Place::Http(address) => self.admin.tcp.push((address, descriptor)),
            Place::Unix(path) => self.admin.unix = Some((path, descriptor)),
        }
    }

    #[allow(clippy::indexing_slicing, reason = "the place was just found or made")]
    fn dns_at(&mut self, address: std::net::SocketAddr) -> &mut dns::Sockets {
        let known = self.dns.iter().position(|sockets| sockets.address == address);
        let at = known.unwrap_or_else(|| {
            self.dns.push(dns::Sockets { address, udp: Vec::new(), tcp: Vec::new() });
            self.dns.len() - 1
        });
        &mut self.dns[at]
    }

    /// The way back, and what was given.
    pub(in crate::app) fn open(self) -> (Before, Vec<dns::Sockets>, admin::Sockets, Legacy) {
        let Self { link, dns, admin, legacy } = self;
        (Before { link }, dns, admin, legacy)
    }
}

/// What the process before says when it has nothing left to do but to end.
pub(in crate::app) enum Rest {
    /// Go on with these.
    Sessions(Vec<Parcel>),
    /// That was all: it reads nothing any more.
    Gone,
    /// It says nothing any more; it may still be there.
    Lost,
}

impl Before {
    /// It can't be done: the one before goes on.
    pub(in crate::app) async fn abort(&self, why: &str) {
        let _it_hears_the_end_at_least = timeout(WORD_MAX, self.link.send(&Message::Abort(why.to_string()), &[])).await;
    }

    /// The next TCP sessions that were open there, or that there are no more.
    pub(in crate::app) async fn rest(&self) -> Rest {
        match timeout(LEAVE_MAX, self.link.receive()).await {
            Ok(Ok(Some((Message::Sessions(inputs), streams)))) => {
                Rest::Sessions(inputs.into_iter().zip(streams).map(|(input, stream)| Parcel { stream, input }).collect())
            }
            Ok(Ok(Some((Message::Gone, _)))) => Rest::Gone,
            _ => {
                warn!("the process before ended without saying goodbye; TCP sessions that it had may be lost");
                Rest::Lost
            }
        }
    }

    /// DNS is answered here, too: asks to be the only one. An error means that the one before goes on.
    pub(in crate::app) async fn ready(&self, takes_socket: bool) -> Result<(), String> {
        let ready = Message::Ready { version: env!("CARGO_PKG_VERSION").to_string(), takes_socket };
        self.link.send(&ready, &[]).await.map_err(|error| format!("the running server is gone or goes on: {error}"))?;
        match timeout(WORD_MAX, self.link.receive()).await {
            Ok(Ok(Some((Message::Yours, _)))) => Ok(()),
            Ok(Ok(Some((Message::Abort(why), _)))) => Err(why),
            Ok(Ok(Some((other, _)))) => Err(format!("the running server said something unexpected: {other:?}")),
            // It says so when it goes on: without a word it has died, and then there is nobody but us.
            Ok(Ok(None)) => {
                warn!("the server before ended without a word; this one goes on alone");
                Ok(())
            }
            Ok(Err(error)) => Err(format!("the running server said something that can't be read: {error}")),
            Err(_) => Err("the running server does not answer".to_string()),
        }
    }
}
