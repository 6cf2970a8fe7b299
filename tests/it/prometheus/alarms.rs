//! Alerts on a living Windrose: what should fire fires, and clears when its cause is gone.
//!
//! Their patience and their limits are tested by `promtool test rules`; here alerts wait for one second.

use std::time::Duration;

use super::super::boards::list::List;
use super::super::gateway::Gateway;
use super::super::node::{tool, wait_for};
use super::PATIENCE;
use super::scene::Scene;
use super::server::Prometheus;

/// Alerts that have fired and cleared, for the record.
struct Alarms<'p> {
    prometheus: &'p Prometheus,
    seen: Vec<String>,
}

impl Alarms<'_> {
    fn is_firing(&self, alert: &str, labels: &str) -> bool {
        self.prometheus.has(&format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\", {labels}}}"))
    }

    fn fires(&mut self, alert: &str, labels: &str) {
        wait_for(&format!("{alert} {labels} to fire"), PATIENCE, || self.is_firing(alert, labels).then_some(()));
        self.seen.push(alert.to_string());
    }

    fn clears(&self, alert: &str, labels: &str) {
        wait_for(&format!("{alert} {labels} to clear"), PATIENCE, || (!self.is_firing(alert, labels)).then_some(()));
    }
}

#[test]
fn alerts_fire_when_their_cause_comes_and_clear_when_it_goes() {
    if !tool("prometheus") || !Gateway::available() {
        return;
    }
    let mut scene = Scene::start(91);
    let prometheus = Prometheus::start(&[&scene.node, &scene.other]);
    let mut alarms = Alarms { prometheus: &prometheus, seen: Vec::new() };
    wait_for("the first scrape", PATIENCE, || prometheus.has("windrose_service_available{service=\"orders\"} == 1").then_some(()));

    // There from the start: a certificate for three days, a service without an endpoint on the other node.
    alarms.fires("WindroseProbedCertificateExpiring", "pool=\"secure\"");
    alarms.fires("WindroseProbeWarning", "pool=\"secure\"");
    alarms.fires("WindroseServiceDown", "service=\"other\"");
    for quiet in
        ["WindroseRegionDown", "WindroseNodeBlind", "WindroseRegionGuarded", "WindroseOverrideWithoutEnd", "WindroseConfigReloadFailed", "WindroseNodeDown"]
    {
        assert!(!alarms.is_firing(quiet, ""), "{quiet} fires while all is well");
    }
    scene.tls.renew(Duration::from_secs(90 * 86_400));
    alarms.clears("WindroseProbedCertificateExpiring", "");
    alarms.clears("WindroseProbeWarning", "");

    // A drain that nobody gave an end, until somebody does.
    scene.node.ok(&["drain", "region", "secure", "--reason", "CHG-1"]);
    alarms.fires("WindroseOverrideWithoutEnd", "target=\"region/secure\"");
    let id = scene.node.json(&["get", "overrides"])["items"][0]["id"].as_str().expect("an id").to_string();
    scene.node.ok(&["extend", &id, "--for", "2h"]);
    alarms.clears("WindroseOverrideWithoutEnd", "");
    scene.node.ok(&["undrain", "region", "secure"]);

    // Two regions, one soon after the other; then both return.
    scene.prod.down();
    alarms.fires("WindroseRegionDown", "region=\"prod\"");
    scene.dr.down();
    alarms.fires("WindroseRegionGuarded", "region=\"dr\"");
    alarms.fires("WindroseFailover", "service=\"portal\"");
    alarms.fires("WindroseNoRedundancy", "service=\"portal\"");
    alarms.fires("WindroseServiceDown", "service=\"portal\"");
    alarms.clears("WindroseRegionGuarded", "");
    scene.dr.up();
    alarms.clears("WindroseServiceDown", "service=\"portal\"");
    scene.prod.up();
    alarms.clears("WindroseRegionDown", "region=\"prod\"");
    alarms.clears("WindroseNoRedundancy", "service=\"portal\"");
    alarms.fires("WindroseFailbackWaiting", "service=\"orders\"");
    scene.node.ok(&["failback", "orders", "--reason", "CHG-2"]);
    alarms.clears("WindroseFailbackWaiting", "service=\"orders\"");

    // Without its sentinel the node trusts its eyes no more.
    scene.sentinel(false);
    alarms.fires("WindroseSentinelDown", "sentinel=\"router\"");
    alarms.fires("WindroseNodeBlind", "");
    scene.sentinel(true);
    alarms.clears("WindroseNodeBlind", "");
    alarms.clears("WindroseSentinelDown", "");

    // A file that can't be used.
    scene.configure("[service.broken]\n");
    assert_ne!(scene.node.cli(&["reload"]).code, 0);
    alarms.fires("WindroseConfigReloadFailed", "");
    scene.configure("");
    scene.node.ok(&["reload"]);
    alarms.clears("WindroseConfigReloadFailed", "");

    // The other node, which is the resolver, too.
    scene.other.kill();
    alarms.fires("WindroseNodeDown", &format!("instance=\"{}\"", scene.other.metrics));
    alarms.fires("WindroseHostNotResolved", "host=\"gw.api.example.com\"");
    scene.other.launch();
    alarms.clears("WindroseNodeDown", "");
    alarms.clears("WindroseHostNotResolved", "");

    alarms.seen.sort();
    alarms.seen.dedup();
    let list = List::read();
    let left: Vec<&str> = list.alerts().map(|alert| alert.name.as_str()).filter(|alert| !alarms.seen.iter().any(|seen| seen == alert)).collect();
    println!("measured: {} alerts fired on a living Windrose: {:?}; in unit tests alone: {left:?}", alarms.seen.len(), alarms.seen);
}
