//! ICMP: one echo request, and whether its reply comes back with what was sent (RFC 792, RFC 4443 §4).
//!
//! | socket | needs | ident and checksum | errors of routers |
//! |---|---|---|---|
//! | datagram, tried first | `net.ipv4.ping_group_range` (IPv6, too) | the kernel's | as errors of the socket (`recverr`) |
//! | raw, tried second | CAP_NET_RAW | ours (ICMPv6: the kernel's checksum) | as packets, which name their sender |
//!
//! Where neither is permitted nothing is known of the target: [`Reason::Internal`], from which no verdict follows.
//! Never here: a second request. The next round is the retry.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::timeout_at;

use crate::health::{Phase, Reason};
use crate::model::duration_text;

use super::fail::Failure;
use super::recverr;
use super::tcp::Way;
use super::trace::Trace;

/// Octets that come back as they were sent.
const PAYLOAD_OCTETS: usize = 24;
/// Header of an ICMP message.
const HEADER_OCTETS: usize = 8;
/// Larger than any message that is about ours.
const MESSAGE_OCTETS_MAX: usize = 2048;

/// Said where the system permits no ICMP.
const FORBIDDEN: &str =
    "this node could not probe: it may not send ICMP echoes; allow it with sysctl net.ipv4.ping_group_range=\"0 2147483647\", or give windrose CAP_NET_RAW";

/// What was sent, to know it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Echo {
    peer: IpAddr,
    /// `None`: the kernel chose it, and gives us nobody else's replies.
    ident: Option<[u8; 2]>,
    sequence: [u8; 2],
    payload: [u8; PAYLOAD_OCTETS],
}

/// Passes when the peer echoes what was sent.
pub async fn check(way: Way<'_>, trace: &mut Trace) -> Result<(), Failure> {
    trace.enter(Phase::Request);
    let (Way { peer, source, connect_by, permit }, begun) = (way, Instant::now());
    let peer = peer.ip();
    permit.check(SocketAddr::new(peer, 0))?;
    trace.detail(|detail| detail.sent("echo request"));
    match connect_by {
        None => echo(peer, source).await,
        Some(by) => timeout_at(by.into(), echo(peer, source)).await.unwrap_or_else(|_| Err(timed_out(begun.elapsed(), peer))),
    }
}

async fn echo(peer: IpAddr, source: Option<IpAddr>) -> Result<(), Failure> {
    let (socket, is_raw) = open(peer, source)?;
    let mut random = [0; 4 + PAYLOAD_OCTETS];
    getrandom::fill(&mut random).map_err(|why| Failure::new(Reason::Internal, format!("this node could not probe: it has no random numbers ({why})")))?;
    let [a, b, c, d, payload @ ..] = random;
    let echo = Echo { peer, ident: is_raw.then_some([a, b]), sequence: [c, d], payload };
    // An ICMP error for an earlier request can't be: the socket is new.
    socket.send_to(&echo.request(), SocketAddr::new(peer, 0)).await.map_err(|error| broken(&error, peer))?;
    let mut buffer = [0; MESSAGE_OCTETS_MAX];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.map_err(|error| broken(&error, peer))?;
        let packet = buffer.get(..length).unwrap_or_default();
        // A raw IPv4 socket gives the IP header, too.
        let message = if is_raw && peer.is_ipv4() { after_ipv4_header(packet) } else { Some(packet) };
        if let Some(verdict) = message.and_then(|message| echo.judge(message, from.ip())) {
            return verdict;
        }
    }
}

/// The deadline passed.
pub fn timed_out(timeout: Duration, peer: IpAddr) -> Failure {
    Failure::new(Reason::Timeout, format!("no echo reply from {peer} within {}", duration_text(timeout)))
}

