//! `dns = "name TYPE"`: the question, and what must come back.

use std::str::FromStr;

use hickory_proto::rr::RecordType;

use crate::config::file::Monitor as Table;
use crate::config::problem::Sink;
use crate::config::read::At;
use crate::model::{DnsCheck, Family};
use crate::wire::{Name, Rcode};

/// Types that ask for something else than records (RFC 6895 §3.1), or for a whole zone.
const NO_RECORDS: [&str; 6] = ["AXFR", "IXFR", "OPT", "TSIG", "ZERO", "ANY"];

pub(super) fn dns(table: &Table, path: &str, sink: &mut Sink<'_>) -> DnsCheck {
    let Table { dns, port, rcode, address, .. } = table;
    let (name, record_type) = match dns.get() {
        Some(found) => question(found).unwrap_or_else(|why| {
            let help = "write it like dns = \"www.example.com A\"; the type is A if none is written";
            sink.problem(&found.span, format_args!("{path}.dns"), why, help);
            (Name::root(), RecordType::A)
        }),
        None => (Name::root(), RecordType::A),
    };
    let rcode = rcode.get().map_or(Rcode::NoError, |found| {
        let known = Rcode::ALL.into_iter().find(|rcode| rcode.word() == found.value.to_ascii_uppercase());
        known.unwrap_or_else(|| {
            let words = Rcode::ALL.map(Rcode::word);
            let help = sink.suggestion(&found.value.to_ascii_uppercase(), words.into_iter(), format!("there are {}", words.join(", ")));
            sink.problem(&found.span, format_args!("{path}.rcode"), format!("`{}` is not a response code", found.value), help);
            Rcode::NoError
        })
    });
    if let Some(found) = address.get() {
        let fits = match Family::of(found.value) {
            Family::V4 => record_type == RecordType::A,
            Family::V6 => record_type == RecordType::AAAA,
        };
        if !fits {
            let message = format!("`{}` can't be an answer to a question for {record_type}", found.value);
            sink.problem(&found.span, format_args!("{path}.address"), message, "A records hold IPv4 addresses, AAAA records IPv6 addresses");
        } else if rcode != Rcode::NoError {
            let message = format!("a response with {} has no addresses", rcode.word());
            sink.problem(&found.span, format_args!("{path}.address"), message, "remove `address` or `rcode`");
        }
    }
    DnsCheck {
        port: super::port(port, 53, format_args!("{path}.port"), sink),
        name,
        record_type: (record_type.into(), record_type.to_string()),
        rcode,
        address: address.get().map(|found| found.value),
    }
}

fn question(found: &At<String>) -> Result<(Name, RecordType), String> {
    let mut words = found.value.split_whitespace();
    let (Some(name), record_type, None) = (words.next(), words.next().unwrap_or("A"), words.next()) else {
        return Err("expected a name and a type".to_string());
    };
    let parsed = Name::parse(name).map_err(|why| format!("`{name}` {why}"))?;
    let known = RecordType::from_str(&record_type.to_ascii_uppercase()).ok().filter(|known| !NO_RECORDS.contains(&known.to_string().as_str()));
    Ok((parsed, known.ok_or_else(|| format!("`{record_type}` is not a type of records such as A, AAAA or SOA"))?))
}
