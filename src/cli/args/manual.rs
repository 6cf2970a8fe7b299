//! What may be typed to get completion and manual pages. Never does anything.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// A shell that is completed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash, with bash-completion
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// `windrose completion`
#[derive(Clone, Debug, Args)]
pub struct CompletionArgs {
    /// For which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `windrose man`
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// A folder for one page of each command; it is made if need be. Without it the main page goes to stdout
    pub dir: Option<PathBuf>,
}
