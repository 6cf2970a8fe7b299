//! What may be typed to ask or to probe. Never does anything.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::model::parse_duration;

/// `windrose probe`
#[derive(Clone, Debug, Args)]
pub struct ProbeArgs {
    /// An endpoint (pool/name), or a URL: http, https, tcp, tls, grpc, grpcs or dns
    #[arg(value_name = "ENDPOINT|URL")]
    pub what: Option<String>,
    /// Probe with this monitor of the server's
    #[arg(long, value_name = "MONITOR")]
    pub monitor: Option<String>,
    /// Connect here instead: an address, perhaps with a port
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// A URL: probe from this machine, whether or not there is a server
    #[arg(long)]
    pub local: bool,
}

/// `windrose probes`
#[derive(Clone, Debug, Args)]
pub struct ProbesArgs {
    /// The endpoint: pool/name
    pub endpoint: String,
    /// Only those that failed
    #[arg(long)]
    pub failed: bool,
    /// Most lines
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
}

/// `windrose simulate`
#[derive(Clone, Debug, Args)]
pub struct SimulateArgs {
    /// What falls: a region, a pool, POOL/ENDPOINT, or with its kind: region/eu-*, tag/az-1
    #[arg(long, value_name = "NAME", required_unless_present = "config")]
    pub down: Vec<String>,
    /// What falls with it
    #[arg(long, value_name = "NAME", requires = "down")]
    pub also: Vec<String>,
    /// The load: of the last minute, or of each service's busiest minute of the last week
    #[arg(long, value_name = "LOAD", default_value = "now", value_parser = ["now", "peak"])]
    pub at: String,
    /// Another configuration, on today's health
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `windrose replay`
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// How far back
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = parse_duration)]
    pub since: Duration,
    /// Another configuration beside today's
    #[arg(long = "with", value_name = "FILE")]
    pub with: Option<PathBuf>,
}

/// `windrose explain`
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// A host name
    pub name: String,
    /// A or AAAA
    #[arg(long = "type", value_name = "TYPE", default_value = "A", ignore_case = true, value_parser = ["A", "AAAA"])]
    pub type_: String,
    /// Whose answer: an address; without, a client of whom nothing is known
    #[arg(long, value_name = "IP")]
    pub client: Option<std::net::IpAddr>,
    /// The EDNS Client Subnet that came with the query
    #[arg(long, value_name = "PREFIX")]
    pub ecs: Option<ipnet::IpNet>,
    /// A moment of the past: 2026-11-20T03:12:00Z, 03:12 (the last one, UTC), or "2h ago"
    #[arg(long, value_name = "WHEN")]
    pub at: Option<String>,
}

/// `windrose query`
#[derive(Clone, Debug, Args)]
pub struct QueryArgs {
    /// A host name
    pub name: String,
    /// How many times; more than one shows the split
    #[arg(short = 'n', long = "count", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub count: u32,
    /// A, AAAA, or any other type
    #[arg(long = "type", value_name = "TYPE", default_value = "A")]
    pub type_: String,
    /// DNS address; by default what the server says of itself. Without a port: 53
    #[arg(long, visible_alias = "dns", value_name = "ADDR[:PORT]", value_parser = parse_dns)]
    pub server_dns: Option<SocketAddr>,
    /// Ask over TCP
    #[arg(long)]
    pub tcp: bool,
    /// Exit with 3 if the answers don't fit the setting
    #[arg(long)]
    pub exit_code: bool,
}

/// An address with or without a port.
fn parse_dns(text: &str) -> Result<SocketAddr, String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    text.parse()
        .or_else(|_| bare.parse().map(|address: std::net::IpAddr| SocketAddr::new(address, 53)))
        .map_err(|_| format!("`{text}` is not an address; write it like 127.0.0.1:5300 or [::1]:53"))
}
