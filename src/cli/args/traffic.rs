//! What may be typed to move traffic, and the flags of every command that writes. Never does anything.

use clap::Args;

use crate::admin::api::UndoTo;
use crate::model::Share;

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
    /// A shift of the service that is under way ends where it is, by this change
    #[arg(long)]
    pub end_shift: bool,
    /// Not now but then: a time such as 2026-11-21T22:00:00Z, +30m, or 22:00 (the next one, UTC); split, failover, drain, undrain and shift
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Don't ask, even if much traffic moves: scripts are never asked
    #[arg(long, short)]
    pub yes: bool,
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

/// `prod=80`, `prod=12.5%`.
pub(super) fn parse_share(text: &str) -> Result<(String, Share), String> {
    let (pool, percent) = text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form POOL=PCT, such as prod=80"))?;
    let share = percent.trim_end_matches('%').parse().ok().and_then(Share::from_percent);
    match share {
        Some(share) if !pool.is_empty() => Ok((pool.to_string(), share)),
        Some(_) => Err(format!("`{text}` names no pool; write it like prod=80")),
        None => Err(format!("`{percent}` is not a share; write per cent from 0 to 100")),
    }
}
