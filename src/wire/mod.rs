//! The RFCs as types: names, headers, questions, EDNS, and the packet that a response is written into.
//!
//! Never here: what to answer. Parsing never allocates and never panics, whatever the bytes.

#![deny(clippy::indexing_slicing, reason = "bytes from strangers")]

mod edns;
mod header;
mod lowered;
mod name;
mod packet;
mod question;
mod records;
pub mod rtype;

pub use edns::{Edns, MalformedOptions, Options, ede, option};
pub use header::{HEADER_OCTETS, Header, Opcode, Rcode};
pub use lowered::{Lowered, fold, hash_octets};
pub use name::{Name, NameError};
pub use packet::{Packet, Section};
pub use question::Question;
pub use records::{MalformedRecords, find_opt, read_records};
