//! ETags of traffic, and `If-Match` (RFC 9110, section 13.1.1).
//!
//! `"42"`: an operator's policy serves, set at revision 42. `"42-9f3c…"`: the file's serves; revision and hash of its policy (SEMANTICS, 15).
//! Overrides and everything else: the revision alone.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::control::{Revision, ServiceView, Source};

use super::api::{Fault, ProblemKind};
use super::problem::Refused;

/// The ETag of a service's traffic.
pub(super) fn of_traffic(view: &ServiceView<'_>) -> HeaderValue {
    match view.source {
        Source::Operator => of_revision(view.revision),
        Source::File => quoted(&format!("{}-{:016x}", view.revision.0, view.file_hash)),
    }
}

/// The ETag of anything that has only a revision.
pub(super) fn of_revision(revision: Revision) -> HeaderValue {
    quoted(&revision.0.to_string())
}

fn quoted(text: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{text}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// What `If-Match` asks for, as [`Wish`](super::door::Wish) takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct IfMatch {
    pub expect: Option<Revision>,
    pub expect_file: Option<u64>,
}

/// `If-Match`, if it is there. `*` matches whatever is.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<IfMatch>, Refused> {
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    match (text, values.next()) {
        ("*", None) => Ok(Some(IfMatch::default())),
        (one, None) if !one.contains(',') => Ok(Some(parse(one).unwrap_or(NEVER))),
        _ => {
            let hint = "send the one ETag that you saw, or *".to_string();
            Err(Refused::invalid(vec![Fault { code: "if-match".into(), message: "If-Match may name one ETag here".into(), hint, ..Fault::default() }]))
        }
    }
}

/// `If-Match`, which must be there.
pub(super) fn required_if_match(headers: &HeaderMap) -> Result<IfMatch, Refused> {
    if_match(headers)?.ok_or_else(|| {
        let detail = "If-Match is required here, so that nobody's change is overwritten unseen; nothing was changed";
        let mut refused = Refused::new(ProblemKind::IfMatchRequired, detail);
        let hint = "GET the same path and send its ETag as If-Match, or send If-Match: * to overwrite whatever is there".to_string();
        refused.problem.errors.push(Fault { code: "if-match".into(), message: "the header If-Match is missing".into(), hint, ..Fault::default() });
        refused
    })
}

/// An ETag that is none of ours (a weak one, too: If-Match compares strongly) matches nothing: 412, not 400.
const NEVER: IfMatch = IfMatch { expect: Some(Revision(u64::MAX)), expect_file: None };

fn parse(text: &str) -> Option<IfMatch> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    // What it looks like is nobody's change: `looks.rs`.
    let inner = inner.split_once(super::looks::LOOKS).map_or(inner, |(set, _)| set);
    let number = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    match inner.split_once('-') {
        None => Some(IfMatch { expect: Some(Revision(number(inner)?)), expect_file: None }),
        Some((revision, hash)) => {
            let hash = u64::from_str_radix(hash, 16).ok().filter(|_| hash.len() == 16 && !hash.starts_with('+'))?;
            Some(IfMatch { expect: Some(Revision(number(revision)?)), expect_file: Some(hash) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (header::IF_MATCH, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn if_match_reads_back_what_etag_says() {
        let table = [
            ("\"42\"", Some(42), None),
            ("\"0-00000000000000ff\"", Some(0), Some(255)),
            ("*", None, None),
            ("\"42~00ff00ff00ff00ff\"", Some(42), None),
            ("\"0-00000000000000ff~00ff00ff00ff00ff\"", Some(0), Some(255)),
            ("\"~00ff00ff00ff00ff\"", Some(u64::MAX), None),
            ("W/\"42\"", Some(u64::MAX), None),
            ("42", Some(u64::MAX), None),
            ("\"42-ff\"", Some(u64::MAX), None),
            ("\"+42\"", Some(u64::MAX), None),
            ("\"\"", Some(u64::MAX), None),
        ];
        for (text, revision, expect_file) in table {
            let found = if_match(&headers(&[text])).unwrap().unwrap();
            assert_eq!(found, IfMatch { expect: revision.map(Revision), expect_file }, "{text}");
        }
        let etag = of_revision(Revision(7));
        assert_eq!(if_match(&[(header::IF_MATCH, etag)].into_iter().collect()).unwrap().unwrap().expect, Some(Revision(7)));
    }

    #[test]
    fn a_list_is_refused_and_absence_is_told_apart() {
        assert_eq!(if_match(&headers(&["\"1\", \"2\""])).unwrap_err().problem.status, 400);
        assert_eq!(if_match(&headers(&["\"1\"", "\"2\""])).unwrap_err().problem.status, 400);
        assert_eq!(if_match(&headers(&[])).unwrap(), None);
        let missing = required_if_match(&headers(&[])).unwrap_err();
        assert_eq!(missing.problem.status, 428);
        assert!(missing.problem.errors[0].hint.contains("ETag"));
    }
}
