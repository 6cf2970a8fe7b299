//! Options that a server answers with something of its own: NSID (RFC 5001), cookies (RFC 7873, RFC 9018), keepalive (RFC 7828).

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::raw::{Query, Stream};
use super::{Check, Lab, prove};

const HOST: &str = "host.conf.test. A";
const NSID: u16 = 3;
const SUBNET: u16 = 8;
const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
/// A client's cookie.
const MINE: [u8; 8] = [0x24, 0x64, 0xc4, 0xab, 0xcf, 0x10, 0xc9, 0x57];

fn host() -> Query {
    Query::of(HOST)
}

fn option(code: u16, data: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat()
}

/// The cookie option of the response to a query with this one.
fn cookie(lab: &Lab, sent: &[u8]) -> Vec<u8> {
    lab.ask(&host().option(COOKIE, sent)).option(COOKIE).expect("a cookie").to_vec()
}

/// This length of a cookie is a format error.
fn bad_cookie(lab: &Lab, length: usize) {
    let response = lab.ask(&host().option(COOKIE, &vec![0x5a; length]));
    assert_eq!((response.rcode(), response.option(COOKIE)), (1, None), "{length} octets");
    assert!(response.opt.is_some());
}

const CHECKS: &[Check] = &[
    ("NSID is the node's name, if asked for", |lab| assert_eq!(lab.ask(&host().option(NSID, b"")).option(NSID), Some(&b"ns1"[..]))),
    ("NSID does not come unasked", |lab| assert_eq!(lab.ask(&host().edns(1232)).option(NSID), None)),
    ("what a client puts into NSID means nothing", |lab| assert_eq!(lab.ask(&host().option(NSID, b"who?")).option(NSID), Some(&b"ns1"[..]))),
    ("NSID asked for twice comes once", |lab| {
        let twice = [option(NSID, b""), option(NSID, b"")].concat();
        assert_eq!(lab.ask(&host().opt(1232, [0; 4], &twice)).opt.map(|opt| opt.options.len()), Some(1));
    }),
    ("NSID in negatives, refusals, referrals and failures", |lab| {
        for question in ["nobody.conf.test. A", "host.conf.test. AAAA", "elsewhere.example. A", "x.cut.conf.test. A", "gone.svc.conf.test. A"] {
            assert_eq!(lab.ask(&Query::of(question).option(NSID, b"")).option(NSID), Some(&b"ns1"[..]), "{question}");
        }
    }),
    ("NSID over TCP", |lab| assert_eq!(lab.ask_tcp(&host().option(NSID, b"")).option(NSID), Some(&b"ns1"[..]))),
    ("no NSID of a version that we don't know", |lab| {
        let response = lab.ask(&host().opt(1232, [0, 1, 0, 0], &option(NSID, b"")));
        assert_eq!((response.rcode(), response.option(NSID)), (16, None));
    }),
    ("a client cookie gets a server cookie of 16 octets and version 1 (RFC 9018, section 4)", |lab| {
        let both = cookie(lab, &MINE);
        assert_eq!((both.len(), &both[..8], &both[8..12]), (24, &MINE[..], &[1, 0, 0, 0][..]));
    }),
    ("a server cookie has the time", |lab| {
        let both = cookie(lab, &MINE);
        let stamp = u32::from_be_bytes([both[12], both[13], both[14], both[15]]);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as u32;
        assert!(now.wrapping_sub(stamp) < 60, "{stamp} at {now}");
    }),
    ("a server cookie comes back as it was while it is young", |lab| {
        let both = cookie(lab, &MINE);
        assert_eq!(cookie(lab, &both), both);
    }),
    ("another client cookie gets another server cookie", |lab| assert_ne!(cookie(lab, &MINE)[16..], cookie(lab, &[7; 8])[16..])),
    ("a server cookie is bound to the address", |lab| {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).expect("a loopback address");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, lab.node.dns.port()))).expect("loopback");
        let both = cookie(lab, &MINE);
        let query = host().option(COOKIE, &both).octets();
        socket.send(&query).expect("sent");
        let mut buffer = [0; 2048];
        let length = socket.recv(&mut buffer).expect("a response");
        let other = super::strict(&query, &buffer[..length], false).option(COOKIE).expect("a cookie").to_vec();
        assert_ne!(other[16..], both[16..]);
    }),
    ("a wrong server cookie is answered, with a right one (RFC 7873, section 5.2.4)", |lab| {
        let mut both = cookie(lab, &MINE);
        both[23] ^= 1;
        let response = lab.ask(&host().option(COOKIE, &both));
        let fresh = response.option(COOKIE).expect("a cookie");
        assert!(response.rcode() == 0 && fresh.len() == 24 && fresh[16..] != both[16..], "{}", response.text());
    }),
    ("a server cookie of another version or length is answered with ours", |lab| {
        for length in [8, 9, 12, 16, 20, 32] {
            let response = lab.ask(&host().option(COOKIE, &[&MINE[..], &vec![9; length]].concat()));
            assert_eq!((response.rcode(), response.option(COOKIE).map(<[u8]>::len)), (0, Some(24)), "{length}");
        }
    }),
    ("a server cookie from the past is renewed", |lab| {
        let mut both = cookie(lab, &MINE);
        both[12..16].copy_from_slice(&[0x5c, 0xf7, 0x9f, 0x11]);
        assert_ne!(cookie(lab, &both)[12..16], both[12..16]);
    }),
    ("a cookie of no octets", |lab| bad_cookie(lab, 0)),
    ("a cookie of seven octets", |lab| bad_cookie(lab, 7)),
    ("a client cookie of nine to fifteen octets", |lab| (9..16).for_each(|length| bad_cookie(lab, length))),
    ("a cookie of more than 40 octets", |lab| [41, 64, 255].iter().for_each(|length| bad_cookie(lab, *length))),
    ("of two cookies the first counts (RFC 7873, section 5.2)", |lab| {
        let two = [option(COOKIE, &MINE), option(COOKIE, &[7; 8])].concat();
        let response = lab.ask(&host().opt(1232, [0; 4], &two));
        assert_eq!(response.option(COOKIE).map(|both| both[..8].to_vec()), Some(MINE.to_vec()));
    }),
    ("cookies in negatives, refusals, referrals and failures", |lab| {
        for question in ["nobody.conf.test. A", "host.conf.test. AAAA", "elsewhere.example. A", "x.cut.conf.test. A", "gone.svc.conf.test. A"] {
            assert_eq!(lab.ask(&Query::of(question).option(COOKIE, &MINE)).option(COOKIE).map(<[u8]>::len), Some(24), "{question}");
        }
    }),
    ("cookies over TCP", |lab| assert_eq!(lab.ask_tcp(&host().option(COOKIE, &MINE)).option(COOKIE).map(<[u8]>::len), Some(24))),
    ("no cookie comes unasked", |lab| assert_eq!(lab.ask(&host().edns(1232)).option(COOKIE), None)),
    ("a query without a question may ask for a cookie (RFC 7873, section 5.4)", |lab| {
        let response = lab.ask(&Query::of(HOST).counts([0, 0, 0, 1]).question(&[]).option(COOKIE, &MINE));
        assert_eq!((response.rcode(), response.option(COOKIE).map(<[u8]>::len)), (0, Some(24)));
    }),
    ("a cookie and a client subnet and NSID stand side by side", |lab| {
        let all = [option(NSID, b""), option(COOKIE, &MINE), option(SUBNET, &[0, 1, 8, 0, 10])].concat();
        let response = lab.ask(&host().opt(1232, [0; 4], &all));
        assert_eq!(response.opt.as_ref().map(|opt| opt.options.len()), Some(3), "{:?}", response.opt);
    }),
    ("options leave an answer its place: nothing is there in part", |lab| {
        let all = [option(NSID, b""), option(COOKIE, &MINE), option(SUBNET, &[0, 1, 8, 0, 10])].concat();
        for size in (512..1232).step_by(3) {
            lab.ask(&Query::of("medium.conf.test. TXT").opt(size, [0; 4], &all));
        }
    }),
    ("keepalive over TCP says how long (RFC 7828)", |lab| {
        let response = lab.ask_tcp(&host().option(KEEPALIVE, b""));
        let units = response.option(KEEPALIVE).expect("keepalive");
        let units = u16::from_be_bytes([units[0], units[1]]);
        assert!((1..=100).contains(&units), "at most 10 s: {units}");
    }),
    ("keepalive does not come unasked", |lab| assert_eq!(lab.ask_tcp(&host().edns(1232)).option(KEEPALIVE), None)),
    ("keepalive is never answered over UDP", |lab| {
        let response = lab.ask(&host().option(KEEPALIVE, b""));
        assert_eq!((response.rcode(), response.option(KEEPALIVE)), (0, None));
    }),
    ("keepalive with a time from the client is a format error (RFC 7828, section 3.2.1)", |lab| {
        let mut stream = Stream::to(lab.node.dns);
        let query = host().option(KEEPALIVE, &[0, 100]).octets();
        stream.send(&query);
        assert_eq!(super::strict(&query, &stream.next().expect("a response"), true).rcode(), 1);
        let query = host().octets();
        stream.send(&query);
        assert_eq!(super::strict(&query, &stream.next().expect("the connection stays"), true).rcode(), 0);
    }),
    ("a cookie lifts no limit of size", |lab| {
        let both = cookie(lab, &MINE);
        assert!(lab.ask(&Query::of("large.conf.test. TXT").opt(4096, [0; 4], &option(COOKIE, &both))).truncated());
    }),
    ("a valid cookie lifts the bound on what is made up: a referral has all its glue", |lab| {
        let both = cookie(lab, &MINE);
        let proven = lab.ask(&Query::of("x.fat.conf.test. A").opt(1232, [0; 4], &option(COOKIE, &both)));
        assert!(!proven.truncated() && proven.sections[2].len() == 24, "{}", proven.text());
    }),
    ("without one, what is made up has at most ten times the query's octets", |lab| {
        for question in ["x.fat.conf.test. A", "nobody.conf.test. A", "crowd.svc.conf.test. A", "host.conf.test. ANY"] {
            let query = Query::of(question).edns(1232);
            assert!(lab.ask(&query).octets.len() <= 10 * query.octets().len(), "{question}");
        }
    }),
];

#[test]
fn nsid_cookies_and_keepalive() {
    prove(&[], CHECKS);
}
