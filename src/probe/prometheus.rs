//! One number from a Prometheus, for the analyses of shifts: its HTTP API, `GET /api/v1/query`, instant vectors and scalars.
//!
//! Never here: what the number means. Whatever is not exactly one number is an error that says what to do.

use std::time::Duration;

use reqwest::{Client, Url, redirect};
use serde::Deserialize;

/// Longest wait for one query, all in all.
const DEADLINE: Duration = Duration::from_secs(5);
/// Longest answer: one series is a few hundred octets.
const BYTES_MAX: usize = 256 * 1024;

#[derive(Deserialize)]
struct Said {
    status: String,
    data: Option<Data>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: serde_json::Value,
}

/// What `query` is now, by the Prometheus at `url`. One sentence if that can't be said.
pub async fn prometheus(url: &str, query: &str) -> Result<f64, String> {
    match tokio::time::timeout(DEADLINE, ask(url, query)).await {
        Ok(found) => found.map_err(|why| format!("{url}: {why}")),
        Err(_) => Err(format!("{url}: no answer within {} s", DEADLINE.as_secs())),
    }
}

async fn ask(url: &str, query: &str) -> Result<f64, String> {
    // Fails if another part of the program was first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut address = Url::parse(url).map_err(|error| error.to_string())?;
    address.path_segments_mut().map_err(|()| "it is no address to ask".to_string())?.pop_if_empty().extend(["api", "v1", "query"]);
    let client = Client::builder().redirect(redirect::Policy::none()).connect_timeout(DEADLINE).no_proxy().build().map_err(|error| causes(&error))?;
    let mut response = client.get(address).query(&[("query", query)]).send().await.map_err(|error| causes(&error))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| causes(&error))? {
        body.extend_from_slice(&chunk);
        if BYTES_MAX < body.len() {
            return Err(format!("the answer is longer than {BYTES_MAX} octets; let the query give one number, such as sum(…)"));
        }
    }
    // Prometheus explains itself with status 400 and 422, too.
    match serde_json::from_slice::<Said>(&body) {
        Ok(said) => number(said),
        Err(_) => Err(format!("it says {status}, and nothing that Prometheus would say")),
    }
}

fn number(said: Said) -> Result<f64, String> {
    let Said { status, data, error } = said;
    let data = data.filter(|_| status == "success").ok_or_else(|| error.unwrap_or_else(|| format!("the query gave `{status}`")))?;
    let sample = match (data.result_type.as_str(), data.result.as_array().map(Vec::as_slice)) {
        ("scalar", Some(_)) => &data.result,
        ("vector", Some([one])) => one.get("value").unwrap_or(&serde_json::Value::Null),
        ("vector", Some([])) => return Err("the query gave nothing; perhaps there is no such series, or no traffic".to_string()),
        ("vector", Some(many)) => return Err(format!("the query gave {} series; let it give one, such as sum(…)", many.len())),
        (other, _) => return Err(format!("the query gave a {other}; it must give one number")),
    };
    let text = sample.get(1).and_then(serde_json::Value::as_str).ok_or("the query gave no number")?;
    text.parse().map_err(|_| format!("the query gave `{text}`, which is no number"))
}

/// An error and what caused it, in one line.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<f64, String> {
        number(serde_json::from_str(text).expect("as Prometheus writes it"))
    }

    #[test]
    fn exactly_one_number_is_a_number() {
        let vector = |result: &str| read(&format!(r#"{{"status":"success","data":{{"resultType":"vector","result":{result}}}}}"#));
        assert_eq!(vector(r#"[{"metric":{},"value":[1700000000.5,"0.0125"]}]"#), Ok(0.0125));
        assert_eq!(read(r#"{"status":"success","data":{"resultType":"scalar","result":[1700000000,"3"]}}"#), Ok(3.0));
        assert!(vector(r#"[{"metric":{},"value":[1,"NaN"]}]"#).is_ok_and(f64::is_nan), "whoever judges it says so");
        assert!(vector("[]").is_err_and(|why| why.contains("gave nothing")));
        assert!(vector(r#"[{"value":[1,"1"]},{"value":[1,"2"]}]"#).is_err_and(|why| why.contains("2 series")));
        assert!(vector(r#"[{"metric":{}}]"#).is_err());
        assert!(read(r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#).is_err_and(|why| why.contains("matrix")));
        assert_eq!(read(r#"{"status":"error","errorType":"bad_data","error":"parse error at char 3"}"#), Err("parse error at char 3".to_string()));
    }

    #[tokio::test]
    async fn nobody_there_is_told_with_the_address() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let why = prometheus(&format!("http://{free}"), "up").await.unwrap_err();
        assert!(why.starts_with(&format!("http://{free}: ")) && why.contains("refused"), "{why}");
    }
}
