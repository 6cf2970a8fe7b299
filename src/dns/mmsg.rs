//! Many datagrams with one system call: the only `unsafe` module of the crate.
//!
//! A [`Batch`] owns the memory of up to 64 queries and their responses. [`Batch::receive`] fills it, [`Batch::respond`] hands
//! one query and the room for its response to a closure, [`Batch::send`] sends what was queued. On a wildcard bind the
//! response leaves from the address that was asked: the control message that came with the query goes back with the response.
//!
//! Never here: what DNS is, a clock, and, after [`Batch::new`], an allocation.
//!
//! **Why it is sound.** All memory is one [`Memory`] on the heap, which is reached only through the one raw pointer that its
//! `Box` gave up. Pointers that the kernel gets (`msg_name`, `msg_iov`, `msg_control`) point into that block, which neither
//! moves nor is freed while the `Batch` lives; slices are made only for the closure of `respond`, of two distinct arrays.

#![allow(unsafe_code, reason = "recvmmsg and sendmmsg with packet info have no safe wrapper")]

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::slice;

use libc::{c_int, c_void};

use super::udp::Wait;

/// Datagrams that one system call moves at most.
const BATCH_MAX: usize = 64;
/// Longest query taken, bytes: what an Ethernet frame carries. Longer ones are cut by the kernel and answered by nobody.
/// (An odd multiple of 64, so that neighbouring slots fall into different cache sets; 2,048 would pile them up.)
const QUERY_BYTES_MAX: usize = 1_472;
/// Room for a response, bytes: UDP responses stay at or below 1,232, so that no path cuts them into fragments (RFC 9715).
const RESPONSE_BYTES_MAX: usize = 1_232;
/// Bytes from one response to the next: 21 × 64, odd for the reason above.
const RESPONSE_SLOT_BYTES: usize = 1_344;
/// Room for the control messages of a datagram: one IPv6 packet info needs 40 bytes.
const CONTROL_BYTES: usize = 64;

/// Control messages must be aligned as `cmsghdr` is.
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// All that the kernel reads and writes. Every field is plain data for which all-zero bytes are a value.
#[repr(C)]
struct Memory {
    incoming: [libc::mmsghdr; BATCH_MAX],
    incoming_parts: [libc::iovec; BATCH_MAX],
    outgoing: [libc::mmsghdr; BATCH_MAX],
    outgoing_parts: [libc::iovec; BATCH_MAX],
    /// Who asked. `sockaddr_in6` is the larger of the two kinds.
    clients: [libc::sockaddr_in6; BATCH_MAX],
    controls: [Control; BATCH_MAX],
    queries: [[u8; QUERY_BYTES_MAX]; BATCH_MAX],
    responses: [[u8; RESPONSE_SLOT_BYTES]; BATCH_MAX],
}

/// A pointer to element `$index` of the array `$field`; the caller has checked `$index < BATCH_MAX`.
macro_rules! slot {
    ($memory:expr, $field:ident, $index:expr, $kind:ty) => {
        (&raw mut (*$memory).$field).cast::<$kind>().add($index)
    };
}

/// Up to [`BATCH_MAX`] queries and their responses.
pub struct Batch {
    memory: NonNull<Memory>,
    /// Whether datagrams carry the address that was asked (wildcard bind).
    keeps_source: bool,
    /// Datagrams that the last `receive` brought.
    received: usize,
    /// Headers that the kernel may have written since they were last made ready.
    used: usize,
    /// Responses that wait for `send`.
    queued: usize,
}

impl Batch {
    /// Memory for a socket from [`prepare`]; `keeps_source` as given there. The only place that allocates.
    pub fn new(keeps_source: bool) -> Self {
        // SAFETY: every field of `Memory` is valid as zeroes: integers, byte arrays, and raw pointers, which may be null.
        let memory = unsafe { Box::<Memory>::new_zeroed().assume_init() };
        // `Box::into_raw` is never null.
        let memory = NonNull::from(Box::leak(memory));
        Self { memory, keeps_source, received: 0, used: BATCH_MAX, queued: 0 }
    }

