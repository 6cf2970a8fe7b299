//! The command line: what may be typed, and the commands that speak to a running server.
//!
//! `serve` and `demo` are only parsed here; `app` runs them. `check` reads a file. Everything else goes through the admin API
//! (over the unix socket, or HTTPS with a token), never past it: what the CLI can do, any program can do.
//!
//! Data goes to stdout, everything else to stderr; nothing ever waits for a key. Exit codes: [`exit`].

#![allow(clippy::disallowed_methods, reason = "IO room: the DNS client measures how long answers take")]

pub mod args;
mod asking;
mod audit;
mod boards;
mod change;
mod client;
mod count;
mod describe;
mod dns;
mod events;
mod examples;
pub mod exit;
mod explain;
mod forecast;
mod get;
mod guards;
mod latency;
mod manual;
mod overrides;
mod plan;
mod probe;
mod push;
mod query;
mod reach;
mod replay;
mod report;
mod schedule;
mod shift;
mod simulate;
mod status;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod token;
mod top;
mod traffic;
mod wait;
mod watch;

use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

pub use args::{DemoAction, DemoArgs, ServeArgs};
pub use dns::lookup;

use args::{Cli, Command, Global, Output};
use client::{Client, Env};
use exit::{Exit, Failure};
use report::Report;
use table::Paint;

/// What was typed, sorted by who runs it.
#[derive(Debug)]
pub enum Invocation {
    /// The daemon.
    Serve(ServeArgs),
    /// The demo.
    Demo(DemoArgs),
    /// Everything else: [`run`].
    Client(Box<ClientInvocation>),
}

/// A command for [`run`].
#[derive(Debug)]
pub struct ClientInvocation {
    global: Global,
    command: Command,
}

/// Reads this process's arguments. Help and usage errors end the process here (exit codes 0 and 2).
pub fn parse() -> Invocation {
    sorted(Cli::parse())
}

fn sorted(cli: Cli) -> Invocation {
    let Cli { global, command } = cli;
    match command {
        Command::Serve(args) => Invocation::Serve(args),
        Command::Demo(args) => Invocation::Demo(args),
        command => Invocation::Client(Box::new(ClientInvocation { global, command })),
    }
}

/// Runs a command and prints what came of it.
pub async fn run(invocation: Box<ClientInvocation>) -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    let ClientInvocation { global, command } = *invocation;
    let paint = Paint::wanted(global.no_color, std::io::stdout().is_terminal(), env);
    let (out, err, exit) = match execute(&global, &command, paint, &env).await {
        Ok(report) => {
            let (out, err) = report.streams(global.output == Output::Json, global.quiet);
            (out, err, report.exit)
        }
        Err(failure) => {
            let paint = Paint::wanted(global.no_color, std::io::stderr().is_terminal(), env);
            (String::new(), failure.text(is_writing(&command), paint), failure.exit())
        }
    };
    // A reader that has gone away (`| head`) is no fault of ours.
    let _ = std::io::stdout().lock().write_all(out.as_bytes());
    let _ = std::io::stderr().lock().write_all(err.as_bytes());
    ExitCode::from(exit as u8)
}

