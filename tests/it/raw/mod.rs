//! Raw DNS: queries built octet by octet, responses read strictly, without any help from the server's own code.

mod exchange;
mod query;
mod response;
mod rules;
mod text;

pub use exchange::{Stream, Udp};
pub use query::{Query, name};
pub use response::{Opt, Record, Response};
pub use rules::{check, whole_sets};
pub use text::{name_text, type_text};

pub const NS: u16 = 2;
pub const CNAME: u16 = 5;
pub const SOA: u16 = 6;
pub const OPT: u16 = 41;
pub const ANY: u16 = 255;

/// Response codes by their word.
pub const RCODES: [(&str, u16); 8] =
    [("NOERROR", 0), ("FORMERR", 1), ("SERVFAIL", 2), ("NXDOMAIN", 3), ("NOTIMP", 4), ("REFUSED", 5), ("BADVERS", 16), ("BADCOOKIE", 23)];
