//! What a response tells beside its answer: when to come back, its endpoint's weight or load, how fresh its data is, and how much is asked of it.
//!
//! Never here: what follows from it. Nonsense is told from numbers; bounds, thresholds and rules are `health`'s and `policy`'s.

use std::time::{Duration, SystemTime};

use hyper::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use crate::health::{DataAt, LoadRead, Reported};
use crate::model::{Load, ReportPlace, ReportRule, Timestamp};

use super::fail::quotable;
use super::json;

/// Nobody is believed to be busy for longer.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(86_400);

/// `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3), a day at most; `None`: there is none, or it makes no sense.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.bytes().all(|octet| octet.is_ascii_digit()) && !text.is_empty() {
        // Too many digits are too many seconds.
        true => text.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs),
        false => httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// What stands in the header of the rule; `None`: the rule looks elsewhere.
pub fn in_headers(rule: &ReportRule, headers: &HeaderMap) -> Option<Reported> {
    let ReportPlace::Header(name) = &rule.place else { return None };
    let mut values = headers.get_all(name).iter();
    Some(match (values.next(), values.next()) {
        (None, _) => useless(rule, "is not there".to_string()),
        (Some(_), Some(_)) => useless(rule, "is there twice".to_string()),
        (Some(value), None) => {
            let text = String::from_utf8_lossy(value.as_bytes());
            match text.trim().parse() {
                Ok(number) => judged(rule, number, &text),
                Err(_) => useless(rule, format!("is not a number: \"{}\"", quotable(&text))),
            }
        }
    })
}

/// What stands in the body at the place of the rule; `None`: the rule looks elsewhere. `cut`: there was more of the body.
pub fn in_body(rule: &ReportRule, body: &[u8], cut: bool) -> Option<Reported> {
    let ReportPlace::Json(path) = &rule.place else { return None };
    if cut {
        return Some(useless(rule, "is not looked for, because the body is longer than 64 KiB".to_string()));
    }
    let Ok(document) = serde_json::from_slice::<Value>(body) else { return Some(useless(rule, "is not there: the body is not JSON".to_string())) };
    Some(match json::find(&document, path.steps()) {
        None => useless(rule, "is not there".to_string()),
        Some(found) => match found.as_f64() {
            Some(number) => judged(rule, number, &found.to_string()),
            None => useless(rule, format!("is not a number: {}", quotable(&found.to_string()))),
        },
    })
}

/// The time of the data in a header; `None`: it stands elsewhere.
pub fn data_in_headers(place: &ReportPlace, headers: &HeaderMap) -> Option<DataAt> {
    let ReportPlace::Header(name) = place else { return None };
    let mut values = headers.get_all(name).iter();
    Some(match (values.next(), values.next()) {
        (None, _) => no_time(place, "is not there".to_string()),
        (Some(_), Some(_)) => no_time(place, "is there twice".to_string()),
        (Some(value), None) => time(place, &String::from_utf8_lossy(value.as_bytes())),
    })
}

/// The time of the data in a body; `None`: it stands elsewhere. `cut`: there was more of the body.
pub fn data_in_body(place: &ReportPlace, body: &[u8], cut: bool) -> Option<DataAt> {
    let ReportPlace::Json(path) = place else { return None };
    if cut {
        return Some(no_time(place, "is not looked for, because the body is longer than 64 KiB".to_string()));
    }
    let Ok(document) = serde_json::from_slice::<Value>(body) else { return Some(no_time(place, "is not there: the body is not JSON".to_string())) };
    Some(match json::find(&document, path.steps()) {
        None | Some(Value::Null) => no_time(place, "is not there".to_string()),
        Some(Value::String(text)) => time(place, text),
        Some(found) => time(place, &found.to_string()),
    })
}

/// RFC 3339, the date of HTTP, or seconds since 1970.
fn time(place: &ReportPlace, text: &str) -> DataAt {
    let text = text.trim();
    let seconds = || text.parse().ok().filter(|seconds: &f64| (0.0..4e9).contains(seconds)).map(|seconds| (seconds * 1000.0) as i64);
    let millis = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_millis()).ok());
    let http = || httpdate::parse_http_date(text).ok().and_then(millis);
    match seconds().or_else(|| Timestamp::parse(text).map(|at| at.0)).or_else(http) {
        Some(millis) => DataAt::Told(Timestamp(millis)),
        None => no_time(place, format!("is no time: \"{}\"", quotable(text))),
    }
}

