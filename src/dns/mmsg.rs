//! Many datagrams with one system call: the only `unsafe` module of the room, with its parts in `mmsg/`.
//!
//! [`Batch::receive`] fills a [`Batch`], [`Batch::respond`] hands one query and the room for its response to a closure, [`Batch::send`]
//! sends what was queued. On a wildcard bind the response leaves from the address that was asked.
//!
//! ```text
//! recvmmsg ─▶ 64 slots ─▶ each holds a query, or several of one flow back to back (UDP_GRO: resolvers and proxies send bursts)
//!                            │ one by one
//!                            ▼
//!                          decide ─▶ responses, packed ─▶ equally long ones to one client are one message (runs) ─▶ sendmmsg
//! ```
//!
//! Where the kernel or the device can't do one or the other, each datagram goes by itself. It is always on: with nothing to put
//! together it costs nothing that can be measured (docs/performance.md, "UDP").
//!
//! Never here: what DNS is, a clock, and, after [`Batch::new`], an allocation.
//!
//! **Why it is sound.** All memory is one [`Mapping`], which is reached only through its raw pointer. Pointers that
//! the kernel gets (`msg_name`, `msg_iov`, `msg_control`) point into it, and it neither moves nor goes away while the `Batch` lives;
//! slices are made only for the closure of `respond`, of two distinct arrays.

#![allow(unsafe_code, reason = "recvmmsg and sendmmsg with control messages have no safe wrapper")]

mod control;
mod memory;
mod options;
mod runs;
#[cfg(test)]
mod tests;

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;
use std::slice;

use libc::{c_int, c_void};

pub use self::options::{coalesce, prepare};
#[cfg(test)]
pub use self::options::{get, set};

use self::control::{Beside, CONTROL_BYTES, Control, Source};
use self::memory::{Mapping, RESPONSES_BYTES, RESPONSES_MAX, SLOT_BYTES, SLOTS};
use self::runs::Piece;
use super::udp::Wait;

/// Longest query taken, bytes: what an Ethernet frame carries. Longer ones are answered by nobody.
const QUERY_BYTES_MAX: usize = 1_472;
/// Room for a response, bytes: UDP responses stay at or below 1,232, so that no path cuts them into fragments (RFC 9715).
const RESPONSE_BYTES_MAX: usize = 1_232;
/// A pointer to element `$index` of the array `$field`; the caller has checked that there is one.
macro_rules! slot {
    ($memory:expr, $field:ident, $index:expr, $kind:ty) => {
        (&raw mut (*$memory).$field).cast::<$kind>().add($index)
    };
}

/// A slot that was looked into: its queries have the numbers `first..end` of the batch.
#[derive(Clone, Copy, Debug)]
struct Opened {
    slot: usize,
    first: usize,
    end: usize,
    /// Bytes of each query; the last one has what is left.
    segment: usize,
    /// Bytes in all.
    length: usize,
    /// The kernel had more than the slot could take: the last query isn't whole.
    is_cut: bool,
    client: Option<SocketAddr>,
    source: Source,
}

/// Responses that leave as one message.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    /// How many.
    count: u16,
    /// Bytes of each; the last one may be shorter.
    segment: u16,
    /// In how many parts they lie in memory.
    parts: u16,
}

/// Up to 64 received datagrams, and responses to the queries in them.
pub struct Batch {
    memory: Mapping,
    /// Whether datagrams carry the address that was asked (wildcard bind).
    keeps_source: bool,
    /// Whether several responses may go as one message. `None`: the kernel was not asked yet.
    takes_segments: Option<bool>,
    /// Slots that the last `receive` filled.
    received: usize,
    /// What came beside each of them, and the queries in all.
    besides: [Beside; SLOTS],
    queries: usize,
    /// Headers that the kernel may have written since they were last made ready.
    used: usize,
    opened: Option<Opened>,
    /// Queries of the flow at hand came together, as one datagram.
    came_together: bool,
    /// Responses that wait for `send`, and the bytes that they fill.
    pieces: [Piece; RESPONSES_MAX],
    queued: usize,
    filled: usize,
    /// Those of them, from the first on, that are in a message already; the others are to the flow of `opened`.
    bundled: usize,
    /// Messages for `send`, and the parts that they have.
    runs: [Run; RESPONSES_MAX],
    messages: usize,
    parts: usize,
}

