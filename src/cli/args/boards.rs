//! What may be typed about dashboards and rules. Never does anything.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::super::examples as ex;

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