fn no_time(place: &ReportPlace, why: String) -> DataAt {
    DataAt::Useless(format!("time of the data as told by {} {why}", quotable(&place.to_string())))
}

/// How much is asked of the endpoint, in a header; `None`: it stands elsewhere.
pub fn load_in_headers(place: &ReportPlace, headers: &HeaderMap) -> Option<LoadRead> {
    let ReportPlace::Header(name) = place else { return None };
    let mut values = headers.get_all(name).iter();
    Some(match (values.next(), values.next()) {
        (None, _) => no_load(place, "is not there".to_string()),
        (Some(_), Some(_)) => no_load(place, "is there twice".to_string()),
        (Some(value), None) => load(place, &String::from_utf8_lossy(value.as_bytes())),
    })
}

/// The same in a body; `None`: it stands elsewhere. `cut`: there was more of the body.
pub fn load_in_body(place: &ReportPlace, body: &[u8], cut: bool) -> Option<LoadRead> {
    let ReportPlace::Json(path) = place else { return None };
    if cut {
        return Some(no_load(place, "is not looked for, because the body is longer than 64 KiB".to_string()));
    }
    let Ok(document) = serde_json::from_slice::<Value>(body) else { return Some(no_load(place, "is not there: the body is not JSON".to_string())) };
    Some(match json::find(&document, path.steps()) {
        None | Some(Value::Null) => no_load(place, "is not there".to_string()),
        Some(found) => load(place, &found.to_string()),
    })
}

/// A number that makes sense.
fn load(place: &ReportPlace, text: &str) -> LoadRead {
    match text.trim().parse().ok().and_then(Load::new) {
        Some(load) => LoadRead::Told(load),
        None => no_load(place, format!("is no load from 0 to 1000000000: {}", quotable(text.trim()))),
    }
}

fn no_load(place: &ReportPlace, why: String) -> LoadRead {
    LoadRead::Useless(format!("load as told by {} {why}", quotable(&place.to_string())))
}

fn judged(rule: &ReportRule, number: f64, text: &str) -> Reported {
    match rule.nonsense(number) {
        Some(why) => useless(rule, format!("{why}: {}", quotable(text.trim()))),
        None => Reported::Number(number),
    }
}

