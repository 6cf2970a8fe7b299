//! Two fake regions: HTTP gateways on loopback addresses that can be broken and repaired.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A fake region: name and loopback address. Linux answers on all of 127.0.0.0/8 without set-up.
pub(super) const REGIONS: [(&str, Ipv4Addr); 2] = [("prod", Ipv4Addr::new(127, 0, 1, 1)), ("dr", Ipv4Addr::new(127, 0, 2, 1))];

/// The fake regions of one demo.
pub(super) struct Gateways {
    port: u16,
    running: [Option<JoinHandle<()>>; 2],
}

impl Gateways {
    /// Starts both on the first port from `wish` that is free on both addresses.
    pub(super) async fn start(wish: u16) -> Result<Self, String> {
        for port in wish..wish.saturating_add(100) {
            if let (Ok(prod), Ok(dr)) = (listen(REGIONS[0].1, port).await, listen(REGIONS[1].1, port).await) {
                return Ok(Self { port, running: [Some(serve(REGIONS[0].0, prod)), Some(serve(REGIONS[1].0, dr))] });
            }
        }
        Err(format!("no port from {wish} on is free on 127.0.1.1 and 127.0.2.1 (they exist on Linux; other systems need: ifconfig lo0 alias 127.0.1.1)"))
    }

    /// Where they listen.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Stops a region: connections are refused from now on. The sentence is for the person who asked.
    pub(super) fn break_region(&mut self, name: &str) -> Result<String, String> {
        let at = position(name)?;
        match self.running[at].take() {
            Some(task) => {
                task.abort();
                Ok(format!("{name} is broken: its gateway refuses connections"))
            }
            None => Ok(format!("{name} was broken already")),
        }
    }

    /// Starts a stopped region again.
    pub(super) async fn fix_region(&mut self, name: &str) -> Result<String, String> {
        let at = position(name)?;
        if self.running[at].is_some() {
            return Ok(format!("{name} was not broken"));
        }
        let listener = listen(REGIONS[at].1, self.port).await.map_err(|error| format!("can't start {name} again: {error}"))?;
        self.running[at] = Some(serve(REGIONS[at].0, listener));
        Ok(format!("{name} is repaired"))
    }
}

impl Drop for Gateways {
    fn drop(&mut self) {
        self.running.iter().flatten().for_each(JoinHandle::abort);
    }
}

fn position(name: &str) -> Result<usize, String> {
    REGIONS.iter().position(|(region, _)| *region == name).ok_or_else(|| format!("the demo has no region `{name}`; its regions are prod and dr"))
}

async fn listen(address: Ipv4Addr, port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::new(IpAddr::V4(address), port)).await
}

fn serve(name: &'static str, listener: TcpListener) -> JoinHandle<()> {
    let router =
        Router::new().route("/healthcheck", get(|| async { "<status>ok</status>\n" })).route("/", get(move || async move { format!("hello from {name}\n") }));
    tokio::spawn(async move {
        let _ = axum::serve(listener, router).await;
    })
}
