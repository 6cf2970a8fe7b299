//! Who is told of events, and in which words.

use std::sync::Arc;

use super::Secret;
use super::glob::glob_matches;

/// `[webhook.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Shown in lists, logs and metrics.
    pub name: Arc<str>,
    /// Where messages go. A secret: for many receivers whoever knows it may write.
    pub url: Secret<String>,
    /// What messages are signed with; `None`: they are not.
    pub secret: Option<Secret<Vec<u8>>>,
    /// Globs over event types: `failover.*`, `*`.
    pub events: Vec<String>,
    /// In which words.
    pub template: WebhookTemplate,
}

/// The form of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebhookTemplate {
    /// The CloudEvent as it is; several of one storm: a JSON array of them.
    #[default]
    Json,
    /// `{"text": …}`, as Slack, Mattermost and many others take it.
    Slack,
    /// Alerts for `POST /api/v2/alerts` of Prometheus Alertmanager.
    Alertmanager,
}

impl WebhookTemplate {
    /// All of them.
    pub const ALL: [WebhookTemplate; 3] = [Self::Json, Self::Slack, Self::Alertmanager];

    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Slack => "slack",
            Self::Alertmanager => "alertmanager",
        }
    }
}

impl Webhook {
    /// Does it want events of this type (`failover.started`)?
    pub fn wants(&self, kind: &str) -> bool {
        self.events.iter().any(|glob| glob_matches(glob, kind))
    }
}
