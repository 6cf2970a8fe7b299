//! What a check expects, in words: one line each, beside what came. Never here: judging.

use crate::model::{Check, ExitRule, HttpCheck, TlsTerms, Verify, duration_text};

use super::fail::{quotable, quoted};

/// Everything that must hold for a pass.
pub fn expected(check: &Check) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(terms) = check.tls() {
        certificate(terms, &mut all);
    }
    match check {
        Check::Http(check) => http(check, &mut all),
        Check::Grpc(check) if check.service.is_empty() => all.push("the whole server is SERVING".to_string()),
        Check::Grpc(check) => all.push(format!("{} is SERVING", quotable(&check.service))),
        Check::Dns(check) => {
            all.push(format!("{} for {} {}", check.rcode.word(), check.name, check.record_type.1));
            all.extend(check.address.map(|address| format!("{address} among the answers")));
        }
        Check::Tcp(check) => {
            all.push("a connection".to_string());
            all.extend(check.expect.as_ref().map(|text| format!("the peer says {}", quoted(text.as_bytes()))));
        }
        Check::Icmp => all.push("an echo reply with what was sent".to_string()),
        Check::Exec(check) => all.push(match check.exit {
            ExitRule::Zero | ExitRule::Nagios { warning_fails: true } => "exit code 0".to_string(),
            ExitRule::Nagios { warning_fails: false } => "exit code 0 (OK) or 1 (WARNING)".to_string(),
        }),
        // Others say it all in their sentence.
        _ => {}
    }
    all
}

fn certificate(terms: &TlsTerms, all: &mut Vec<String>) {
    all.push(match terms.verify {
        Verify::Full => "a certificate that is trusted, for this name, and valid now".to_string(),
        Verify::ExpiryOnly => "a certificate that has not expired".to_string(),
        Verify::Nothing => "any certificate".to_string(),
    });
    all.extend(terms.expires_within.filter(|_| terms.expiry_down).map(|within| format!("it lasts another {}", duration_text(within))));
}

fn http(check: &HttpCheck, all: &mut Vec<String>) {
    let ranges = check.status.iter().map(|range| match (range.start(), range.end()) {
        (from, to) if from == to => from.to_string(),
        (from, to) => format!("{from}-{to}"),
    });
    all.push(format!("status {}", ranges.collect::<Vec<_>>().join(", ")));
    all.extend(check.body.as_ref().map(|text| format!("the body contains {}", quoted(text.as_bytes()))));
    all.extend(check.body_regex.as_ref().map(|pattern| format!("the body matches /{}/", quotable(pattern.text()))));
    all.extend(check.json.iter().map(|test| quotable(&test.to_string())));
}
