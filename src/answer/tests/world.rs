//! A snapshot from a few lines of text, and queries to ask it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::answer::{Asked, Counters, Cx, Handled, Limiter, Transport, answer};
use crate::client::{Clients, Origins, Questions};
use crate::model::{
    Address, AllDown, AnswerSettings, Answering, Choice, Endpoint, EndpointId, Estate, Failback, Family, HostId, Node, Now, PolicyForm, Pool, PoolId, Region,
    RegionId, Service, ServiceId, Timestamp, Watch,
};
use crate::policy::{Decision, FamilyDecision, Leaf, Rung, Verdict};
use crate::snapshot::{CellMap, Content, Snapshot, compile};
use crate::wire::Name;
use crate::zone::{RecordSet, Zone};

/// Zones, services with decisions, one worker.
pub(super) struct World {
    zones: Vec<Arc<Zone>>,
    pub(super) estate: Estate,
    decisions: Vec<Decision>,
    pub(super) cells: CellMap,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) cx: Cx,
    pub(super) now: Now,
    settings: Arc<AnswerSettings>,
    clients: Arc<Clients>,
}

/// A share of the answers: pool name, share, addresses with weights.
pub(super) type Part<'a> = (&'a str, f64, &'a [(&'a str, u32)]);

impl World {
    /// Records as `OWNER TTL TYPE RDATA` lines per zone; owners are fully qualified.
    pub(super) fn new(zones: &[(&str, &str)]) -> Self {
        let zones = zones.iter().map(|(apex, records)| Arc::new(zone(apex, records))).collect();
        let mut world = World {
            zones,
            estate: Estate::default(),
            decisions: Vec::new(),
            cells: CellMap::default(),
            snapshot: Arc::new(Snapshot::build(0, &[], &Estate::default(), Vec::new(), &mut CellMap::default())),
            cx: Cx::new(Counters::new(), Limiter::new(7), 7),
            now: Now { mono: Duration::from_secs(5), wall: Timestamp(1_800_000_000_000) },
            settings: Arc::default(),
            clients: Arc::default(),
        };
        world.publish();
        world
    }

    /// What was decided elsewhere, compiled and ready to be asked.
    pub(super) fn of(decided: &crate::policy::testing::World, seed: u64) -> Self {
        let mut world = Self::new(&[(
            "api.example.com",
            "api.example.com 3600 SOA ns.api.example.com h.api.example.com 1 2 3 4 60\napi.example.com 3600 NS ns.api.example.com",
        )]);
        world.estate = decided.estate.clone();
        world.clients = Arc::new(Clients::build(&world.estate, &Questions::of(&world.estate), &Origins::default()));
        world.decisions = decided.estate.services.iter().map(|service| decided.decide(&service.name)).collect();
        world.cx = Cx::new(Counters::new(), Limiter::new(7), seed);
        world.publish();
        world
    }

