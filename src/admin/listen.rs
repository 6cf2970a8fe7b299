//! TCP listeners and TLS. Beyond loopback only with TLS: a token in clear text is no secret.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use tokio::net::TcpListener;

use crate::model::TlsFiles;

use super::tls::Certificates;

/// Why the admin API can't listen. The daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else has the address.
    #[error("{what} = \"{address}\" is in use by another process; stop it or choose another port")]
    InUse {
        /// Which key.
        what: &'static str,
        /// Its value.
        address: SocketAddr,
    },
    /// Another reason.
    #[error("can't listen on {what} = \"{address}\": {source}")]
    Listen {
        /// Which key.
        what: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Beyond loopback in clear text.
    #[error(
        "[admin] listen = \"{0}\" can be reached from other hosts, so it needs TLS; listen on 127.0.0.1, or add to [admin]:\n    tls = {{ cert = \"/etc/windrose/admin.crt\", key = \"/etc/windrose/admin.key\" }}\n    hosts = [\"NAME-IN-THE-CERTIFICATE\"]"
    )]
    NeedsTls(SocketAddr),
    /// A PEM file.
    #[error("[admin] tls.{key} = \"{}\" {why}", path.display())]
    Tls {
        /// Which key: `cert`, `key` or `client_ca`.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// Somebody listens on the unix socket.
    #[error("[admin] socket = \"{}\" is in use by another process; stop the other `windrose serve`, or choose another path", .0.display())]
    SocketInUse(PathBuf),
    /// The path exists and is not a socket.
    #[error("[admin] socket = \"{}\" exists and is not a socket; it was left alone, choose another path", .0.display())]
    NotASocket(PathBuf),
    /// Another reason.
    #[error("[admin] socket = \"{}\": {source}; its folder must exist and be writable for the user that runs windrose", path.display())]
    Socket {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A bound listener and its real address.
pub(super) struct Bound {
    pub listener: TcpListener,
    pub address: SocketAddr,
}

/// Binds, or takes what the process before had `left` of this address. `what` is the key in the file.
pub(super) async fn tcp(address: SocketAddr, what: &'static str, left: &mut Vec<(SocketAddr, OwnedFd)>) -> Result<Bound, BindError> {
    let fits = |(left, _): &(SocketAddr, OwnedFd)| *left == address || (address.port() == 0 && left.ip() == address.ip());
    if let Some(at) = left.iter().position(fits) {
        let (address, descriptor) = left.swap_remove(at);
        let listener = std::net::TcpListener::from(descriptor);
        let taken = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
        return taken.map(|listener| Bound { listener, address }).map_err(|source| BindError::Listen { what, address, source });
    }
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AddrInUse => BindError::InUse { what, address },
        _ => BindError::Listen { what, address, source },
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Bound { listener, address })
}

/// TLS for the admin listener, if it is set; refuses to go without beyond loopback.
pub(super) fn tls(listen: SocketAddr, files: Option<&TlsFiles>) -> Result<Option<Certificates>, BindError> {
    match files {
        Some(files) => Certificates::open(files).map(Some),
        None if listen.ip().to_canonical().is_loopback() => Ok(None),
        None => Err(BindError::NeedsTls(listen)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_loopback_without_tls_is_refused_with_the_lines_to_add() {
        for (listen, allowed) in [
            ("127.0.0.1:8090", true),
            ("127.9.9.9:8090", true),
            ("[::1]:8090", true),
            ("[::ffff:127.0.0.1]:8090", true),
            ("0.0.0.0:8090", false),
            ("[::]:8090", false),
            ("192.0.2.1:8090", false),
        ] {
            let found = tls(listen.parse().unwrap(), None);
            assert_eq!(found.is_ok(), allowed, "{listen}");
            if let Err(refused) = found {
                assert!(refused.to_string().contains("tls = { cert = "), "{refused}");
            }
        }
    }

    #[test]
    fn tls_problems_name_key_and_file_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("a.crt"), folder.path().join("a.key"));
        let files = TlsFiles { cert: cert.clone(), key: key.clone(), client_ca: None, subjects: Vec::new() };
        let refused = |parts: &[&str]| {
            let told = tls("127.0.0.1:0".parse().unwrap(), Some(&files)).err().unwrap().to_string();
            assert!(parts.iter().all(|part| told.contains(part)), "{told}\nlacks one of {parts:?}");
        };
        refused(&["[admin] tls.cert = \"", "a.crt\" can't be read: No such file", "allowed to read it"]);
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_string()]).unwrap();
        let pem = made.cert.pem();
        std::fs::write(&cert, &pem[..pem.len() / 2]).unwrap();
        refused(&["tls.cert = ", "a.crt\" is damaged", "copy the file again"]);
        std::fs::write(&cert, pem).unwrap();
        refused(&["tls.key = \"", "a.key\" can't be read: No such file"]);
        std::fs::write(&key, "no key").unwrap();
        refused(&["tls.key = ", "a.key\" has no private key", "-----BEGIN PRIVATE KEY-----"]);
        let other = rcgen::generate_simple_self_signed(vec!["localhost".to_string()]).unwrap();
        std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
        refused(&["tls.cert = ", "a.crt\" can't be used with the key \"", "a.key\": ", "made together"]);
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        assert!(tls("0.0.0.0:0".parse().unwrap(), Some(&files)).unwrap().is_some());
        std::fs::write(&cert, "").unwrap();
        refused(&["tls.cert = ", "a.crt\" has no certificate", "-----BEGIN CERTIFICATE-----"]);
    }
}
