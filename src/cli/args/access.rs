//! What may be typed about pushes, the audit, webhooks and tokens. Never does anything.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::admin::api::Scope;
use crate::model::{Timestamp, parse_duration};

use super::super::examples as ex;

/// What is told of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PushOutcome {
    /// All is well
    Pass,
    /// It is not
    Fail,
}

/// `windrose push`
#[derive(Clone, Debug, Args)]
pub struct PushArgs {
    /// The endpoint: pool/name
    pub endpoint: String,
    /// How it is
    #[arg(value_enum)]
    pub outcome: PushOutcome,
    /// Why, one sentence
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub message: String,
    /// How long this holds, such as 90s; by default as the monitor says
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub ttl: Option<Duration>,
    /// Which monitor; needed if the endpoint has several that are told
    #[arg(long, value_name = "NAME")]
    pub monitor: Option<String>,
}

/// `windrose load`
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// The pool
    pub pool: String,
    /// How much is asked of it, in the unit of its `shed`
    #[arg(allow_negative_numbers = true)]
    pub load: f64,
}

/// `windrose freshness`
#[derive(Clone, Debug, Args)]
pub struct FreshnessArgs {
    /// The region
    pub region: String,
    /// The moment of the data, RFC 3339; by default now
    #[arg(long, value_name = "TIME", conflicts_with = "age", value_parser = parse_time)]
    pub at: Option<Timestamp>,
    /// How old the data is, such as 5m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub age: Option<Duration>,
}

/// `windrose latency`
#[derive(Clone, Debug, Args)]
pub struct LatencyArgs {
    /// What to do
    #[command(subcommand)]
    pub command: LatencyCommand,
}

/// What to do with measurements.
#[derive(Clone, Debug, Subcommand)]
pub enum LatencyCommand {
    /// Push measurements: lines of NETWORK,REGION,MS or NETWORK,REGION,MS,SAMPLES
    #[command(after_help = ex::LATENCY_PUSH)]
    Push {
        /// The file; - reads what comes in
        file: PathBuf,
        /// When all of it was measured, RFC 3339; by default now
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        at: Option<Timestamp>,
    },
    /// What is known: regions in the order that counts, the first one first
    #[command(
        after_help = "Examples:\n  windrose latency list\n  windrose latency list 203.0.113.9        what counts for this client, and what surrounds it\n  windrose latency list --region dr -n 1000"
    )]
    List {
        /// A network or an address; all by default
        network: Option<String>,
        /// Only this region
        #[arg(long, value_name = "NAME")]
        region: Option<String>,
        /// At most so many networks
        #[arg(short = 'n', long = "count", value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        count: u32,
    },
    /// Take measurements back: of networks within one, of a region, or both
    #[command(after_help = "Examples:\n  windrose latency forget 203.0.113.0/24\n  windrose latency forget --region old-dr")]
    Forget {
        /// A network or an address
        #[arg(required_unless_present = "region")]
        network: Option<String>,
        /// Only this region
        #[arg(long, value_name = "NAME")]
        region: Option<String>,
    },
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| format!("`{text}` is not a time; write it like 2026-11-21T12:00:03Z"))
}

/// `windrose audit`
#[derive(Clone, Debug, Args)]
pub struct AuditArgs {
    /// What to do
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// What to do with the audit.
#[derive(Clone, Debug, Subcommand)]
pub enum AuditCommand {
    /// The newest entries, oldest first
    #[command(after_help = "Example:\n  windrose audit list -n 20")]
    List {
        /// At most so many
        #[arg(short = 'n', long = "count", value_name = "N", default_value_t = 50)]
        count: usize,
    },
    /// Follow the chain from its beginning; exit code 3 and the first broken entry if it is not whole
    #[command(after_help = "Examples:\n  windrose audit verify\n  windrose audit verify --file audit.jsonl")]
    Verify {
        /// An exported file, without asking a server
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// The hash of an entry that was noted elsewhere must stand in the chain
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
    },
    /// All entries as JSON lines on stdout, with a first line that says where the chain begins and ends
    #[command(after_help = "Example:\n  windrose audit export > audit.jsonl")]
    Export,
}

/// `windrose webhook`
#[derive(Clone, Debug, Args)]
pub struct WebhookArgs {
    /// What to do
    #[command(subcommand)]
    pub command: WebhookCommand,
}

/// What to do with webhooks.
#[derive(Clone, Debug, Subcommand)]
pub enum WebhookCommand {
    /// Send a receiver a message, now and once
    #[command(after_help = "Example:\n  windrose webhook test ops")]
    Test {
        /// Its name in the file
        name: String,
    },
    /// Messages: what was delivered, what waits and why
    #[command(after_help = "Example:\n  windrose webhook list")]
    List,
}

/// `windrose token`
#[derive(Clone, Debug, Args)]
pub struct TokenArgs {
    /// What to do
    #[command(subcommand)]
    pub command: TokenCommand,
}

/// What to do with tokens.
#[derive(Clone, Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token; its secret is printed once, on stdout alone
    #[command(after_help = ex::TOKEN_CREATE)]
    Create {
        /// A name for people; changes are shown as made by token:NAME
        name: String,
        /// What it may do
        #[arg(long, value_parser = parse_scope, default_value = "operate", value_name = "read|operate|admin")]
        scope: Scope,
        /// Services that it may change, by name or glob; all, and the node, by default
        #[arg(long = "service", value_name = "NAME|GLOB")]
        services: Vec<String>,
        /// How long it works, such as 90d; until revoked by default
        #[arg(long = "expires", alias = "for", value_name = "TIME", value_parser = parse_duration)]
        lasts: Option<Duration>,
    },
    /// List tokens
    #[command(after_help = "Example:\n  windrose token list")]
    List,
    /// Make a token stop working at once
    #[command(after_help = "Example:\n  windrose token revoke ci")]
    Revoke {
        /// Its name or id
        name: String,
    },
}

/// A scope by its word.
fn parse_scope(text: &str) -> Result<Scope, String> {
    crate::control::Scope::parse(text).map(Scope::from).ok_or_else(|| format!("`{text}` is not one of read, operate, admin"))
}
