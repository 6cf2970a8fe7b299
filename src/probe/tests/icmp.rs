//! Echoes from this host to itself, where the system permits them.

use super::*;

async fn echo(address: &str, source: Option<&str>) -> ProbeReport {
    let mut monitor = monitor(Check::Icmp, AMPLE);
    match source.map(|source| source.parse::<IpAddr>().unwrap()) {
        Some(IpAddr::V4(v4)) => monitor.source.v4 = Some(v4),
        Some(IpAddr::V6(v6)) => monitor.source.v6 = Some(v6),
        None => {}
    }
    probe(&monitor, address.parse().unwrap(), &Trust::unused(), &Arc::default()).await
}

/// This machine permits no echoes, or has no IPv6: said, and nothing more can be proved.
fn skipped(report: &ProbeReport) -> bool {
    match &report.outcome {
        Outcome::Fail { reason: Reason::Internal, message } => {
            assert!(message.contains("CAP_NET_RAW") || message.contains("address"), "{message}");
            println!("skipped: {message}");
            true
        }
        _ => false,
    }
}

#[tokio::test]
async fn this_host_echoes_itself_over_both_families() {
    for (address, source) in [("127.0.0.1", None), ("127.0.0.1", Some("127.0.0.2")), ("::1", None), ("::1", Some("::1"))] {
        let report = echo(address, source).await;
        if !skipped(&report) {
            assert_pass(&report);
            assert_eq!(phases(&report), [Phase::Request]);
        }
    }
}

#[tokio::test]
async fn a_hundred_echoes_at_once_are_not_mixed_up() {
    let mut echoes = tokio::task::JoinSet::new();
    for last in 1..=100 {
        echoes.spawn(async move { echo(&format!("127.0.0.{last}"), None).await });
    }
    for report in echoes.join_all().await {
        if !skipped(&report) {
            assert_pass(&report);
        }
    }
}

#[tokio::test]
async fn a_source_that_is_not_ours_is_no_fault_of_the_peer() {
    let report = echo("127.0.0.1", Some("192.0.2.77")).await;
    assert!(matches!(&report.outcome, Outcome::Fail { reason: Reason::Internal, .. }), "{:?}", report.outcome);
}
