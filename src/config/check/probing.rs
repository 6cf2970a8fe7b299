//! `[probe]`: where probes may go, and what they may do to this host. What is written in the file and may not be probed is a problem of the file, so that
//! no region is taken down for it. Programs are run only if the file says as whom, and from where.
//!
//! Reads `/etc/passwd`. Never here: a user that may do everything.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;

use crate::config::file::{Exec as ExecTable, Pool, Sentinel};
use crate::config::problem::Sink;
use crate::config::read::{At, Key, Named, OneOrMany};
use crate::model::{Estate, ExecTerms, Host, Own, ProbeRules, Settings};

use super::number;

const USERS: &str = "/etc/passwd";

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
pub(super) fn check(allow: Key<OneOrMany<String>>, settings: &Settings, written: &Written, estate: &mut Estate, sink: &mut Sink<'_>) {
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
        let check = &estate.monitor(target.monitor).check;
        // Nothing is sent to what is told.
        if !check.is_probed() {
            continue;
        }
        let peer = SocketAddr::new(address, check.port_of(target.port).unwrap_or(0));
        // What is this machine's own is known when it runs; here loopback is enough.
        let Some(forbidden) = rules.forbids(peer, |_| false) else { continue };
        let Some(span) = written.get(&address) else { continue };
        // Those have problems of their own.
        if super::pools::never_answered(address).is_some() {
            continue;
        }
        let place = target.address.with_port(check.port_of(target.port));
        let message = format!("monitor {} would probe {place}, which is {forbidden}", estate.monitor(target.monitor).name);
        let help = format!("if that is meant, add to [probe]: allow = [\"{}\"]", ProbeRules::way_out(peer, forbidden));
        sink.problem(span, "probe", message, help);
    }
    estate.probing = Arc::new(rules);
}

/// What `exec` monitors may do.
#[derive(Clone, Debug, Default)]
pub(super) enum Exec {
    /// Nothing: the file does not allow them.
    #[default]
    Off,
    /// It does, and has problems, which were told.
    Unclear,
    /// This.
    On(Rules),
}

/// Programs may be run.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub terms: ExecTerms,
    /// Programs lie below one of these; links are followed first.
    pub folders: Vec<PathBuf>,
}

/// `[probe] exec`
pub(super) fn exec(exec: Key<ExecTable>, sink: &mut Sink<'_>) -> Exec {
    match exec {
        Key::Absent => Exec::Off,
        Key::Unreadable => Exec::Unclear,
        Key::Is(At { value, span }) => rules(value, &span, sink).map_or(Exec::Unclear, Exec::On),
    }
}

fn rules(table: ExecTable, span: &Range<usize>, sink: &mut Sink<'_>) -> Option<Rules> {
    const AT: &str = "probe.exec";
    let ExecTable { user, folders, running_max, processes_max, memory_mib_max } = table;
    if user.is_absent() {
        sink.missing(span, AT, "`user` is missing", "add user = \"nobody\": programs are run as a user of their own");
    }
    if folders.is_absent() {
        sink.missing(span, AT, "`folders` is missing", "add folders = [\"/usr/lib/nagios/plugins\"]: programs from elsewhere are not run");
    }
    let mut limit = |key: &Key<i64>, most: i64, default: i64, name: &str| number(key, 1..=most, default, format_args!("{AT}.{name}"), sink);
    let running_max = limit(&running_max, 4096, 16, "running_max");
    let processes_max = limit(&processes_max, 1_000_000, 256, "processes_max");
    let memory_mib_max = limit(&memory_mib_max, 1_000_000, 512, "memory_mib_max");
    let user = user.take_with_span().and_then(|(user, span)| {
        let found = user_of(&user);
        if let Err((why, help)) = &found {
            sink.problem(&span, format_args!("{AT}.user"), why, *help);
        }
        found.ok().map(|(uid, gid)| (user, uid, gid))
    });
    let folders = folders.take().map(|folders| folders.0.into_iter().filter_map(|folder| folder_of(folder, sink)).collect::<Vec<_>>());
    let ((user, uid, gid), folders) = (user?, folders?);
    let terms = ExecTerms {
        user,
        uid,
        gid,
        running_max: u16::try_from(running_max).unwrap_or(16),
        processes_max: u32::try_from(processes_max).unwrap_or(256),
        memory_octets_max: u64::try_from(memory_mib_max).unwrap_or(512) << 20,
    };
    Some(Rules { terms, folders })
}

impl<T> Key<T> {
    fn take_with_span(self) -> Option<(T, Range<usize>)> {
        match self {
            Key::Is(At { value, span }) => Some((value, span)),
            Key::Absent | Key::Unreadable => None,
        }
    }
}

/// Its number and that of its group.
fn user_of(user: &str) -> Result<(u32, u32), (String, &'static str)> {
    let help = "name a user of this host that owns nothing, such as \"nobody\"";
    let text = std::fs::read_to_string(USERS).map_err(|why| (format!("{USERS} can't be read: {why}"), help))?;
    let (uid, gid) = entry(&text, user).ok_or_else(|| (format!("{USERS} has no user `{user}`"), help))?;
    match uid {
        0 => Err((format!("`{user}` may do everything on this host"), help)),
        _ => Ok((uid, gid)),
    }
}

/// `name:x:uid:gid:…`
fn entry(passwd: &str, user: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(user);
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        (found && !user.is_empty()).then_some((uid, gid))
    })
}

fn folder_of(folder: Key<String>, sink: &mut Sink<'_>) -> Option<PathBuf> {
    let At { value, span } = folder.get()?;
    let wrong = |why: String, sink: &mut Sink<'_>| sink.problem(&span.clone(), "probe.exec.folders", why, "the absolute path of a folder with plugins");
    if !Path::new(value).is_absolute() {
        wrong(format!("`{value}` is no absolute path"), sink);
        return None;
    }
    match std::fs::canonicalize(value) {
        Ok(path) if path.is_dir() && path.parent().is_some() => Some(path),
        Ok(path) => {
            let why = if path.is_dir() { "is everything" } else { "is no folder" };
            wrong(format!("`{value}` {why}"), sink);
            None
        }
        Err(why) => {
            wrong(format!("`{value}` can't be read: {why}"), sink);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nnob:x:1:1::/:\nnobody:x:65534:65533:nobody:/:/usr/sbin/nologin\n";
        assert_eq!(entry(passwd, "nobody"), Some((65534, 65533)));
        assert_eq!((entry(passwd, "nobod"), entry(passwd, ""), entry(passwd, "broken")), (None, None, None));
    }
}
