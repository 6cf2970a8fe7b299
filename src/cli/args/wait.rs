//! What may be typed to wait for something. Never does anything.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use crate::model::parse_duration;

/// `windrose wait`
#[derive(Clone, Debug, Args)]
pub struct WaitArgs {
    /// The service
    pub service: String,
    /// up=POOL, down=POOL, or share:POOL=PCT (its effective share); several must hold at once
    #[arg(long = "for", value_name = "CONDITION", required = true)]
    pub conditions: Vec<Condition>,
    /// How long at most
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "5m")]
    pub within: Duration,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The pool is up, or degraded.
    Up(String),
    /// It is down.
    Down(String),
    /// Its effective share is this, per cent.
    Share(String, f64),
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Up(pool) => write!(f, "up={pool}"),
            Self::Down(pool) => write!(f, "down={pool}"),
            Self::Share(pool, percent) => write!(f, "share:{pool}={percent}"),
        }
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` is not a condition; write it like up=prod, down=prod or share:prod=80");
        let (what, value) = text.split_once('=').filter(|(_, value)| !value.is_empty()).ok_or_else(form)?;
        match (what, what.strip_prefix("share:")) {
            ("up", _) => Ok(Self::Up(value.to_string())),
            ("down", _) => Ok(Self::Down(value.to_string())),
            (_, Some(pool)) if !pool.is_empty() => {
                let percent = value.trim_end_matches('%').parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
                let percent = percent.ok_or_else(|| format!("`{value}` is not a share; write per cent from 0 to 100"))?;
                Ok(Self::Share(pool.to_string(), percent))
            }
            _ => Err(form()),
        }
    }
}
