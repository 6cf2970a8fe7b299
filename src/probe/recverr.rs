//! One socket option that `socket2` has no name for: errors that routers report reach the socket that they are about.

#![allow(unsafe_code, reason = "setsockopt takes a pointer")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_int, c_void};

/// `IP_RECVERR` or `IPV6_RECVERR`: an ICMP error ends a `recv` with its errno, also those that may pass.
///
/// # Errors
/// What `setsockopt` says.
pub fn hear(socket: &impl AsFd, is_v6: bool) -> io::Result<()> {
    let (level, option) = if is_v6 { (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) } else { (libc::IPPROTO_IP, libc::IP_RECVERR) };
    let on: c_int = 1;
    // SAFETY: the descriptor is open, and the option's value is an integer of the length given.
    let outcome =
        unsafe { libc::setsockopt(socket.as_fd().as_raw_fd(), level, option, (&raw const on).cast::<c_void>(), size_of::<c_int>() as libc::socklen_t) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
