//! Opening the sockets: all of them or none, and for each way to fail a sentence that says what to do.
//!
//! The first UDP socket of an address is bound *without* `SO_REUSEPORT`, so that a port which another process holds (a
//! second windrose too) is reported as taken instead of silently shared. Only then is it opened to the sockets of our
//! other workers; the port is never let go in between. Addresses are IPv4 or IPv6, never both (`IPV6_V6ONLY`).
//!
//! After an upgrade the sockets come from the process before ([`Sockets`]): those of addresses that are still wanted are used as they are, with
//! what is queued in them, and only the rest is opened.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use super::Bound;
#[cfg(target_os = "linux")]
use super::batch::coalesce;
use super::batch::prepare;
use super::tcp;
use super::udp::{self, Worker};
use crate::model::DnsSettings;

/// Wished size of a UDP socket's buffers, bytes: rides out a publish or a lost time slice. The system may give less.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
/// Connections that the kernel holds for us until we accept them.
const BACKLOG: i32 = 1024;
/// Responses that the kernel takes from us before the client's window opens for them, bytes. What is on its way doesn't count,
/// so that it slows no transfer down.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 128 << 10;
/// Ports tried for an address with port 0 until one is free for both UDP and TCP.
const FREE_PORT_ATTEMPTS: u32 = 32;

/// UDP or TCP, as people write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocols {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

impl std::fmt::Display for Protocols {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

/// Why the sockets could not be opened: for the operator, who can mend each of these.
#[derive(Debug, Error)]
pub enum BindError {
    /// `dns.listen` is empty.
    #[error("`dns.listen` names no address: give at least one, such as \"0.0.0.0:53\"")]
    NoAddress,
    /// Two of our own addresses exclude each other.
    #[error("`dns.listen` names {first} and {second}, of which one includes the other: leave one of them out")]
    Overlap {
        /// The earlier one in the file.
        first: SocketAddr,
        /// The later one.
        second: SocketAddr,
    },
    /// Another process has the port.
    #[error(
        "cannot listen on {address} ({protocol}): another program uses port {port}; `{}` shows which one: stop it, or set another address or port in `dns.listen`{}",
        look(*protocol, address.port()), resolved_hint(address.port()), port = address.port()
    )]
    InUse {
        /// Where we wanted to listen.
        address: SocketAddr,
        /// On which of the two.
        protocol: Protocols,
        /// What the system said.
        source: io::Error,
    },
    /// The port needs a privilege.
    #[error(
        "cannot listen on {address} ({protocol}): ports below 1024 need a privilege; grant CAP_NET_BIND_SERVICE (systemd: `AmbientCapabilities=CAP_NET_BIND_SERVICE`, by hand: `setcap cap_net_bind_service=+ep` on the executable), or set a port of 1024 or above in `dns.listen`"
    )]
    Permission {
        /// Where we wanted to listen.
        address: SocketAddr,
        /// On which of the two.
        protocol: Protocols,
        /// What the system said.
        source: io::Error,
    },
    /// The address is on no interface.
    #[error("cannot listen on {address} ({protocol}): no interface of this host has the address {}; `ip address` lists those that it has", address.ip())]
    NotOurs {
        /// Where we wanted to listen.
        address: SocketAddr,
        /// On which of the two.
        protocol: Protocols,
        /// What the system said.
        source: io::Error,
    },
    /// The host doesn't speak IPv6 (or IPv4).
    #[error("cannot listen on {address} ({protocol}): this host has {} switched off; leave the address out of `dns.listen`", family(*address))]
    NoFamily {
        /// Where we wanted to listen.
        address: SocketAddr,
        /// On which of the two.
        protocol: Protocols,
        /// What the system said.
        source: io::Error,
    },
    /// Something else, in the system's words.
    #[error("cannot listen on {address} ({protocol})")]
    Socket {
        /// Where we wanted to listen.
        address: SocketAddr,
        /// On which of the two.
        protocol: Protocols,
        /// What the system said.
        source: io::Error,
    },
    /// No thread for a worker.
    #[error("cannot start {workers} UDP worker threads for {address}: set fewer `dns.workers`, or raise the limit on threads")]
    Thread {
        /// Whose workers.
        address: SocketAddr,
        /// How many were wanted.
        workers: usize,
        /// What the system said.
        source: io::Error,
    },
    /// No thread, or no descriptors, for DNS over TCP.
    #[error("cannot start the threads for DNS over TCP: raise the limits on threads and on open files (systemd: `TasksMax=`, `LimitNOFILE=`)")]
    Streams {
        /// What the system said.
        source: io::Error,
    },
}

