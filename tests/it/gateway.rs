//! API gateways on loopback addresses: nginx from Debian, and one that says what a test tells it to say.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
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

/// What a [`Scripted`] gateway does with a request.
#[derive(Clone, Debug)]
pub struct Script {
    /// Before it answers.
    pub delay: Duration,
    /// `200 OK`
    pub status: String,
    /// Lines of the head, without the length.
    pub headers: Vec<String>,
    pub body: String,
}

impl Default for Script {
    fn default() -> Self {
        Self { delay: Duration::ZERO, status: "200 OK".to_string(), headers: Vec::new(), body: "ok".to_string() }
    }
}

/// Answers HTTP as its script says, one connection after the other; ends with the test.
pub struct Scripted {
    pub address: SocketAddr,
    script: Arc<Mutex<Script>>,
    heard: Arc<Mutex<Vec<String>>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Scripted {
    /// Listens, with the script that answers 200 at once.
    pub fn start(address: &str, port: u16) -> Self {
        let listener = TcpListener::bind((address, port)).expect("a free address");
        let address = listener.local_addr().expect("bound");
        let (script, heard, ends) = (Arc::new(Mutex::new(Script::default())), Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (says, hears, stops) = (script.clone(), heard.clone(), ends.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stops.load(Ordering::Relaxed) {
                    break;
                }
                if let Ok(stream) = stream {
                    serve(stream, &says, &hears);
                }
            }
        });
        Self { address, script, heard, ends, thread: Some(thread) }
    }

    /// From the next request on.
    pub fn says(&self, script: Script) {
        *self.script.lock().expect("no panic") = script;
    }

    /// The heads of requests so far.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no panic").clone()
    }
}

/// A prober that goes away is its own business.
fn serve(mut stream: TcpStream, script: &Mutex<Script>, heard: &Mutex<Vec<String>>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let (mut head, mut octet) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut octet).is_ok_and(|read| read == 1) {
        head.push(octet[0]);
    }
    heard.lock().expect("no panic").push(String::from_utf8_lossy(&head).into_owned());
    let Script { delay, status, headers, body } = script.lock().expect("no panic").clone();
    std::thread::park_timeout(delay);
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let _ = stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{lines}connection: close\r\n\r\n{body}", body.len()).as_bytes());
    let _ = stream.read(&mut octet);
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