    /// Fills the batch: waits as `wait` says for the first datagram, then takes what is there. 0: nothing came.
    ///
    /// # Errors
    /// What `recvmmsg` says, except that a timeout, a signal and a late ICMP report are 0 datagrams.
    pub fn receive(&mut self, socket: &UdpSocket, wait: Wait) -> io::Result<usize> {
        self.make_ready();
        (self.received, self.queued) = (0, 0);
        // A header may be half-written when the call fails: the first one is always made ready again.
        self.used = 1;
        let flags = match wait {
            Wait::ForOne => libc::MSG_WAITFORONE,
            Wait::No => libc::MSG_DONTWAIT,
        };
        let memory = self.memory.as_ptr();
        // SAFETY: `incoming` holds BATCH_MAX headers, all made ready: their pointers lead into `memory` with true lengths.
        let got =
            unsafe { libc::recvmmsg(socket.as_raw_fd(), slot!(memory, incoming, 0, libc::mmsghdr), BATCH_MAX as libc::c_uint, flags as _, ptr::null_mut()) };
        if got < 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR | libc::ECONNREFUSED) => Ok(0),
                _ => Err(error),
            };
        }
        self.received = (got as usize).min(BATCH_MAX);
        self.used = self.received.max(1);
        Ok(self.received)
    }

    /// Shows query `index` of this batch, its sender and the room for a response to `decide`, and queues the response if it
    /// returns a length. `false`: nobody was asked, since the datagram was longer than [`QUERY_BYTES_MAX`] (or had no sender).
    pub fn respond(&mut self, index: usize, decide: impl FnOnce(&[u8], SocketAddr, &mut [u8]) -> Option<usize>) -> bool {
        if index >= self.received || self.queued >= BATCH_MAX {
            return false;
        }
        let memory = self.memory.as_ptr();
        // SAFETY: `index < received <= BATCH_MAX`; the kernel has finished with the header, nothing else refers to it.
        let header = unsafe { &*slot!(memory, incoming, index, libc::mmsghdr) };
        if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return false;
        }
        // SAFETY: the pointer leads to the slot of a whole `sockaddr_in6`, zeroed at first, so that all of it can be read.
        let Some(client) = (unsafe { sender(slot!(memory, clients, index, libc::sockaddr_in6), header.msg_hdr.msg_namelen) }) else { return false };
        let length = (header.msg_len as usize).min(QUERY_BYTES_MAX);
        // SAFETY: `length` bytes of slot `index` of `queries` and all of slot `queued` of `responses`: distinct arrays, both
        // initialised (zeroes at first, and a slot is longer than a response), and nothing else refers to them while the two slices live.
        let (query, response) = unsafe {
            (
                slice::from_raw_parts(slot!(memory, queries, index, [u8; QUERY_BYTES_MAX]).cast::<u8>().cast_const(), length),
                slice::from_raw_parts_mut(slot!(memory, responses, self.queued, [u8; RESPONSE_SLOT_BYTES]).cast::<u8>(), RESPONSE_BYTES_MAX),
            )
        };
        if let Some(length) = decide(query, client, response)
            && length <= RESPONSE_BYTES_MAX
        {
            self.queue(index, length);
        }
        true
    }

    /// Sends what was queued; returns how many responses could not be sent. One that the kernel refuses (no route, a
    /// firewall, source port 0, a full queue) is given up, so that it can't hold up the others.
    pub fn send(&mut self, socket: &UdpSocket) -> usize {
        let (mut done, mut lost) = (0, 0);
        let queued = mem::take(&mut self.queued);
        let memory = self.memory.as_ptr();
        let mut reported = false;
        while done < queued {
            // SAFETY: headers `done..queued` were filled by `queue`; their pointers lead into `memory` with true lengths.
            let sent = unsafe {
                libc::sendmmsg(socket.as_raw_fd(), slot!(memory, outgoing, done, libc::mmsghdr), (queued - done) as libc::c_uint, libc::MSG_NOSIGNAL as _)
            };
            if sent > 0 {
                done += sent as usize;
                continue;
            }
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => {}
                // The report of an earlier datagram's fate: reading it cleared it, this one has not been tried yet.
                Some(libc::ECONNREFUSED) if !mem::replace(&mut reported, true) => {}
                // EAGAIN: the send buffer stayed full for the whole SO_SNDTIMEO. ENOBUFS, ENOMEM, EPERM, EINVAL, ENETUNREACH, …
                _ => {
                    done += 1;
                    lost += 1;
                    reported = false;
                }
            }
        }
        lost
    }

    /// Makes the headers that the last round used ready for the kernel: it overwrites lengths and flags with what it found.
    fn make_ready(&mut self) {
        let memory = self.memory.as_ptr();
        for index in 0..self.used.min(BATCH_MAX) {
            // SAFETY: `index < BATCH_MAX`; the kernel is not in a call, and no slice of this memory lives.
            unsafe {
                let part = slot!(memory, incoming_parts, index, libc::iovec);
                (*part).iov_base = slot!(memory, queries, index, [u8; QUERY_BYTES_MAX]).cast::<c_void>();
                (*part).iov_len = QUERY_BYTES_MAX;
                let header = &raw mut (*slot!(memory, incoming, index, libc::mmsghdr)).msg_hdr;
                (*header).msg_name = slot!(memory, clients, index, libc::sockaddr_in6).cast::<c_void>();
                (*header).msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
                (*header).msg_iov = part;
                (*header).msg_iovlen = 1;
                if self.keeps_source {
                    (*header).msg_control = slot!(memory, controls, index, Control).cast::<c_void>();
                    (*header).msg_controllen = CONTROL_BYTES as _;
                }
                (*header).msg_flags = 0;
            }
        }
        self.used = 0;
    }

    /// Puts the response of `length` bytes in slot `queued`, to query `index`, at the end of what `send` will send.
    fn queue(&mut self, index: usize, length: usize) {
        let memory = self.memory.as_ptr();
        // SAFETY: `index < received <= BATCH_MAX` and `queued < BATCH_MAX` (checked by `respond`); the kernel is not in a call.
        unsafe {
            let asked = &raw mut (*slot!(memory, incoming, index, libc::mmsghdr)).msg_hdr;
            let part = slot!(memory, outgoing_parts, self.queued, libc::iovec);
            (*part).iov_base = slot!(memory, responses, self.queued, [u8; RESPONSE_SLOT_BYTES]).cast::<c_void>();
            (*part).iov_len = length;
            let header = &raw mut (*slot!(memory, outgoing, self.queued, libc::mmsghdr)).msg_hdr;
            (*header).msg_name = (*asked).msg_name;
            (*header).msg_namelen = (*asked).msg_namelen;
            (*header).msg_iov = part;
            (*header).msg_iovlen = 1;
            if self.keeps_source && forget_interface(asked) {
                (*header).msg_control = (*asked).msg_control;
                (*header).msg_controllen = (*asked).msg_controllen;
            } else {
                (*header).msg_control = ptr::null_mut();
                (*header).msg_controllen = 0;
            }
            (*header).msg_flags = 0;
        }
        self.queued += 1;
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: the pointer came from a `Box<Memory>` in `new` and is given back once.
        drop(unsafe { Box::from_raw(self.memory.as_ptr()) });
    }
}

