//! The cookie secret of a node that was given none: one per process, drawn when it is first needed, and handed on
//! by an upgrade.

use std::sync::OnceLock;

use tracing::warn;

use crate::model::{AnswerSettings, CookieSecret};

/// `None` inside: this machine gives no random numbers.
static SECRET: OnceLock<Option<CookieSecret>> = OnceLock::new();

/// What was drawn, for the process that takes over: cookies that clients have stay good.
pub(super) fn drawn() -> Option<CookieSecret> {
    SECRET.get().copied().flatten()
}

/// Goes on with what the process before had drawn. Before the first use, or it has no effect.
pub(super) fn inherit(secret: CookieSecret) {
    let _drawn_already = SECRET.set(Some(secret));
}

/// Gives cookies a secret if the file names none. Without random numbers there are no cookies.
pub(super) fn with_secret(mut answers: AnswerSettings) -> AnswerSettings {
    let draw = || {
        let mut secret = [0; 16];
        match getrandom::fill(&mut secret) {
            Ok(()) => Some(CookieSecret(secret)),
            Err(error) => {
                warn!("no DNS cookies: this machine gives no random numbers: {error}");
                None
            }
        }
    };
    if answers.cookies.secrets.is_empty() {
        answers.cookies.secrets.extend(*SECRET.get_or_init(draw));
    }
    answers
}