impl Batch {
    /// Memory for a socket from [`prepare`]; `keeps_source` as given there. The only place that allocates.
    pub fn new(keeps_source: bool) -> Self {
        Self {
            memory: Mapping::new(),
            keeps_source,
            takes_segments: None,
            received: 0,
            besides: [Beside::default(); SLOTS],
            queries: 0,
            used: SLOTS,
            opened: None,
            came_together: false,
            pieces: [Piece::default(); RESPONSES_MAX],
            queued: 0,
            filled: 0,
            bundled: 0,
            runs: [Run::default(); RESPONSES_MAX],
            messages: 0,
            parts: 0,
        }
    }

    /// Fills the batch: waits as `wait` says for the first datagram, then takes what is there. Returns the number of queries. 0: nothing came.
    ///
    /// # Errors
    /// What `recvmmsg` says, except that a timeout, a signal and a late ICMP report are 0 queries.
    pub fn receive(&mut self, socket: &UdpSocket, wait: Wait) -> io::Result<usize> {
        if self.takes_segments.is_none() {
            self.takes_segments = Some(options::takes_segments(socket));
        }
        self.make_ready();
        (self.received, self.queries, self.opened, self.came_together) = (0, 0, None, false);
        self.forget_responses();
        // A header may be half-written when the call fails: the first one is always made ready again.
        self.used = 1;
        let flags = match wait {
            Wait::ForOne => libc::MSG_WAITFORONE,
            Wait::No => libc::MSG_DONTWAIT,
        };
        let memory = self.memory.as_ptr();
        // SAFETY: `incoming` holds SLOTS headers, all made ready: their pointers lead into `memory` with true lengths.
        let got = unsafe { libc::recvmmsg(socket.as_raw_fd(), slot!(memory, incoming, 0, libc::mmsghdr), SLOTS as libc::c_uint, flags as _, ptr::null_mut()) };
        if got < 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR | libc::ECONNREFUSED) => Ok(0),
                _ => Err(error),
            };
        }
        self.received = (got as usize).min(SLOTS);
        self.used = self.received.max(1);
        for (slot, beside) in self.besides.iter_mut().enumerate().take(self.received) {
            // SAFETY: `slot < SLOTS`; the kernel has filled the header and has finished with it, nothing else refers to it. Its control
            // memory is a whole `Control`.
            let length = unsafe {
                let header = slot!(memory, incoming, slot, libc::mmsghdr);
                *beside = control::read(&raw const (*header).msg_hdr);
                (*header).msg_len as usize
            };
            self.queries += beside.count(length);
        }
        Ok(self.queries)
    }

    /// Whether `send` must be called before the next query can be shown.
    pub fn is_full(&self) -> bool {
        self.queued >= RESPONSES_MAX || self.filled + RESPONSE_BYTES_MAX > RESPONSES_BYTES
    }

    /// Shows query `index` of this batch, its sender and the room for a response to `decide`, and queues the response if it
    /// returns a length. `false`: nobody was asked, since the query was longer than [`QUERY_BYTES_MAX`] or cut (or had no sender).
    /// They are shown in order; one may be left out.
    pub fn respond(&mut self, index: usize, decide: impl FnOnce(&[u8], SocketAddr, &mut [u8]) -> Option<usize>) -> bool {
        if self.is_full() {
            return false;
        }
        let Some(opened) = self.open(index) else { return false };
        let Some(client) = opened.client else { return false };
        let at = (index - opened.first) * opened.segment;
        let length = opened.segment.min(opened.length.saturating_sub(at));
        if length > QUERY_BYTES_MAX || (opened.is_cut && index + 1 == opened.end) {
            return false;
        }
        let memory = self.memory.as_ptr();
        // SAFETY: `at + length <= opened.length <= SLOT_BYTES` within slot `opened.slot < SLOTS`, and RESPONSE_BYTES_MAX of `responses` from
        // `filled` on (`is_full` was asked): distinct arrays, both initialised (zeroes at first), and nothing else refers to them while the two slices live.
        let (query, response) = unsafe {
            (
                slice::from_raw_parts(slot!(memory, slots, opened.slot, [u8; SLOT_BYTES]).cast::<u8>().cast_const().add(at), length),
                slice::from_raw_parts_mut(slot!(memory, responses, self.filled, u8), RESPONSE_BYTES_MAX),
            )
        };
        if let Some(length) = decide(query, client, response)
            && length <= RESPONSE_BYTES_MAX
            && let Some(piece) = self.pieces.get_mut(self.queued)
        {
            *piece = Piece { at: self.filled as u32, length: length as u16 };
            self.queued += 1;
            self.filled += length;
        }
        true
    }

    /// Sends what was queued; returns how many responses could not be sent. One that the kernel refuses (no route, a
    /// firewall, source port 0, a full queue) is given up, so that it can't hold up the others.
    pub fn send(&mut self, socket: &UdpSocket) -> usize {
        self.bundle();
        let (mut done, mut lost) = (0, 0);
        let messages = self.messages;
        let memory = self.memory.as_ptr();
        let mut reported = false;
        while done < messages {
            // SAFETY: headers `done..messages` were filled by `post`; their pointers lead into `memory` with true lengths.
            let sent = unsafe {
                libc::sendmmsg(socket.as_raw_fd(), slot!(memory, outgoing, done, libc::mmsghdr), (messages - done) as libc::c_uint, libc::MSG_NOSIGNAL as _)
            };
            if sent > 0 {
                done += sent as usize;
                continue;
            }
            let run = self.runs.get(done).copied().unwrap_or_default();
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => {}
                // The report of an earlier datagram's fate: reading it cleared it, this one has not been tried yet.
                Some(libc::ECONNREFUSED) if !mem::replace(&mut reported, true) => {}
                // Not as one message: longer than the link takes, a kernel that can't, a device that can't (EIO). Then one by one,
                // and with that device no further attempts.
                Some(error @ (libc::EIO | libc::EINVAL | libc::EMSGSIZE)) if run.count > 1 => {
                    if error == libc::EIO {
                        self.takes_segments = Some(false);
                    }
                    lost += self.send_apart(socket, done, run);
                    done += 1;
                    reported = false;
                }
                // EAGAIN: the send buffer stayed full for the whole SO_SNDTIMEO. ENOBUFS, ENOMEM, EPERM, EINVAL, ENETUNREACH, …
                _ => {
                    lost += usize::from(run.count);
                    done += 1;
                    reported = false;
                }
            }
        }
        self.forget_responses();
        lost
    }

    /// Sends the responses of message `index` one by one; returns how many could not be sent.
    fn send_apart(&self, socket: &UdpSocket, index: usize, run: Run) -> usize {
        let (memory, mut lost) = (self.memory.as_ptr(), 0);
        // SAFETY: `index < messages`: the header and its parts were filled by `post`, the kernel is not in a call. Each datagram is
        // a piece of one of the parts, and the header that names it lives as long as the call.
        unsafe {
            let posted = &(*slot!(memory, outgoing, index, libc::mmsghdr)).msg_hdr;
            // The segment's length is the last control message; the packet info before it stays.
            let beside = control::read(posted);
            let mut room = Control::default();
            for part in 0..usize::from(run.parts) {
                let part = *posted.msg_iov.add(part);
                let mut at = 0;
                while at < part.iov_len {
                    let length = part.iov_len.saturating_sub(at).min(usize::from(run.segment.max(1)));
                    let mut one = libc::iovec { iov_base: part.iov_base.cast::<u8>().add(at).cast(), iov_len: length };
                    let mut header = *posted;
                    header.msg_iov = &raw mut one;
                    header.msg_iovlen = 1;
                    control::write(&raw mut header, &raw mut room, beside.source, None);
                    let mut attempts = 3;
                    lost += usize::from(loop {
                        attempts -= 1;
                        if libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL) >= 0 {
                            break false;
                        }
                        match io::Error::last_os_error().raw_os_error() {
                            Some(libc::EINTR | libc::ECONNREFUSED) if attempts > 0 => {}
                            _ => break true,
                        }
                    });
                    at += length;
                }
            }
        }
        lost
    }

    /// Makes the headers that the last round used ready for the kernel: it overwrites lengths and flags with what it found.
    fn make_ready(&mut self) {
        let memory = self.memory.as_ptr();
        for index in 0..self.used.min(SLOTS) {
            // SAFETY: `index < SLOTS`; the kernel is not in a call, and no slice of this memory lives.
            unsafe {
                let part = slot!(memory, incoming_parts, index, libc::iovec);
                (*part).iov_base = slot!(memory, slots, index, [u8; SLOT_BYTES]).cast::<c_void>();
                (*part).iov_len = SLOT_BYTES;
                let header = &raw mut (*slot!(memory, incoming, index, libc::mmsghdr)).msg_hdr;
                (*header).msg_name = slot!(memory, clients, index, libc::sockaddr_in6).cast::<c_void>();
                (*header).msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
                (*header).msg_iov = part;
                (*header).msg_iovlen = 1;
                (*header).msg_control = slot!(memory, incoming_controls, index, Control).cast::<c_void>();
                (*header).msg_controllen = CONTROL_BYTES as _;
                (*header).msg_flags = 0;
            }
        }
        self.used = 0;
    }

    fn forget_responses(&mut self) {
        (self.queued, self.filled, self.bundled, self.messages, self.parts) = (0, 0, 0, 0, 0);
    }

    /// Looks into the slot that query `index` is in. With another flow than before, the responses to that one are bundled.
    fn open(&mut self, index: usize) -> Option<Opened> {
        let (mut slot, mut first) = match self.opened {
            Some(opened) if (opened.first..opened.end).contains(&index) => return Some(opened),
            Some(opened) if opened.end <= index => (opened.slot + 1, opened.end),
            _ => (0, 0),
        };
        let end = loop {
            if slot >= self.received {
                return None;
            }
            // SAFETY: `slot < received <= SLOTS`; the kernel has filled the header and has finished with it, nothing else refers to it.
            let length = unsafe { (*slot!(self.memory.as_ptr(), incoming, slot, libc::mmsghdr)).msg_len as usize };
            let end = first + self.besides.get(slot)?.count(length);
            if index < end {
                break end;
            }
            (slot, first) = (slot + 1, end);
        };
        let memory = self.memory.as_ptr();
        // SAFETY: as above.
        let header = unsafe { &*slot!(memory, incoming, slot, libc::mmsghdr) };
        let Beside { source, segment } = *self.besides.get(slot)?;
        // SAFETY: the pointer leads to the slot of a whole `sockaddr_in6`, zeroed at first, so that all of it can be read.
        let client = unsafe { sender(slot!(memory, clients, slot, libc::sockaddr_in6), header.msg_hdr.msg_namelen) };
        let length = (header.msg_len as usize).min(SLOT_BYTES);
        let is_cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        let source = if self.keeps_source { source } else { Source::Any };
        let opened = Opened { slot, first, end, segment: segment.unwrap_or(length), length, is_cut, client, source };
        if self.opened.is_some_and(|before| (before.client, before.source) != (opened.client, opened.source)) {
            self.bundle();
            self.came_together = false;
        }
        self.came_together |= end - first > 1;
        self.opened = Some(opened);
        Some(opened)
    }

    /// Puts the responses to the flow of `opened` that are in no message yet into as few messages as they need.
    fn bundle(&mut self) {
        let Some(opened) = self.opened else { return };
        let may_run = self.takes_segments == Some(true);
        if let Some(pieces) = self.pieces.get_mut(self.bundled..self.queued)
            && may_run
            && self.came_together
        {
            runs::arrange(pieces);
        }
        while let Some(pieces) = self.pieces.get(self.bundled..self.queued)
            && !pieces.is_empty()
        {
            let count = if may_run { runs::first_run(pieces) } else { 1 };
            self.post(&opened, count);
            self.bundled += count;
        }
    }

    /// Makes one message of the next `count` responses, to the sender of `opened`.
    fn post(&mut self, opened: &Opened, count: usize) {
        let Some(pieces) = self.pieces.get(self.bundled..self.bundled + count) else { return };
        let segment = pieces.first().map_or(0, |piece| piece.length);
        let Some(run) = self.runs.get_mut(self.messages) else { return };
        let memory = self.memory.as_ptr();
        // SAFETY: there are no more messages than responses, nor parts: `messages` and `parts` are below RESPONSES_MAX. Pieces were
        // made by `respond`: they lie within `responses`. The kernel is not in a call, and no slice of this memory lives.
        unsafe {
            let parts = slot!(memory, outgoing_parts, self.parts, libc::iovec);
            let mut used = 0;
            let mut end = None;
            for piece in pieces {
                // Back to back in memory: the same part.
                if end == Some(piece.at) {
                    (*parts.add(used - 1)).iov_len += usize::from(piece.length);
                } else {
                    *parts.add(used) =
                        libc::iovec { iov_base: slot!(memory, responses, piece.at as usize, u8).cast::<c_void>(), iov_len: usize::from(piece.length) };
                    used += 1;
                }
                end = Some(piece.at + u32::from(piece.length));
            }
            self.parts += used;
            *run = Run { count: count as u16, segment, parts: used as u16 };
            let asked = &raw const (*slot!(memory, incoming, opened.slot, libc::mmsghdr)).msg_hdr;
            let header = &raw mut (*slot!(memory, outgoing, self.messages, libc::mmsghdr)).msg_hdr;
            (*header).msg_name = (*asked).msg_name;
            (*header).msg_namelen = (*asked).msg_namelen;
            (*header).msg_iov = parts;
            (*header).msg_iovlen = used as _;
            (*header).msg_flags = 0;
            let room = slot!(memory, outgoing_controls, self.messages, Control);
            control::write(header, room, opened.source, (count > 1).then_some(segment));
        }
        self.messages += 1;
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