/// A socket for echoes, and whether it is a raw one.
fn open(peer: IpAddr, source: Option<IpAddr>) -> Result<(UdpSocket, bool), Failure> {
    let (domain, protocol, any) = match peer {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, Ipv6Addr::UNSPECIFIED.into()),
    };
    let forbidden = |error: &io::Error| matches!(error.kind(), io::ErrorKind::PermissionDenied) || error.raw_os_error() == Some(libc::EPROTONOSUPPORT);
    let opened = match Socket::new(domain, Type::DGRAM, Some(protocol)) {
        Err(error) if forbidden(&error) => Socket::new(domain, Type::RAW, Some(protocol)).map(|socket| (socket, true)),
        opened => opened.map(|socket| (socket, false)),
    };
    let (socket, is_raw) = opened.map_err(|error| match forbidden(&error) {
        true => Failure::new(Reason::Internal, FORBIDDEN),
        false => broken(&error, peer),
    })?;
    let prepared = socket.set_nonblocking(true).and_then(|()| socket.bind(&SocketAddr::new(source.unwrap_or(any), 0).into()));
    prepared.map_err(|error| broken(&error, peer))?;
    if !is_raw {
        // Without it an unreachable peer is a timeout: true, and less of the truth.
        let _best_effort = recverr::hear(&socket, peer.is_ipv6());
    }
    let socket = UdpSocket::from_std(socket.into()).map_err(|error| broken(&error, peer))?;
    Ok((socket, is_raw))
}

fn broken(error: &io::Error, peer: IpAddr) -> Failure {
    if let Some(failure) = Failure::own(error) {
        return failure;
    }
    let why = match error.kind() {
        io::ErrorKind::HostUnreachable => "host unreachable",
        io::ErrorKind::NetworkUnreachable => "network unreachable",
        // What a host says that takes no ICMP.
        io::ErrorKind::ConnectionRefused => "it takes no echo requests",
        _ => return Failure::new(Reason::Unreachable, format!("can't send an echo request to {peer}: {error}")),
    };
    Failure::new(Reason::Unreachable, format!("no way to {peer}: {why}"))
}

impl Echo {
    fn request(&self) -> Vec<u8> {
        let kind = if self.peer.is_ipv4() { 8 } else { 128 };
        let mut message = vec![kind, 0, 0, 0];
        message.extend(self.ident.unwrap_or_default());
        message.extend(self.sequence);
        message.extend(self.payload);
        if self.peer.is_ipv4() {
            let checksum = checksum(&message).to_be_bytes();
            message.splice(2..4, checksum);
        }
        message
    }

    /// What a message says about this echo; `None`: it is about something else.
    fn judge(&self, message: &[u8], from: IpAddr) -> Option<Result<(), Failure>> {
        let (header, rest) = message.split_at_checked(HEADER_OCTETS)?;
        let [kind, code, _, _, ident @ .., _, _] = header else { return None };
        let reply = if self.peer.is_ipv4() { 0 } else { 129 };
        if *kind == reply {
            let ours = from == self.peer && header.ends_with(&self.sequence) && self.ident.is_none_or(|own| own == *ident);
            return match rest == self.payload {
                _ if !ours => None,
                true => Some(Ok(())),
                // A raw socket hears replies to others, who may have chosen our numbers.
                false if self.ident.is_some() => None,
                false => Some(Err(Failure::new(Reason::Protocol, format!("{} echoed something else than was sent", self.peer)))),
            };
        }
        let why = unreachable(self.peer.is_ipv4(), *kind, *code)?;
        self.is_quoted_in(rest).then(|| {
            let told = if from == self.peer { format!("{from} says") } else { format!("no way to {}: {from} says", self.peer) };
            Err(Failure::new(Reason::Unreachable, format!("{told} {why}")))
        })
    }

    /// An error quotes the packet that it is about: its IP header and the beginning of our message.
    fn is_quoted_in(&self, quoted: &[u8]) -> bool {
        let (destination, message) = match self.peer {
            IpAddr::V4(peer) => (quoted.get(16..20) == Some(&peer.octets()[..]), after_ipv4_header(quoted)),
            IpAddr::V6(peer) => (quoted.get(24..40) == Some(&peer.octets()[..]), quoted.get(40..)),
        };
        let request = self.request();
        let begins = |message: &[u8]| message.first() == request.first() && message.get(4..HEADER_OCTETS) == request.get(4..HEADER_OCTETS);
        destination && message.is_some_and(begins)
    }
}

