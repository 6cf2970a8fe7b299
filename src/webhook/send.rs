//! One attempt: POST, wait for the status, nothing else.

use std::time::Duration;

use crate::model::{Timestamp, Webhook};

use super::sign::signature;

/// For everything: connection, TLS, request and the reply's head.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// One sentence, without the URL.
    pub why: String,
    /// The receiver wants no more of this (410).
    pub for_good: bool,
}

pub(super) fn client() -> Result<reqwest::Client, String> {
    // One provider in the whole tree; installing it twice is no fault.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().user_agent(concat!("windrose/", env!("CARGO_PKG_VERSION"))).timeout(ATTEMPT_MAX).connect_timeout(CONNECT_MAX);
    // A receiver's redirect could lead into our own network.
    let client = builder.redirect(reqwest::redirect::Policy::none()).build();
    client.map_err(|error| format!("HTTP can't be set up: {}", causes(&error.without_url())))
}

/// Sends `body`. What the receiver said, if it took it.
pub(super) async fn post(client: &reqwest::Client, webhook: &Webhook, id: &str, now: Timestamp, body: String) -> Result<String, Failed> {
    let timestamp = now.0.div_euclid(1000);
    let mut request = client
        .post(webhook.url.expose())
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp.to_string());
    if let Some(secret) = &webhook.secret {
        request = request.header("webhook-signature", signature(secret.expose(), id, timestamp, &body));
    }
    let reply = request.body(body).send().await.map_err(|error| Failed { why: causes(&error.without_url()), for_good: false })?;
    let status = reply.status();
    match status.is_success() {
        true => Ok(status.to_string()),
        false if status.is_redirection() => Err(Failed { why: format!("it answered {status}, and redirects are not followed"), for_good: false }),
        false => Err(Failed { why: format!("it answered {status}"), for_good: status == reqwest::StatusCode::GONE }),
    }
}

/// All reasons, outermost first.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut inner = error;
    while let Some(source) = inner.source() {
        text.push_str(": ");
        text.push_str(&source.to_string());
        inner = source;
    }
    text
}