/// The sender of a datagram, if it has an address.
///
/// # Safety
/// `name` points to an initialised `sockaddr_in6`, whose first bytes may be a `sockaddr_in`.
unsafe fn sender(name: *const libc::sockaddr_in6, length: libc::socklen_t) -> Option<SocketAddr> {
    // SAFETY: the family is the first field of both kinds, and `sockaddr_in` is shorter and no more aligned than `sockaddr_in6`.
    unsafe {
        match c_int::from((*name).sin6_family) {
            libc::AF_INET if length as usize >= size_of::<libc::sockaddr_in>() => {
                let name = name.cast::<libc::sockaddr_in>();
                let address = Ipv4Addr::from_bits(u32::from_be((*name).sin_addr.s_addr));
                Some(SocketAddr::new(IpAddr::V4(address), u16::from_be((*name).sin_port)))
            }
            libc::AF_INET6 if length as usize >= size_of::<libc::sockaddr_in6>() => {
                let address = Ipv6Addr::from((*name).sin6_addr.s6_addr);
                Some(SocketAddr::V6(SocketAddrV6::new(address, u16::from_be((*name).sin6_port), 0, (*name).sin6_scope_id)))
            }
            _ => None,
        }
    }
}

/// Clears the interface in the packet info that came with a query: the route decides where the response leaves, as for any
/// other packet; only the source address is kept. Link-local sources keep theirs, which they need. `false`: no packet info.
///
/// # Safety
/// `header` was filled by the kernel, with room of [`CONTROL_BYTES`] for control messages.
unsafe fn forget_interface(header: *mut libc::msghdr) -> bool {
    // SAFETY: CMSG_FIRSTHDR checks the length that the kernel wrote; each kind of packet info is as long as its type says
    // once level and type agree, and is accessed without assuming alignment.
    unsafe {
        let control = libc::CMSG_FIRSTHDR(header);
        if control.is_null() {
            return false;
        }
        match ((*control).cmsg_level, (*control).cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let info = libc::CMSG_DATA(control).cast::<libc::in_pktinfo>();
                (&raw mut (*info).ipi_ifindex).write_unaligned(0);
                true
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let info = libc::CMSG_DATA(control).cast::<libc::in6_pktinfo>();
                let source = Ipv6Addr::from((&raw const (*info).ipi6_addr).read_unaligned().s6_addr);
                if !source.is_unicast_link_local() {
                    (&raw mut (*info).ipi6_ifindex).write_unaligned(0);
                }
                true
            }
            _ => false,
        }
    }
}

/// Sets what `socket2` has no name for: the packet info that [`Batch`] needs if `keeps_source`, and that path MTUs learned
/// from ICMP are not believed, so that a forged report can't make the kernel cut responses into fragments (RFC 9715).
///
/// # Errors
/// What `setsockopt` says about the packet info; the rest is best effort.
pub fn prepare(socket: &socket2::Socket, is_v6: bool, keeps_source: bool) -> io::Result<()> {
    let (level, info, discover, omit) = if is_v6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT)
    } else {
        (libc::IPPROTO_IP, libc::IP_PKTINFO, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)
    };
    if keeps_source {
        set(socket, level, info, 1)?;
    }
    let _best_effort = set(socket, level, discover, omit);
    Ok(())
}

