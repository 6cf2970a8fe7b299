//! A binary upgrade: another process takes the place of this one, and no query is lost.
//!
//! ```text
//!  windrose upgrade ─▶ old: `PROGRAM check FILE` ─▶ starts `PROGRAM serve … --upgrade=SOCKET`          program.rs
//!
//!  old (give.rs)                                            new (take.rs, daemon.rs)
//!  answers DNS, probes, writes                              reads and checks its file
//!                                        ◀── POST /handover ──  asks over the admin socket
//!  comes to rest: changes get 503, probes
//!  stop, all is written, the store is closed
//!    ── Sockets (descriptors), Legacy ──▶                   opens the store, begins to probe,
//!  answers DNS from its last snapshot                       answers DNS from the same sockets
//!                                        ◀────── Ready ──────
//!  tells systemd who is the main process
//!    ─────────────── Yours ─────────────▶                   takes requests and changes
//!  drains its sockets, its TCP sessions go
//!    ── Sessions (descriptors, input) ──▶                   goes on with them
//!    ─────────────── Gone ──────────────▶
//!  ends
//! ```
//!
//! Both read the same sockets for a moment, so nothing that is queued in one is lost when the other closes it: a socket of its own
//! (`SO_REUSEPORT`) for the new process would lose what waits in the old one's. Until `Yours` the old one can go on as before, and does so when the
//! new one says `Abort`, ends, or takes too long: it opens its store again and works. Until `Yours` the new one takes no change, so nothing that was
//! acknowledged is ever forgotten.

mod give;
mod link;
mod program;
mod take;

pub(super) use give::{Farewell, Giver};
pub(super) use program::Program;
pub(super) use take::{Before, Inheritance, Rest, ask};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control::Legacy;

/// Longest wait of the old process for the new one's `Ready`.
const READY_MAX: Duration = Duration::from_secs(30);
/// Longest wait for the core to come to rest, in-flight commits included.
const REST_MAX: Duration = Duration::from_secs(10);
/// Longest wait for anything else that the other process says or takes.
const WORD_MAX: Duration = Duration::from_secs(10);

/// Longest wait for the next thing that a process says that is leaving: its sessions may still write for a moment.
const LEAVE_MAX: Duration = Duration::from_secs(15);

/// What the two processes say to each other. Descriptors travel with `Sockets` and `Sessions`, in the order of what is named.
#[derive(Debug, Serialize, Deserialize)]
enum Message {
    /// Old: these are open. There may be several.
    Sockets(Vec<Place>),
    /// Old: this is what is known. The last before `Ready`.
    Legacy {
        /// Of the core.
        core: Box<Legacy>,
        /// Of DNS cookies, if the file names none.
        secret: Option<Secret>,
    },
    /// New: I answer DNS.
    Ready {
        /// Its release.
        version: String,
        /// It listens on the unix socket that it was given, so that its file must stay.
        takes_socket: bool,
    },
    /// Old: you are it. From here on there is no way back.
    Yours,
    /// Either, before `Yours`: it is off, and this is why.
    Abort(String),
    /// Old: open TCP sessions, and what each has sent that is no whole query yet. There may be several.
    Sessions(Vec<Vec<u8>>),
    /// Old: there is nothing more to come.
    Gone,
}

/// A cookie secret on its way. Not `Debug`ged: secrets reach no log.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Secret([u8; 16]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// What a descriptor is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Place {
    /// DNS over UDP; several of one address belong to its workers.
    DnsUdp(SocketAddr),
    /// DNS over TCP.
    DnsTcp(SocketAddr),
    /// The admin API or metrics.
    Http(SocketAddr),
    /// The admin API's unix socket.
    Unix(PathBuf),
}
