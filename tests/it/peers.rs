//! Bad peers: one that accepts and stays silent, one that drips a byte at a time.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Both, on port 8080 of two addresses, until dropped.
pub struct BadPeers {
    addresses: [String; 2],
    end: Arc<AtomicBool>,
}

impl BadPeers {
    pub fn start(silent: &str, dripping: &str) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        for (address, drips) in [(silent, false), (dripping, true)] {
            let listener = TcpListener::bind((address, 8080)).expect("free");
            let end = end.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if end.load(Ordering::Relaxed) {
                        return;
                    }
                    std::thread::spawn(move || {
                        let mut stream = stream;
                        let mut seen = [0; 1024];
                        if !drips {
                            while stream.read(&mut seen).is_ok_and(|n| n > 0) {}
                            return;
                        }
                        for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n".iter().chain(b"x".iter().cycle().take(100_000)) {
                            if stream.write_all(&[*byte]).is_err() {
                                return;
                            }
                            std::thread::park_timeout(Duration::from_millis(100));
                        }
                    });
                }
            });
        }
        Self { addresses: [silent.to_string(), dripping.to_string()], end }
    }

    pub fn addresses(&self) -> Vec<String> {
        self.addresses.to_vec()
    }
}

impl Drop for BadPeers {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}
