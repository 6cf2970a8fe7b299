//! How quick which region is for whom (`latency`): measurements that outside systems push, and the order of regions that follows.
//!
//! ```text
//!  pushed ─▶ cut to the privacy caps ─▶ smoothed ─▶ order, if one beats another ─▶ Classify ─▶ Clients are built aside ─▶ told_apart ─▶ answers
//!                                          └─ durable ─▶ reply
//! ```
//!
//! - Networks are /24 (IPv4) and /56 (IPv6) at most: nobody is known more closely than resolvers tell (RFC 7871, section 11.1).
//! - A push counts whole or not at all, and the order of what stands in it never matters.
//! - A reply says that it is durable; answers follow within a second or so, since clients are told apart aside.
//!
//! Never here: measuring; and which pool answers.

mod order;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use crate::model::{By, Choice, Node, Now, ServiceId, Timestamp, did_you_mean, duration_text, harmless};
use crate::policy::Step;

use super::change::{Applied, Fault, Refusal, RefusalKind};
use super::core::{Core, StoreState};
use super::event::{Effect, Effects, Notice, Ticket};

pub use table::{Latency, LatencyLegacy, LatencyRecord, MeasuredRegion, SAMPLES_KNOWN};

/// Longest IPv4 network that is kept.
pub const IPV4_BITS: u8 = 24;
/// Longest IPv6 network that is kept.
pub const IPV6_BITS: u8 = 56;
/// Measurements in one push.
pub const MEASUREMENTS_MAX: usize = 10_000;
/// Longest round trip that is taken for one, microseconds: a minute.
pub const MICROS_MAX: u32 = 60_000_000;
/// Samples that one measurement may stand for.
pub const SAMPLES_MAX: u32 = 1_000_000;
/// Faults listed in one refusal.
const FAULTS_MAX: usize = 16;
/// Clocks of others may be ahead of ours by this.
const AHEAD_MAX: Duration = Duration::from_secs(60);

/// Whom one says something of: cut to [`IPV4_BITS`] and [`IPV6_BITS`]. An IPv4 network written as an IPv6 one is the IPv4 network.
pub fn network_of(network: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let network = match network {
        IpNet::V6(mapped) if MAPPED <= mapped.prefix_len() => {
            let plain = mapped.addr().to_ipv4_mapped().and_then(|address| Ipv4Net::new(address, mapped.prefix_len() - MAPPED).ok());
            plain.map_or(network, IpNet::V4)
        }
        other => other,
    };
    let longest = if network.addr().is_ipv4() { IPV4_BITS } else { IPV6_BITS };
    IpNet::new(network.addr(), network.prefix_len().min(longest)).unwrap_or(network).trunc()
}

/// A place in lists: IPv4 before IPv6, then by address, wider networks first.
pub fn network_key(network: IpNet) -> [u8; 18] {
    let address = match network.network() {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            Ipv6Addr::from([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        }
        IpAddr::V6(address) => address,
    };
    let mut key = [0; 18];
    let parts = [u8::from(!network.addr().is_ipv4())].into_iter().chain(address.octets()).chain([network.prefix_len()]);
    key.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    key
}

/// One measurement. The region's name is not looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// Its place in the push, for faults.
    pub place: usize,
    /// Of [`network_of`].
    pub network: IpNet,
    /// To which region.
    pub region: Arc<str>,
    /// Round trip, 1 to [`MICROS_MAX`].
    pub micros: u32,
    /// How many it sums up, 1 to [`SAMPLES_MAX`].
    pub samples: u32,
}

/// What outside systems tell of latency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LatencyTold {
    /// It was measured.
    Measured {
        /// At most [`MEASUREMENTS_MAX`].
        measurements: Vec<Measurement>,
        /// When; `None`: now.
        at: Option<Timestamp>,
    },
    /// It is not to be known any more.
    Withdrawn {
        /// From networks within this one; `None`: from all.
        network: Option<IpNet>,
        /// To this region; `None`: to all.
        region: Option<String>,
    },
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencyCounts {
    /// Networks of which it spoke.
    pub networks: usize,
    /// Networks whose order of regions it changed.
    pub reordered: usize,
    /// Networks that went to make room.
    pub forgotten: usize,
}

