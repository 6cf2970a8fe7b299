//! GeoIP databases (`.mmdb`): where clients are, as MaxMind and others say it.
//!
//! A file is read whole and looked at from end to end before anything of it counts: one that is broken anywhere says nothing. What policies ask of it
//! becomes prefixes ([`Origins`]), from which [`Clients`](crate::client::Clients) are made; queries never look into the file.
//!
//! Understood are GeoIP2 and GeoLite2 (City, Country, ASN and what contains them), and files that give flat codes (`country_code`, `continent_code`).
//! Never here: when a file is looked at again (`app`), and who is meant by a condition (`client`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use maxminddb::{Reader, WithinOptions};
use serde::Deserialize;

use crate::client::{Attributes, Origin, Origins, Questions};
use crate::model::{Place, Timestamp};

/// Networks of one database. GeoLite2 City has some five million.
const NETWORKS_MAX: usize = 16_000_000;

/// A database that was found sound.
pub struct Mmdb {
    reader: Reader<Vec<u8>>,
    /// `GeoLite2-Country`
    pub kind: String,
    /// When it was made.
    pub built: Timestamp,
    /// How many networks it knows.
    pub networks: usize,
    /// What it says of some of them.
    pub says: Attributes,
}

impl std::fmt::Debug for Mmdb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { reader: _, kind, built, networks, says } = self;
        f.debug_struct("Mmdb").field("kind", kind).field("built", built).field("networks", networks).field("says", says).finish_non_exhaustive()
    }
}

/// A database of `[geo]`, and what came of reading it.
#[derive(Clone, Debug)]
pub struct Database {
    /// Where it lies.
    pub path: PathBuf,
    /// What the file was like when it was read; `None`: there was none.
    pub stamp: Option<Stamp>,
    /// `Err`: what is wrong with it, one sentence.
    pub read: Result<std::sync::Arc<Mmdb>, String>,
}

/// Tells a file from the one that replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    modified: std::time::SystemTime,
    octets: u64,
    inode: u64,
}

impl Stamp {
    /// Of the file that lies there now.
    pub fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(path).ok()?;
        Some(Self { modified: found.modified().ok()?, octets: found.len(), inode: found.ino() })
    }
}

impl Database {
    /// Reads the file, however long that takes: a second for a million networks.
    pub fn read(path: &Path) -> Self {
        // Before it is read: what is written meanwhile will differ from it.
        let stamp = Stamp::of(path);
        let octets = std::fs::read(path).map_err(|why| format!("can't be read: {why}"));
        Self { path: path.to_path_buf(), stamp, read: octets.and_then(Mmdb::of_octets).map(std::sync::Arc::new) }
    }
}

impl Mmdb {
    /// Looks at all of it.
    pub fn of_octets(octets: Vec<u8>) -> Result<Self, String> {
        let reader = Reader::from_source(octets).map_err(|why| format!("is no database: {why}"))?;
        let metadata = reader.metadata();
        let built = Timestamp(i64::try_from(metadata.build_epoch).ok().and_then(|seconds| seconds.checked_mul(1000)).unwrap_or(0));
        let mut all = Self { kind: metadata.database_type.chars().take(64).collect(), built, networks: 0, says: Attributes::default(), reader };
        let mut says = Attributes::default();
        let mut networks = 0;
        all.walk(|_, origin| {
            networks += 1;
            if let Some(Origin { continent, country, subdivision, asn, place }) = origin {
                says.continent |= continent.is_some();
                says.country |= country.is_some();
                says.subdivision |= subdivision.is_some();
                says.asn |= asn.is_some();
                says.place |= place.is_some();
            }
        })?;
        (all.networks, all.says) = (networks, says);
        Ok(all)
    }

    /// What it says that somebody asks, added to `all`.
    pub fn origins(&self, questions: &Questions, all: &mut Origins) -> Result<(), String> {
        // Nearly all networks are told apart by nothing that anybody asks.
        let mut known: HashMap<Origin, u32> = all.origins.iter().cloned().zip(0..).collect();
        let Origins { origins, prefixes, measured: _ } = all;
        let (mut last, mut number) = (usize::MAX, None);
        let mut at_once: HashMap<usize, Option<u32>> = HashMap::new();
        self.walk_offsets(|prefix, offset, decode| {
            if offset != last {
                last = offset;
                number = match at_once.get(&offset) {
                    Some(number) => *number,
                    None => {
                        let origin = questions.narrow(decode()?);
                        let next = origins.len() as u32;
                        let found = (origin != Origin::default()).then(|| {
                            *known.entry(origin).or_insert_with_key(|origin| {
                                origins.push(origin.clone());
                                next
                            })
                        });
                        at_once.insert(offset, found);
                        found
                    }
                };
            }
            prefixes.extend(number.map(|number| (prefix, number)));
            Ok(())
        })
    }