/// One integer socket option.
fn set(socket: &socket2::Socket, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open, and the option's value is an integer of the length given.
    let outcome = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast::<c_void>(), size_of::<c_int>() as libc::socklen_t) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn pair() -> (UdpSocket, UdpSocket) {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client.connect(server.local_addr().unwrap()).unwrap();
        (server, client)
    }

    #[test]
    fn a_timeout_is_no_datagram_and_no_error() {
        let (server, _client) = pair();
        let mut batch = Batch::new(false);
        assert_eq!(batch.receive(&server, Wait::ForOne).unwrap(), 0);
        assert_eq!(batch.receive(&server, Wait::No).unwrap(), 0);
        assert!(!batch.respond(0, |_, _, _| panic!("there is no query")));
        assert_eq!(batch.send(&server), 0);
    }

    #[test]
    fn more_datagrams_than_a_batch_come_in_several_and_silence_leaves_no_gap() {
        let (server, client) = pair();
        for number in 0..150_u8 {
            client.send(&[number; 20]).unwrap();
        }
        let mut batch = Batch::new(false);
        let mut sizes = Vec::new();
        loop {
            let count = batch.receive(&server, Wait::No).unwrap();
            if count == 0 {
                break;
            }
            sizes.push(count);
            for index in 0..count {
                let sender = client.local_addr().unwrap();
                // Every third query is met with silence; each response is as long as its number.
                assert!(batch.respond(index, |query, client, out| {
                    assert_eq!((query.len(), client), (20, sender));
                    let number = query[0];
                    out[..usize::from(number)].fill(number);
                    (!number.is_multiple_of(3)).then_some(usize::from(number))
                }));
            }
            assert_eq!(batch.send(&server), 0);
        }
        assert_eq!(sizes, [64, 64, 22]);
        for number in (0..150_u8).filter(|number| !number.is_multiple_of(3)) {
            let mut response = [0; 2000];
            let length = client.recv(&mut response).unwrap();
            assert_eq!(response[..length], vec![number; usize::from(number)]);
        }
    }

    #[test]
    fn a_query_is_taken_up_to_its_limit_and_not_beyond() {
        let (server, client) = pair();
        client.send(&[1; QUERY_BYTES_MAX]).unwrap();
        client.send(&[2; QUERY_BYTES_MAX + 1]).unwrap();
        client.send(&[]).unwrap();
        let mut batch = Batch::new(false);
        assert_eq!(batch.receive(&server, Wait::ForOne).unwrap(), 3);
        assert!(batch.respond(0, |query, _, _| {
            assert_eq!(query, [1; QUERY_BYTES_MAX]);
            None
        }));
        assert!(!batch.respond(1, |_, _, _| panic!("it was cut")));
        assert!(batch.respond(2, |query, _, _| {
            assert!(query.is_empty());
            None
        }));
    }

    #[test]
    fn a_length_beyond_the_room_for_a_response_sends_nothing() {
        let (server, client) = pair();
        client.send(b"long").unwrap();
        client.send(b"right").unwrap();
        let mut batch = Batch::new(false);
        assert_eq!(batch.receive(&server, Wait::ForOne).unwrap(), 2);
        assert!(batch.respond(0, |_, _, out| Some(out.len() + 1)));
        assert!(batch.respond(1, |_, _, out| Some(out.len())));
        assert_eq!(batch.send(&server), 0);
        let mut response = [0; 2000];
        assert_eq!(client.recv(&mut response).unwrap(), RESPONSE_BYTES_MAX);
    }

    #[test]
    fn what_the_kernel_refuses_is_given_up_and_the_rest_is_sent() {
        let (server, client) = pair();
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        other.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut batch = Batch::new(false);
        client.send(b"1").unwrap();
        assert_eq!(batch.receive(&server, Wait::ForOne).unwrap(), 1);
        // A connected socket may send to its peer only by an address it can reach: one of the other family is refused.
        other.send_to(b"2", server.local_addr().unwrap()).unwrap();
        assert!(batch.respond(0, |_, _, _| Some(1)));
        let v6 = UdpSocket::bind("[::1]:0").unwrap();
        assert_eq!(batch.send(&v6), 1, "an IPv4 receiver can't be reached from [::1]");
        assert_eq!(batch.receive(&server, Wait::ForOne).unwrap(), 1);
        assert!(batch.respond(0, |_, _, _| Some(1)));
        assert_eq!(batch.send(&server), 0);
        assert_eq!(other.recv(&mut [0; 10]).unwrap(), 1);
    }
}
