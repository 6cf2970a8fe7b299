//! What may be typed to move traffic step by step. Never does anything.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::model::{Share, parse_duration};

use super::traffic::{Write, parse_share};

/// `windrose shift`
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ShiftArgs {
    /// Look at it, or order it about
    #[command(subcommand)]
    pub verb: Option<ShiftVerb>,
    /// The service
    #[arg(required = true)]
    pub service: Option<String>,
    /// Shares to reach, in per cent; they sum to 100, and pools that are not named get none
    #[arg(value_name = "POOL=PCT", required = true, value_parser = parse_share)]
    pub shares: Vec<(String, Share)>,
    /// Steps, holds and what ends it, from [plan.NAME] of the file
    #[arg(long, value_name = "NAME", conflicts_with_all = ["steps", "hold"])]
    pub plan: Option<String>,
    /// Per cent of the way, such as 5,25,50p,100; p waits for a person
    #[arg(long, value_name = "STEPS", value_delimiter = ',')]
    pub steps: Vec<String>,
    /// How long each step is watched; at least twice the TTL
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub hold: Option<Duration>,
    /// What takes it back by itself: target_unhealthy, analysis_failed; everything else that goes wrong pauses it
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub abort_when: Vec<String>,
    /// Analyses of the file that watch it, beside those of the plan
    #[arg(long = "analysis", value_name = "NAME", value_delimiter = ',')]
    pub analyses: Vec<String>,
    /// Holds may be shorter than clients need to follow
    #[arg(long)]
    pub short_holds: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would become help text")]
    pub write: Write,
}

/// What one may say to a shift.
#[derive(Clone, Debug, Subcommand)]
pub enum ShiftVerb {
    /// Where it stands
    #[command(after_help = "Examples:\n  windrose shift status search\n  windrose shift status search -w")]
    Status {
        /// The service, or the shift's id
        service: String,
        /// Until it has ended
        #[arg(short, long)]
        watch: bool,
    },
    /// Stay at this step
    #[command(after_help = "Example:\n  windrose shift pause search")]
    Pause {
        /// The service, or the shift's id
        service: String,
        #[command(flatten)]
        #[allow(missing_docs, reason = "a doc comment here would become help text")]
        write: Write,
    },
    /// Go on from where it was paused
    #[command(after_help = "Example:\n  windrose shift resume search")]
    Resume {
        /// The service, or the shift's id
        service: String,
        #[command(flatten)]
        #[allow(missing_docs, reason = "a doc comment here would become help text")]
        write: Write,
    },
    /// Make the next step now
    #[command(after_help = "Examples:\n  windrose shift promote search\n  windrose shift promote search --full")]
    Promote {
        /// The service, or the shift's id
        service: String,
        /// The last step at once
        #[arg(long)]
        full: bool,
        #[command(flatten)]
        #[allow(missing_docs, reason = "a doc comment here would become help text")]
        write: Write,
    },
    /// Back to what was before it, at once
    #[command(after_help = "Example:\n  windrose shift abort search --reason \"errors went up\"")]
    Abort {
        /// The service, or the shift's id
        service: String,
        #[command(flatten)]
        #[allow(missing_docs, reason = "a doc comment here would become help text")]
        write: Write,
    },
    /// Try again what halted it; begin anew if it was aborted
    #[command(after_help = "Example:\n  windrose shift retry search")]
    Retry {
        /// The service, or the shift's id
        service: String,
        #[command(flatten)]
        #[allow(missing_docs, reason = "a doc comment here would become help text")]
        write: Write,
    },
}