    /// Every network with its origin; `None`: of an origin that was seen before.
    fn walk(&self, mut see: impl FnMut(IpNet, Option<Origin>)) -> Result<(), String> {
        let mut seen = std::collections::HashSet::new();
        self.walk_offsets(|prefix, offset, decode| {
            let origin = if seen.insert(offset) { Some(decode()?) } else { None };
            see(prefix, origin);
            Ok(())
        })
    }

    fn walk_offsets(&self, mut see: impl FnMut(IpNet, usize, &dyn Fn() -> Result<Origin, String>) -> Result<(), String>) -> Result<(), String> {
        let broken = |why: maxminddb::MaxMindDbError| format!("is broken: {why}");
        for (count, found) in self.reader.networks(WithinOptions::default()).map_err(broken)?.enumerate() {
            if NETWORKS_MAX <= count {
                return Err(format!("has more than {NETWORKS_MAX} networks"));
            }
            let found = found.map_err(broken)?;
            let network = found.network().map_err(broken)?;
            let (Ok(prefix), Some(offset)) = (IpNet::new(network.ip(), network.prefix()), found.offset()) else { continue };
            let decode = || found.decode::<Record>().map(|record| record.map(Record::origin).unwrap_or_default()).map_err(broken);
            see(prefix.trunc(), offset, &decode)?;
        }
        Ok(())
    }
}

/// What we read of a record.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Record<'r> {
    #[serde(borrow)]
    continent: Option<Coded<'r>>,
    continent_code: Option<&'r str>,
    #[serde(borrow)]
    country: Option<Coded<'r>>,
    #[serde(borrow)]
    registered_country: Option<Coded<'r>>,
    country_code: Option<&'r str>,
    #[serde(borrow)]
    subdivisions: Vec<Coded<'r>>,
    location: Option<Location>,
    autonomous_system_number: Option<u32>,
}

/// `{ "iso_code": "DE" }`, `{ "code": "EU" }`, or the code alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Coded<'r> {
    Flat(&'r str),
    Nested {
        #[serde(borrow)]
        iso_code: Option<&'r str>,
        #[serde(borrow)]
        code: Option<&'r str>,
    },
}

impl<'r> Coded<'r> {
    fn code(&self) -> Option<&'r str> {
        match self {
            Coded::Flat(code) => Some(code),
            Coded::Nested { iso_code, code } => iso_code.or(*code),
        }
    }
}

#[derive(Deserialize)]
struct Location {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

impl Record<'_> {
    fn origin(self) -> Origin {
        let Self { continent, continent_code, country, registered_country, country_code, subdivisions, location, autonomous_system_number } = self;
        let letters = |code: &str| match code.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => Some([a.to_ascii_uppercase(), b.to_ascii_uppercase()]),
            _ => None,
        };
        let code = |nested: &Option<Coded<'_>>| nested.as_ref().and_then(Coded::code).and_then(letters);
        // Where it is, else where it is registered: of satellite and anycast networks nothing else is known.
        let country = code(&country).or_else(|| country_code.and_then(letters)).or_else(|| code(&registered_country));
        // The widest one comes first.
        let part = subdivisions.first().and_then(Coded::code).filter(|part| (1..=3).contains(&part.len()));
        let subdivision = country.zip(part).map(|([a, b], part)| format!("{}{}-{}", char::from(a), char::from(b), part.to_ascii_uppercase()).into());
        let place = location.and_then(|Location { latitude, longitude }| Place::from_degrees(latitude?, longitude?));
        Origin { continent: code(&continent).or_else(|| continent_code.and_then(letters)), country, subdivision, asn: autonomous_system_number, place }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a writer of tests")]
#[path = "../../tests/it/steering/mmdb.rs"]
mod writer;

#[cfg(test)]
mod tests {
    use super::writer::{asn, city, country, write};
    use super::*;
    use crate::client::Clients;
    use crate::health::testing::estate;

    const ASKING: &str = "pool eu: 10.0.0.1; pool us: 10.1.0.1; pool de: 10.2.0.1; region eu: 50.0,8.0; region us: 40.0,-74.0
        service where: geo country:DE=de continent:EU|subdivision:US-CA=eu asn:64500=us *=us; service near: nearest eu us";

    fn clients(databases: &[&Mmdb]) -> (Clients, crate::model::Estate) {
        let estate = estate(ASKING);
        let questions = Questions::of(&estate);
        let mut origins = Origins::default();
        databases.iter().for_each(|database| database.origins(&questions, &mut origins).unwrap());
        (Clients::build(&estate, &questions, &origins), estate)
    }

