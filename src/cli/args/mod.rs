//! What may be typed: every command, flag and example. Never does anything.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::model::parse_duration;

use super::examples as ex;

mod access;
mod ask;
mod boards;
mod guards;
mod look;
mod manual;
mod overrides;
mod run;
mod schedule;
mod shift;
mod traffic;
mod wait;

pub use access::{
    AuditArgs, AuditCommand, FreshnessArgs, LatencyArgs, LatencyCommand, LoadArgs, PushArgs, PushOutcome, TokenArgs, TokenCommand, WebhookArgs, WebhookCommand,
};
pub use ask::{ExplainArgs, ProbeArgs, ProbesArgs, QueryArgs, ReplayArgs, SimulateArgs};
pub use boards::{DashboardsArgs, DashboardsCommand, RulesArgs, RulesCommand};
pub use guards::{ConfirmArgs, GateArgs, Switch};
pub use look::{DescribeArgs, Described, EventsArgs, GetArgs, Listed, ServiceArgs, StatusArgs, TopArgs};
pub use manual::{CompletionArgs, ManArgs, Shell};
pub use overrides::{EndArgs, ExtendArgs, FreezeArgs, OverrideArgs, TargetKind, UnfreezeArgs};
pub use run::{CheckArgs, DemoAction, DemoArgs, PlanArgs, ReloadArgs, ServeArgs};
pub use schedule::{ScheduleArgs, ScheduleVerb};
pub use shift::{ShiftArgs, ShiftVerb};
pub use traffic::{FailbackArgs, FailoverArgs, SplitArgs, UndoArgs, Write};
pub use wait::{Condition, WaitArgs};

