//! The prober: every target in its time, over reloads, under its bounds, to its end.

use super::*;

#[tokio::test]
async fn a_hurried_plan_has_every_outcome_within_about_a_second_although_the_interval_is_an_hour() {
    let peer = answering(response("200 OK", "")).await;
    let keys: Vec<String> = (0..50).map(|n| format!("t{n}")).collect();
    let targets: Vec<_> = keys.iter().map(|key| (key.as_str(), peer.address)).collect();
    let (prober, mut outcomes) = prober(64, 64);
    let started = Instant::now();
    prober.plan(7, estate(Duration::from_secs(3_600), AMPLE, &targets), true);
    let mut seen = HashSet::new();
    while seen.len() < 50 {
        let probed = next(&mut outcomes).await;
        assert_eq!((probed.plan, probed.report.outcome), (7, Outcome::Pass));
        assert!(seen.insert(probed.target), "one probe per target");
    }
    assert!(started.elapsed() < Duration::from_secs(1) + SLACK, "{:?}", started.elapsed());
    prober.stop().await;
}

#[tokio::test]
async fn a_reload_keeps_the_probe_in_flight_under_its_new_id_and_ends_those_of_removed_targets() {
    let (silent_a, silent_b) = (silent().await, silent().await);
    let (prober, mut outcomes) = prober(64, 64);
    let (interval, timeout) = (Duration::from_secs(3_600), Duration::from_secs(2));
    prober.plan(1, estate(interval, timeout, &[("b", silent_b.address), ("a", silent_a.address)]), true);
    let deadline = Instant::now() + AMPLE;
    while silent_a.accepted() + silent_b.accepted() < 2 {
        assert!(Instant::now() < deadline, "both are being probed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    prober.plan(2, estate(interval, timeout, &[("a", silent_a.address)]), false);
    let Probed { plan, target, report } = next(&mut outcomes).await;
    assert_eq!((plan, target), (2, TargetId(0)));
    assert_fail(&report, Reason::Timeout, &format!("no answer within 2s while waiting for the response from {}", silent_a.address));
    assert_eq!(silent_a.accepted(), 1, "the probe in flight went on; no second one was started");
    prober.stop().await;
    assert_eq!(outcomes.recv().await, None, "nothing of the removed target");
}

#[tokio::test]
async fn removed_targets_are_probed_no_more() {
    let (kept, removed) = (answering(response("200 OK", "")).await, answering(response("200 OK", "")).await);
    let (prober, mut outcomes) = prober(64, 64);
    let interval = Duration::from_millis(20);
    prober.plan(1, estate(interval, interval / 2, &[("a", kept.address), ("b", removed.address)]), false);
    while next(&mut outcomes).await.target != TargetId(1) {}
    prober.plan(2, estate(interval, interval / 2, &[("a", kept.address)]), false);
    while next(&mut outcomes).await.plan != 2 {}
    let accepted = removed.accepted();
    for _ in 0..20 {
        let probed = next(&mut outcomes).await;
        assert_eq!((probed.plan, probed.target), (2, TargetId(0)));
    }
    assert!(removed.accepted() <= accepted + 1, "one may have been in the backlog");
    prober.stop().await;
}

#[tokio::test]
async fn a_target_whose_verdict_changed_is_looked_at_with_a_full_handshake() {
    let authority = Authority::new();
    let config = Arc::new(Mutex::new(Arc::new(authority.issue(&["api.example.com"], 2090).server())));
    let (peer, kinds) = answering_tls(config, response("200 OK", OK)).await;
    let interval = Duration::from_millis(100);
    let mut tls_estate = (*estate(interval, AMPLE, &[("a", peer.address)])).clone();
    tls_estate.monitors[0].check = Check::Http(https_check(peer.address.port()));
    let (sender, mut outcomes) = mpsc::channel(64);
    let prober = Prober::start_with(sender, Arc::new(ProbeMetrics::default()), 64, Some(Trust::of(authority.roots())));
    prober.plan(1, Arc::new(tls_estate), true);
    for _ in 0..3 {
        assert_pass(&next(&mut outcomes).await.report);
    }
    assert_eq!(*kinds.lock().unwrap().last().unwrap(), HandshakeKind::Resumed);
    prober.distrust(0, TargetId(0));
    assert_pass(&next(&mut outcomes).await.report);
    assert_eq!(*kinds.lock().unwrap().last().unwrap(), HandshakeKind::Resumed, "a verdict of another plan says nothing");
    prober.distrust(1, TargetId(0));
    assert_pass(&next(&mut outcomes).await.report);
    assert_ne!(*kinds.lock().unwrap().last().unwrap(), HandshakeKind::Resumed);
    prober.stop().await;
}

#[tokio::test]
async fn a_full_outcome_channel_slows_probing_and_loses_nothing() {
    let peer = answering(response("200 OK", "")).await;
    let (prober, mut outcomes) = prober(1, 64);
    prober.plan(1, estate(Duration::from_millis(10), AMPLE, &[("a", peer.address)]), false);
    let deadline = Instant::now() + AMPLE;
    while peer.accepted() < 2 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Twenty intervals: one outcome lies in the channel, the next one waits, its target is in flight.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(peer.accepted(), 2);
    for _ in 0..30 {
        assert_eq!(next(&mut outcomes).await.report.outcome, Outcome::Pass);
    }
    assert!((30..=32).contains(&peer.accepted()), "{}", peer.accepted());
    // Stopping does not wait for the receiver.
    timeout(AMPLE, prober.stop()).await.unwrap();
}

#[tokio::test]
async fn no_more_probes_run_at_once_than_allowed_and_all_get_their_turn() {
    let peer = silent().await;
    let keys: Vec<String> = (0..20).map(|n| format!("t{n}")).collect();
    let targets: Vec<_> = keys.iter().map(|key| (key.as_str(), peer.address)).collect();
    let (prober, mut outcomes) = prober(64, 3);
    prober.plan(1, estate(Duration::from_millis(250), Duration::from_millis(100), &targets), false);
    let mut probes: HashMap<TargetId, usize> = HashMap::new();
    while probes.len() < 20 || probes.values().any(|count| *count < 2) {
        *probes.entry(next(&mut outcomes).await.target).or_default() += 1;
    }
    // A connection that we reset may still be open at the peer for a moment.
    assert!(peer.open_max.load(Ordering::SeqCst) <= 6, "{:?}", peer.open_max);
    let (least, most) = (probes.values().min().unwrap(), probes.values().max().unwrap());
    assert!(most - least <= 4, "fair: {probes:?}");
    prober.stop().await;
}

#[test]
fn stop_and_drop_leave_no_task() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // Accepted by the kernel's backlog, answered by nobody.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    runtime.block_on(async {
        let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        for stop in [true, false] {
            let (prober, outcomes) = prober(4, 64);
            prober.plan(1, estate(Duration::from_secs(60), Duration::from_secs(50), &[("a", address), ("b", address), ("c", address)]), true);
            let deadline = Instant::now() + AMPLE;
            while alive() < 5 {
                assert!(Instant::now() < deadline, "scheduler, resolver and three probes");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if stop {
                prober.stop().await;
                // A task counts as alive for the instant between its end and its removal.
                assert!(alive() <= 2, "scheduler and resolver end last");
            } else {
                drop(prober);
            }
            while alive() > 0 {
                assert!(Instant::now() < deadline, "all gone");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            drop(outcomes);
        }
    });
}

#[tokio::test]
async fn the_prober_ends_when_nobody_takes_outcomes() {
    let peer = answering(response("200 OK", "")).await;
    let (mut prober, outcomes) = prober(1, 64);
    prober.plan(1, estate(Duration::from_millis(10), AMPLE, &[("a", peer.address)]), false);
    drop(outcomes);
    timeout(AMPLE, &mut prober.task).await.unwrap().unwrap();
}
