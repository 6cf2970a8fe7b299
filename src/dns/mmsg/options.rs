//! Socket options that `socket2` has no name for.

#![allow(unsafe_code, reason = "setsockopt and getsockopt take pointers")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_int, c_void};

/// The packet info that a [`Batch`](super::Batch) needs if `keeps_source`, and that path MTUs learned from ICMP are not believed,
/// so that a forged report can't make the kernel cut responses into fragments (RFC 9715).
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

/// From now on the kernel may deliver queries of one flow together (`UDP_GRO`, Linux 5.0). Whoever reads the socket must be able to take them apart.
///
/// # Errors
/// What `setsockopt` says: an older kernel. Queries then come one by one.
pub fn coalesce(socket: &impl AsFd) -> io::Result<()> {
    set(socket, libc::SOL_UDP, libc::UDP_GRO, 1)
}

/// Whether the kernel takes several responses in one message (`UDP_SEGMENT`, Linux 4.18).
pub fn takes_segments(socket: &impl AsFd) -> bool {
    get(socket, libc::SOL_UDP, libc::UDP_SEGMENT).is_ok()
}

/// Reads one integer socket option.
///
/// # Errors
/// What `getsockopt` says.
pub fn get(socket: &impl AsFd, level: c_int, option: c_int) -> io::Result<c_int> {
    let (mut value, mut length): (c_int, libc::socklen_t) = (0, size_of::<c_int>() as libc::socklen_t);
    // SAFETY: the descriptor is open, and `value` has room for as many bytes as `length` says.
    let outcome = unsafe { libc::getsockopt(socket.as_fd().as_raw_fd(), level, option, (&raw mut value).cast::<c_void>(), &raw mut length) };
    if outcome == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// Sets one integer socket option.
///
/// # Errors
/// What `setsockopt` says.
pub fn set(socket: &impl AsFd, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open, and the option's value is an integer of the length given.
    let outcome =
        unsafe { libc::setsockopt(socket.as_fd().as_raw_fd(), level, option, (&raw const value).cast::<c_void>(), size_of::<c_int>() as libc::socklen_t) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
