//! What happened at the sockets, for metrics: numbers that belong to no zone and no service.
//!
//! Written by workers and sessions where something unusual happens (and when a connection opens or ends), read by `metrics`.
//! Never on the path of an ordinary query.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Gauges and counters of the sockets.
#[derive(Debug, Default)]
pub struct Vitals {
    /// Open DNS-over-TCP connections: a gauge (`windrose_dns_tcp_connections`).
    pub tcp_connections: AtomicUsize,
    /// Connections closed in favour of newer ones.
    pub tcp_evicted: AtomicU64,
    /// Connections cut: a query that came too slowly, responses that were not read, or too much kept for such.
    pub tcp_cut: AtomicU64,
    /// Failures to accept a connection.
    pub tcp_accept_failures: AtomicU64,
    /// Panics that were contained, each the loss of one query.
    pub panics: AtomicU64,
    /// Responses that the kernel refused to send.
    pub unsent: AtomicU64,
    /// Datagrams longer than any query.
    pub oversize: AtomicU64,
    /// Failures of the receive call.
    pub receive_failures: AtomicU64,
}

impl Vitals {
    /// Adds to a counter; returns what it was before.
    pub(super) fn add(counter: &AtomicU64, amount: u64) -> u64 {
        counter.fetch_add(amount, Ordering::Relaxed)
    }
}
