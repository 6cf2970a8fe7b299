//! What happens during one probe, noted as it happens, so that a deadline that cuts it off still leaves a true report.

use std::time::{Duration, Instant};

use crate::health::{Phase, Reported};
use crate::model::Timestamp;

/// The notes of one probe.
#[derive(Debug)]
pub struct Trace {
    started: Instant,
    /// Phases entered and when.
    entered: Vec<(Phase, Instant)>,
    /// HTTP status code, if one came.
    pub status: Option<u16>,
    /// Of the leaf certificate, if TLS was spoken.
    pub certificate_expires: Option<Timestamp>,
    /// What passes and should be looked at.
    pub warning: Option<String>,
    /// What the response told of its endpoint's weight.
    pub reported: Option<Reported>,
}

impl Trace {
    /// A probe begins now.
    pub fn start() -> Self {
        Self { started: Instant::now(), entered: Vec::with_capacity(4), status: None, certificate_expires: None, warning: None, reported: None }
    }

    /// When it began.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The last phase ends, this one begins.
    pub fn enter(&mut self, phase: Phase) {
        self.entered.push((phase, Instant::now()));
    }

    /// Where the probe is.
    pub fn phase(&self) -> Phase {
        self.entered.last().map_or(Phase::Connect, |(phase, _)| *phase)
    }

    /// How long it took, in all and phase by phase, when it ends now.
    pub fn times(&self) -> (Duration, Vec<(Phase, Duration)>) {
        let ended = Instant::now();
        let ends = self.entered.iter().skip(1).map(|(_, at)| *at).chain([ended]);
        let phases = self.entered.iter().zip(ends).map(|((phase, from), to)| (*phase, to.saturating_duration_since(*from))).collect();
        (ended.saturating_duration_since(self.started), phases)
    }
}