/// Every command that speaks to the server, on one screen.
async fn execute(global: &Global, command: &Command, paint: Paint, env: Env<'_>) -> Result<Report, Failure> {
    let client = || Client::new(global, env);
    match command {
        Command::Serve(_) | Command::Demo(_) => Err(Failure::local(Exit::Failed, "serve and demo are not run here")),
        Command::Check(args) => check(args.file.as_deref().unwrap_or(&args.config)),
        Command::Reload(args) if args.dry_run => plan::dry_run(&client()?, paint).await,
        Command::Reload(args) => get::reload(&client()?, args, paint).await,
        Command::Plan(args) => plan::plan(&client()?, args, paint).await,
        Command::Diff => plan::diff(&client()?, paint).await,
        Command::Upgrade => get::upgrade(&client()?, paint).await,
        Command::Health => get::health(&client()?, paint).await,

        Command::Status(args) if args.watch => watch::run(&client()?, &args.services, watch::EVERY, global.output == Output::Json, paint).await,
        Command::Top(args) if !draws(global, env) => watch::run(&client()?, &[], args.interval, global.output == Output::Json, paint).await,
        Command::Top(args) => top::run(&client()?, args, paint).await,
        Command::Status(args) => status::run(&client()?, args, paint).await,
        Command::Get(args) => get::run(&client()?, args.kind, paint).await,
        Command::Describe(args) => describe::run(&client()?, args, paint).await,
        Command::History(args) => traffic::history(&client()?, &args.service, paint).await,
        Command::Explain(args) => explain::run(&client()?, args, paint).await,
        Command::Simulate(args) => simulate::run(&client()?, args, paint).await,
        Command::Replay(args) => replay::run(&client()?, args, paint).await,
        Command::Events(args) => events::run(&client()?, args, global, paint).await,
        Command::Wait(args) => wait::run(&client()?, args).await,
        Command::Query(args) => query::run(client(), args, global.timeout, paint).await,
        Command::Probe(args) => probe::run(global, args, paint, env).await,
        Command::Probes(args) => probe::past(&client()?, args, paint).await,

        Command::Split(args) => traffic::split(&client()?, args, paint).await,
        Command::Shift(args) => shift::run(&client()?, args, paint).await,
        Command::Schedule(args) => schedule::run(&client()?, args, paint).await,
        Command::Failover(args) => traffic::failover(&client()?, args, paint).await,
        Command::Failback(args) => traffic::failback(&client()?, args, paint).await,
        Command::Undo(args) => traffic::undo(&client()?, args, paint).await,

        Command::Push(args) => push::run(&client()?, args).await,
        Command::Freshness(args) => push::freshness(&client()?, args).await,
        Command::Load(args) => push::load(&client()?, args).await,
        Command::Latency(args) => latency::run(&client()?, &args.command, paint).await,
        Command::Approve(args) => overrides::begin(&client()?, crate::admin::api::Kind::Approve, args, paint).await,
        Command::Unapprove(args) => overrides::end(&client()?, overrides::Ended::Approval, args, paint).await,
        Command::Drain(args) => overrides::begin(&client()?, crate::admin::api::Kind::Drain, args, paint).await,
        Command::ForceUp(args) => overrides::begin(&client()?, crate::admin::api::Kind::ForceUp, args, paint).await,
        Command::ForceDown(args) => overrides::begin(&client()?, crate::admin::api::Kind::ForceDown, args, paint).await,
        Command::Freeze(args) => overrides::freeze(&client()?, args, paint).await,
        Command::Undrain(args) => overrides::end(&client()?, overrides::Ended::Drain, args, paint).await,
        Command::Unforce(args) => overrides::end(&client()?, overrides::Ended::Force, args, paint).await,
        Command::Unfreeze(args) => overrides::unfreeze(&client()?, args, paint).await,
        Command::Extend(args) => overrides::extend(&client()?, args, paint).await,
        Command::Gate(args) => guards::gate(&client()?, args).await,
        Command::Confirm(args) => guards::confirm(&client()?, args, paint).await,

        Command::Audit(args) => audit::run(client(), &args.command, paint).await,
        Command::Webhook(args) => events::webhook(&client()?, &args.command, paint).await,
        Command::Token(args) => token::run(&client()?, &args.command, paint).await,
        Command::Whoami => token::whoami(&client()?).await,

        Command::Completion(args) => Ok(manual::completion(args)),
        Command::Man(args) => manual::man(args),
        Command::Dashboards(args) => boards::dashboards(&args.command),
        Command::Rules(args) => boards::rules(&args.command),
        Command::Openapi => Ok(manual::openapi()),
    }
}

