//! Writes GeoIP databases (MaxMind DB format 2.0), for tests: what a few networks say, as City, Country and ASN files say it.

#![allow(dead_code, reason = "tests of more than one crate use it, each its part")]

use std::net::IpAddr;

/// What stands in a record.
#[derive(Clone, Debug)]
pub enum Value {
    Text(String),
    Number(u32),
    Degrees(f64),
    Map(Vec<(&'static str, Value)>),
    List(Vec<Value>),
}

/// `{ "iso_code": "DE" }`, the continent beside it, as GeoLite2-Country has it.
pub fn country(continent: &str, iso_code: &str) -> Value {
    let coded = |key, code: &str| Value::Map(vec![(key, Value::Text(code.to_string()))]);
    Value::Map(vec![("continent", coded("code", continent)), ("country", coded("iso_code", iso_code))])
}

/// A city of a country and a part of it, as GeoLite2-City has it.
pub fn city(continent: &str, iso_code: &str, part: &str, latitude: f64, longitude: f64) -> Value {
    let Value::Map(mut record) = country(continent, iso_code) else { return Value::Map(Vec::new()) };
    let place = Value::Map(vec![("latitude", Value::Degrees(latitude)), ("longitude", Value::Degrees(longitude))]);
    let part = Value::List(vec![Value::Map(vec![("iso_code", Value::Text(part.to_string()))])]);
    record.extend([("location", place), ("subdivisions", part)]);
    Value::Map(record)
}

/// As GeoLite2-ASN has it.
pub fn asn(number: u32) -> Value {
    Value::Map(vec![("autonomous_system_number", Value::Number(number)), ("autonomous_system_organization", Value::Text("An Example".to_string()))])
}

#[derive(Clone, Copy, PartialEq)]
enum Branch {
    Nothing,
    Node(usize),
    Data(usize),
}

/// A database of networks, the wider ones first.
pub fn write(kind: &str, built: u64, networks: &[(&str, Value)]) -> Vec<u8> {
    let mut nodes = vec![[Branch::Nothing; 2]];
    let mut data = Vec::new();
    for (prefix, value) in networks {
        let (address, length) = prefix.split_once('/').expect("address/length");
        let length: u32 = length.parse().expect("a length");
        let (bits, length) = match address.parse().expect("an address") {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 96 + length),
            IpAddr::V6(address) => (u128::from(address), length),
        };
        let offset = data.len();
        put(&mut data, value);
        let mut at = 0;
        for bit in 0..length {
            let side = (bits >> (127 - bit) & 1) as usize;
            if bit + 1 == length {
                nodes[at][side] = Branch::Data(offset);
                break;
            }
            at = match nodes[at][side] {
                Branch::Node(next) => next,
                // What a wider network says goes on to hold beside the narrower one.
                before => {
                    nodes.push([before; 2]);
                    nodes[at][side] = Branch::Node(nodes.len() - 1);
                    nodes.len() - 1
                }
            };
        }
    }
    let count = nodes.len() as u32;
    let mut file = Vec::new();
    for branch in nodes.iter().flatten() {
        let record = match branch {
            Branch::Nothing => count,
            Branch::Node(number) => *number as u32,
            Branch::Data(offset) => count + 16 + *offset as u32,
        };
        file.extend(record.to_be_bytes());
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    head(&mut file, 7, 9);
    let mut entry = |key: &str, write: &mut dyn FnMut(&mut Vec<u8>)| {
        put(&mut file, &Value::Text(key.to_string()));
        write(&mut file);
    };
    entry("binary_format_major_version", &mut |file| number(file, 5, 2));
    entry("binary_format_minor_version", &mut |file| number(file, 5, 0));
    entry("build_epoch", &mut |file| number(file, 9, built));
    entry("database_type", &mut |file| put(file, &Value::Text(kind.to_string())));
    entry("description", &mut |file| head(file, 7, 0));
    entry("ip_version", &mut |file| number(file, 5, 6));
    entry("languages", &mut |file| head(file, 11, 0));
    entry("node_count", &mut |file| number(file, 6, count.into()));
    entry("record_size", &mut |file| number(file, 5, 32));
    file
}

fn put(data: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Text(text) => {
            head(data, 2, text.len());
            data.extend(text.as_bytes());
        }
        Value::Degrees(degrees) => {
            head(data, 3, 8);
            data.extend(degrees.to_be_bytes());
        }
        Value::Number(value) => number(data, 6, u64::from(*value)),
        Value::Map(entries) => {
            head(data, 7, entries.len());
            for (key, value) in entries {
                put(data, &Value::Text((*key).to_string()));
                put(data, value);
            }
        }
        Value::List(items) => {
            head(data, 11, items.len());
            items.iter().for_each(|item| put(data, item));
        }
    }
}

fn number(data: &mut Vec<u8>, kind: u8, number: u64) {
    let octets: Vec<u8> = number.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
    head(data, kind, octets.len());
    data.extend(octets);
}

/// Type and size; none of ours is longer than 284.
fn head(data: &mut Vec<u8>, kind: u8, size: usize) {
    let (short, long) = if size < 29 { (size as u8, None) } else { (29, Some((size - 29) as u8)) };
    if kind < 8 {
        data.push(kind << 5 | short);
    } else {
        data.extend([short, kind - 7]);
    }
    data.extend(long);
}