    /// A service with names, TTL, most answers, and its leaves.
    pub(super) fn service(mut self, names: &[&str], ttl: u32, max_answers: u16, parts: &[Part<'_>]) -> Self {
        let service = Service {
            name: names[0].into(),
            names: names.iter().map(|name| Name::parse(name).unwrap()).collect(),
            form: Arc::new(PolicyForm::new(Choice::Failover(Vec::new()))),
            policy: Arc::new(Node::Pool(PoolId(0))),
            answer: Answering::Addresses,
            ttl,
            ttl_min: 5,
            max_answers,
            failback: Failback::Manual,
            trickle: crate::model::Share::ZERO,
            when_all_down: AllDown::NoData,
            sticky: None,
            metrics: false,
        };
        self.estate.services.push(service);
        let decision = self.decision(ttl, parts);
        if decision.by_name {
            self.estate.services.last_mut().unwrap().answer = Answering::Cname;
        }
        self.decisions.push(decision);
        self.publish();
        self
    }

    /// With settings for responses.
    pub(super) fn with(mut self, settings: AnswerSettings) -> Self {
        self.settings = Arc::new(settings);
        self.publish();
        self
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now = Now { mono: self.now.mono + time, wall: self.now.wall.plus(time) };
        self.cx.begin(&self.snapshot, self.now);
    }

    /// The same decision for both families; pools and endpoints are made as needed.
    pub(super) fn decision(&mut self, ttl: u32, parts: &[Part<'_>]) -> Decision {
        let mut families = [FamilyDecision::default(), FamilyDecision::default()];
        for (pool, share, addresses) in parts {
            let pool = self.pool(pool);
            let endpoints: Vec<EndpointId> = addresses.iter().map(|(address, weight)| self.endpoint(pool, address, *weight)).collect();
            for family in Family::ALL {
                let of_family = endpoints.iter().copied().filter(|id| self.estate.may_answer(*id, family)).collect();
                let decided = &mut families[family.index()];
                decided.verdict = Verdict::Answer;
                decided.leaves.push(Leaf {
                    pools: vec![pool],
                    share: *share,
                    rung: Rung::Policy,
                    taken: false,
                    endpoints: of_family,
                    weights: None,
                    addresses: None,
                    ways: Vec::new(),
                });
            }
        }
        for decided in &mut families {
            if decided.leaves.iter().all(|leaf| leaf.endpoints.is_empty()) {
                *decided = FamilyDecision::default();
            }
        }
        let by_name = !self.estate.hosts.is_empty()
            && families.iter().flat_map(|family| &family.leaves).flat_map(|leaf| &leaf.endpoints).any(|endpoint| self.estate.host_of(*endpoint).is_some());
        if by_name {
            families[Family::V6.index()] = FamilyDecision::default();
        }
        Decision { families, by_name, ttl, ..Decision::default() }
    }

    fn pool(&mut self, name: &str) -> PoolId {
        self.estate.pool_named(name).unwrap_or_else(|| {
            self.estate.regions.push(Region { name: name.into() });
            let region = RegionId::at(self.estate.regions.len() - 1);
            self.estate.pools.push(Pool {
                name: name.into(),
                region,
                endpoints: Vec::new(),
                min_up: 1,
                min_active: None,
                requires: Vec::new(),
                required_by: Vec::new(),
                degraded_factor: None,
                hold_if_older_than: None,
                shed: None,
            });
            PoolId::at(self.estate.pools.len() - 1)
        })
    }

    fn endpoint(&mut self, pool: PoolId, address: &str, weight: u32) -> EndpointId {
        let name = address.into();
        let address = match address.parse::<IpAddr>() {
            Ok(address) => Address::Fixed(address),
            Err(_) => {
                self.estate.hosts.push(Name::parse(address).unwrap());
                Address::Host(HostId::at(self.estate.hosts.len() - 1))
            }
        };
        self.estate.endpoints.push(Endpoint { name, pool, address, weight, tier: 0, watch: Watch::Always });
        EndpointId::at(self.estate.endpoints.len() - 1)
    }

    /// Decides a service anew and publishes only that.
    pub(super) fn decide(&mut self, service: ServiceId, decision: Decision) {
        let compiled = compile(&self.estate, service, &decision, &mut self.cells);
        self.decisions[service.index()] = decision;
        self.snapshot = Arc::new(self.snapshot.with(self.snapshot.generation + 1, vec![(service, compiled)]));
        self.cx.begin(&self.snapshot, self.now);
    }

    /// Everything anew.
    fn publish(&mut self) {
        let ids = (0..).map(ServiceId);
        let compiled = ids.zip(&self.decisions).map(|(id, decision)| compile(&self.estate, id, decision, &mut self.cells)).collect();
        let snapshot = Snapshot::build(self.snapshot.generation + 1, &self.zones, &self.estate, compiled, &mut self.cells);
        self.snapshot = Arc::new(snapshot.with_settings(self.settings.clone()).with_clients(self.clients.clone()));
        self.cx.begin(&self.snapshot, self.now);
    }

    /// Everything anew, with what transfers need; serials by zone number.
    pub(super) fn publish_transferable(&mut self, serials: &[Option<u32>]) {
        self.publish();
        let content = Content { estate: Arc::new(self.estate.clone()), zones: self.zones.clone() };
        let snapshot = Snapshot::clone(&self.snapshot).with_content(Arc::new(content)).with_serials(serials.into());
        self.snapshot = Arc::new(snapshot);
        self.cx.begin(&self.snapshot, self.now);
    }

    /// One more record in the first zone.
    pub(super) fn add_set(&mut self, owner: &str, rtype: u16, rdata: Vec<u8>) {
        let mut zone = Zone::clone(&self.zones[0]);
        zone.sets.push(RecordSet { owner: Name::parse(owner).unwrap(), rtype, ttl: 60, rdata: vec![rdata.into()] });
        self.zones[0] = Arc::new(zone);
    }

    pub(super) fn handle(&mut self, query: &[u8], asked: Asked) -> Result<Vec<u8>, Handled> {
        let mut out = vec![0xee; if asked.transport == Transport::Udp { 1232 } else { 65535 }];
        match answer(&self.snapshot, query, asked, &mut self.cx, &mut out) {
            Handled::Reply(octets) => {
                out.truncate(octets);
                Ok(out)
            }
            other => Err(other),
        }
    }

    /// Over UDP, as text.
    pub(super) fn text(&mut self, query: &[u8]) -> String {
        super::text(&self.handle(query, udp()).unwrap())
    }

    /// A plain question over UDP, as text.
    pub(super) fn ask(&mut self, name: &str, qtype: u16) -> String {
        self.text(&query(name, qtype))
    }
}

pub(super) fn udp() -> Asked {
    Asked { client: IpAddr::from([198, 51, 100, 7]), port: 40_000, transport: Transport::Udp }
}

pub(super) fn tcp() -> Asked {
    Asked { transport: Transport::Tcp, ..udp() }
}

/// A query without EDNS; RD is set.
pub(super) fn query(name: &str, qtype: u16) -> Vec<u8> {
    ask(name, qtype, None)
}

/// A query, with an OPT record of this payload size and these options if given.
pub(super) fn ask(name: &str, qtype: u16, edns: Option<(u16, &[u8])>) -> Vec<u8> {
    let mut packet = vec![0xab, 0xcd, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        packet.push(label.len() as u8);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    packet.extend_from_slice(&qtype.to_be_bytes());
    packet.extend_from_slice(&[0, 1]);
    if let Some((payload, options)) = edns {
        packet.extend_from_slice(&[0, 0, 41]);
        packet.extend_from_slice(&payload.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 0]);
        packet.extend_from_slice(&(options.len() as u16).to_be_bytes());
        packet.extend_from_slice(options);
    }
    packet
}

pub(super) fn zone(apex: &str, records: &str) -> Zone {
    let mut sets: Vec<RecordSet> = Vec::new();
    for line in records.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (owner, ttl) = (Name::parse(words[0]).unwrap(), words[1].parse().unwrap());
        let (rtype, rdata) = rdata(words[2], &words[3..]);
        match sets.iter_mut().find(|set| set.owner == owner && set.rtype == rtype) {
            Some(set) => set.rdata.push(rdata.into()),
            None => sets.push(RecordSet { owner, rtype, ttl, rdata: vec![rdata.into()] }),
        }
    }
    Zone { apex: Name::parse(apex).unwrap(), sets }
}

fn rdata(rtype: &str, words: &[&str]) -> (u16, Vec<u8>) {
    let name = |at: usize| Name::parse(words[at]).unwrap().wire().to_vec();
    let short = |at: usize| words[at].parse::<u16>().unwrap().to_be_bytes().to_vec();
    let long = |at: usize| words[at].parse::<u32>().unwrap().to_be_bytes().to_vec();
    match rtype {
        "A" => (1, words[0].parse::<std::net::Ipv4Addr>().unwrap().octets().to_vec()),
        "AAAA" => (28, words[0].parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec()),
        "NS" => (2, name(0)),
        "CNAME" => (5, name(0)),
        "PTR" => (12, name(0)),
        "MX" => (15, [short(0), name(1)].concat()),
        "SRV" => (33, [short(0), short(1), short(2), name(3)].concat()),
        "SOA" => (6, [name(0), name(1), long(2), long(3), long(4), long(5), long(6)].concat()),
        "TXT" => (16, words.iter().flat_map(|word| [&[word.len() as u8], word.as_bytes()].concat()).collect()),
        "DS" => (43, words[0].bytes().collect()),
        other => (other.strip_prefix("TYPE").unwrap().parse().unwrap(), words.join("").into_bytes()),
    }
}
