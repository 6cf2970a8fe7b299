//! What may be typed about schedules. Never does anything.

use clap::{Args, Subcommand};

use super::Write;

/// `windrose schedule`
#[derive(Clone, Debug, Args)]
pub struct ScheduleArgs {
    /// What to do
    #[command(subcommand)]
    pub verb: ScheduleVerb,
}

/// What one may do with schedules.
#[derive(Clone, Debug, Subcommand)]
pub enum ScheduleVerb {
    /// What waits for its moment, and what became of the others
    #[command(after_help = "Example:\n  windrose schedule list")]
    List,
    /// One of them
    #[command(after_help = "Example:\n  windrose schedule show t-9")]
    Show {
        /// Its id
        id: String,
    },
    /// Don't make it; dismiss one that has failed
    #[command(after_help = "Example:\n  windrose schedule cancel t-9 --reason \"not tonight\"")]
    Cancel {
        /// Its id
        id: String,
        #[command(flatten)]
        #[allow(missing_docs, reason = "a doc comment here would become help text")]
        write: Write,
    },
}