impl Core {
    /// What was measured.
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    /// Something was measured, or is to be forgotten.
    pub(super) fn latency_told(&mut self, ticket: Ticket, told: LatencyTold, now: Now, effects: &mut Effects) {
        let counts = match told {
            LatencyTold::Measured { measurements, at } => match self.latency_faults(&measurements, at, now) {
                faults if faults.is_empty() => self.measured_latency(measurements, at, now, effects),
                faults => {
                    let refusal = Refusal { faults, ..Refusal::new(RefusalKind::InvalidRequest, "these measurements can't be taken; none of them counts") };
                    return effects.push(Effect::Reply { ticket, reply: Err(refusal) });
                }
            },
            LatencyTold::Withdrawn { network, region } => {
                let state = self.latency.state();
                let touched = self.latency.withdraw(network, region.as_deref());
                let counts = LatencyCounts { networks: touched.len(), reordered: (self.latency.state() - state) as usize, forgotten: 0 };
                self.commits.learned.latency.extend(touched);
                counts
            }
        };
        let done = Applied { latency: Some(counts), ..Applied::nothing(self.revision, now.wall) };
        if self.store == StoreState::Absent || counts.networks == 0 {
            self.replies.push((ticket, done));
            return;
        }
        self.commits.learned.latency_told.push((ticket, Box::new(done)));
    }

    /// What is wrong with a push, beside its form.
    pub fn latency_faults(&self, measurements: &[Measurement], at: Option<Timestamp>, now: Now) -> Vec<Fault> {
        let estate = &self.configuration.estate;
        let max_age = self.latency.rules().max_age;
        let mut faults = Vec::new();
        let mut fault = |pointer: String, message: String, hint: &str| faults.push(Fault { pointer, code: "invalid-value", message, hint: hint.to_string() });
        if let Some(at) = at {
            if now.wall.plus(AHEAD_MAX) < at {
                let message = format!("it can't have been measured at {}: here it is {}", at.whole_seconds(), now.wall.whole_seconds());
                fault("/at".into(), message, "look at the clocks of both machines");
            } else if max_age < now.wall.since(at) {
                let message = format!("what was measured at {} is older than {}", at.whole_seconds(), duration_text(max_age));
                fault("/at".into(), message, "it would count for nothing; max_age in [latency] says so");
            }
        }
        if MEASUREMENTS_MAX < measurements.len() {
            fault("/measurements".into(), format!("{} measurements; at most {MEASUREMENTS_MAX} in one push", measurements.len()), "send several pushes");
            return faults;
        }
        let networks = measurements.iter().map(|measurement| measurement.network).collect::<BTreeSet<_>>().len();
        let networks_max = self.latency.rules().networks_max;
        if (networks_max as usize) < networks {
            fault("/measurements".into(), format!("{networks} networks; {networks_max} are kept"), "networks_max in [latency] says so");
        }
        for Measurement { place, region, .. } in measurements {
            if estate.region_named(region).is_none() {
                let near = did_you_mean(region, estate.regions.iter().map(|region| &*region.name));
                let near = near.map(|near| format!("did you mean `{near}`?")).unwrap_or_else(|| "windrose get regions lists them".to_string());
                fault(format!("/measurements/{place}/region"), format!("there is no region `{}`", harmless(region, 100)), &near);
            }
        }
        faults.truncate(FAULTS_MAX);
        faults
    }

    fn measured_latency(&mut self, measurements: Vec<Measurement>, at: Option<Timestamp>, now: Now, effects: &mut Effects) -> LatencyCounts {
        let since = now.mono.as_millis() as i64 - at.map_or(0, |at| now.wall.since(at).as_millis() as i64);
        // Sums first: in whatever order a push lists things, it comes to the same.
        let mut sums: BTreeMap<IpNet, BTreeMap<u16, (u64, u64)>> = BTreeMap::new();
        for Measurement { place: _, network, region, micros, samples } in measurements {
            let Some(region) = self.latency.region(&region) else { continue };
            let (sum, count) = sums.entry(network).or_default().entry(region).or_default();
            *sum = sum.saturating_add(u64::from(micros) * u64::from(samples));
            *count = count.saturating_add(samples.into());
        }
        let ran_out = self.latency.ran_out;
        let mut counts = LatencyCounts { networks: sums.len(), ..LatencyCounts::default() };
        for (network, regions) in sums {
            let mean = |(sum, count): (u64, u64)| table::Sum {
                micros: u32::try_from(sum / count.max(1)).unwrap_or(MICROS_MAX),
                samples: u32::try_from(count).unwrap_or(u32::MAX),
            };
            let regions = regions.into_iter().map(|(region, sum)| (region, mean(sum))).collect();
            counts.reordered += usize::from(self.latency.measure(network, &regions, since, now));
            self.commits.learned.latency.insert(network);
        }
        let gone = self.latency.make_room();
        counts.forgotten = gone.len();
        self.commits.learned.latency.extend(gone);
        if ran_out {
            effects.push(Effect::Tell(Notice::Latency { ran_out: false, text: "latency is measured again".to_string() }));
        }
        counts
    }

