//! What may be typed to drain, force, freeze. Never does anything.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::model::parse_duration;

use super::Write;

/// What drains and forces are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TargetKind {
    /// Every pool of a region
    Region,
    /// A pool
    Pool,
    /// One gateway: pool/name
    Endpoint,
    /// Every gateway with this tag
    Tag,
}

/// `windrose drain`, `force-up`, `force-down`
#[derive(Clone, Debug, Args)]
pub struct OverrideArgs {
    /// What it is
    #[arg(value_enum)]
    pub kind: TargetKind,
    /// Its name; pool/name for an endpoint. `*` stands for any characters: 'eu-*', 'prod/*'
    pub name: String,
    /// How long, such as 2h; force-up, force-down and approve end after 4h by default, a drain when somebody ends it
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub lasts: Option<Duration>,
    /// Only for this service (may be repeated)
    #[arg(long = "service", value_name = "SERVICE")]
    pub services: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would become help text")]
    pub write: Write,
}

/// `windrose undrain`, `unforce`
#[derive(Clone, Debug, Args)]
pub struct EndArgs {
    /// What it is
    #[arg(value_enum)]
    pub kind: TargetKind,
    /// Its name; pool/name for an endpoint
    pub name: String,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would become help text")]
    pub write: Write,
}

/// `windrose freeze`
#[derive(Clone, Debug, Args)]
pub struct FreezeArgs {
    /// The service
    pub service: String,
    /// How long, such as 2h; until somebody ends it by default
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub lasts: Option<Duration>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would become help text")]
    pub write: Write,
}

/// `windrose unfreeze`
#[derive(Clone, Debug, Args)]
pub struct UnfreezeArgs {
    /// The service
    pub service: String,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would become help text")]
    pub write: Write,
}

/// `windrose extend`
#[derive(Clone, Debug, Args)]
pub struct ExtendArgs {
    /// The override, such as o-12
    pub id: String,
    /// It ends this long from now
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration, required_unless_present = "forever")]
    pub lasts: Option<Duration>,
    /// It ends when somebody ends it
    #[arg(long, conflicts_with = "lasts")]
    pub forever: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would become help text")]
    pub write: Write,
}
