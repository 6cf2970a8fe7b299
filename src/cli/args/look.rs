//! What may be typed to see how things are. Never does anything.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::model::parse_duration;

/// `windrose status`
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Exit with 3 if there is a problem
    #[arg(long)]
    pub exit_code: bool,
    /// Print it again whenever it changes, until stopped
    #[arg(short, long, conflicts_with = "exit_code")]
    pub watch: bool,
}

/// `windrose top`
#[derive(Clone, Debug, Args)]
pub struct TopArgs {
    /// Begin with those whose service, host name, pool or region contains this
    #[arg(value_name = "FILTER")]
    pub filter: Option<String>,
    /// Time between two looks; what happens is shown at once
    #[arg(long, value_name = "TIME", value_parser = parse_interval, default_value = "2s")]
    pub interval: Duration,
}

/// What `get` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Listed {
    /// What clients ask for
    #[value(alias = "service")]
    Services,
    /// Places
    #[value(alias = "region")]
    Regions,
    /// Endpoints that serve the same thing in one region
    #[value(alias = "pool")]
    Pools,
    /// Gateways, with their last probe
    #[value(alias = "endpoint")]
    Endpoints,
    /// Drains, forces and freezes in force
    #[value(alias = "override")]
    Overrides,
    /// API tokens, without their secrets
    #[value(alias = "token")]
    Tokens,
    /// Shifts under way, and those of late
    #[value(alias = "shift")]
    Shifts,
    /// What changes must keep, by service
    #[value(alias = "guard")]
    Guards,
    /// Switches that changes may need to be on
    #[value(alias = "gate")]
    Gates,
    /// Zones that are served
    #[value(alias = "zone")]
    Zones,
}

/// `windrose get`
#[derive(Clone, Debug, Args)]
pub struct GetArgs {
    /// What to list
    #[arg(value_enum)]
    pub kind: Listed,
}

/// What `describe` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Described {
    /// What clients ask for
    Service,
    /// A place
    Region,
    /// Endpoints that serve the same thing in one region
    Pool,
    /// A gateway: pool/name
    Endpoint,
}

/// `windrose describe`
#[derive(Clone, Debug, Args)]
pub struct DescribeArgs {
    /// What it is
    #[arg(value_enum)]
    pub kind: Described,
    /// Its name; pool/name for an endpoint
    pub name: String,
}

/// One service.
#[derive(Clone, Debug, Args)]
pub struct ServiceArgs {
    /// The service
    pub service: String,
}

/// `windrose events`
#[derive(Clone, Debug, Default, Args)]
pub struct EventsArgs {
    /// Go on with what happens from now on
    #[arg(short, long)]
    pub follow: bool,
    /// Not older than this: a time, or a span such as 1h; without it the newest ones
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only types that fit this pattern, such as failover.* or *.down
    #[arg(long = "type", value_name = "PATTERN")]
    pub type_: Option<String>,
    /// Only of this service
    #[arg(long, value_name = "SERVICE")]
    pub service: Option<String>,
    /// At most so many
    #[arg(short = 'n', long = "count", value_name = "N")]
    pub count: Option<usize>,
    /// Messages to webhooks instead: what was delivered, what waits
    #[arg(long, conflicts_with_all = ["follow", "since", "type_", "service", "count"])]
    pub deliveries: bool,
}

/// A span that is neither a storm of requests nor so long that the screen lies.
fn parse_interval(text: &str) -> Result<Duration, String> {
    let span = parse_duration(text)?;
    if (Duration::from_millis(500)..=Duration::from_secs(60)).contains(&span) { Ok(span) } else { Err(format!("`{text}` is not from 500ms to 60s")) }
}