/// Can `windrose top` have the screen? It takes a terminal that moves its cursor, and a person.
fn draws(global: &Global, env: Env<'_>) -> bool {
    let moves = env("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    global.output == Output::Table && moves && std::io::stdout().is_terminal() && std::io::stdin().is_terminal()
}

/// Commands after whose failure one wants to read that nothing changed.
fn is_writing(command: &Command) -> bool {
    match command {
        Command::Shift(args) => !matches!(args.verb, Some(args::ShiftVerb::Status { .. })),
        Command::Schedule(args) => matches!(args.verb, args::ScheduleVerb::Cancel { .. }),
        Command::Split(_) | Command::Failover(_) | Command::Failback(_) | Command::Undo(_) => true,
        Command::Drain(_) | Command::ForceUp(_) | Command::ForceDown(_) | Command::Freeze(_) => true,
        Command::Undrain(_) | Command::Unforce(_) | Command::Unfreeze(_) | Command::Extend(_) | Command::Push(_) | Command::Reload(_) | Command::Upgrade => {
            true
        }
        Command::Gate(_) | Command::Confirm(_) | Command::Approve(_) | Command::Unapprove(_) | Command::Freshness(_) | Command::Load(_) => true,
        Command::Latency(args) => !matches!(args.command, args::LatencyCommand::List { .. }),
        Command::Token(args) => !matches!(args.command, args::TokenCommand::List),
        Command::Serve(_) | Command::Check(_) | Command::Demo(_) | Command::Health | Command::Status(_) | Command::Top(_) | Command::Get(_) => false,
        Command::Plan(_) | Command::Diff | Command::Simulate(_) | Command::Replay(_) | Command::Wait(_) | Command::Completion(_) | Command::Man(_) => false,
        Command::Describe(_) | Command::History(_) | Command::Explain(_) | Command::Query(_) | Command::Whoami | Command::Probe(_) | Command::Probes(_) => {
            false
        }
        Command::Dashboards(_) | Command::Rules(_) | Command::Openapi | Command::Events(_) | Command::Audit(_) | Command::Webhook(_) => false,
    }
}

/// `windrose check`: the server's own way of reading, without a server.
fn check(path: &Path) -> Result<Report, Failure> {
    let loaded = match crate::config::load(path) {
        Ok(loaded) => loaded,
        Err(problems) => {
            let text = problems.to_string();
            let raw = serde_json::json!({ "ok": false, "problems": text.split("\n\n").map(str::trim).filter(|block| !block.is_empty()).collect::<Vec<_>>() });
            return Ok(Report { exit: Exit::Usage, ..Report::new("", raw).note(format!("{text}\n")) });
        }
    };
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    let summary = crate::config::summary(&loaded).to_string();
    let note: String = warnings.iter().map(|warning| format!("⚠ {warning}\n")).collect();
    let raw = serde_json::json!({ "ok": true, "warnings": warnings, "summary": summary.lines().collect::<Vec<_>>(), "hash": loaded.hash });
    Ok(Report::new(format!("{}\n✔ {} is right (config {})\n", summary.trim_end(), path.display(), loaded.hash), raw).note(note))
}

/// The socket of this user's demo: a second terminal finds it without flags. The folder above is to be made with mode 0700.
pub fn demo_socket() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute() && folder.is_dir());
    let user = uid().map_or_else(|| "user".to_string(), |uid| uid.to_string());
    runtime.unwrap_or_else(std::env::temp_dir).join(format!("windrose-demo-{user}")).join("admin.sock")
}

/// Does this socket exist in a folder that only this user can write to? In a shared temporary folder, anybody may have made it.
fn is_ours(socket: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let folder = socket.parent().and_then(|folder| std::fs::symlink_metadata(folder).ok());
    socket.exists() && folder.is_some_and(|folder| folder.is_dir() && Some(folder.uid()) == uid() && folder.mode() & 0o077 == 0)
}

/// Who runs this process, as the file system sees it.
fn uid() -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let home = || std::env::var_os("HOME").and_then(|home| std::fs::metadata(home).ok());
    std::fs::metadata("/proc/self").ok().or_else(home).map(|folder| folder.uid())
}

