//! Events and audit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `GET /events`, `GET /events/stream`: which ones. The list is oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Not older than this: a time, or a span such as `1h` before now. Without it, `after` and a cursor: the newest `limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Only types that fit this pattern, such as `failover.*` (`windrose.` may stand before it).
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// Only of this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// At most so many; 100 by default, 1,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// After the event with this sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// `next_cursor` of the page before; a stream takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// `GET /audit`: entries after the number `after`, oldest first; without it and a cursor the newest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditPage {
    /// Entries as written: JSON objects, each with `number`, `previous` and `hash`; one that was damaged may be a text.
    pub items: Vec<Value>,
    /// For the next page; `null`: this is the last.
    pub next_cursor: Option<String>,
    /// The end of the chain as the server knows it; `null`: there are no entries.
    pub head: Option<AuditHead>,
    /// Where the chain begins, if old entries were cut off.
    pub anchor: Option<AuditHead>,
}

/// A message to a webhook's receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Delivery {
    /// Which receiver.
    pub receiver: String,
    /// `webhook-id`
    pub id: String,
    /// Types of its events.
    pub types: Vec<String>,
    /// How many events it tells.
    pub events: u64,
    /// One sentence.
    pub summary: String,
    /// When it was made.
    pub made: super::Time,
    /// Attempts so far.
    pub attempts: u32,
    /// `waiting`, `delivered`, `gave_up`, `dropped`
    pub state: String,
    /// When it is tried next.
    pub next: Option<super::Time>,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// What came of `POST /webhooks/{name}/test`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookTest {
    /// Which receiver.
    pub receiver: String,
    /// It took the message.
    pub delivered: bool,
    /// What it answered, or why it could not be told.
    pub detail: String,
}

/// A place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditHead {
    /// Number of the entry.
    pub number: u64,
    /// Its hash, hex.
    pub hash: String,
}
