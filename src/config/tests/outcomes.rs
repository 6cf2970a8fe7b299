//! `degraded`, `report`, `busy`, `redirects`, and a pool's own factor.

use crate::model::{Busy, Check, Factor, HttpOutcomes, ReportKind, Weight};

use super::*;

fn text(monitor: &str, pool: &str) -> String {
    format!("[monitor.m]\nurl = 'http://{{address}}/'\n{monitor}\n[pool.a]\nmonitor = 'm'\nendpoints = ['192.0.2.1']\n{pool}\n")
}

fn outcomes(monitor: &str) -> HttpOutcomes {
    let loaded = good(&text(monitor, ""));
    let Check::Http(check) = &loaded.estate.monitors[0].check else { panic!("an HTTP monitor") };
    (*check.outcomes).clone()
}

/// `path: message`, joined.
fn wrong(monitor: &str, pool: &str) -> String {
    let found = problems(&text(monitor, pool));
    let found: Vec<String> = found.into_iter().filter(|(_, _, path, _)| !path.is_empty()).map(|(_, _, path, message)| format!("{path}: {message}")).collect();
    found.join("; ")
}

#[test]
fn a_monitor_that_says_nothing_knows_pass_and_fail_alone() {
    assert_eq!(outcomes(""), HttpOutcomes::default());
    let HttpOutcomes { degraded, report, busy, redirects, .. } = HttpOutcomes::default();
    assert!(degraded.is_none() && report.is_none() && busy == Busy::Fail && redirects == 0);
}

#[test]
fn what_is_written_is_what_is_meant() {
    let all = outcomes(
        "degraded = { slower_than = '800ms', body = 'degraded', json = ['$.lag > 5'], status = [206, '210-212'], factor = 0.25 }\nbusy = 'degraded'\nbusy_max = '90s'\nredirects = 2\nreport = { json = '$.load', kind = 'load', min = 0.1, max = 8 }",
    );
    let degraded = all.degraded.unwrap();
    assert_eq!((degraded.slower_than, degraded.body.as_deref()), (Some(Duration::from_millis(800)), Some("degraded")));
    assert_eq!((degraded.json.len(), degraded.status, degraded.factor.thousandths()), (1, vec![206..=206, 210..=212], 250));
    assert_eq!((all.busy, all.busy_max, all.redirects), (Busy::Degraded, Duration::from_secs(90), 2));
    let report = all.report.unwrap();
    assert_eq!((report.kind, report.place.to_string().as_str()), (ReportKind::Load, "$.load"));
    assert_eq!((report.min, report.max), (Weight::new(0.1).unwrap(), Weight::new(8.0).unwrap()));
    let few = outcomes("degraded = { slower_than = '1s' }\nreport = { header = 'X-Load-Weight', min = 1, max = 100 }");
    assert_eq!((few.degraded.unwrap().factor, few.report.unwrap().kind), (Factor::default(), ReportKind::Weight));
    let pool = good(&text("degraded = { slower_than = '1s' }", "degraded_factor = 1")).estate.pools[0].clone();
    assert_eq!(pool.degraded_factor, Some(Factor::ONE));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (monitor, said) in [
        ("degraded = { factor = 0.5 }", "monitor.m.degraded: nothing makes a probe degraded"),
        ("degraded = { slower_than = '3s' }", "monitor.m.degraded.slower_than: slower_than (3s) must be shorter than timeout (3s)"),
        ("degraded = { slower_than = '0s' }", "monitor.m.degraded.slower_than: every probe takes longer"),
        ("degraded = { body = '' }", "monitor.m.degraded.body: every body contains nothing"),
        ("degraded = { status = [] }", "monitor.m.degraded.status: no status"),
        ("degraded = { body = 'x', factor = 0 }", "monitor.m.degraded.factor: 0 is out of range"),
        ("degraded = { body = 'x', factor = 1.5 }", "monitor.m.degraded.factor: 1.5 is out of range"),
        ("degraded = { body = 'x', factor = nan }", "monitor.m.degraded.factor: not a number that can be used"),
        ("degraded = { body = 'x', factor = '0.5' }", "monitor.m.degraded.factor: expected a number, found text"),
        ("degraded = { json = '$.lag' }", "monitor.m.degraded.json: expected ==, !=, <, <=, > or >= before ``"),
        ("degraded = { slow = '1s' }", "monitor.m.degraded: nothing makes a probe degraded; monitor.m.degraded.slow: unknown key"),
        ("method = 'HEAD'\ndegraded = { body = 'x' }", "monitor.m.degraded.body: `body` means nothing beside `HEAD`"),
        ("busy = 'maybe'", "monitor.m.busy: `maybe` is not a way to count a busy peer"),
        ("busy = 'degraded'", "monitor.m.busy: busy = \"degraded\" needs to know what a degraded endpoint counts"),
        ("busy_max = '1m'", "monitor.m.busy_max: `busy_max` means nothing while busy is a failure"),
        ("busy = 'ignore'\nbusy_max = '2h'", "monitor.m.busy_max: out of range"),
        ("redirects = 4", "monitor.m.redirects: 4 is out of range"),
        ("report = { min = 1, max = 2 }", "monitor.m.report: it is not said where the weight is told"),
        ("report = { header = 'X', max = 2 }", "monitor.m.report: `min` is missing"),
        ("report = { header = 'X', min = 1 }", "monitor.m.report: `max` is missing"),
        ("report = { header = 'X', min = 0, max = 2 }", "monitor.m.report.min: 0 is out of range"),
        ("report = { header = 'X', min = 3, max = 2 }", "monitor.m.report.max: max (2) is less than min (3)"),
        ("report = { header = 'X Y', min = 1, max = 2 }", "monitor.m.report.header: not a header's name"),
        ("report = { header = 'X', json = '$.w', min = 1, max = 2 }", "monitor.m.report.json: a weight is told in one place, not in a header and in the body"),
        ("report = { json = 'w', min = 1, max = 2 }", "monitor.m.report.json: a path begins with $, which stands for the whole body"),
        ("report = { json = '$.w', kind = 'cpu', min = 1, max = 2 }", "monitor.m.report.kind: `cpu` is not a kind of report"),
        ("data_at = { header = 'X Y' }", "monitor.m.data_at.header: not a header's name"),
        ("data_at = { header = 'X', json = '$.at' }", "monitor.m.data_at.json: a time of the data is told in one place, not in a header and in the body"),
        ("method = 'HEAD'\ndata_at = { json = '$.at' }", "monitor.m.data_at.json: `json` means nothing beside `HEAD`"),
        ("load_from = { header = 'X', json = '$.load' }", "monitor.m.load_from.json: a load is told in one place, not in a header and in the body"),
        ("load_from = {}", "monitor.m.load_from: it is not said where the load is told"),
        ("ca = 'c.pem'", "monitor.m.ca: `ca` means nothing beside `http://`"),
    ] {
        assert_eq!(wrong(monitor, ""), said, "{monitor}");
    }
    assert_eq!(wrong("", "hold_if_older_than = '0s'"), "pool.a.hold_if_older_than: data is always older than this");
    for (shed, said) in [
        ("{ over = 80 }", "pool.a.shed: `share` is missing"),
        ("{ share = 30 }", "pool.a.shed: `over` is missing"),
        ("{ over = 0, share = 30 }", "pool.a.shed.over: any load at all is over 0"),
        ("{ over = -1, share = 30 }", "pool.a.shed.over: -1 is no load"),
        ("{ over = 80, until = 80, share = 30 }", "pool.a.shed.until: it would end at 80 and begin over 80: it would never rest"),
        ("{ over = 80, share = 0 }", "pool.a.shed.share: 0 is out of range"),
        ("{ over = 80, share = 100 }", "pool.a.shed.share: 100 is out of range"),
        ("{ over = 80, share = 30, by = 'clients' }", "pool.a.shed.by: `clients` is no way to choose whose answers go"),
        ("{ over = 80, share = 30, max_age = '10ms' }", "pool.a.shed.max_age: after 10ms no report would count"),
        ("{ over = 80, share = 30, untill = 70 }", "pool.a.shed.untill: unknown key"),
    ] {
        assert_eq!(wrong("", &format!("shed = {shed}")), said, "{shed}");
    }
    let shed = |shed: &str| good(&text("", &format!("shed = {shed}"))).estate.pools[0].shed.map(|shed| shed.to_string());
    assert_eq!(shed("{ over = 80, share = 30 }").as_deref(), Some("30 % over 80 until 72, by random, at most one turn in 1m, reports count for 5m"));
    assert_eq!(
        shed("{ over = 900.5, until = 1, share = 0.5, by = 'client', hold = '0s', max_age = '1h' }").as_deref(),
        Some("0.5 % over 900.5 until 1, by client, at most one turn in 0s, reports count for 1h")
    );
    assert_eq!(wrong("", "degraded_factor = 0.001"), "pool.a.degraded_factor: 0.001 is out of range");
    let beside_tcp = problems("[monitor.m]\ntcp = 80\nredirects = 1\n[pool.a]\nmonitor = 'm'\nendpoints = ['192.0.2.1']\n");
    assert!(
        beside_tcp.iter().any(|(_, _, path, message)| path == "monitor.m.redirects" && message == "`redirects` means nothing beside `tcp`"),
        "{beside_tcp:?}"
    );
}

