//! A small HTTP client for tests: one request a connection, over the admin socket or TCP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Longest wait for a response.
const PATIENCE: Duration = Duration::from_secs(10);

/// A response.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON: {error}\n{}", self.body))
    }
}

/// Over the unix socket. `headers`: `Name: value` lines.
pub fn over_socket(socket: &Path, method: &str, path: &str, headers: &[&str], body: &str) -> std::io::Result<Response> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(stream, "localhost", method, path, headers, body)
}

/// Over TCP.
pub fn over_tcp(address: std::net::SocketAddr, method: &str, path: &str, headers: &[&str], body: &str) -> std::io::Result<Response> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(stream, &address.to_string(), method, path, headers, body)
}

/// One request and its response over any stream.
pub fn exchange(mut stream: impl Read + Write, host: &str, method: &str, path: &str, headers: &[&str], body: &str) -> std::io::Result<Response> {
    let mut request = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|line| line.to_ascii_lowercase().starts_with("host:")) {
        request.push_str(&format!("Host: {host}\r\n"));
    }
    request.push_str("Connection: close\r\n");
    if !body.is_empty() {
        request.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    for line in headers {
        request.push_str(line);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    request.push_str(body);
    // A request that is too large may be answered and closed before it is read; what came back is checked to be whole below.
    let sent = stream.write_all(request.as_bytes());
    let mut bytes = Vec::new();
    let received = stream.read_to_end(&mut bytes);
    if bytes.is_empty() {
        sent?;
        received?;
    }
    let text = String::from_utf8_lossy(&bytes);
    let broken = || std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the response was cut");
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(broken)?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok()).ok_or_else(broken)?;
    let headers: Vec<(String, String)> = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let response = Response { status, headers, body: body.to_string() };
    if response.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        return Ok(Response { body: dechunk(body), ..response });
    }
    let wanted = response.header("content-length").and_then(|value| value.parse::<usize>().ok());
    if wanted.is_some_and(|wanted| body.len() < wanted) { Err(broken()) } else { Ok(response) }
}

fn dechunk(body: &str) -> String {
    let mut rest = body;
    let mut whole = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else { break };
        if size == 0 || size > after.len() {
            break;
        }
        whole.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    whole
}
