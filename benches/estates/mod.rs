//! Configurations of any size, for the benches.

#![allow(dead_code, reason = "each bench uses its part")]

use std::fmt::Write as _;

/// The name of a service.
pub fn name(at: usize) -> String {
    format!("api{at:06}.example.test")
}

/// So many services, 80/20 over two pools that are up.
pub fn weighted(count: usize) -> String {
    with_services("always = \"up\"", "{ weighted = { prod = 80, dr = 20 } }", count)
}

/// So many services that use `prod` if it passes, and so many others that don't.
pub fn failing_over(count: usize, others: usize) -> String {
    let mut text = with_services("tcp = 1\ndown_after = 1\nok_after = 1\nup_after = 1", "{ failover = [\"prod\", \"dr\"] }", count);
    for at in count..count + others {
        service(&mut text, at, "{ failover = [\"dr\"] }");
    }
    text
}

/// Networks that clients are told apart by.
pub const NETWORKS: usize = 16;

/// One service, whose policy may ask for networks `n0` to `n15`. Their `prefixes` (each /24 in another network than its neighbours) stand in files of `folder`.
pub fn by_client(policy: &str, more: &str, prefixes: u32, folder: &std::path::Path) -> String {
    let mut text = with_services("always = \"up\"", policy, 1)
        .replace("[pool.prod]", "[region.prod]\nlocation = [50.1, 8.7]\n[region.dr]\nlocation = [40.7, -74.0]\n[pool.prod]");
    let _ = writeln!(text, "{more}");
    for network in 0..NETWORKS {
        let mut lines = String::new();
        for at in (network as u32..prefixes).step_by(NETWORKS) {
            let [_, a, b, c] = scattered(at).to_be_bytes();
            let _ = writeln!(lines, "{a}.{b}.{c}.0/24");
        }
        let file = folder.join(format!("n{network}.txt"));
        std::fs::write(&file, lines).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let place = network as f64 * 7.0;
        let _ = writeln!(text, "[network.n{network}]\nfile = \"{}\"\nlocation = [{:.1}, {:.1}]", file.display(), place - 50.0, 2.0 * place - 110.0);
    }
    text
}

/// One of 2^24 numbers for each of them, in an order that caches can't guess.
pub fn scattered(at: u32) -> u32 {
    at.wrapping_mul(2_654_435_761) & 0x00ff_ffff
}

fn with_services(monitor: &str, policy: &str, count: usize) -> String {
    let mut text = format!(
        "schema = 1\n[zone.\"example.test\"]\nrecords = \"@ 60 SOA ns host 1 1h 15m 1w 60\\n@ 60 NS ns\\nns 60 A 192.0.2.53\\n\"\n[monitor.prod]\n{monitor}\n\
         [monitor.dr]\nalways = \"up\"\n[pool.prod]\nmonitor = \"prod\"\nendpoints = [\"192.0.2.1\", \"2001:db8::1\"]\n[pool.dr]\nmonitor = \"dr\"\nendpoints = [\"198.51.100.1\"]\n"
    );
    (0..count).for_each(|at| service(&mut text, at, policy));
    text
}

fn service(text: &mut String, at: usize, policy: &str) {
    let _ = writeln!(text, "[service.s{at}]\nname = \"{}\"\nfailback = \"0s\"\npolicy = {policy}", name(at));
}
