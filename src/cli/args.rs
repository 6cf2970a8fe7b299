//! What may be typed: every command, flag and example. Never does anything.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::admin::api::{Scope, UndoTo};
use crate::model::{Share, parse_duration};

use super::examples as ex;

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
    /// What happened, listed or live
    #[command(after_help = ex::EVENTS, display_order = 2)]
    Events(EventsArgs),
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

    /// Grafana's dashboards
    #[command(after_help = ex::DASHBOARDS, display_order = 6)]
    Dashboards(DashboardsArgs),
    /// Prometheus' recording rules and alerts
    #[command(after_help = ex::RULES, display_order = 6)]
    Rules(RulesArgs),
}

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

/// `windrose status`
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Exit with 3 if there is a problem
    #[arg(long)]
    pub exit_code: bool,
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

/// Flags of writing commands.
#[derive(Clone, Debug, Default, Args)]
pub struct Write {
    /// Why; shown in history and status
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, env = "WINDROSE_REASON", hide_env = true)]
    pub reason: String,
    /// Say what would happen, change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Guards that need not hold, such as max_step,freeze: needs the scope admin and a reason, and is told to everybody
    #[arg(long, value_name = "GUARD", value_delimiter = ',')]
    pub break_glass: Vec<String>,
    /// Only if nobody has changed it since revision N (exit code 4)
    #[arg(long, value_name = "N")]
    pub if_revision: Option<u64>,
}

/// `windrose split`
#[derive(Clone, Debug, Args)]
pub struct SplitArgs {
    /// The service
    pub service: String,
    /// Every pool of the policy's root with its share in per cent; they sum to 100
    #[arg(value_name = "POOL=PCT", required = true, value_parser = parse_share)]
    pub shares: Vec<(String, Share)>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would become help text")]
    pub write: Write,
}

/// `windrose failover`
#[derive(Clone, Debug, Args)]
pub struct FailoverArgs {
    /// The service
    pub service: String,
    /// The pool or named policy to put first; by default the next one that is up
    #[arg(long, value_name = "POOL")]
    pub to: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would become help text")]
    pub write: Write,
}

/// `windrose failback`
#[derive(Clone, Debug, Args)]
pub struct FailbackArgs {
    /// The service
    pub service: String,
    /// One returned pool; by default all
    pub pool: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would become help text")]
    pub write: Write,
}

/// `windrose undo`
#[derive(Clone, Debug, Args)]
pub struct UndoArgs {
    /// The service
    pub service: String,
    /// `file`, or the number of a revision in `windrose history`; by default what was before the last change
    #[arg(long, value_name = "file|REVISION")]
    pub to: Option<UndoTo>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would become help text")]
    pub write: Write,
}

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
    /// How long, such as 2h; force-up and force-down end after 4h by default, a drain when somebody ends it
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub lasts: Option<Duration>,
    /// Only for this service (may be repeated)
    #[arg(long = "service", value_name = "SERVICE")]
    pub services: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would become help text")]
    pub write: Write,
}

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

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Changes that need it may be made
    On,
    /// They may not
    Off,
}

/// `windrose gate`
#[derive(Clone, Debug, Args)]
pub struct GateArgs {
    /// On or off
    #[arg(value_enum)]
    pub switch: Switch,
    /// The gate
    pub name: String,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would become help text")]
    pub write: Write,
}

/// `windrose confirm`
#[derive(Clone, Debug, Args)]
pub struct ConfirmArgs {
    /// What the refusal named, such as c-7
    pub id: String,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would become help text")]
    pub write: Write,
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

/// `windrose dashboards`
#[derive(Clone, Debug, Args)]
pub struct DashboardsArgs {
    /// What to do
    #[command(subcommand)]
    pub command: DashboardsCommand,
}

/// What to do with dashboards.
#[derive(Clone, Debug, Subcommand)]
pub enum DashboardsCommand {
    /// Write them into a folder, one file each
    #[command(after_help = ex::DASHBOARDS)]
    Export {
        /// The folder; it is made if need be
        dir: PathBuf,
        /// Data source that they open with, by UID or name; without it Grafana takes its default. Everyone can choose another
        #[arg(long, value_name = "UID")]
        datasource: Option<String>,
        /// Replace files that are there and differ
        #[arg(long)]
        force: bool,
    },
}

/// `windrose rules`
#[derive(Clone, Debug, Args)]
pub struct RulesArgs {
    /// What to do
    #[command(subcommand)]
    pub command: RulesCommand,
}

/// What to do with rules.
#[derive(Clone, Debug, Subcommand)]
pub enum RulesCommand {
    /// Write them, and their unit tests, into a folder; print the rules if none is given
    #[command(after_help = ex::RULES)]
    Export {
        /// The folder; it is made if need be
        dir: Option<PathBuf>,
        /// Where your runbooks are; {alert} in it stands for the alert's name, else /NAME.md is added
        #[arg(long, value_name = "URL", value_parser = parse_runbooks)]
        runbooks: Option<String>,
        /// Replace files that are there and differ
        #[arg(long, requires = "dir")]
        force: bool,
    },
}

/// What can stand in YAML between quotes, and be opened.
fn parse_runbooks(text: &str) -> Result<String, String> {
    let web = ["https://", "http://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    if web && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "\"\\".contains(c)) {
        Ok(text.to_string())
    } else {
        Err(format!("`{text}` is not a web address; write it like https://wiki.example.com/windrose/{{alert}}"))
    }
}

/// `prod=80`, `prod=12.5%`.
fn parse_share(text: &str) -> Result<(String, Share), String> {
    let (pool, percent) = text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form POOL=PCT, such as prod=80"))?;
    let share = percent.trim_end_matches('%').parse().ok().and_then(Share::from_percent);
    match share {
        Some(share) if !pool.is_empty() => Ok((pool.to_string(), share)),
        Some(_) => Err(format!("`{text}` names no pool; write it like prod=80")),
        None => Err(format!("`{percent}` is not a share; write per cent from 0 to 100")),
    }
}

/// An address with or without a port.
fn parse_dns(text: &str) -> Result<SocketAddr, String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    text.parse()
        .or_else(|_| bare.parse().map(|address: std::net::IpAddr| SocketAddr::new(address, 53)))
        .map_err(|_| format!("`{text}` is not an address; write it like 127.0.0.1:5300 or [::1]:53"))
}

/// A scope by its word.
fn parse_scope(text: &str) -> Result<Scope, String> {
    crate::control::Scope::parse(text).map(Scope::from).ok_or_else(|| format!("`{text}` is not one of read, operate, admin"))
}
