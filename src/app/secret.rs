//! The cookie secret of a node that was given none: one per process, drawn when it is first needed.

use std::sync::OnceLock;

use tracing::warn;

use crate::model::{AnswerSettings, CookieSecret};

/// Gives cookies a secret if the file names none. Without random numbers there are no cookies.
pub(super) fn with_secret(mut answers: AnswerSettings) -> AnswerSettings {
    static SECRET: OnceLock<Option<CookieSecret>> = OnceLock::new();
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
