//! What policies ask about clients: conditions of `geo`, places for `nearest`, named networks.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

/// A point on the globe, in millionths of a degree, so that it can be compared and hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    latitude: i32,
    longitude: i32,
}

/// Mean radius (IUGG), km.
const EARTH_KM: f64 = 6371.0088;

impl Place {
    /// From degrees; `None` if there is no such point.
    pub fn from_degrees(latitude: f64, longitude: f64) -> Option<Self> {
        let millionths = |degrees: f64, most: f64| (-most..=most).contains(&degrees).then(|| (degrees * 1e6).round() as i32);
        Some(Self { latitude: millionths(latitude, 90.0)?, longitude: millionths(longitude, 180.0)? })
    }

    /// Great-circle distance in whole kilometres (haversine, on a sphere): what differs by less is equally far.
    pub fn distance_km(self, other: Self) -> u32 {
        let radians = |millionths: i32| (f64::from(millionths) / 1e6).to_radians();
        let (a, b) = (radians(self.latitude), radians(other.latitude));
        let (north, east) = (b - a, radians(other.longitude) - radians(self.longitude));
        let half_chord = (north / 2.0).sin().powi(2) + a.cos() * b.cos() * (east / 2.0).sin().powi(2);
        (2.0 * EARTH_KM * half_chord.sqrt().min(1.0).asin()).round() as u32
    }
}

/// Latitude and longitude in degrees: `52.52, 13.405`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", f64::from(self.latitude) / 1e6, f64::from(self.longitude) / 1e6)
    }
}

/// Where a region is, for `nearest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its coordinates.
    pub place: Place,
    /// Added to the distance of every client, km: more keeps clients away, less than 0 attracts them.
    pub bias_km: i32,
}

/// `[network.NAME]`: client prefixes that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: Arc<str>,
    /// As written, host bits cut off.
    pub prefixes: Vec<IpNet>,
    /// Where its clients are, if no database knows better.
    pub place: Option<Place>,
}

/// What a rule of `geo` asks about a client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// `continent:EU`
    Continent([u8; 2]),
    /// `country:DE` (ISO 3166-1)
    Country([u8; 2]),
    /// `subdivision:US-CA` (ISO 3166-2)
    Subdivision(Arc<str>),
    /// `asn:64500`
    Asn(u32),
    /// `network:office`, a `[network.NAME]`.
    Network(Arc<str>),
}

/// The codes that GeoIP2 databases use.
const CONTINENTS: [&str; 7] = ["AF", "AN", "AS", "EU", "NA", "OC", "SA"];

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, value) = text.split_once(':').ok_or_else(|| format!("`{text}` is no condition: write it like continent:EU"))?;
        let letters = |value: &str| match value.as_bytes() {
            [a @ b'A'..=b'Z', b @ b'A'..=b'Z'] => Some([*a, *b]),
            _ => None,
        };
        match kind {
            "continent" => letters(value)
                .filter(|_| CONTINENTS.contains(&value))
                .map(Condition::Continent)
                .ok_or_else(|| format!("`{value}` is no continent: one of {}", CONTINENTS.join(", "))),
            "country" => letters(value).map(Condition::Country).ok_or_else(|| format!("`{value}` is no country code: two capital letters, like country:DE")),
            "subdivision" => {
                let code = value.split_once('-').filter(|(country, part)| {
                    letters(country).is_some()
                        && (1..=3).contains(&part.len())
                        && part.bytes().all(|octet| octet.is_ascii_uppercase() || octet.is_ascii_digit())
                });
                code.map(|_| Condition::Subdivision(value.into())).ok_or_else(|| format!("`{value}` is no subdivision code: like subdivision:US-CA"))
            }
            "asn" => value.parse().map(Condition::Asn).map_err(|_| format!("`{value}` is no AS number: like asn:64500")),
            "network" if !value.is_empty() => Ok(Condition::Network(value.into())),
            "network" => Err("network: needs a name of [network.NAME]".to_string()),
            other => Err(format!("`{other}` can't be asked about a client: continent, country, subdivision, asn and network can")),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = |code: &[u8; 2]| code.map(char::from).iter().collect::<String>();
        match self {
            Condition::Continent(continent) => write!(f, "continent:{}", code(continent)),
            Condition::Country(country) => write!(f, "country:{}", code(country)),
            Condition::Subdivision(subdivision) => write!(f, "subdivision:{subdivision}"),
            Condition::Asn(asn) => write!(f, "asn:{asn}"),
            Condition::Network(network) => write!(f, "network:{network}"),
        }
    }
}