    /// What was measured too long ago is forgotten.
    pub(super) fn review_latency(&mut self, now: Now, effects: &mut Effects) {
        let before = self.latency.ran_out;
        let aged = self.latency.review(now);
        self.commits.learned.latency.extend(aged);
        if self.latency.ran_out && !before {
            let max_age = duration_text(self.latency.rules().max_age);
            let text =
                format!("nothing that was measured of latency is younger than {max_age}: policies of this kind answer by distance, or in the order written");
            effects.push(Effect::Tell(Notice::Latency { ran_out: true, text }));
        }
    }

    /// Clients are to be told apart by other orders than they are: asks for it, once.
    pub(super) fn classify(&mut self, effects: &mut Effects) {
        let (state, clients) = (self.latency.state(), &self.configuration.clients);
        if clients.ask_for_latency() && clients.measured() != state && self.classify_asked != Some(state) {
            self.classify_asked = Some(state);
            effects.push(Effect::Classify);
        }
    }

    /// What was measured from the network of a client, for the `latency` policies of a service, and why it is not ordered otherwise.
    pub fn explain_latency(&self, service: ServiceId, client: IpAddr, now: Now) -> Vec<Step> {
        let estate = &self.configuration.estate;
        let mut asked: Vec<BTreeSet<Arc<str>>> = Vec::new();
        let mut todo: Vec<&Node> = vec![self.service(service).policy];
        while let Some(node) = todo.pop() {
            let Node::Policy { choice, .. } = node else { continue };
            if let Choice::Nearest(nearest) = choice
                && nearest.by == By::Latency
            {
                let regions = nearest.among.iter().filter_map(|child| estate.region_of(child, By::Latency).ok());
                let regions = regions.map(|region| estate.region(region).name.clone()).collect();
                if !asked.contains(&regions) {
                    asked.push(regions);
                }
            }
            todo.extend(choice.children().into_iter().rev().map(|child| &**child));
        }
        let mut steps = Vec::new();
        let mut say = |text: String| steps.push(Step { topic: "latency", text });
        for regions in asked {
            let Some((network, rows)) = self.latency.around(client, &regions, now) else { continue };
            let shown = rows.iter().map(|row| format!("{} {} ms ({} ago)", row.region, ms_text(row.micros), age_text(row.age)));
            say(format!("measured from {network}: {}", shown.collect::<Vec<_>>().join(", ")));
            for pair in rows.windows(2) {
                let [before, after] = pair else { continue };
                if after.micros < before.micros {
                    let by = before.micros - after.micros;
                    let percent = u64::from(by) * 100 / u64::from(before.micros.max(1));
                    let rules = self.latency.rules();
                    say(format!(
                        "{} is better than {} by {} ms and {percent} %; it goes before it from {} and {} % on",
                        after.region,
                        before.region,
                        ms_text(by),
                        duration_text(rules.and_by),
                        rules.better_by
                    ));
                }
            }
        }
        steps
    }
}

/// `42.5`
fn ms_text(micros: u32) -> String {
    format!("{}", (f64::from(micros) / 100.0).round() / 10.0)
}

fn age_text(age: Duration) -> String {
    duration_text(Duration::from_secs(age.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_cut_to_what_resolvers_may_tell() {
        let table = [
            ("203.0.113.9/32", "203.0.113.0/24"),
            ("203.0.113.128/25", "203.0.113.0/24"),
            ("203.0.0.0/16", "203.0.0.0/16"),
            ("2001:db8:1:2:3::/80", "2001:db8:1::/56"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::ffff:203.0.113.9/128", "203.0.113.0/24"),
            ("::ffff:203.0.113.9/112", "203.0.0.0/16"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ];
        for (written, kept) in table {
            assert_eq!(network_of(written.parse().unwrap()).to_string(), kept, "{written}");
        }
    }

    #[test]
    fn keys_of_networks_stand_in_their_order() {
        let texts = ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/24", "203.0.113.0/24", "::/0", "2001:db8::/32", "2001:db8:1::/48"];
        let keys: Vec<[u8; 18]> = texts.iter().map(|text| network_key(text.parse().unwrap())).collect();
        assert!(keys.is_sorted());
        let mut networks: Vec<IpNet> = texts.iter().map(|text| text.parse().unwrap()).collect();
        networks.sort_unstable();
        assert_eq!(networks.iter().map(ToString::to_string).collect::<Vec<_>>(), texts);
    }
}
