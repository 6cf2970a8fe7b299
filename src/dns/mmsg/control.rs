//! Control messages: what the kernel says beside a datagram, and what it is told beside a response.
//!
//! | message | with a query | with a response |
//! |---|---|---|
//! | `IP_PKTINFO`, `IPV6_PKTINFO` | the address that was asked | the address to answer from |
//! | `UDP_GRO` | several queries lie back to back: the length of each (the last one may be shorter) | – |
//! | `UDP_SEGMENT` | – | several responses lie back to back: the same |
//!
//! Never here: a system call.

#![allow(unsafe_code, reason = "control messages are read and written through pointers")]

use std::net::{Ipv4Addr, Ipv6Addr};
use std::{mem, ptr};

use libc::c_int;

/// Room for the control messages of a datagram, bytes: an IPv6 packet info needs 40, `UDP_GRO` 24.
pub const CONTROL_BYTES: usize = 64;

/// Control messages must be aligned as `cmsghdr` is.
#[repr(C, align(8))]
pub struct Control([u8; CONTROL_BYTES]);

impl Default for Control {
    fn default() -> Self {
        Self([0; CONTROL_BYTES])
    }
}

/// The address of ours that a datagram came to and that its response leaves from, where that is not the system's own choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The system chooses: the socket has one address only.
    #[default]
    Any,
    /// This one; the route decides where the response leaves, as for any other packet.
    V4(Ipv4Addr),
    /// This one, on an interface if it means nothing elsewhere (link-local), else 0.
    V6(Ipv6Addr, u32),
}

/// What came beside a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Where it came to.
    pub source: Source,
    /// Several datagrams of one flow in one, each of this many bytes but for the last. `None`: it is one.
    pub segment: Option<usize>,
}

impl Beside {
    /// Queries in a datagram of `length` bytes. One that is empty is a query, too.
    pub const fn count(&self, length: usize) -> usize {
        match self.segment {
            Some(segment) if segment < length => length.div_ceil(segment),
            _ => 1,
        }
    }
}

/// Reads what came beside a datagram.
///
/// # Safety
/// `header` was filled by the kernel, or its `msg_controllen` is 0; the control memory that it points to is whole.
pub unsafe fn read(header: *const libc::msghdr) -> Beside {
    let mut beside = Beside::default();
    // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR stay within the length that the kernel wrote; each kind of message is as long as
    // its type says once level and type agree, and is read without assuming alignment.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            let data = libc::CMSG_DATA(message);
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::SOL_UDP, libc::UDP_GRO) => beside.segment = usize::try_from(data.cast::<c_int>().read_unaligned()).ok().filter(|segment| *segment > 0),
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    beside.source = Source::V4(Ipv4Addr::from_bits(u32::from_be(info.ipi_spec_dst.s_addr)));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                    beside.source = Source::V6(address, if address.is_unicast_link_local() { info.ipi6_ifindex as u32 } else { 0 });
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    beside
}

/// Writes what is to be told beside a response (or beside several, each of `segment` bytes) and lets `header` point to it.
///
/// # Safety
/// Both pointers lead to whole structures that nobody else refers to, and `room` lives as long as `header` is used.
pub unsafe fn write(header: *mut libc::msghdr, room: *mut Control, source: Source, segment: Option<u16>) {
    // SAFETY: at most one packet info (40 bytes) and one segment length (24) are put: CONTROL_BYTES in all.
    unsafe {
        let room = room.cast::<u8>();
        let mut used = match source {
            Source::Any => 0,
            Source::V4(address) => {
                let ipi_spec_dst = libc::in_addr { s_addr: address.to_bits().to_be() };
                put(room, 0, libc::IPPROTO_IP, libc::IP_PKTINFO, libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst, ipi_addr: libc::in_addr { s_addr: 0 } })
            }
            Source::V6(address, interface) => {
                let ipi6_addr = libc::in6_addr { s6_addr: address.octets() };
                put(room, 0, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: interface as _ })
            }
        };
        if let Some(segment) = segment {
            used = put(room, used, libc::SOL_UDP, libc::UDP_SEGMENT, segment);
        }
        (*header).msg_control = if used == 0 { ptr::null_mut() } else { room.cast() };
        (*header).msg_controllen = used as _;
    }
}

/// Puts one control message at byte `at`; returns where the next one goes.
///
/// # Safety
/// `room` is aligned as [`Control`] is, `at` is 0 or was returned by this function, and from there on is room for the message.
unsafe fn put<T>(room: *mut u8, at: usize, level: c_int, kind: c_int, value: T) -> usize {
    // SAFETY: the caller has made sure of the room; a header is plain data, for which zeroes are a value. CMSG_LEN and CMSG_SPACE only add.
    unsafe {
        let message = room.add(at).cast::<libc::cmsghdr>();
        let mut header: libc::cmsghdr = mem::zeroed();
        header.cmsg_len = libc::CMSG_LEN(size_of::<T>() as libc::c_uint) as _;
        header.cmsg_level = level;
        header.cmsg_type = kind;
        message.write(header);
        libc::CMSG_DATA(message).cast::<T>().write_unaligned(value);
        at + libc::CMSG_SPACE(size_of::<T>() as libc::c_uint) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_and_segment_length_fits_and_is_read_as_written() {
        for source in [Source::Any, Source::V4(Ipv4Addr::new(127, 1, 2, 3)), Source::V6(Ipv6Addr::LOCALHOST, 0), Source::V6("fe80::1".parse().unwrap(), 7)] {
            for segment in [None, Some(0x1234_u16)] {
                // Nothing that was there before may be taken for a message.
                let mut room = Control([0xff; CONTROL_BYTES]);
                // SAFETY: all zeroes are a value of this type; both structures live in this function.
                let header = unsafe {
                    let mut header: libc::msghdr = mem::zeroed();
                    write(&raw mut header, &raw mut room, source, segment);
                    header
                };
                assert!(header.msg_controllen as usize <= CONTROL_BYTES);
                assert_eq!(header.msg_control.is_null(), source == Source::Any && segment.is_none());
                // SAFETY: as the kernel would have filled it.
                assert_eq!(unsafe { read(&raw const header) }, Beside { source, segment: None }, "a segment length is no word of the kernel's");
            }
        }
    }
}
