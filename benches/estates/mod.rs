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
