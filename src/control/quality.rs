//! What probes find beside Up and Down, carried out: services are decided again, people are told.
//!
//! Never here: when an endpoint is degraded (`health`), or what that means for shares (`policy`).

use std::collections::BTreeSet;

use crate::health::CertificateState;
use crate::model::{EndpointId, TargetId, Timestamp};

use super::core::{Cause, Core};
use super::event::{Effect, Effects, Notice};

/// What was known of a target before an outcome.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Before {
    degraded: bool,
    told: Option<f64>,
    expiring: Option<Timestamp>,
}

impl Core {
    /// See [`Before`].
    pub(super) fn quality_of(&self, target: TargetId) -> Before {
        let quality = &self.health.target(target).quality;
        let (degraded, told) = quality.effect();
        Before { degraded, told, expiring: quality.certificate.and_then(|certificate| certificate.told) }
    }

    /// An outcome has come: what is new beside the verdict?
    pub(super) fn quality_observed(&mut self, target: TargetId, before: Before, effects: &mut Effects) {
        let now = self.quality_of(target);
        if now == before {
            return;
        }
        let estate = self.configuration.estate.clone();
        let endpoints: BTreeSet<EndpointId> = estate.endpoints_of(target).collect();
        if (now.degraded, now.told) != (before.degraded, before.told) {
            for endpoint in &endpoints {
                self.touch_pool(estate.endpoint(*endpoint).pool, Cause::Health { failing_since: None });
            }
        }
        if now.degraded != before.degraded {
            effects.extend(endpoints.iter().map(|endpoint| Effect::Tell(self.degraded_notice(*endpoint, now.degraded))));
        }
        if now.expiring != before.expiring {
            effects.extend(self.certificate_text(target).map(|text| Effect::Tell(Notice::Certificate { text })));
        }
    }

    fn degraded_notice(&self, id: EndpointId, begins: bool) -> Notice {
        let estate = &self.configuration.estate;
        let (endpoint, health) = (estate.endpoint(id), self.health.quality(estate, id));
        let pool = estate.pool(endpoint.pool);
        let why = health.and_then(|(_, quality)| quality.degraded_why.as_deref()).filter(|_| begins);
        Notice::Degraded {
            endpoint: estate.endpoint_label(id),
            labels: [pool.name.clone(), estate.region(pool.region).name.clone(), endpoint.name.clone()],
            begins,
            message: why.unwrap_or("passes as it should again").to_string(),
        }
    }

    /// One sentence about a certificate that ends soon; `None`: no probe has seen one.
    pub fn certificate_text(&self, target: TargetId) -> Option<String> {
        let estate = &self.configuration.estate;
        let certificate = self.health.target(target).quality.certificate?;
        let item = estate.target(target);
        let endpoints: BTreeSet<EndpointId> = estate.endpoints_of(target).collect();
        let whose = match &endpoints.into_iter().collect::<Vec<_>>()[..] {
            [] => item.address.to_string(),
            [first, rest @ ..] => {
                let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
                format!("{}{more}", estate.endpoint_label(*first))
            }
        };
        let ends = match certificate.state {
            CertificateState::Expired => "has expired: it ended",
            CertificateState::Valid | CertificateState::Expiring => "ends",
        };
        Some(format!("certificate of {whose} {ends} on {}", certificate.expires))
    }
}
