//! Static answers beside those of hickory-server with the same zone, in this process: an oracle that is there wherever the tests are built.
//! NSD, Knot and BIND are asked in `differential`.
//!
//! Response code, AA and the answer section must agree; referrals and negative answers also in the authority section.
//! Where hickory-server differs and we are sure of the RFC, [`hickory_differs`] says why; a difference that it doesn't name fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::txt::Parser;
use hickory_server::Server;
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneHandler, ZoneType};

use super::dns::Client;
use super::node::TestNode;

/// What the sample zone lacks: wildcards (RFC 4592), empty non-terminals, chains, a second cut.
const MORE: &str = "
*.wild          TXT     \"any\"
                A       203.0.113.90
exact.wild      A       203.0.113.91
a.b.wild        A       203.0.113.92
*.alias         CNAME   status
www             CNAME   status
www2            CNAME   www
deep.down.below TXT     \"x\"
mail            MX      10 status
                MX      20 www3
www3            A       203.0.113.93
                A       203.0.113.94
www3            TXT     \"one\" \"two; three\"
lost            CNAME   nobody
over            CNAME   host.internal
other.part      NS      ns.other.part
ns.other.part   AAAA    2001:db8::53
";

const TYPES: [RecordType; 11] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::CNAME,
    RecordType::TXT,
    RecordType::NS,
    RecordType::SOA,
    RecordType::MX,
    RecordType::SRV,
    RecordType::CAA,
    RecordType::HTTPS,
    RecordType::PTR,
];

/// Names of the zone, and around them.
const OWNERS: [&str; 44] = [
    "",
    "ns1",
    "ns2",
    "docs",
    "status",
    "_acme-challenge.portal",
    "portal",
    "_sip._tcp",
    "_tcp",
    "internal",
    "ns1.internal",
    "host.internal",
    "a.host.internal",
    "wild",
    "x.wild",
    "x.y.wild",
    "exact.wild",
    "x.exact.wild",
    "b.wild",
    "x.b.wild",
    "a.b.wild",
    "*.wild",
    "x.*.wild",
    "alias",
    "x.alias",
    "x.y.alias",
    "www",
    "www2",
    "below",
    "down.below",
    "deep.down.below",
    "x.down.below",
    "mail",
    "www3",
    "lost",
    "over",
    "part",
    "other.part",
    "ns.other.part",
    "x.other.part",
    "nobody",
    "no.nobody",
    "xstatus",
    "status.x",
];

fn zone() -> String {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/zones/api.example.com.zone");
    format!("{}{MORE}", std::fs::read_to_string(sample).expect("the sample zone"))
}

/// Every name with every type: 484 queries, and some outside the zone.
fn queries() -> Vec<(String, RecordType)> {
    let full = |owner: &&str| if owner.is_empty() { "api.example.com.".to_string() } else { format!("{owner}.api.example.com.") };
    let mut all: Vec<_> = OWNERS.iter().flat_map(|owner| TYPES.map(|rtype| (full(owner), rtype))).collect();
    all.extend(["example.com.", "xapi.example.com.", "example.org.", "."].map(|name| (name.to_string(), RecordType::A)));
    all
}

/// What is compared of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    rcode: ResponseCode,
    authoritative: bool,
    answers: BTreeSet<String>,
    /// Without the zone's own NS records beside an answer: a server may add them or not.
    authority: BTreeSet<String>,
}

impl Answer {
    fn of(message: &Message) -> Self {
        let set = |records: &[hickory_proto::rr::Record]| records.iter().map(|record| record.to_string().to_ascii_lowercase()).collect();
        let answers: BTreeSet<String> = set(&message.answers);
        let mut authority: BTreeSet<String> = set(&message.authorities);
        authority.retain(|record| answers.is_empty() || !record.starts_with("api.example.com. 3600 in ns "));
        Self { rcode: message.metadata.response_code, authoritative: message.metadata.authoritative, answers, authority }
    }

    fn is_referral(&self) -> bool {
        !self.authoritative && self.rcode == ResponseCode::NoError && self.answers.is_empty() && !self.authority.is_empty()
    }
}

