//! A TCP session between two processes: the connection, and what it sent that is not a whole query yet.
//!
//! A connection that is closed under a client costs it the query that it is just sending. So a session that waits for its client when another process
//! takes over is not closed but sent there ([`Running::stop_for`](super::Running::stop_for), [`Adopter`](super::Adopter)).
//!
//! Never here: a session with responses that are not written yet. It ends where it is.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// One session on its way.
#[derive(Debug)]
pub struct Parcel {
    /// The connection.
    pub stream: OwnedFd,
    /// The beginning of a query; empty as a rule.
    pub input: Vec<u8>,
}

impl Parcel {
    /// `None`: the connection is broken.
    pub(super) fn new(stream: TcpStream, input: Vec<u8>) -> Option<Self> {
        Some(Self { stream: stream.into_std().ok()?.into(), input })
    }

    /// The other way, in the process that takes over.
    pub(super) fn open(self) -> std::io::Result<(TcpStream, Vec<u8>)> {
        let Self { stream, input } = self;
        let stream = std::net::TcpStream::from(stream);
        stream.set_nonblocking(true)?;
        Ok((TcpStream::from_std(stream)?, input))
    }
}

/// Where sessions go when the daemon ends: nowhere, unless another process takes over.
#[derive(Debug, Default)]
pub struct Post {
    /// Not bounded in itself: it never holds more than there are seats.
    heir: Mutex<Option<mpsc::UnboundedSender<Parcel>>>,
}

impl Post {
    /// From now on sessions that end because the daemon does go to `heir`; `None`: they just end again.
    pub(super) fn lead(&self, heir: Option<mpsc::UnboundedSender<Parcel>>) {
        *self.heir.lock().unwrap_or_else(PoisonError::into_inner) = heir;
    }

    /// Sends a session on, if there is somebody; else it ends here.
    pub(super) fn send(&self, stream: TcpStream, input: Vec<u8>) {
        if let Some(heir) = &*self.heir.lock().unwrap_or_else(PoisonError::into_inner)
            && let Some(parcel) = Parcel::new(stream, input)
        {
            let _the_heir_may_be_gone = heir.send(parcel);
        }
    }
}
