//! Gateways of our own on loopback addresses, which note when they were asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Some, all healthy until dropped.
pub struct Peers {
    addresses: Vec<SocketAddr>,
    arrivals: Arc<Mutex<Vec<(usize, Instant)>>>,
    end: Arc<AtomicBool>,
}

impl Peers {
    /// One on each address; each takes `delay` to answer.
    pub fn start(addresses: &[&str], port: u16, delay: Duration) -> Self {
        let addresses: Vec<SocketAddr> = addresses.iter().map(|address| SocketAddr::new(address.parse().expect("an address"), port)).collect();
        let (arrivals, end) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicBool>::default());
        for (at, address) in addresses.iter().enumerate() {
            let listener = TcpListener::bind(address).expect("a free address");
            let (arrivals, end) = (arrivals.clone(), end.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if end.load(Ordering::Relaxed) {
                        return;
                    }
                    arrivals.lock().unwrap_or_else(PoisonError::into_inner).push((at, Instant::now()));
                    std::thread::spawn(move || {
                        let mut stream = stream;
                        std::thread::park_timeout(delay);
                        if stream.read(&mut [0; 1024]).is_ok_and(|n| 0 < n) {
                            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
                        }
                    });
                }
            });
        }
        Self { addresses, arrivals, end }
    }

    /// How often each was asked from one moment to another.
    pub fn asked(&self, from: Instant, to: Instant) -> Vec<usize> {
        let mut counts = vec![0; self.addresses.len()];
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|(_, when)| (from..to).contains(when)).for_each(|(at, _)| counts[*at] += 1);
        counts
    }

    /// How often all were asked.
    pub fn total(&self) -> usize {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        // Wakes each one that waits for a connection.
        for address in &self.addresses {
            let _ = std::net::TcpStream::connect_timeout(address, Duration::from_secs(1));
        }
    }
}
