//! Who may have whole zones.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::wire::tsig::TsigKey;

/// A server that is told when a zone changes (RFC 1996) and may transfer it (RFC 5936).
#[derive(Clone, Debug)]
pub struct Secondary {
    /// Where it is told. It may ask from any port of this address.
    pub address: SocketAddr,
    /// `Some`: it must also sign with this key, and is told with it. `None`: its address is all that counts.
    pub key: Option<Arc<TsigKey>>,
}

impl Secondary {
    /// Whether a request from `client`, signed with `key` (believed already), is this server's.
    pub fn is(&self, client: IpAddr, key: Option<&TsigKey>) -> bool {
        let signed = match (&self.key, key) {
            (None, _) => true,
            (Some(wanted), Some(key)) => wanted.name == key.name,
            (Some(_), None) => false,
        };
        signed && self.address.ip() == client
    }
}