fn useless(rule: &ReportRule, why: String) -> Reported {
    Reported::Useless(format!("{} as told by {} {why}", rule.kind.word(), quotable(&rule.place.to_string())))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;
    use crate::model::{JsonPath, ReportKind, Weight};

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn rule(place: ReportPlace, kind: ReportKind) -> ReportRule {
        ReportRule { place, kind, min: Weight::LEAST, max: Weight::GREATEST }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_a_day_at_most() {
        // 1994-11-06T08:49:37Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 30);
        for (text, seconds) in [
            ("30", Some(30)),
            (" 0 ", Some(0)),
            ("86401", Some(86_400)),
            ("99999999999999999999999", Some(86_400)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(30)),
            ("Sat, 05 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sat, 06 Nov 2094 08:49:37 GMT", Some(86_400)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(&headers("retry-after", &[text]), now), seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_header_tells_a_number_or_why_it_does_not() {
        let weight = rule(ReportPlace::Header("X-Load-Weight".to_string()), ReportKind::Weight);
        let told = |values: &[&str]| in_headers(&weight, &headers("x-load-weight", values)).unwrap();
        let useless = |why: &str| Reported::Useless(format!("weight as told by header X-Load-Weight {why}"));
        assert_eq!(told(&["12"]), Reported::Number(12.0));
        assert_eq!(told(&[" 0.5 "]), Reported::Number(0.5));
        assert_eq!(told(&[]), useless("is not there"));
        assert_eq!(told(&["1", "2"]), useless("is there twice"));
        assert_eq!(told(&["much"]), useless("is not a number: \"much\""));
        assert_eq!(told(&["-3"]), useless("is no weight: it is less than 0: -3"));
        assert_eq!(told(&["NaN"]), useless("is not a number: NaN"));
        assert_eq!(told(&["1e999"]), useless("is not a number: 1e999"));
        assert_eq!(in_body(&weight, b"{}", false), None);
    }

    #[test]
    fn a_body_tells_a_number_or_why_it_does_not() {
        let load = rule(ReportPlace::Json(JsonPath::parse("$.cpu[0].load").unwrap()), ReportKind::Load);
        let told = |body: &str| in_body(&load, body.as_bytes(), false).unwrap();
        let useless = |why: &str| Reported::Useless(format!("load as told by $.cpu[0].load {why}"));
        assert_eq!(told(r#"{"cpu": [{"load": 0.35}]}"#), Reported::Number(0.35));
        assert_eq!(told(r#"{"cpu": [{"load": 1.35}]}"#), useless("is no load: it is not from 0 to 1: 1.35"));
        assert_eq!(told(r#"{"cpu": [{"load": "0.5"}]}"#), useless("is not a number: \"0.5\""));
        assert_eq!(told(r#"{"cpu": []}"#), useless("is not there"));
        assert_eq!(told("<html>"), useless("is not there: the body is not JSON"));
        assert_eq!(in_body(&load, b"{}", true), Some(useless("is not looked for, because the body is longer than 64 KiB")));
        assert_eq!(in_headers(&load, &HeaderMap::new()), None);
    }

    #[test]
    fn a_load_is_a_number_in_any_unit() {
        let header = ReportPlace::Header("X-Load".to_string());
        let told = |values: &[&str]| load_in_headers(&header, &headers("x-load", values)).unwrap();
        let so_much = |load: f64| LoadRead::Told(Load::new(load).unwrap());
        let useless = |why: &str| LoadRead::Useless(format!("load as told by header X-Load {why}"));
        assert_eq!((told(&["85.2"]), told(&[" 0 "]), told(&["1e4"])), (so_much(85.2), so_much(0.0), so_much(10_000.0)));
        assert_eq!((told(&[]), told(&["1", "2"])), (useless("is not there"), useless("is there twice")));
        for text in ["much", "-1", "NaN", "1e99", ""] {
            assert_eq!(told(&[text]), useless(&format!("is no load from 0 to 1000000000: {text}")), "{text}");
        }
        let body = ReportPlace::Json(JsonPath::parse("$.cpu.percent").unwrap());
        let told = |text: &str| load_in_body(&body, text.as_bytes(), false).unwrap();
        assert_eq!(told(r#"{"cpu": {"percent": 85.2}}"#), so_much(85.2));
        for (text, why) in [
            (r#"{"cpu": {"percent": null}}"#, "is not there"),
            (r#"{"cpu": {"percent": "85"}}"#, "is no load from 0 to 1000000000: \"85\""),
            ("<html>", "is not there: the body is not JSON"),
        ] {
            assert_eq!(told(text), LoadRead::Useless(format!("load as told by $.cpu.percent {why}")), "{text}");
        }
        assert!(matches!(load_in_body(&body, b"{}", true), Some(LoadRead::Useless(_))));
        assert_eq!((load_in_body(&header, b"{}", false), load_in_headers(&body, &HeaderMap::new())), (None, None));
    }

    #[test]
    fn the_time_of_the_data_is_rfc_3339_a_date_of_http_or_seconds() {
        let header = ReportPlace::Header("X-Data-At".to_string());
        let told = |values: &[&str]| data_in_headers(&header, &headers("x-data-at", values)).unwrap();
        let at = DataAt::Told(Timestamp(784_111_777_000));
        for text in
            ["1994-11-06T08:49:37Z", "1994-11-06T09:49:37+01:00", "1994-11-06T08:49:37.000Z", "Sun, 06 Nov 1994 08:49:37 GMT", " 784111777 ", "784111777.0"]
        {
            assert_eq!(told(&[text]), at, "{text}");
        }
        let useless = |why: &str| DataAt::Useless(format!("time of the data as told by header X-Data-At {why}"));
        assert_eq!(told(&[]), useless("is not there"));
        assert_eq!(told(&["1", "2"]), useless("is there twice"));
        for text in ["yesterday", "-1", "NaN", "1e99", "1994-11-06"] {
            assert_eq!(told(&[text]), useless(&format!("is no time: \"{text}\"")), "{text}");
        }
        let body = ReportPlace::Json(JsonPath::parse("$.data.at").unwrap());
        let told = |body_text: &str| data_in_body(&body, body_text.as_bytes(), false).unwrap();
        assert_eq!(told(r#"{"data": {"at": "1994-11-06T08:49:37Z"}}"#), at);
        assert_eq!(told(r#"{"data": {"at": 784111777}}"#), at);
        assert!(matches!(told(r#"{"data": {"at": null}}"#), DataAt::Useless(why) if why.ends_with("is not there")));
        assert!(matches!(data_in_body(&body, b"{}", true), Some(DataAt::Useless(_))));
        assert_eq!(data_in_body(&header, b"{}", false), None);
    }
}
