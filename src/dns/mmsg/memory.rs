//! The memory of a batch: all that the kernel reads and writes, in one mapping of its own.
//!
//! Never here: a system call that moves a datagram, and a reference into the memory.

#![allow(unsafe_code, reason = "a mapping is made and given back through pointers")]

use std::alloc::{Layout, handle_alloc_error};
use std::ptr::{self, NonNull};

use libc::c_void;

use super::RESPONSE_BYTES_MAX;
use super::control::Control;

/// Datagrams that one system call receives at most. Each may hold several queries.
pub const SLOTS: usize = 64;
/// Bytes from one slot to the next: the longest datagram there is, so that no query of many is cut off. Hardly any slot is ever
/// used beyond its first page, and memory that was never written is not there. (The 64 make neighbouring slots fall into different
/// cache sets; at whole pages they would pile up in one.)
pub const SLOT_BYTES: usize = (64 << 10) + 64;
/// Responses queued at most; then they must be sent before the next query is shown.
pub const RESPONSES_MAX: usize = 256;
/// Room for all queued responses, bytes, which lie back to back: 64 of the longest, or [`RESPONSES_MAX`] of ordinary ones.
pub const RESPONSES_BYTES: usize = 64 * RESPONSE_BYTES_MAX;

/// All that the kernel reads and writes. Every field is plain data for which all-zero bytes are a value.
#[repr(C)]
pub struct Memory {
    /// Headers of received datagrams.
    pub incoming: [libc::mmsghdr; SLOTS],
    /// Where each goes: one part, a slot.
    pub incoming_parts: [libc::iovec; SLOTS],
    /// Who asked. `sockaddr_in6` is the larger of the two kinds.
    pub clients: [libc::sockaddr_in6; SLOTS],
    /// What came beside each.
    pub incoming_controls: [Control; SLOTS],
    /// Headers of messages to send.
    pub outgoing: [libc::mmsghdr; RESPONSES_MAX],
    /// Where their responses lie; a message has one part or several.
    pub outgoing_parts: [libc::iovec; RESPONSES_MAX],
    /// What is told beside each.
    pub outgoing_controls: [Control; RESPONSES_MAX],
    /// Responses, back to back.
    pub responses: [u8; RESPONSES_BYTES],
    /// Received datagrams.
    pub slots: [[u8; SLOT_BYTES]; SLOTS],
}

/// The one owner of a [`Memory`].
pub struct Mapping(NonNull<Memory>);

impl Mapping {
    /// Memory of zeroes. A mapping of its own, so that pages which are never written are never there, whatever an allocator does.
    pub fn new() -> Self {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
        // SAFETY: a new anonymous mapping touches nothing that exists. It is aligned to a page, and every field of `Memory` is valid as
        // zeroes: integers, byte arrays, and raw pointers, which may be null.
        let memory = unsafe { libc::mmap(ptr::null_mut(), size_of::<Memory>(), access, kind, -1, 0) };
        match NonNull::new(memory.cast::<Memory>()) {
            Some(made) if memory != libc::MAP_FAILED => {
                // Best effort: with pages of 2 MiB all of it would be there from the start.
                // SAFETY: advice about the mapping just made, which changes no contents.
                let _advice = unsafe { libc::madvise(memory, size_of::<Memory>(), libc::MADV_NOHUGEPAGE) };
                Self(made)
            }
            _ => handle_alloc_error(Layout::new::<Memory>()),
        }
    }

    /// Where it is, as long as this lives.
    pub const fn as_ptr(&self) -> *mut Memory {
        self.0.as_ptr()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this length, whoever had a pointer into it is gone with its owner, and it is given back once.
        let _nothing_to_do_about_it = unsafe { libc::munmap(self.0.as_ptr().cast::<c_void>(), size_of::<Memory>()) };
    }
}