/// The command that shows who has a port.
fn look(protocol: Protocols, port: u16) -> String {
    let flag = match protocol {
        Protocols::Udp => 'u',
        Protocols::Tcp => 't',
    };
    format!("sudo ss -{flag}lnp 'sport = :{port}'")
}

/// The usual suspect on port 53.
fn resolved_hint(port: u16) -> &'static str {
    if port == 53 { " (often it is systemd-resolved: `DNSStubListener=no` in resolved.conf frees the port)" } else { "" }
}

fn family(address: SocketAddr) -> &'static str {
    if address.is_ipv6() { "IPv6" } else { "IPv4" }
}

impl BindError {
    fn new(address: SocketAddr, protocol: Protocols, source: io::Error) -> Self {
        match (source.kind(), source.raw_os_error()) {
            (io::ErrorKind::AddrInUse, _) => Self::InUse { address, protocol, source },
            (io::ErrorKind::PermissionDenied, _) if address.port() < 1024 => Self::Permission { address, protocol, source },
            (io::ErrorKind::AddrNotAvailable, _) => Self::NotOurs { address, protocol, source },
            (_, Some(libc::EAFNOSUPPORT)) => Self::NoFamily { address, protocol, source },
            _ => Self::Socket { address, protocol, source },
        }
    }

    fn is_in_use(&self) -> bool {
        matches!(self, Self::InUse { .. })
    }
}

/// Duplicates of the sockets of one listen address: what another process needs to take it over, queues included.
#[derive(Debug)]
pub struct Sockets {
    /// Where they listen.
    pub address: SocketAddr,
    /// One per worker.
    pub udp: Vec<OwnedFd>,
    /// The listener.
    pub tcp: Vec<OwnedFd>,
}

/// One listen address with its sockets and threads, which wait.
#[derive(Debug)]
pub(super) struct Listen {
    /// Where it really listens: port 0 has become a port.
    pub address: SocketAddr,
    /// One per UDP socket.
    pub workers: Vec<Worker>,
    /// Sockets of a process before that had more workers, each with a thread to drain it.
    pub surplus: Vec<Surplus>,
    /// For DNS over TCP.
    pub tcp: TcpListener,
    /// For the next process.
    pub sockets: Sockets,
}

/// A UDP socket that gets no more queries once it is retired, and is drained then.
#[derive(Debug)]
pub(super) struct Surplus {
    /// Its thread.
    pub worker: Worker,
    /// To retire it with.
    pub socket: Socket,
}

/// From now on the kernel gives this socket nothing (but from ourselves): a connected socket takes no part in `SO_REUSEPORT`. What it has is kept.
/// Closing it instead would lose what is queued.
pub(super) fn retire(socket: &Socket) -> io::Result<()> {
    let own = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    let ip = match own.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    socket.connect(&SocketAddr::new(ip, own.port()).into())
}

/// Opens a UDP socket per worker and a TCP socket for each address of `[dns] listen`. Port 0: UDP and TCP share the port that
/// the system picks. Queries that come before [`Bound::serve`] wait in the sockets.
///
/// # Errors
/// The first address that can't be opened; then none is.
pub async fn bind(settings: &DnsSettings) -> Result<Bound, BindError> {
    bind_with(settings, Vec::new()).await
}

/// The same, beginning with what the process before had `left`: sockets of wanted addresses are taken over, the others are closed.
///
/// Fewer workers than sockets: the surplus is drained once it serves. More: the rest is opened beside them.
///
/// # Errors
/// As [`bind`]; the process before still has its own descriptors of all that was left.
#[allow(clippy::unused_async, reason = "async leaves room for looking addresses up")]
pub async fn bind_with(settings: &DnsSettings, mut left: Vec<Sockets>) -> Result<Bound, BindError> {
    let DnsSettings { listen, workers } = settings;
    check_overlap(listen)?;
    // Without `recvmmsg` we don't assume that SO_REUSEPORT spreads datagrams over sockets either: it does so on Linux only.
    let workers = match (cfg!(target_os = "linux"), *workers) {
        (false, _) => 1,
        (true, 0) => thread::available_parallelism().map_or(1, usize::from),
        (true, workers) => workers,
    };
    let taken: Vec<Option<Sockets>> = listen.iter().map(|wanted| take(*wanted, &mut left)).collect();
    let open = |(&wanted, taken): (&SocketAddr, Option<Sockets>)| match taken {
        Some(Sockets { address, udp, tcp }) => {
            let tcp = tcp.into_iter().next().ok_or(io::ErrorKind::NotFound.into()).and_then(taken_listener);
            let tcp = tcp.or_else(|_| tcp_listener(address, false)).map_err(|source| BindError::new(address, Protocols::Tcp, source))?;
            complete(address, udp.into_iter().map(Socket::from).collect(), tcp, workers)
        }
        None => open(wanted, workers, &left),
    };
    let listens = listen.iter().zip(taken).map(open).collect::<Result<Vec<_>, _>>()?;
    let streams = streams(&listens).map_err(|source| BindError::Streams { source })?;
    Ok(Bound { listens, streams })
}