/// The words of an ICMP error (RFC 792, RFC 1812 §5.2.7.1; RFC 4443 §3); `None`: it is none.
fn unreachable(is_v4: bool, kind: u8, code: u8) -> Option<&'static str> {
    Some(match (is_v4, kind, code) {
        (true, 3, 0 | 6 | 11) | (false, 1, 0) => "the network is unreachable",
        (true, 3, 1 | 7 | 12) | (false, 1, 3) => "the host is unreachable",
        (true, 3, 9 | 10 | 13) | (false, 1, 1 | 5 | 6) => "it is forbidden by a rule",
        (true, 3, _) | (false, 1, _) => "it is unreachable",
        (true, 11, _) | (false, 3, _) => "the packet was passed on too often: a loop of routes",
        _ => return None,
    })
}

fn after_ipv4_header(packet: &[u8]) -> Option<&[u8]> {
    packet.get(usize::from(packet.first()? & 0x0f) * 4..)
}

/// RFC 1071.
fn checksum(message: &[u8]) -> u16 {
    let words = message.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high] => u32::from(u16::from_be_bytes([*high, 0])),
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(peer: &str) -> Echo {
        Echo { peer: peer.parse().unwrap(), ident: Some([1, 2]), sequence: [3, 4], payload: [7; PAYLOAD_OCTETS] }
    }

    /// As the peer sends it back.
    fn reply(echo: &Echo) -> Vec<u8> {
        let mut message = echo.request();
        message[0] = if echo.peer.is_ipv4() { 0 } else { 129 };
        message
    }

    #[test]
    fn the_checksum_is_that_of_rfc_1071() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(checksum(&echo("192.0.2.1").request()), 0, "a message with its checksum sums up to nothing");
    }

    #[test]
    fn a_reply_counts_if_peer_ident_sequence_and_payload_are_ours() {
        for peer in ["192.0.2.1", "2001:db8::1"] {
            let echo = echo(peer);
            assert_eq!(echo.judge(&reply(&echo), echo.peer), Some(Ok(())), "{peer}");
            assert_eq!(echo.judge(&reply(&echo), "192.0.2.9".parse().unwrap()), None, "from another");
            assert_eq!(echo.judge(&echo.request(), echo.peer), None, "our own request on loopback");
            for at in 4..echo.request().len() {
                let mut other = reply(&echo);
                other[at] ^= 1;
                assert_eq!(echo.judge(&other, echo.peer), None, "octet {at}");
            }
            for length in 0..echo.request().len() {
                assert_eq!(echo.judge(&reply(&echo)[..length], echo.peer), None, "cut off at {length}");
            }
        }
        let alone = Echo { ident: None, ..echo("192.0.2.1") };
        let mut other = reply(&alone);
        *other.last_mut().unwrap() ^= 1;
        assert!(matches!(alone.judge(&other, alone.peer), Some(Err(Failure { reason: Reason::Protocol, .. }))));
    }

    #[test]
    fn an_unreachable_message_counts_if_it_quotes_our_request() {
        let told = |echo: &Echo, quoting: &Echo, kind: u8, code: u8| {
            let mut header = match quoting.peer {
                IpAddr::V4(peer) => [&[0x45; 1][..], &[0; 15], &peer.octets()].concat(),
                IpAddr::V6(peer) => [&[0x60; 1][..], &[0; 23], &peer.octets()].concat(),
            };
            header.extend(&quoting.request()[..8]);
            let message = [&[kind, code, 0, 0, 0, 0, 0, 0][..], &header].concat();
            echo.judge(&message, "192.0.2.254".parse().unwrap()).map(|told| told.unwrap_err().message)
        };
        let v4 = echo("192.0.2.1");
        assert_eq!(told(&v4, &v4, 3, 1).unwrap(), "no way to 192.0.2.1: 192.0.2.254 says the host is unreachable");
        assert!(told(&v4, &v4, 11, 0).unwrap().contains("a loop of routes"));
        assert_eq!(told(&v4, &echo("192.0.2.2"), 3, 1), None, "about another host");
        assert_eq!(told(&v4, &Echo { sequence: [9, 9], ..v4 }, 3, 1), None, "about another request");
        assert_eq!(told(&v4, &v4, 5, 1), None, "a redirect is no error");
        let v6 = echo("2001:db8::1");
        assert_eq!(told(&v6, &v6, 1, 1).unwrap(), "no way to 2001:db8::1: 192.0.2.254 says it is forbidden by a rule");
        assert_eq!(told(&v6, &v6, 135, 0), None);
    }
}
