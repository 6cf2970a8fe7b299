//! What may be typed to run the server, or to try it. Never does anything.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `windrose serve`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ServeArgs {
    /// The configuration
    #[arg(short, long, value_name = "FILE", env = "WINDROSE_CONFIG", default_value = "/etc/windrose/windrose.toml")]
    pub config: PathBuf,
    /// Serve although the store can't be opened: answers follow the file and health, every change is refused
    #[arg(long)]
    pub without_store: bool,
    /// Take over from the server that runs, sockets and all, without a lost query; if none runs, start as ever. `windrose upgrade` does all of it
    ///
    /// SOCKET is the admin socket of the server that runs, by default the one in the configuration.
    #[arg(long, value_name = "SOCKET", num_args = 0..=1, require_equals = true)]
    pub upgrade: Option<Option<PathBuf>>,
}

/// `windrose reload`
#[derive(Clone, Debug, Args)]
pub struct ReloadArgs {
    /// Say what would change, change nothing (as `windrose plan`)
    #[arg(long)]
    pub dry_run: bool,
    /// Why; stands in the audit
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, env = "WINDROSE_REASON", hide_env = true)]
    pub reason: String,
    /// Guards that need not hold, such as max_step,freeze: needs the scope admin and a reason, and is told to everybody
    #[arg(long, value_name = "GUARD", value_delimiter = ',')]
    pub break_glass: Vec<String>,
}

/// `windrose plan`
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// The configuration; by default the one that the server runs from
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// `windrose check`
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The configuration; goes before --config
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The configuration
    #[arg(short, long, value_name = "FILE", env = "WINDROSE_CONFIG", default_value = "/etc/windrose/windrose.toml")]
    pub config: PathBuf,
}

/// `windrose demo`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DemoArgs {
    /// Play everything by itself, with commentary, in under a minute
    #[arg(long, conflicts_with = "config")]
    pub tour: bool,
    /// Print the configuration that the demo runs: your own first file
    #[arg(long)]
    pub config: bool,
    /// From a second terminal
    #[command(subcommand)]
    pub action: Option<DemoAction>,
}

/// What a second terminal can do to a running demo.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum DemoAction {
    /// Break a fake region
    #[command(after_help = "Example:\n  windrose demo break prod")]
    Break {
        /// `prod` or `dr`
        name: String,
    },
    /// Repair a fake region
    #[command(after_help = "Example:\n  windrose demo fix prod")]
    Fix {
        /// `prod` or `dr`
        name: String,
    },
}
