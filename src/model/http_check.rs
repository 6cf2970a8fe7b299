//! What is asked over HTTP, and what the response must look like. Definition only; asking is the `probe` room's.

use std::ops::RangeInclusive;

use super::json_test::JsonTest;
use super::{HttpOutcomes, Secret, TlsTerms};

/// `http://` or `https://`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain.
    Http,
    /// TLS.
    Https,
}

/// The version of HTTP that is offered to the peer by ALPN (RFC 7301).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.1 and nothing else.
    #[default]
    One,
    /// HTTP/2 and nothing else.
    Two,
    /// Either; the peer chooses.
    Auto,
}

impl HttpVersion {
    /// All of them.
    pub const ALL: [HttpVersion; 3] = [HttpVersion::One, HttpVersion::Two, HttpVersion::Auto];

    /// As in the file.
    pub fn word(self) -> &'static str {
        match self {
            HttpVersion::One => "1.1",
            HttpVersion::Two => "2",
            HttpVersion::Auto => "auto",
        }
    }
}

/// One HTTP request and what its response must look like.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpCheck {
    /// Plain or TLS.
    pub scheme: Scheme,
    /// Of HTTP; [`Scheme::Http`] has 1.1 alone.
    pub version: HttpVersion,
    /// Port to connect to.
    pub port: u16,
    /// `GET` and such; the request never has a body.
    pub method: Method,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// `Host` header; `None`: the address that is probed (with the port unless it is the scheme's own).
    pub host: Option<String>,
    /// Further request headers; they stand instead of ours.
    pub headers: Vec<Header>,
    /// Status codes that pass.
    pub status: Vec<RangeInclusive<u16>>,
    /// Text that the first 64 KiB of the body must contain.
    pub body: Option<String>,
    /// Pattern that the body must match: all of it, or its first 64 KiB.
    pub body_regex: Option<Pattern>,
    /// Comparisons that a JSON body of at most 64 KiB must pass.
    pub json: Vec<JsonTest>,
    /// How TLS is spoken, with [`Scheme::Https`], and where a redirect leads to it.
    pub tls: TlsTerms,
    /// What there is beside pass and fail.
    pub outcomes: Box<HttpOutcomes>,
}

impl HttpCheck {
    /// A GET that any status from 200 to 299 satisfies.
    pub fn get(scheme: Scheme, port: u16, path: impl Into<String>) -> Self {
        Self {
            scheme,
            version: HttpVersion::default(),
            port,
            method: Method::Get,
            path: path.into(),
            host: None,
            headers: vec![],
            status: vec![200..=299],
            body: None,
            body_regex: None,
            json: vec![],
            tls: TlsTerms::default(),
            outcomes: Box::default(),
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// The thing itself.
    #[default]
    Get,
    /// Its headers alone.
    Head,
    /// What can be asked.
    Options,
    /// That something is done, with nothing given.
    Post,
}

impl Method {
    /// All of them.
    pub const ALL: [Method; 4] = [Method::Get, Method::Head, Method::Options, Method::Post];

    /// As in a request.
    pub fn word(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Options => "OPTIONS",
            Method::Post => "POST",
        }
    }
}

/// A request header. The value may be a credential wherever it came from, so it is never shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Its name, as written.
    pub name: String,
    /// Its value.
    pub value: Secret<String>,
    /// The file that the value was read from, as written in the configuration.
    pub file: Option<String>,
}

/// A regular expression; equal when its text is.
#[derive(Clone, Debug)]
pub struct Pattern(regex::bytes::Regex);

/// Octets that a compiled pattern may take: `\w{1000}` and its like are refused.
const PATTERN_OCTETS_MAX: usize = 1 << 20;

impl Pattern {
    /// Compiles it; the error says what is wrong, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        // A body that is not UTF-8 can be matched, too.
        let made = regex::bytes::RegexBuilder::new(text).size_limit(PATTERN_OCTETS_MAX).build();
        made.map(Self).map_err(|why| match why {
            regex::Error::CompiledTooBig(_) => "the pattern is too large".to_string(),
            // The parser draws a picture of several lines; the last one says what is wrong.
            other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_string(),
        })
    }

    /// As written.
    pub fn text(&self) -> &str {
        self.0.as_str()
    }

    /// Linear in the body's length.
    pub fn matches(&self, body: &[u8]) -> bool {
        self.0.is_match(body)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Pattern {}

impl std::hash::Hash for Pattern {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}
