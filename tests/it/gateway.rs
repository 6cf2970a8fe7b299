//! API gateways: nginx from Debian on loopback addresses.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::node::{PATIENCE, tool, wait_for};

/// One nginx that answers `/healthcheck` on `address:8080`.
pub struct Gateway {
    pub address: IpAddr,
    folder: TempDir,
    child: Option<Child>,
}

impl Gateway {
    /// Is nginx there?
    pub fn available() -> bool {
        tool("nginx")
    }

    /// Starts a healthy one.
    pub fn start(address: &str) -> Self {
        let mut gateway = Self {
            address: address.parse().expect("an address"),
            folder: tempfile::Builder::new().prefix("windrose-nginx-").tempdir().expect("a folder"),
            child: None,
        };
        gateway.configure("return 200 '<status>ok</status>\\n';");
        gateway.up();
        gateway
    }

    /// What `/healthcheck` does, in nginx's words. Takes effect at the next `up`.
    pub fn configure(&self, location: &str) {
        let folder = self.folder.path().display();
        let text = format!(
            "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n\
             events {{ worker_connections 64; }}\n\
             http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
             server {{ listen {}:8080; default_type text/xml; location = /healthcheck {{ {location} }} location / {{ return 200 'hello\\n'; }} }} }}\n",
            self.address
        );
        std::fs::write(self.folder.path().join("nginx.conf"), text).expect("writable");
    }

    /// Starts it; returns when it accepts connections.
    pub fn up(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let child = Command::new("nginx")
            .arg("-c")
            .arg(self.folder.path().join("nginx.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts");
        self.child = Some(child);
        let to = SocketAddr::new(self.address, 8080);
        wait_for("nginx to accept", PATIENCE, || TcpStream::connect_timeout(&to, Duration::from_secs(1)).ok());
    }

    /// SIGKILL.
    pub fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("ours");
            child.wait().expect("ours");
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.down();
    }
}