#[cfg(test)]
mod grammar {
    use super::*;
    use clap::CommandFactory;

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example_in_its_help() {
        fn walk(command: &clap::Command, path: &str, missing: &mut Vec<String>) {
            for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
                let path = format!("{path} {}", sub.get_name());
                let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
                let leaf = sub.get_subcommands().next().is_none();
                let named = path.trim_start_matches("windrose token").trim_start_matches("windrose demo");
                if !help.contains(&path) && (leaf || !named.is_empty()) {
                    missing.push(path.clone());
                }
                walk(sub, &path, missing);
            }
        }
        let mut missing = Vec::new();
        walk(&Cli::command(), "windrose", &mut missing);
        assert_eq!(missing, Vec::<String>::new());
    }

    #[test]
    fn every_example_parses() {
        fn walk(command: &clap::Command, lines: &mut Vec<String>) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            lines.extend(help.lines().map(str::trim).filter(|line| line.starts_with("windrose ")).map(str::to_string));
            command.get_subcommands().for_each(|sub| walk(sub, lines));
        }
        let mut lines = Vec::new();
        walk(&Cli::command(), &mut lines);
        assert!(lines.len() > 30, "{lines:?}");
        for line in lines {
            let typed = line.split(['|', '>', '&']).next().unwrap_or_default();
            let typed = typed.split("   ").next().unwrap_or_default();
            let mut words = Vec::new();
            for (at, part) in typed.split('"').enumerate() {
                if at % 2 == 1 { words.push(part.to_string()) } else { words.extend(part.split_whitespace().map(str::to_string)) }
            }
            Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn writing_commands_take_reason_dry_run_and_if_revision() {
        let lines = [
            "split s a=100",
            "failover s",
            "failback s",
            "undo s",
            "drain region r",
            "undrain region r",
            "force-up pool p",
            "force-down endpoint p/e",
            "unforce pool p",
            "freeze s",
            "unfreeze s",
            "extend o-1 --for 1h",
            "gate on g",
            "confirm c-1",
            "shift s a=100",
            "shift pause s",
            "shift resume s",
            "shift promote s --full",
            "shift abort s",
            "shift retry s",
            "schedule cancel t-9",
            "split s a=100 --at 22:00",
        ];
        for line in lines {
            let cli = parsed(&format!("windrose {line} --reason x --dry-run --if-revision 7 --break-glass max_step,freeze"))
                .unwrap_or_else(|error| panic!("{line}: {error}"));
            assert!(is_writing(&cli.command), "{line}");
        }
    }

    #[test]
    fn global_flags_stand_before_and_after_the_command() {
        for line in ["windrose -o json --socket /s status", "windrose status -o json --socket /s"] {
            let cli = parsed(line).unwrap();
            assert_eq!((cli.global.output, cli.global.socket), (Output::Json, Some("/s".into())));
        }
        assert!(parsed("windrose status --server http://a --socket /s").is_err());
    }

    #[test]
    fn wrong_words_are_usage_errors() {
        for line in [
            "windrose",
            "windrose stauts",
            "windrose split s",
            "windrose split s a=101",
            "windrose split s a",
            "windrose drain city x",
            "windrose query n -n 0",
            "windrose extend o-1",
            "windrose demo --tour --config",
            "windrose undo s --to start",
        ] {
            let error = parsed(line).err().unwrap_or_else(|| panic!("{line} parses"));
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn serve_and_demo_are_handed_to_the_app() {
        let Invocation::Serve(serve) = sorted(parsed("windrose serve --config a.toml --without-store").unwrap()) else { panic!("not serve") };
        assert_eq!(serve, ServeArgs { config: "a.toml".into(), without_store: true, upgrade: None });
        for (line, upgrade) in
            [("serve --upgrade", Some(None)), ("serve --upgrade=/run/a.sock --config b.toml", Some(Some("/run/a.sock".into()))), ("serve", None)]
        {
            let Invocation::Serve(serve) = sorted(parsed(&format!("windrose {line}")).unwrap()) else { panic!("not serve") };
            assert_eq!(serve.upgrade, upgrade, "{line}");
        }
        let Invocation::Demo(demo) = sorted(parsed("windrose demo break prod").unwrap()) else { panic!("not demo") };
        assert_eq!(demo.action, Some(DemoAction::Break { name: "prod".into() }));
        let Invocation::Client(_) = sorted(parsed("windrose status").unwrap()) else { panic!("not client") };
    }

    #[test]
    fn a_socket_in_somebody_elses_or_an_open_folder_is_not_trusted() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("admin.sock");
        assert!(!is_ours(&socket));
        std::fs::write(&socket, "").unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(is_ours(&socket));
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o770)).unwrap();
        assert!(!is_ours(&socket));
    }
}
