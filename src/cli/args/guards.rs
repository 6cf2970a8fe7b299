//! What may be typed about gates and confirmations. Never does anything.

use clap::{Args, ValueEnum};

use super::Write;

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
