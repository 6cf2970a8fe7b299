//! Strict checks of the answer engine from outside: octets in, octets out, against the real binary.
//!
//! Every response is read by `raw`, which keeps the rules that hold for all of them (header, question, OPT, sizes, whole and equal
//! record sets, SOA, AA). The tables here say what else is true of each. A row's name is the sentence that it proves.

mod data;
mod edns;
mod edns_options;
mod header;
mod limits;
mod malformed;
mod zones;

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::node::TestNode;
use super::raw::{Query, Response, Stream, Udp, check};

/// A sentence, and what proves it.
type Check = (&'static str, fn(&Lab));
/// A sentence, a question as text, the response as text.
type Row = (&'static str, &'static str, &'static str);

/// The server under test.
struct Lab {
    node: TestNode,
}

impl Lab {
    /// With all zones and services of `zones`.
    fn new() -> Self {
        let node = TestNode::prepare(&zones::config());
        for (file, text) in zones::files() {
            std::fs::write(node.path(file), text).expect("writable");
        }
        let mut lab = Self { node };
        lab.node.launch();
        lab
    }

    /// Over UDP; every rule for all responses is kept.
    fn ask(&self, query: &Query) -> Response {
        self.ask_octets(&query.octets())
    }

    fn ask_octets(&self, octets: &[u8]) -> Response {
        let response = Udp::ask(self.node.dns, octets).unwrap_or_else(|| panic!("no response to {}", hex(octets)));
        strict(octets, &response, false)
    }

    /// Over TCP.
    fn ask_tcp(&self, query: &Query) -> Response {
        let octets = query.octets();
        let response = Stream::ask(self.node.dns, &octets).unwrap_or_else(|| panic!("no response to {}", hex(&octets)));
        strict(&octets, &response, true)
    }

    /// `"www.example.test. A"`, in a plain query.
    fn text(&self, question: &str) -> String {
        self.ask(&Query::of(question)).text()
    }

    fn rcode(&self, query: &Query) -> u16 {
        self.ask(query).rcode()
    }

    /// No response comes. Datagrams of one socket are answered in their order, so the answer to the next one says that there was none.
    fn is_silent(&self, octets: &[u8]) {
        let next = Query::of("host.conf.test. A").id(0xfeed).octets();
        let socket = Udp::to(self.node.dns);
        socket.send(octets);
        socket.send(&next);
        let response = socket.next().expect("the next query's response");
        assert_eq!(response[..2], [0xfe, 0xed], "a response to {}: {}", hex(octets), hex(&response));
        strict(&next, &response, false);
    }

    /// FORMERR of at most 512 octets, or silence.
    fn is_format_error(&self, octets: &[u8]) {
        let response = self.ask_octets(octets);
        assert_eq!(response.rcode(), 1, "{} gave {}", hex(octets), response.text());
        assert!(response.octets.len() <= 512);
    }
}

fn strict(query: &[u8], response: &[u8], tcp: bool) -> Response {
    check(query, response, tcp).unwrap_or_else(|why| panic!("{why}\n  query    {}\n  response {}", hex(query), hex(response)))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// All rows and all checks of a subject, each told by its sentence; fails if one fails.
fn prove(rows: &[Row], checks: &[Check]) {
    let lab = Lab::new();
    let mut failures = Vec::new();
    for (sentence, question, expected) in rows {
        let found = catch_unwind(AssertUnwindSafe(|| lab.text(question))).unwrap_or_else(|panic| said(panic.as_ref()));
        if found != *expected {
            failures.push(format!("{sentence}\n  asked    {question}\n  expected {}\n  found    {}", indent(expected), indent(&found)));
        }
    }
    for (sentence, check) in checks {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&lab))) {
            failures.push(format!("{sentence}\n  {}", indent(&said(panic.as_ref()))));
        }
    }
    let all = rows.len() + checks.len();
    println!("measured: {} of {all} checks hold", all - failures.len());
    assert!(failures.is_empty(), "{} of {all} fail:\n\n{}", failures.len(), failures.join("\n\n"));
    assert_eq!(lab.text("host.conf.test. A"), "NOERROR aa\nAN host.conf.test. 3600 A 192.0.2.1", "alive afterwards");
}

fn indent(text: &str) -> String {
    text.replace('\n', "\n           ")
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_string()
}