/// Global traffic manager: a health-checking, authoritative DNS server that moves API traffic between data centres.
#[derive(Debug, Parser)]
#[command(name = "windrose", version, about, after_help = ex::ROOT, max_term_width = 120, arg_required_else_help = true, disable_help_subcommand = false)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Admin API of the server, such as https://ns1.example.com:8090 [env: WINDROSE_SERVER]
    #[allow(rustdoc::bare_urls, reason = "this is help text, too")]
    #[arg(long, global = true, value_name = "URL", conflicts_with = "socket")]
    pub server: Option<String>,
    /// Unix socket of the server [env: WINDROSE_SOCKET] [default: /run/windrose/admin.sock, or the demo's]
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// File that holds the API token; WINDROSE_TOKEN may hold the token itself [env: WINDROSE_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// PEM file with the only authority that may vouch for the server [env: WINDROSE_CA_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// How data is printed [env: WINDROSE_OUTPUT]
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "WINDROSE_OUTPUT",
        hide_env = true,
        value_name = "table|json",
        hide_possible_values = true
    )]
    pub output: Output,
    /// No colour (NO_COLOR does the same)
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Only what was asked for, and errors: no sentences about what was done
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// How long to wait for the server [env: WINDROSE_TIMEOUT]
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_duration, default_value = "10s", env = "WINDROSE_TIMEOUT", hide_env = true)]
    pub timeout: Duration,
}

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// What the API said.
    Json,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    #[command(after_help = ex::SERVE, display_order = 1)]
    Serve(ServeArgs),
    /// Check a configuration and print what follows from it
    #[command(after_help = ex::CHECK, display_order = 1)]
    Check(CheckArgs),
    /// Try it: two fake regions and a server, all on this machine
    #[command(after_help = ex::DEMO, display_order = 1)]
    Demo(DemoArgs),
    /// Make the server read its configuration again, all or nothing
    #[command(after_help = ex::RELOAD, display_order = 1)]
    Reload(ReloadArgs),
    /// What a reload would change, and whether it would be refused; exit code 3 if something would change
    #[command(after_help = ex::PLAN, display_order = 1)]
    Plan(PlanArgs),
    /// The file against what runs, and against what operators have set; exit code 3 if they differ
    #[command(after_help = ex::DIFF, display_order = 1)]
    Diff,
    /// Let the program on disk take over from the running one, without a lost query
    #[command(after_help = ex::UPGRADE, display_order = 1)]
    Upgrade,
    /// Is the server ready? By exit code, for probes and scripts
    #[command(after_help = ex::HEALTH, display_order = 1)]
    Health,

    /// Health and the three shares of every service
    #[command(after_help = ex::STATUS, display_order = 2)]
    Status(StatusArgs),
    /// The same and more, live: shares, answers a second, events; drain and split with preview
    #[command(after_help = ex::TOP, display_order = 2)]
    Top(TopArgs),
    /// List things
    #[command(after_help = ex::GET, display_order = 2)]
    Get(GetArgs),
    /// All about one thing
    #[command(after_help = ex::DESCRIBE, display_order = 2)]
    Describe(DescribeArgs),
    /// Who changed a service's traffic, when and why
    #[command(after_help = ex::HISTORY, display_order = 2)]
    History(ServiceArgs),
    /// Why a name is answered as it is
    #[command(after_help = ex::EXPLAIN, display_order = 2)]
    Explain(ExplainArgs),
    /// What if something fell, or another configuration ran; exit code 3 if that would overload a region or leave nobody
    #[command(after_help = ex::SIMULATE, display_order = 2)]
    Simulate(SimulateArgs),
    /// What recorded probes would have come to, with today's configuration and another
    #[command(after_help = ex::REPLAY, display_order = 2)]
    Replay(ReplayArgs),
    /// What happened, listed or live
    #[command(after_help = ex::EVENTS, display_order = 2)]
    Events(EventsArgs),
    /// Wait until pools are up or down, or have a share; exit code 3 if it takes too long
    #[command(after_help = ex::WAIT, display_order = 2)]
    Wait(WaitArgs),
    /// Ask the server's DNS, once or a thousand times
    #[command(after_help = ex::QUERY, display_order = 2)]
    Query(QueryArgs),
    /// Probe now, without effect, and show every step
    #[command(after_help = ex::PROBE, display_order = 2)]
    Probe(ProbeArgs),
    /// The last probes of an endpoint
    #[command(after_help = ex::PROBES, display_order = 2)]
    Probes(ProbesArgs),

    /// Set the shares of a service's pools
    #[command(after_help = ex::SPLIT, display_order = 3)]
    Split(SplitArgs),
    /// Move shares step by step, each one watched
    #[command(after_help = ex::SHIFT, display_order = 3)]
    Shift(Box<ShiftArgs>),
    /// Changes that wait for their moment (--at)
    #[command(after_help = ex::SCHEDULE, display_order = 3)]
    Schedule(ScheduleArgs),
    /// Put another pool first
    #[command(after_help = ex::FAILOVER, display_order = 3)]
    Failover(FailoverArgs),
    /// Use returned pools again
    #[command(after_help = ex::FAILBACK, display_order = 3)]
    Failback(FailbackArgs),
    /// Go back to what was before
    #[command(after_help = ex::UNDO, display_order = 3)]
    Undo(UndoArgs),

    /// Give out no new answers for a region, pool or endpoint while anything else is up
    #[command(after_help = ex::DRAIN, display_order = 4)]
    Drain(OverrideArgs),
    /// End a drain
    #[command(after_help = ex::UNDRAIN, display_order = 4)]
    Undrain(EndArgs),
    /// Let it count as up, whatever the probes say
    #[command(name = "force-up", after_help = ex::FORCE_UP, display_order = 4)]
    ForceUp(OverrideArgs),
    /// Never answer with it, whatever the probes say
    #[command(name = "force-down", after_help = ex::FORCE_DOWN, display_order = 4)]
    ForceDown(OverrideArgs),
    /// End a force-up or force-down
    #[command(after_help = ex::UNFORCE, display_order = 4)]
    Unforce(EndArgs),
    /// Keep a service's answers against automatic change
    #[command(after_help = ex::FREEZE, display_order = 4)]
    Freeze(FreezeArgs),
    /// End a freeze
    #[command(after_help = ex::UNFREEZE, display_order = 4)]
    Unfreeze(UnfreezeArgs),
    /// Use a region or pool although its data is too old
    #[command(after_help = ex::APPROVE, display_order = 4)]
    Approve(OverrideArgs),
    /// End an approval
    #[command(after_help = ex::UNAPPROVE, display_order = 4)]
    Unapprove(EndArgs),
    /// Make an override end later or sooner
    #[command(after_help = ex::EXTEND, display_order = 4)]
    Extend(ExtendArgs),

    /// Switch a gate: a named switch that changes may need to be on
    #[command(after_help = ex::GATE, display_order = 4)]
    Gate(GateArgs),
    /// Confirm, as a second person, a change that breaks the glass
    #[command(after_help = ex::CONFIRM, display_order = 4)]
    Confirm(ConfirmArgs),

    /// Tell how an endpoint is, if its monitor is one that is told (push = true)
    #[command(after_help = ex::PUSH, display_order = 5)]
    Push(PushArgs),
    /// Tell when the data of a region was last restored or synchronised
    #[command(after_help = ex::FRESHNESS, display_order = 5)]
    Freshness(FreshnessArgs),
    /// Tell how much is asked of a pool, for its `shed`
    #[command(after_help = ex::LOAD, display_order = 5)]
    Load(LoadArgs),
    /// How quick regions are for whom, as others have measured: push, list, forget
    #[command(after_help = ex::LATENCY, display_order = 5)]
    Latency(LatencyArgs),
    /// Who changed what, from where and why: list, export, verify
    #[command(after_help = ex::AUDIT, display_order = 5)]
    Audit(AuditArgs),
    /// Receivers of events
    #[command(after_help = ex::WEBHOOK, display_order = 5)]
    Webhook(WebhookArgs),
    /// API tokens
    #[command(after_help = ex::TOKEN, display_order = 5)]
    Token(TokenArgs),
    /// Who the server takes you for
    #[command(after_help = ex::WHOAMI, display_order = 5)]
    Whoami,

    /// Words for the shell to complete
    #[command(after_help = ex::COMPLETION, display_order = 6)]
    Completion(CompletionArgs),
    /// Manual pages
    #[command(after_help = ex::MAN, display_order = 6)]
    Man(ManArgs),
    /// Grafana's dashboards
    #[command(after_help = ex::DASHBOARDS, display_order = 6)]
    Dashboards(DashboardsArgs),
    /// Prometheus' recording rules and alerts
    #[command(after_help = ex::RULES, display_order = 6)]
    Rules(RulesArgs),
    /// The admin API's OpenAPI document
    #[command(after_help = ex::OPENAPI, display_order = 6)]
    Openapi,
}
