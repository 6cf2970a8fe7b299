//! What a session must keep while it waits: the beginning of a query, the end of responses. Bounded over all sessions of a thread.
//!
//! A session that waits for its next query keeps nothing, so idle ones cost little however many they are. Queries that
//! arrive whole and responses that the socket takes at once are never kept: those pass when nothing may be kept any more.
//!
//! Never here: a buffer that outgrows what came, a session that holds memory after its end.

use std::cell::Cell;
use std::rc::Rc;

/// What the sessions of one thread may keep together, bytes.
pub const KEPT_BYTES_MAX: usize = 32 << 20;
/// Buffers above this are given back when they are empty, bytes: all connections that there may be keep a third of
/// [`KEPT_BYTES_MAX`] with empty ones.
const BUFFER_BYTES_KEPT: usize = 1 << 10;

/// The smallest buffer, bytes: most queries fit.
const BUFFER_BYTES_MIN: usize = 64;

/// What the sessions of one thread keep together.
#[derive(Clone, Debug)]
pub struct Allowance {
    used: Rc<Cell<usize>>,
    most: usize,
}

/// No more may be kept: the session that wants to must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowded;

/// Bytes of one session, on its thread's account.
#[derive(Debug)]
pub struct Kept {
    bytes: Vec<u8>,
    /// The capacity that the account knows of.
    charged: usize,
    allowance: Allowance,
}

impl Allowance {
    /// For `most` bytes.
    pub fn new(most: usize) -> Self {
        Self { used: Rc::default(), most }
    }
}

impl Kept {
    /// Nothing yet.
    pub fn new(allowance: &Allowance) -> Self {
        Self { bytes: Vec::new(), charged: 0, allowance: allowance.clone() }
    }

    /// Keeps more.
    ///
    /// # Errors
    /// The thread's sessions keep too much already; nothing was added.
    pub fn push(&mut self, more: &[u8]) -> Result<(), Crowded> {
        let short = (self.bytes.len() + more.len()).saturating_sub(self.bytes.capacity());
        if short > 0 {
            // As much again at least, so that a long message that comes in small pieces isn't copied for each of them.
            let room = more.len().max(self.bytes.capacity()).max(BUFFER_BYTES_MIN);
            if self.allowance.used.get() + room > self.allowance.most {
                return Err(Crowded);
            }
            self.bytes.reserve_exact(room);
            self.settle();
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }

    /// Forgets the first `count` bytes.
    pub fn forget(&mut self, count: usize) {
        self.bytes.drain(..count.min(self.bytes.len()));
        if self.bytes.is_empty() && self.bytes.capacity() > BUFFER_BYTES_KEPT {
            self.bytes = Vec::new();
            self.settle();
        }
    }

    /// The account follows the buffer.
    fn settle(&mut self) {
        let used = &self.allowance.used;
        used.set((used.get() + self.bytes.capacity()).saturating_sub(self.charged));
        self.charged = self.bytes.capacity();
    }
}

impl std::ops::Deref for Kept {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.bytes = Vec::new();
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sessions_together_keep_no_more_than_allowed_and_give_it_back() {
        let allowance = Allowance::new(10_000);
        let mut first = Kept::new(&allowance);
        let mut second = Kept::new(&allowance);
        first.push(&[1; 6_000]).unwrap();
        assert_eq!(second.push(&[2; 6_000]), Err(Crowded));
        assert!(second.is_empty());
        second.push(&[2; 2_000]).unwrap();
        assert_eq!(allowance.used.get(), 8_000);
        first.forget(5_999);
        assert_eq!((&first[..], allowance.used.get()), (&[1][..], 8_000));
        first.forget(1);
        assert_eq!(allowance.used.get(), 2_000);
        second.push(&[3; 6_000]).unwrap();
        assert_eq!(second.len(), 8_000);
        drop(second);
        drop(first);
        assert_eq!(allowance.used.get(), 0);
    }

    #[test]
    fn a_message_that_comes_byte_by_byte_is_moved_few_times() {
        let allowance = Allowance::new(1 << 20);
        let mut kept = Kept::new(&allowance);
        let mut moved = 0;
        for _ in 0..65_537 {
            let before = kept.bytes.capacity();
            kept.push(&[7]).unwrap();
            moved += usize::from(kept.bytes.capacity() != before);
        }
        assert!(moved <= 12, "{moved}");
        assert!(allowance.used.get() <= 1 << 17, "twice what came at most");
    }
}