/// One rule of `geo`. `C` is a child, as in [`Choice`](super::Choice).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GeoRule<C> {
    /// Any of these is enough; empty: every client.
    pub when: Vec<Condition>,
    /// Who answers.
    pub then: C,
    /// Clients that it matches never go to another rule, whatever is down.
    pub strict: bool,
}

/// `nearest` and `latency`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Nearest<C> {
    /// What is near.
    pub by: By,
    /// In the order written.
    pub among: Vec<C>,
    /// Which of those that are equally near (by distance; what was measured has an order).
    pub ties: Even,
    /// Which, if nothing was measured for a client and nobody knows where it is.
    pub unknown: Even,
}

/// What makes one region nearer than another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    /// Kilometres.
    #[default]
    Distance,
    /// Milliseconds that were measured from the client's network; where nothing was, kilometres.
    Latency,
}

impl By {
    /// The word of the policy.
    pub fn word(self) -> &'static str {
        match self {
            By::Distance => "nearest",
            By::Latency => "latency",
        }
    }
}

/// `[latency]`: how long measurements count, and how much better a region must be to get the clients of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyRules {
    /// An older measurement is not known any more. Default 24 h.
    pub max_age: Duration,
    /// By so many per cent. Default 20.
    pub better_by: u8,
    /// And by so much time. Default 10 ms.
    pub and_by: Duration,
    /// Networks that are kept. Default 100,000.
    pub networks_max: u32,
}

impl Default for LatencyRules {
    fn default() -> Self {
        Self { max_age: Duration::from_secs(24 * 3600), better_by: 20, and_by: Duration::from_millis(10), networks_max: 100_000 }
    }
}

/// `[geo]`: databases that say where clients are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeoRules {
    /// Files, each `.mmdb`.
    pub databases: Vec<PathBuf>,
    /// How often they are looked at for being replaced. Default 1 m.
    pub check_every: Duration,
}

impl Default for GeoRules {
    fn default() -> Self {
        Self { databases: Vec::new(), check_every: Duration::from_secs(60) }
    }
}

/// `sticky`: clients whose addresses begin alike keep to one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sticky {
    /// Leading bits of an IPv4 address, 1 to 32.
    pub ipv4_prefix: u8,
    /// Leading bits of an IPv6 address, 1 to 64.
    pub ipv6_prefix: u8,
}

impl Default for Sticky {
    fn default() -> Self {
        Self { ipv4_prefix: 24, ipv6_prefix: 56 }
    }
}

/// How to choose where nothing tells children apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Even {
    /// The first in the order written that is up.
    #[default]
    First,
    /// All that are up, equal shares.
    Share,
}

impl Even {
    /// The word in forms.
    pub fn word(self) -> &'static str {
        match self {
            Even::First => "first",
            Even::Share => "share",
        }
    }

    /// From the word in forms.
    pub fn from_word(word: &str) -> Option<Self> {
        [Even::First, Even::Share].into_iter().find(|even| even.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_great_circles() {
        let place = |latitude, longitude| Place::from_degrees(latitude, longitude).unwrap();
        let [berlin, new_york, sydney] = [place(52.52, 13.405), place(40.7128, -74.006), place(-33.8688, 151.2093)];
        // By geodesic calculators on the sphere.
        for (a, b, km) in [(berlin, new_york, 6385), (berlin, sydney, 16093), (new_york, sydney, 15990)] {
            assert!(a.distance_km(b).abs_diff(km) <= 10, "{} km, not {km}", a.distance_km(b));
            assert_eq!(a.distance_km(b), b.distance_km(a));
        }
        assert_eq!(berlin.distance_km(berlin), 0);
        assert_eq!(place(0.0, 179.5).distance_km(place(0.0, -179.5)), 111, "over the date line");
        assert_eq!(place(90.0, 0.0).distance_km(place(-90.0, 77.0)), 20015, "from pole to pole");
    }

    #[test]
    fn places_are_on_the_globe() {
        assert_eq!(Place::from_degrees(90.1, 0.0), None);
        assert_eq!(Place::from_degrees(0.0, -180.1), None);
        assert_eq!(Place::from_degrees(f64::NAN, 0.0), None);
    }

    #[test]
    fn conditions_are_read_as_they_are_written() {
        for text in ["continent:EU", "country:DE", "subdivision:US-CA", "subdivision:GB-ENG", "asn:64500", "network:office"] {
            assert_eq!(text.parse::<Condition>().map(|condition| condition.to_string()), Ok(text.to_string()));
        }
        for bad in [
            "",
            "EU",
            "continent:XX",
            "continent:eu",
            "country:DEU",
            "country:de",
            "subdivision:CA",
            "subdivision:US-",
            "asn:x",
            "asn:-1",
            "network:",
            "region:eu",
        ] {
            assert!(bad.parse::<Condition>().is_err(), "{bad}");
        }
    }
}
