//! The resolver and probes of host names against scripted servers on real sockets.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::time::timeout;

use crate::health::{Outcome, Phase, ProbeReport};
use crate::model::{Check, Family, JudgementId, Monitor, MonitorId, Target, TcpCheck, Thresholds};

use super::super::attempt::attempt;
use super::super::peers::{nobody, silent};
use super::super::permit::Permit;
use super::super::tests::dns::{Server, reply, server};
use super::super::tls::Tls;
use super::*;

const AMPLE: Duration = Duration::from_secs(10);

fn host(name: &str, family: Family) -> Host {
    Host::Name(name.parse().unwrap(), family)
}

fn gw() -> Host {
    host("gw.internal.example", Family::V4)
}

/// A server that answers as `script` says; `None`: not at all. It counts what it is asked.
async fn scripted(script: impl Fn(&Message) -> Option<Message> + Send + 'static) -> (Server, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let answer = move |query: &Message| {
        count.fetch_add(1, Ordering::SeqCst);
        script(query).map(|response| response.to_vec().unwrap()).into_iter().collect()
    };
    (server(answer, |_| vec![]).await, asked)
}

fn asks(query: &Message) -> RecordType {
    query.queries[0].query_type()
}

fn with(mut response: Message, owner: &str, ttl: u32, rdata: RData) -> Message {
    response.add_answer(Record::from_rdata(owner.parse().unwrap(), ttl, rdata));
    response
}

/// `addresses` for A, nothing for AAAA.
fn plain(addresses: &'static [[u8; 4]]) -> impl Fn(&Message) -> Option<Message> {
    move |query| Some(reply(query, ResponseCode::NoError, if asks(query) == RecordType::A { addresses } else { &[] }))
}

fn failing(code: ResponseCode) -> impl Fn(&Message) -> Option<Message> {
    move |query| Some(reply(query, code, &[]))
}

fn rules(servers: &[SocketAddr]) -> ResolverRules {
    ResolverRules { servers: servers.to_vec(), timeout: Duration::from_millis(200), attempts: 1 }
}

fn estate(servers: &[SocketAddr], hosts: &[Host]) -> Estate {
    let targets = hosts.iter().map(|host| Target { monitor: MonitorId(0), address: host.clone(), port: None, key: "k".into(), judgement: JudgementId(0) });
    let monitors = vec![monitor(80, AMPLE)];
    Estate { monitors, targets: targets.collect(), resolver: rules(servers), ..Estate::default() }
}

/// Asks once, with nothing kept.
async fn once(servers: &[SocketAddr], host: &Host) -> Result<Found, Unresolved> {
    let resolver = Resolver::start(Arc::default());
    resolver.plan(&estate(servers, &[]));
    timeout(AMPLE, resolver.lookup(host)).await.unwrap()
}

