//! `[probe]`: where probes may go. What is written in the file and may not be probed is a problem of the file, so that no region is taken down for it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use ipnet::IpNet;

use crate::config::file::{Pool, Probe, Sentinel};
use crate::config::problem::Sink;
use crate::config::read::{Key, Named};
use crate::model::{Estate, Host, Own, ProbeRules, Settings};

/// Where each address that may be probed is written first. What a host name is resolved to is looked at before each probe.
pub(super) type Written = HashMap<IpAddr, Range<usize>>;

/// Looks at the tables before they are taken apart.
pub(super) fn addresses(pools: &Key<Named<Pool>>, sentinels: &Key<Named<Sentinel>>) -> Written {
    let mut written = Written::new();
    let mut note = |host: &Host, span: &Range<usize>| {
        if let Some(address) = host.address() {
            written.entry(address).or_insert_with(|| span.clone());
        }
    };
    for pool in pools.get().into_iter().flat_map(|pools| &pools.value.0) {
        for endpoint in pool.value.endpoints.get().into_iter().flat_map(|list| &list.value).filter_map(Key::get) {
            match (endpoint.value.0.connect.get(), endpoint.value.0.address.get()) {
                (Some(connect), _) => note(&connect.value.0, &connect.span),
                (None, Some(address)) => note(&address.value.into(), &address.span),
                (None, None) => {}
            }
        }
    }
    for sentinel in sentinels.get().into_iter().flat_map(|sentinels| &sentinels.value.0) {
        if let Some(address) = sentinel.value.address.get() {
            note(&address.value, &address.span);
        }
    }
    written
}

/// Call it when all targets are known.
pub(super) fn check(probe: Probe, settings: &Settings, written: &Written, estate: &mut Estate, sink: &mut Sink<'_>) {
    let Probe { allow } = probe;
    let mut rules = ProbeRules::default();
    let mut allowed = Vec::new();
    for (index, found) in allow.get().map(|allow| &allow.value.0[..]).unwrap_or_default().iter().enumerate() {
        let Some(found) = found.get() else { continue };
        let network = found.value.parse::<IpNet>().ok().or_else(|| found.value.parse::<IpAddr>().ok().map(IpNet::from));
        match (network, Own::ALL.into_iter().find(|own| own.word() == found.value)) {
            (Some(network), _) => rules.allow.push(network),
            (None, Some(own)) => allowed.push(own),
            (None, None) => {
                let help = "a prefix such as \"169.254.7.0/24\", an address, \"admin\" or \"metrics\"";
                sink.problem(&found.span, format_args!("probe.allow[{index}]"), format!("`{}` is neither a network nor a listener", found.value), help);
            }
        }
    }
    let own = [(Own::Admin, Some(settings.admin.listen)), (Own::Metrics, settings.metrics.listen)];
    rules.own = own.into_iter().filter(|(own, _)| !allowed.contains(own)).filter_map(|(own, listen)| Some((own, listen?))).collect();
    for target in &estate.targets {
        let Some(address) = target.address.address() else { continue };
        let peer = SocketAddr::new(address, target.port.unwrap_or(estate.monitor(target.monitor).check.port()));
        // What is this machine's own is known when it runs; here loopback is enough.
        let Some(forbidden) = rules.forbids(peer, |_| false) else { continue };
        let Some(span) = written.get(&address) else { continue };
        // Those have problems of their own.
        if super::pools::never_answered(address).is_some() {
            continue;
        }
        let message = format!("monitor {} would probe {peer}, which is {forbidden}", estate.monitor(target.monitor).name);
        let help = format!("if that is meant, add to [probe]: allow = [\"{}\"]", ProbeRules::way_out(peer, forbidden));
        sink.problem(span, "probe", message, help);
    }
    estate.probing = Arc::new(rules);
}