    fn holding(clients: &Clients, client: &str) -> String {
        let class = clients.find(client.parse().unwrap()).0;
        clients.holding(class).map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    fn cities() -> Vec<u8> {
        let networks = [
            ("198.51.100.0/22", country("EU", "FR")),
            ("198.51.100.0/24", city("EU", "DE", "BE", 52.5, 13.4)),
            ("203.0.113.0/24", city("NA", "US", "CA", 37.0, -122.0)),
            ("2001:db8::/32", city("NA", "US", "NY", 40.7, -74.0)),
        ];
        write("GeoLite2-City", 1_790_000_000, &networks)
    }

    #[test]
    fn what_a_city_file_and_an_asn_file_say_holds_for_their_networks() {
        let city = Mmdb::of_octets(cities()).unwrap();
        assert_eq!((&*city.kind, city.built, city.networks), ("GeoLite2-City", Timestamp(1_790_000_000_000), 5));
        assert_eq!(city.says, Attributes { asn: false, continent: true, country: true, subdivision: true, place: true });
        let asn = Mmdb::of_octets(write("GeoLite2-ASN", 1, &[("198.51.100.128/25", asn(64500)), ("192.0.2.0/24", asn(64501))])).unwrap();
        let (clients, estate) = clients(&[&city, &asn]);
        for (client, expected) in [
            ("198.51.100.1", "continent:EU country:DE"),
            ("198.51.100.200", "continent:EU country:DE asn:64500"),
            ("198.51.101.1", "continent:EU"),
            ("203.0.113.9", "subdivision:US-CA"),
            ("2001:db8::1", ""),
            ("192.0.2.1", ""),
            ("8.8.8.8", ""),
        ] {
            assert_eq!(holding(&clients, client), expected, "{client}");
        }
        assert_eq!(clients.find("198.51.100.200".parse().unwrap()).1, 25);
        let ranks = |client: &str| {
            let crate::model::Node::Policy { choice: crate::model::Choice::Nearest(nearest), .. } = &*estate.services[1].policy else { panic!() };
            clients.ranks(clients.find(client.parse().unwrap()).0, nearest, &estate).map(|(ranks, _)| ranks)
        };
        assert_eq!(ranks("198.51.100.1"), Some(vec![0, 1]));
        assert_eq!(ranks("2001:db8::1"), Some(vec![1, 0]));
        assert_eq!(ranks("8.8.8.8"), None);
    }

    #[test]
    fn flat_codes_are_understood() {
        use super::writer::Value;
        let text = |text: &str| Value::Text(text.to_string());
        let flat = |code| Value::Map(vec![("country_code", text(code))]);
        let file = write("geo-whois-asn-country", 1, &[("198.51.100.0/24", flat("de")), ("203.0.113.0/24", Value::Map(vec![("continent", text("EU"))]))]);
        let (clients, _) = clients(&[&Mmdb::of_octets(file).unwrap()]);
        assert_eq!([holding(&clients, "198.51.100.1"), holding(&clients, "203.0.113.1")], ["country:DE", "continent:EU"]);
    }

    #[test]
    fn what_nobody_asks_hides_what_a_wider_network_says_and_costs_no_class() {
        let many: Vec<_> = (0..200).map(|net| (format!("203.0.{net}.0/24"), city("AS", "JP", "13", 35.0, 139.0))).collect();
        let networks: Vec<_> = [("203.0.0.0/16", country("EU", "DE"))].into_iter().chain(many.iter().map(|(net, value)| (&**net, value.clone()))).collect();
        let (clients, _) = clients(&[&Mmdb::of_octets(write("GeoLite2-City", 1, &networks)).unwrap()]);
        assert_eq!([holding(&clients, "203.0.7.1"), holding(&clients, "203.0.201.1")], ["", "continent:EU country:DE"]);
        assert!(clients.classes().count() <= 4, "{}", clients.classes().count());
    }

    #[test]
    fn a_file_that_is_broken_anywhere_says_nothing() {
        let whole = cities();
        assert!(Mmdb::of_octets(Vec::new()).is_err());
        assert!(Mmdb::of_octets(b"not a database".to_vec()).is_err());
        // Cut short, and with each octet of the data spoilt: never a panic, and cut short never sound.
        for length in 0..whole.len() {
            assert!(Mmdb::of_octets(whole[..length].to_vec()).is_err() || length + 20 > whole.len(), "cut at {length}");
        }
        for at in 0..whole.len() {
            for with in [0x00, 0xff, whole[at] ^ 0x40] {
                let mut spoilt = whole.clone();
                spoilt[at] = with;
                let _ = Mmdb::of_octets(spoilt);
            }
        }
    }
}