fn addresses(found: &Found) -> Vec<String> {
    found.resolved.addresses.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn all_addresses_are_kept_in_the_resolvers_order_and_aliases_are_followed() {
    let (server, _) = scripted(|query| {
        let response = with(reply(query, ResponseCode::NoError, &[]), "GW.internal.example.", 60, RData::CNAME(CNAME("eu.internal.example.".parse().unwrap())));
        let response = with(response, "eu.internal.example.", 60, RData::A(A::new(192, 0, 2, 9)));
        // Not on the way: nobody asked for it. And no host has the second address.
        let response = with(response, "other.internal.example.", 60, RData::A(A::new(192, 0, 2, 66)));
        let response = with(response, "eu.internal.example.", 60, RData::A(A::new(0, 0, 0, 0)));
        Some(with(response, "eu.internal.example.", 60, RData::A(A::new(192, 0, 2, 8))))
    })
    .await;
    assert_eq!(addresses(&once(&[server.address], &gw()).await.unwrap()), ["192.0.2.9", "192.0.2.8"]);
}

#[tokio::test]
async fn the_endpoints_family_is_asked_for_first_and_the_other_one_if_there_is_none() {
    let six: Ipv6Addr = "2001:db8::7".parse().unwrap();
    let (only_six, asked) = scripted(move |query| {
        let response = reply(query, ResponseCode::NoError, &[]);
        Some(if asks(query) == RecordType::AAAA { with(response, "gw.internal.example.", 60, RData::AAAA(AAAA(six))) } else { response })
    })
    .await;
    assert_eq!(addresses(&once(&[only_six.address], &gw()).await.unwrap()), ["2001:db8::7"]);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(addresses(&once(&[only_six.address], &host("gw.internal.example", Family::V6)).await.unwrap()), ["2001:db8::7"]);
    assert_eq!(asked.load(Ordering::SeqCst), 3, "found at once");
}

#[tokio::test]
async fn each_kind_of_trouble_has_its_sentence() {
    let (none, _) = scripted(failing(ResponseCode::NXDomain)).await;
    let told = once(&[none.address], &gw()).await.unwrap_err();
    assert_eq!((told.trouble, told.message), (Trouble::NoSuchName, format!("{} says NXDOMAIN: there is no gw.internal.example", none.address)));

    let (empty, _) = scripted(plain(&[])).await;
    let told = once(&[empty.address], &gw()).await.unwrap_err();
    assert_eq!((told.trouble, told.message), (Trouble::NoAddress, format!("{} has no addresses for gw.internal.example", empty.address)));

    let (broken, _) = scripted(failing(ResponseCode::ServFail)).await;
    let (mute, _) = scripted(|_| None).await;
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let told = once(&[broken.address, mute.address, closed], &gw()).await.unwrap_err();
    let expected =
        format!("{} says SERVFAIL for gw.internal.example A; {} did not answer within 200ms; connection refused by {closed}", broken.address, mute.address);
    assert_eq!((told.trouble, told.message), (Trouble::Rcode, expected));
    assert_eq!(once(&[], &gw()).await.unwrap_err().trouble, Trouble::NoAnswer);
}

#[tokio::test]
async fn the_next_server_is_asked_and_then_stays_the_first() {
    let (mute, asked_mute) = scripted(|_| None).await;
    let (good, _) = scripted(plain(&[[192, 0, 2, 7]])).await;
    let resolver = Resolver::start(Arc::default());
    resolver.plan(&estate(&[mute.address, good.address], &[]));
    for name in ["gw.internal.example", "gx.internal.example", "gy.internal.example"] {
        // The scripted answer names whoever is asked for.
        let found = timeout(AMPLE, resolver.lookup(&host(name, Family::V4))).await.unwrap().unwrap();
        assert_eq!(addresses(&found), ["192.0.2.7"]);
    }
    assert_eq!(asked_mute.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn many_lookups_of_one_name_are_one_question_and_what_is_kept_costs_none() {
    let (server, asked) = scripted(plain(&[[192, 0, 2, 7]])).await;
    let resolver = Resolver::start(Arc::default());
    resolver.plan(&estate(&[server.address], &[gw()]));
    let lookups: Vec<_> = (0..50).map(|_| (resolver.clone(), gw())).map(|(resolver, gw)| tokio::spawn(async move { resolver.lookup(&gw).await })).collect();
    for lookup in lookups {
        assert_eq!(addresses(&timeout(AMPLE, lookup).await.unwrap().unwrap().unwrap()), ["192.0.2.7"]);
    }
    resolver.plan(&estate(&[server.address], &[gw(), host("gx.internal.example", Family::V4)]));
    assert!(resolver.known(&gw()).unwrap().is_ok(), "a new plan forgets nothing");
    timeout(AMPLE, resolver.lookup(&host("gx.internal.example", Family::V4))).await.unwrap().unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_server_that_begins_to_fail_takes_no_address_away_and_another_one_is_taken_at_once() {
    let code = Arc::new(Mutex::new(None));
    let says = code.clone();
    let (server, asked) = scripted(move |query| match *says.lock().unwrap() {
        None => plain(&[[192, 0, 2, 7]])(query),
        Some(code) => failing(code)(query),
    })
    .await;
    let resolver = Resolver::start(Arc::default());
    resolver.plan(&estate(&[server.address], &[gw()]));
    timeout(AMPLE, resolver.lookup(&gw())).await.unwrap().unwrap();
    for trouble in [ResponseCode::ServFail, ResponseCode::NXDomain] {
        *code.lock().unwrap() = Some(trouble);
        // As if the TTL were near its end.
        let before = asked.load(Ordering::SeqCst);
        hurry(&resolver);
        until("it is asked again", || before < asked.load(Ordering::SeqCst) && !asking(&resolver)).await;
        assert_eq!(addresses(&resolver.known(&gw()).unwrap().unwrap()), ["192.0.2.7"], "{trouble}");
    }
    let (other, _) = scripted(plain(&[[192, 0, 2, 8]])).await;
    resolver.plan(&estate(&[other.address], &[gw()]));
    until("the new server's answer", || addresses(&resolver.known(&gw()).unwrap().unwrap()) == ["192.0.2.8"]).await;
}

/// Everything is due now.
fn hurry(resolver: &Resolver) {
    let now = Instant::now();
    let mut names = resolver.shared.lock();
    let names = &mut *names;
    names.kept.values_mut().for_each(|kept| kept.due = now);
    names.due = names.kept.keys().map(|host| (now, host.clone())).collect();
    resolver.shared.changed.notify_one();
}

fn asking(resolver: &Resolver) -> bool {
    resolver.shared.lock().kept.values().any(|kept| kept.asking)
}

async fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + AMPLE;
    while !happened() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn without_handles_nobody_is_asked_any_more() {
    let (server, _) = scripted(plain(&[[192, 0, 2, 7]])).await;
    let resolver = Resolver::start(Arc::default());
    resolver.plan(&estate(&[server.address], &[gw()]));
    let task = resolver.task.0.lock().unwrap().as_ref().unwrap().abort_handle();
    drop(resolver);
    until("the task's end", || task.is_finished()).await;
    let resolver = Resolver::start(Arc::default());
    let task = resolver.task.0.lock().unwrap().as_ref().unwrap().abort_handle();
    timeout(AMPLE, resolver.stop()).await.unwrap();
    assert!(task.is_finished());
}

// ---- probes -----------------------------------------------------------------------------------------

fn monitor(port: u16, timeout: Duration) -> Monitor {
    let check = Check::Tcp(TcpCheck::connect(port));
    Monitor { name: "m".to_string(), check, source: Default::default(), interval: Duration::from_secs(3600), timeout, thresholds: Thresholds::default() }
}

async fn probe(resolver: &Resolver, port: u16, timeout: Duration) -> ProbeReport {
    attempt(&monitor(port, timeout), (&gw(), None), &Tls::unused(), &Arc::default(), resolver, &Permit::default()).await
}

fn phases(report: &ProbeReport) -> Vec<Phase> {
    report.phases.iter().map(|(phase, _)| *phase).collect()
}

fn failed(report: &ProbeReport) -> (Reason, &str) {
    match &report.outcome {
        Outcome::Fail { reason, message } => (*reason, message),
        Outcome::Pass | Outcome::Degraded { .. } | Outcome::Busy { .. } => panic!("it passed"),
    }
}

#[tokio::test]
async fn only_the_first_probe_waits_for_the_resolver() {
    let peer = silent().await;
    let (server, _) = scripted(plain(&[[127, 0, 0, 1]])).await;
    let resolver = Resolver::start(Arc::default());
    resolver.plan(&estate(&[server.address], &[gw()]));
    let first = probe(&resolver, peer.address.port(), AMPLE).await;
    assert_eq!((&first.outcome, phases(&first)), (&Outcome::Pass, vec![Phase::Resolve, Phase::Connect]));
    let second = probe(&resolver, peer.address.port(), AMPLE).await;
    assert_eq!((&second.outcome, phases(&second), &second.warning), (&Outcome::Pass, vec![Phase::Connect], &None));
    assert_eq!(second.resolved.unwrap().addresses, ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
}

#[tokio::test]
async fn what_fails_says_which_address_was_asked() {
    let at = nobody().await;
    let (server, _) = scripted(plain(&[[127, 0, 0, 1]])).await;
    let resolver = Resolver::start(Arc::default());
    resolver.plan(&estate(&[server.address], &[gw()]));
    let report = probe(&resolver, at.port(), AMPLE).await;
    assert_eq!(failed(&report), (Reason::Refused, &*format!("connection refused by {at} (gw.internal.example at 127.0.0.1)")));
}

#[tokio::test]
async fn the_next_address_is_probed_when_the_first_can_not_be_connected_to() {
    // Listens on one of the three addresses only.
    let listener = tokio::net::TcpListener::bind("127.0.0.3:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (server, _) = scripted(plain(&[[127, 0, 0, 2], [127, 0, 0, 3], [127, 0, 0, 4]])).await;
    let resolver = Resolver::start(Arc::default());
    resolver.plan(&estate(&[server.address], &[gw()]));
    let report = probe(&resolver, port, AMPLE).await;
    assert_eq!(report.outcome, Outcome::Pass);
    let warning = format!("gw.internal.example was probed at the next address, because: connection refused by 127.0.0.2:{port}");
    assert_eq!(report.warning, Some(warning));
    drop(listener);
    let report = probe(&resolver, port, AMPLE).await;
    let refused: Vec<String> = (2..=4).map(|last| format!("connection refused by 127.0.0.{last}:{port}")).collect();
    assert_eq!(failed(&report), (Reason::Refused, &*format!("{} (all 3 addresses of gw.internal.example)", refused.join("; "))));
}

#[tokio::test]
async fn a_silent_address_leaves_time_for_the_next_one() {
    // A listener whose queue is full lets nobody in, and says nothing.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&"127.0.0.5:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    full.listen(0).unwrap();
    let port = full.local_addr().unwrap().as_socket().unwrap().port();
    let mut waiting = Vec::new();
    loop {
        let to = SocketAddr::from(([127, 0, 0, 5], port));
        match timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(to)).await {
            Ok(stream) => waiting.push(stream),
            Err(_) => break,
        }
    }
    let _good = tokio::net::TcpListener::bind(("127.0.0.6", port)).await.unwrap();
    let (server, _) = scripted(plain(&[[127, 0, 0, 5], [127, 0, 0, 6]])).await;
    let resolver = Resolver::start(Arc::default());
    resolver.plan(&estate(&[server.address], &[gw()]));
    let report = probe(&resolver, port, Duration::from_secs(2)).await;
    assert_eq!(report.outcome, Outcome::Pass);
    assert!(report.warning.unwrap().ends_with(&format!("connection to 127.0.0.5:{port} timed out while connecting")));
}

#[tokio::test]
async fn a_name_that_was_never_resolved_fails_with_who_said_what() {
    let (none, _) = scripted(failing(ResponseCode::NXDomain)).await;
    let resolver = Resolver::start(Arc::default());
    resolver.plan(&estate(&[none.address], &[gw()]));
    let expected = format!("gw.internal.example can't be resolved: {} says NXDOMAIN: there is no gw.internal.example", none.address);
    let first = probe(&resolver, 1, AMPLE).await;
    assert_eq!((failed(&first), phases(&first)), ((Reason::Resolve, &*expected), vec![Phase::Resolve]));
    let second = probe(&resolver, 1, AMPLE).await;
    assert_eq!((failed(&second), phases(&second)), ((Reason::Resolve, &*expected), vec![]), "told at once; it is asked for again in the background");

    let (mute, _) = scripted(|_| None).await;
    let resolver = Resolver::start(Arc::default());
    resolver.plan(&Estate { resolver: ResolverRules { timeout: AMPLE, ..rules(&[mute.address]) }, ..estate(&[], &[gw()]) });
    let late = probe(&resolver, 1, Duration::from_millis(300)).await;
    assert_eq!(failed(&late), (Reason::Resolve, &*format!("gw.internal.example can't be resolved: no answer within 300ms from {}", mute.address)));
}

fn answered() -> Host {
    Host::Answered("gw.internal.example".parse().unwrap())
}

/// `a` for A and `aaaa` for AAAA.
fn both(a: ResponseCode, aaaa: ResponseCode) -> impl Fn(&Message) -> Option<Message> {
    move |query| {
        let code = if asks(query) == RecordType::A { a } else { aaaa };
        let response = reply(query, code, &[]);
        Some(match (code, asks(query)) {
            (ResponseCode::NoError, RecordType::A) => with(response, "gw.internal.example.", 60, RData::A(A::new(192, 0, 2, 7))),
            (ResponseCode::NoError, _) => with(response, "gw.internal.example.", 20, RData::AAAA(AAAA("2001:db8::7".parse().unwrap()))),
            _ => response,
        })
    }
}

#[tokio::test]
async fn of_a_name_that_is_answered_both_families_are_asked_for() {
    use ResponseCode::{NXDomain, NoError, ServFail};
    let rows = [
        (NoError, NoError, Ok(vec!["192.0.2.7", "2001:db8::7"])),
        (NoError, ServFail, Ok(vec!["192.0.2.7"])),
        (ServFail, NoError, Ok(vec!["2001:db8::7"])),
        (ServFail, ServFail, Err(Trouble::Rcode)),
        (NXDomain, NXDomain, Err(Trouble::NoSuchName)),
    ];
    for (a, aaaa, expected) in rows {
        let (server, _) = scripted(both(a, aaaa)).await;
        let found = once(&[server.address], &answered()).await;
        assert_eq!(found.as_ref().map(addresses).map_err(|why| why.trouble), expected.map(|found| found.iter().map(ToString::to_string).collect()));
    }
    let (empty, _) = scripted(plain(&[])).await;
    assert_eq!(once(&[empty.address], &answered()).await.unwrap_err().trouble, Trouble::NoAddress);
}

/// An estate that answers with the name, and probes it nowhere.
fn answering(servers: &[SocketAddr]) -> Estate {
    Estate { hosts: vec!["gw.internal.example".parse().unwrap()], ..estate(servers, &[]) }
}

async fn next(resolver: &Resolver) -> HostHealth {
    timeout(AMPLE, resolver.has_answered()).await.unwrap();
    let mut told = resolver.take_answered();
    told.remove(&"gw.internal.example".parse().unwrap()).unwrap()
}

#[tokio::test]
async fn a_name_that_is_answered_is_kept_fresh_and_told_though_nobody_probes_it() {
    let (server, _) = scripted(both(ResponseCode::NoError, ResponseCode::NoError)).await;
    let resolver = Resolver::start(Arc::default());
    resolver.plan(&answering(&[server.address]));
    let told = next(&resolver).await;
    let found = told.found.unwrap();
    assert_eq!((found.ttl, &told.trouble), (20, &None), "the shorter one");
    assert_eq!(found.all().map(|address| address.to_string()).collect::<Vec<_>>(), ["192.0.2.7", "2001:db8::7"]);
    // Whoever plans anew hears it again.
    resolver.plan(&answering(&[server.address]));
    assert_eq!(next(&resolver).await.found, Some(found));
}

#[tokio::test]
async fn what_a_name_had_before_this_process_serves_until_it_is_resolved_and_says_that_it_is_old() {
    let (broken, _) = scripted(failing(ResponseCode::ServFail)).await;
    let resolver = Resolver::start(Arc::default());
    let name = "gw.internal.example".parse().unwrap();
    let addresses = [Arc::from(["192.0.2.9".parse().unwrap()]), Arc::from([])];
    let known = HostFound { addresses, ttl: 60, at: Timestamp(1_000) };
    resolver.recall(std::iter::once((&name, &known)));
    resolver.plan(&answering(&[broken.address]));
    assert_eq!(resolver.known(&answered()).unwrap().unwrap().resolved.addresses, ["192.0.2.9".parse::<std::net::IpAddr>().unwrap()], "no probe waits");
    let told = loop {
        let told = next(&resolver).await;
        if told.trouble.is_some() {
            break told;
        }
    };
    assert_eq!(told.found.as_deref(), Some(&known));
    assert!(told.trouble.unwrap().contains("says SERVFAIL"));
}