#[test]
fn redirects_are_part_of_what_is_asked_and_how_outcomes_count_is_not() {
    let key = |monitor: &str| good(&text(monitor, "")).estate.targets[0].key.to_string();
    let plain = key("");
    for tuned in ["degraded = { slower_than = '1s' }", "busy = 'pass'", "report = { header = 'X', min = 1, max = 2 }"] {
        assert_eq!(key(tuned), plain, "who tunes it keeps the verdict: {tuned}");
    }
    assert_ne!(key("redirects = 1"), plain);
    assert_ne!(key("redirects = 1"), key("redirects = 2"));
    // But two monitors that differ in it are two: each target has one rule.
    let two = |rest: &str| {
        let monitor = "url = 'http://{address}/'";
        let text = format!(
            "[monitor.m]\n{monitor}\n[monitor.n]\n{monitor}\n{rest}\n[pool.a]\nmonitor = 'm'\nendpoints = ['192.0.2.1']\n[pool.b]\nmonitor = 'n'\nendpoints = ['192.0.2.1']\n"
        );
        good(&text).estate.targets.len()
    };
    assert_eq!(two(""), 1);
    for rest in ["degraded = { slower_than = '1s' }", "busy = 'pass'", "report = { header = 'X', min = 1, max = 2 }", "redirects = 1"] {
        assert_eq!(two(rest), 2, "{rest}");
    }
}

#[test]
fn with_redirects_terms_of_tls_mean_something_beside_http() {
    let loaded = good(&text("redirects = 1\nverify = 'none'", ""));
    assert!(loaded.estate.monitors[0].check.tls().is_some());
}

/// Every TOML block of the page is a configuration without problems, given the pool and monitors that it leaves out.
#[test]
fn the_examples_of_the_page_are_valid() {
    let page = include_str!("../../../docs/outcomes.md");
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 4, "{} blocks", blocks.len());
    for block in blocks {
        let rest = if block.contains("[pool.") { String::new() } else { "[pool.a]\nmonitor = 'gateway'\nendpoints = ['192.0.2.1']\n".to_string() };
        good(&format!("{block}\n{rest}"));
    }
}
