//! Comparisons in a JSON body. The grammar is the model's ([`JsonTest`]); here a document is walked.

use std::cmp::Ordering;

use serde_json::Value;

use crate::health::Reason;
use crate::model::{JsonTest, Step};

use super::fail::{Failure, quotable, quoted};

/// Whether every comparison passes.
pub fn judge(tests: &[JsonTest], body: &[u8]) -> Result<(), Failure> {
    // The parser refuses what is nested deeper than 128, so a bomb of brackets does no harm.
    let document: Value = serde_json::from_slice(body)
        .map_err(|why| Failure::new(Reason::Body, format!("expected a JSON body, got {} ({})", quoted(body), quotable(&why.to_string()))))?;
    for test in tests {
        let failed = |got: String| Err(Failure::new(Reason::Body, format!("expected {} in the body, got {got}", quotable(&test.to_string()))));
        match find(&document, test.path()) {
            None => return failed("nothing at that place".to_string()),
            Some(found) if !passes(test, found) => return failed(quotable(&found.to_string())),
            Some(_) => {}
        }
    }
    Ok(())
}

/// What stands at a place.
pub fn find<'v>(document: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(document, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })
}

fn passes(test: &JsonTest, found: &Value) -> bool {
    let Ok(expected) = serde_json::from_str::<Value>(test.value()) else { return false };
    test.op().passes(compare(found, &expected))
}

/// Numbers as numbers, texts by their characters' code points; `None`: they can't be compared.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64(), a.as_u64(), b.as_u64()) {
            (Some(a), Some(b), _, _) => Some(a.cmp(&b)),
            (_, _, Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(test: &str, body: &str) -> Result<(), String> {
        judge(&[JsonTest::parse(test).unwrap()], body.as_bytes()).map_err(|failure| failure.message)
    }

    #[test]
    fn values_are_compared_as_what_they_are() {
        let body = r#"{"lag": 30, "load": 0.5, "status": "ok", "up": true, "none": null, "nodes": [{"n": 18446744073709551615}], "t": "30"}"#;
        for (test, passes) in [
            ("$.lag <= 30", true),
            ("$.lag <= 30.0", true),
            ("$.lag < 30", false),
            ("$.lag >= 30.5", false),
            ("$.lag != 31", true),
            ("$.load > 0", true),
            ("$.status == \"ok\"", true),
            ("$.status != \"ok\"", false),
            ("$.up == true", true),
            ("$.none == null", true),
            ("$.nodes[0].n == 18446744073709551615", true),
            ("$.nodes[0].n > 18446744073709551614", true),
            // A text is no number, whatever it looks like.
            ("$.t <= 30", false),
            ("$.t >= 30", false),
            ("$.t != 30", true),
            ("$.nodes == 1", false),
        ] {
            assert_eq!(judged(test, body).is_ok(), passes, "{test}");
        }
    }

    #[test]
    fn sentences_say_what_was_expected_and_what_came() {
        assert_eq!(judged("$.lag <= 30", r#"{"lag": 95}"#).unwrap_err(), "expected $.lag <= 30 in the body, got 95");
        assert_eq!(judged("$.a[1] == 1", r#"{"a": [1]}"#).unwrap_err(), "expected $.a[1] == 1 in the body, got nothing at that place");
        assert_eq!(judged("$.a != 1", "{}").unwrap_err(), "expected $.a != 1 in the body, got nothing at that place", "absence passes nothing");
        let html = judged("$ == 1", "<html>").unwrap_err();
        assert!(html.starts_with("expected a JSON body, got \"<html>\" (expected value at line 1"), "{html}");
        assert!(judged("$ == 1", &"[".repeat(60_000)).unwrap_err().contains("recursion limit"));
    }
}