/// Asks both everything; gives how often each named difference was seen.
fn compare(ours: SocketAddr, theirs: SocketAddr, known: impl Fn(&str, RecordType, &Answer, &Answer) -> Option<&'static str>) -> BTreeMap<&'static str, usize> {
    let (mut us, mut them) = (Client::new(ours), Client::new(theirs));
    let (mut differences, mut failures, mut same) = (BTreeMap::new(), Vec::new(), 0);
    for (name, rtype) in queries() {
        let a = Answer::of(&us.ask(&name, rtype).unwrap_or_else(|| panic!("no answer to {name} {rtype}")));
        let b = Answer::of(&them.ask(&name, rtype).unwrap_or_else(|| panic!("the oracle does not answer {name} {rtype}")));
        if a == b {
            same += 1;
        } else if let Some(why) = known(&name, rtype, &a, &b) {
            *differences.entry(why).or_default() += 1;
        } else {
            failures.push(format!("{name} {rtype}\n  windrose {a:?}\n  oracle   {b:?}"));
        }
    }
    assert!(failures.is_empty(), "{} answers differ:\n{}", failures.len(), failures.join("\n"));
    println!("measured: {same} of {} answers are the same; reviewed differences: {differences:?}", queries().len());
    differences
}

/// Windrose with the zone and nothing else.
fn windrose() -> TestNode {
    let mut node = TestNode::prepare("");
    std::fs::write(node.path("api.example.com.zone"), zone()).expect("writable");
    node.launch();
    node
}

/// Where hickory-server 0.26 is known to differ, with the reason why we don't follow. nsd agrees with us in each case.
fn hickory_differs(name: &str, rtype: RecordType, ours: &Answer, theirs: &Answer) -> Option<&'static str> {
    let negative = ours.authoritative && ours.answers.is_empty();
    let nodata = negative && ours.rcode == ResponseCode::NoError;
    let same_soa = theirs.authority.iter().map(|record| record.replacen(" 3600 in soa", " 300 in soa", 1)).eq(ours.authority.iter().cloned());
    // The answer section agrees, and what follows the chain's end is missing.
    let chain = !ours.answers.is_empty() && ours.answers == theirs.answers && theirs.authority.is_empty() && !ours.authority.is_empty();
    let below_wildcard = name.ends_with(".wild.api.example.com.");
    if ours.is_referral() && *theirs == (Answer { authoritative: true, ..ours.clone() }) {
        Some("a referral with AA: RFC 1034, section 6.2.6, has none, since the data below the cut are not ours")
    } else if ours.is_referral() && rtype == RecordType::NS && theirs.answers == ours.authority {
        Some("NS at or below a cut as an answer: RFC 1034, section 4.3.2, step 3b, is a referral")
    } else if ours.is_referral() && rtype == RecordType::SOA && theirs.answers.is_empty() && ours.authority.is_subset(&theirs.authority) {
        Some("SOA at or below a cut with our own NS beside the referral's")
    } else if negative && same_soa && ours.rcode == theirs.rcode && theirs.answers.is_empty() && theirs.authoritative {
        Some("a negative answer with the SOA's own TTL: RFC 2308, section 3, wants the lesser of that and MINIMUM")
    } else if nodata && below_wildcard && same_soa && theirs.rcode == ResponseCode::NXDomain {
        Some("NXDOMAIN where a wildcard lacks the type: RFC 4592, section 2.2.1, is NODATA")
    } else if negative && below_wildcard && !theirs.answers.is_empty() {
        Some("a wildcard that reaches past an existing name: RFC 4592, section 3.3.1, takes the closest encloser's alone")
    } else if chain && ours.rcode == theirs.rcode {
        Some("an alias whose target lacks the type, without the SOA: RFC 2308, section 2.2, has it, else the NODATA can't be cached")
    } else if chain && (ours.rcode, theirs.rcode) == (ResponseCode::NXDomain, ResponseCode::NoError) {
        Some("NOERROR for an alias whose target does not exist: RFC 6604, section 3, has the target's code")
    } else if name.starts_with("over.") && ours.rcode == theirs.rcode && theirs.answers == &ours.answers | &ours.authority {
        Some("a referral at the end of a chain in the answer section: RFC 1034, section 4.3.2, step 3b, puts its NS into authority")
    } else {
        None
    }
}

#[test]
fn hickory_server_gives_the_same_static_answers() {
    let origin = Name::from_str("api.example.com.").expect("a name");
    let (_, records) = Parser::new(zone(), None, Some(origin.clone())).parse().expect("hickory reads the zone");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let (address, _server) = runtime.block_on(async {
        let handler: InMemoryZoneHandler = InMemoryZoneHandler::new(origin.clone(), records, ZoneType::Primary, AxfrPolicy::Deny).expect("a zone");
        let mut catalog = Catalog::new();
        catalog.upsert(origin.into(), vec![Arc::new(handler) as Arc<dyn ZoneHandler>]);
        let mut server = Server::new(catalog);
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = socket.local_addr().expect("bound");
        server.register_socket(socket);
        (address, server)
    });
    let node = windrose();
    compare(node.dns, address, hickory_differs);
}