/// The threads for TCP: each listens at all addresses.
fn streams(listens: &[Listen]) -> io::Result<Vec<tcp::Thread>> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(tcp::THREADS_MAX);
    (0..threads).map(|index| tcp::Thread::spawn(index, listens.iter().map(|listen| listen.tcp.try_clone()).collect::<io::Result<_>>()?)).collect()
}

/// What was left of a wanted address; port 0 takes any port of its IP address.
fn take(wanted: SocketAddr, left: &mut Vec<Sockets>) -> Option<Sockets> {
    let fits = |left: &Sockets| left.address == wanted || (wanted.port() == 0 && left.address.ip() == wanted.ip());
    let at = left.iter().position(|left| fits(left) && !left.udp.is_empty())?;
    Some(left.swap_remove(at))
}

fn check_overlap(listen: &[SocketAddr]) -> Result<(), BindError> {
    if listen.is_empty() {
        return Err(BindError::NoAddress);
    }
    for (index, &second) in listen.iter().enumerate() {
        if let Some(&first) = listen.iter().take(index).find(|first| overlap(**first, second)) {
            return Err(BindError::Overlap { first, second });
        }
    }
    Ok(())
}

/// One of the two includes the other.
fn overlap(first: SocketAddr, second: SocketAddr) -> bool {
    first.port() == second.port()
        && second.port() != 0
        && first.is_ipv4() == second.is_ipv4()
        && (first.ip() == second.ip() || first.ip().is_unspecified() || second.ip().is_unspecified())
}

/// All sockets and threads of one address. `left`: sockets that the process before still has, and that nobody wants as they are.
fn open(wanted: SocketAddr, workers: usize, left: &[Sockets]) -> Result<Listen, BindError> {
    let shares = share_with(wanted, left).map_err(|source| BindError::new(wanted, Protocols::Udp, source))?;
    let mut attempts = if wanted.port() == 0 { FREE_PORT_ATTEMPTS } else { 1 };
    let (address, first, tcp) = loop {
        attempts -= 1;
        match open_pair(wanted, shares) {
            Err(problem) if problem.is_in_use() && attempts > 0 => {}
            pair => break pair?,
        }
    };
    complete(address, vec![first], tcp, workers)
}

/// Lets us join the port of an address that was left and overlaps the wanted one (a wildcard, or one of its addresses). Whether there is any.
fn share_with(wanted: SocketAddr, left: &[Sockets]) -> io::Result<bool> {
    let mut shares = false;
    for Sockets { address, udp, tcp } in left.iter().filter(|left| overlap(left.address, wanted)) {
        shares |= *address != wanted;
        for socket in udp.iter().chain(tcp) {
            socket2::SockRef::from(socket).set_reuse_port(true)?;
        }
    }
    Ok(shares)
}

/// As many sockets as there are to be workers, and their threads; more sockets than that become surplus.
fn complete(address: SocketAddr, mut sockets: Vec<Socket>, tcp: TcpListener, workers: usize) -> Result<Listen, BindError> {
    let in_udp = |source| BindError::new(address, Protocols::Udp, source);
    for socket in &sockets {
        prepare_udp(socket, address).map_err(in_udp)?;
    }
    if sockets.len() < workers {
        // From here on sockets of ours may join, and only ours: the kernel wants the same user and the same option.
        for socket in &sockets {
            socket.set_reuse_port(true).map_err(in_udp)?;
        }
        for _ in sockets.len()..workers {
            let socket = udp_socket(address).map_err(in_udp)?;
            socket.set_reuse_port(true).map_err(in_udp)?;
            socket.bind(&address.into()).map_err(in_udp)?;
            sockets.push(socket);
        }
    }
    let surplus = sockets.split_off(workers.min(sockets.len()));
    let udp = sockets.iter().map(|socket| socket.as_fd().try_clone_to_owned()).collect::<io::Result<Vec<_>>>().map_err(in_udp)?;
    let listener = tcp.as_fd().try_clone_to_owned().map_err(|source| BindError::new(address, Protocols::Tcp, source))?;
    let no_thread = |source| BindError::Thread { address, workers, source };
    let spawn = |(index, socket)| Worker::spawn(format!("dns-udp-{index}"), UdpSocket::from(socket), address.ip().is_unspecified());
    let workers = sockets.into_iter().enumerate().map(spawn).collect::<io::Result<Vec<_>>>().map_err(no_thread)?;
    let surplus = surplus.into_iter().enumerate().map(|(index, socket)| Ok(Surplus { socket: socket.try_clone()?, worker: spawn((index, socket))? }));
    let surplus = surplus.collect::<io::Result<Vec<_>>>().map_err(no_thread)?;
    Ok(Listen { address, workers, surplus, tcp, sockets: Sockets { address, udp, tcp: vec![listener] } })
}

/// The first UDP socket, alone on its port unless it `shares` it, and the TCP socket on the same port.
fn open_pair(wanted: SocketAddr, shares: bool) -> Result<(SocketAddr, Socket, TcpListener), BindError> {
    let in_udp = |source| BindError::new(wanted, Protocols::Udp, source);
    let udp = udp_socket(wanted).map_err(in_udp)?;
    if shares {
        udp.set_reuse_port(true).map_err(in_udp)?;
    }
    udp.bind(&wanted.into()).map_err(in_udp)?;
    let mut address = wanted;
    if let Some(bound) = udp.local_addr().map_err(in_udp)?.as_socket() {
        address.set_port(bound.port());
    }
    let tcp = tcp_listener(address, shares).map_err(|source| BindError::new(address, Protocols::Tcp, source))?;
    Ok((address, udp, tcp))
}

/// A UDP socket as workers want it, not bound yet.
fn udp_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    prepare_udp(&socket, address)?;
    #[cfg(target_os = "linux")]
    let _goes_without = coalesce(&socket);
    Ok(socket)
}

/// Lets queries of one flow come together through these sockets, as through those that we opened ourselves. Only once nobody else reads them:
/// the process before may be of a release that would take several queries for one.
pub fn alone_at(sockets: &[Sockets]) {
    #[cfg(target_os = "linux")]
    for socket in sockets.iter().flat_map(|sockets| &sockets.udp) {
        let _goes_without = coalesce(socket);
    }
    #[cfg(not(target_os = "linux"))]
    let _nothing_to_do = sockets;
}

/// Deadlines, buffers and packet info, for sockets of our own making and taken ones alike.
fn prepare_udp(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    socket.set_read_timeout(Some(udp::STOP_LATENCY))?;
    socket.set_write_timeout(Some(udp::SEND_DEADLINE))?;
    // The system's limits may be lower; it then gives what it can.
    let _best_effort = (socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES), socket.set_send_buffer_size(SOCKET_BUFFER_BYTES));
    prepare(socket, address.is_ipv6(), address.ip().is_unspecified())
}

fn tcp_listener(address: SocketAddr, shares: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of an earlier run in TIME_WAIT must not block a restart. It never lets two programs listen.
    socket.set_reuse_address(true)?;
    if shares {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    prepare_tcp(&socket)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What a listener and its connections need, for sockets of our own making and taken ones alike.
fn prepare_tcp(socket: &Socket) -> io::Result<()> {
    // Connections have these from their listener. Responses are written whole: holding them back for more would only delay
    // them. And the kernel shall keep little for a client that doesn't read.
    socket.set_tcp_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    socket.set_nonblocking(true)
}

/// A listener of the process before, with the connections that wait in it.
fn taken_listener(descriptor: OwnedFd) -> io::Result<TcpListener> {
    let socket = Socket::from(descriptor);
    prepare_tcp(&socket)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_have_their_options_from_the_listener() {
        let listener = tcp_listener("127.0.0.1:0".parse().unwrap(), false).unwrap();
        listener.set_nonblocking(false).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let socket = socket2::SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT_BYTES);
    }
}
