//! What a good file comes to: monitors, regions, services, zones.

use super::*;

#[test]
fn monitors_are_what_the_file_says() {
    let loaded = good(
        "[monitor.a]\nurl = 'https://API.example.com:8443/x?y'\nstatus = [204, '300-302']\nbody = 'ok'\nheaders = { X-A = ' b ' }\ninterval = '1s'\ntimeout = '500ms'\ndown_after = 2\n[monitor.b]\nurl = 'https://{address}/'\nhost = 'h.example.com:444'\n[monitor.c]\ntcp = 3306\n[monitor.d]\nalways = 'up'\n",
    );
    let [a, b, c, d] = &loaded.estate.monitors[..] else { panic!() };
    let Check::Http(http) = &a.check else { panic!() };
    assert_eq!((http.port, &*http.path), (8443, "/x?y"));
    assert_eq!((http.host.as_deref(), http.tls.sni.as_deref()), (Some("api.example.com:8443"), Some("api.example.com")));
    assert_eq!(http.status, [204..=204, 300..=302]);
    assert_eq!(http.headers.iter().map(|header| (&*header.name, &**header.value.expose())).collect::<Vec<_>>(), [("X-A", "b")]);
    assert_eq!((a.detection(&a.thresholds), a.thresholds.down_after, a.thresholds.up_after), (Duration::from_millis(2500), 2, 5));
    let Check::Http(http) = &b.check else { panic!() };
    assert_eq!((http.host.as_deref(), http.tls.sni.as_deref(), http.port), (Some("h.example.com:444"), Some("h.example.com"), 443));
    assert_eq!((&c.check, &d.check), (&Check::Tcp(crate::model::TcpCheck::connect(3306)), &Check::Always));
}

#[test]
fn an_address_is_probed_once_per_definition() {
    let loaded = good(&format!(
        "{BASE}[monitor.twin]\nurl = 'http://{{address}}/'\n[monitor.other]\nurl = 'http://{{address}}/other'\n[monitor.up]\nalways = 'up'\n\
         [pool.c]\nmonitor = 'm'\nendpoints = ['192.0.2.1', '192.0.2.2']\n[pool.d]\nmonitor = 'twin'\nendpoints = ['192.0.2.1']\n\
         [pool.e]\nmonitor = 'other'\nendpoints = ['192.0.2.1']\n[pool.f]\nmonitor = 'up'\nendpoints = ['192.0.2.1']\n[service.s]\nname = 's.example.com'\npolicy = {{ failover = ['a', 'b'] }}\nwhen_all_down = {{ pool = 'f' }}\n"
    ));
    let estate = &loaded.estate;
    let targets: Vec<(&str, String, usize)> = estate
        .targets
        .iter()
        .map(|target| (&*estate.monitor(target.monitor).name, target.address.to_string(), estate.judgement(target.judgement).endpoints.len()))
        .collect();
    assert_eq!(targets, [("m", "192.0.2.1".to_string(), 3), ("m", "192.0.2.2".to_string(), 2), ("other", "192.0.2.1".to_string(), 1)]);
    assert!(estate.targets[0].key.starts_with("m@192.0.2.1#") && estate.targets[0].key.len() == "m@192.0.2.1#".len() + 16, "{}", estate.targets[0].key);
    for (at, endpoint) in estate.endpoints.iter().enumerate() {
        match endpoint.watch {
            Watch::Judgement(judgement) => assert!(estate.judgement(judgement).endpoints.iter().any(|id| id.index() == at)),
            Watch::Always => assert_eq!(&*estate.pool(endpoint.pool).name, "f"),
            Watch::Nothing | Watch::Combined(_) => panic!(),
        }
    }
}

#[test]
fn regions_are_declared_or_the_pools_own() {
    let loaded = good(
        "[region.west]\n[monitor.m]\ntcp = 1\n[pool.a]\nmonitor = 'm'\nendpoints = ['192.0.2.1']\n[pool.b]\nregion = 'west'\nmonitor = 'm'\nendpoints = ['192.0.2.2']\n[pool.c]\nregion = 'c'\nmonitor = 'm'\nendpoints = ['192.0.2.3']\n",
    );
    let estate = &loaded.estate;
    assert_eq!(estate.regions.iter().map(|region| &*region.name).collect::<Vec<_>>(), ["west", "a", "c"]);
    assert_eq!(estate.pools.iter().map(|pool| &*estate.region(pool.region).name).collect::<Vec<_>>(), ["a", "west", "c"]);
}

#[test]
fn services_are_what_the_file_says() {
    let loaded = good(&format!(
        "{BASE}[pool.sorry]\nendpoints = ['203.0.113.1']\n[policy.p]\nfailover = ['a', 'b']\n\
         [service.s]\nname = ['Example.com', '*.x.example.com', 'near.example.com']\nnames_file = 'names'\npolicy = {{ weighted = ['p', 'b'] }}\nttl = '1m'\nttl_min = '2s'\nfailback = 'manual'\nwhen_all_down = {{ pool = 'sorry' }}\nmax_answers = 3\nmetrics = true\n\
         [service.t]\nname = 't.example.com'\npolicy = {{ weighted = {{ p = 50, b = 50 }} }}\nttl = '3s'\nfailback = '0s'\n"
    ));
    let [s, t] = &loaded.estate.services[..] else { panic!() };
    let names: Vec<String> = s.names.iter().map(|name| name.to_string()).collect();
    assert_eq!(names, ["example.com", "*.x.example.com", "near.example.com", "a.example.com", "b.example.com"]);
    assert_eq!((s.ttl, s.ttl_min, s.max_answers, s.failback, s.metrics), (60, 2, 3, Failback::Manual, true));
    assert_eq!(s.when_all_down, AllDown::Pool(loaded.estate.pool_named("sorry").unwrap()));
    assert_eq!((t.ttl, t.ttl_min, t.failback), (3, 3, Failback::After(Duration::ZERO)));
    // Equal forms share one tree.
    assert!(std::sync::Arc::ptr_eq(&s.form, &t.form) && std::sync::Arc::ptr_eq(&s.policy, &t.policy));
    assert!(loaded.files.iter().any(|file| file.ends_with("names")));
}

#[test]
fn a_names_file_tells_its_own_lines() {
    let folder = folder();
    let Problems(found) =
        load_text(&format!("schema = 1\n{BASE}[service.s]\nnames_file = 'wrong-names'\npolicy = {{ failover = ['a', 'b'] }}\n"), &folder.path().join("w.toml"))
            .unwrap_err();
    let found: Vec<(bool, u32, u32, &str)> =
        found.iter().map(|problem| (problem.file.ends_with("wrong-names"), problem.line, problem.column, &*problem.message)).collect();
    assert_eq!(found.len(), 3);
    assert_eq!(found[0], (true, 2, 2, "`a..b` has an empty label"));
    assert!(found[1].0 && found[1].1 == 3 && found[1].3.starts_with("`a.example.com` stands twice"), "{found:?}");
    assert_eq!(found[2], (true, 4, 1, "`x.other.test` is in no zone of this file"));
}

#[test]
fn relative_paths_are_relative_to_the_file() {
    let folder = folder();
    let loaded = load_text(
        "schema = 1\n[admin]\nsocket = 'a.sock'\ntls = { cert = 'cert.pem', key = 'key.pem' }\n[store]\npath = 'state'\n",
        &folder.path().join("w.toml"),
    )
    .unwrap();
    assert_eq!(loaded.settings.admin.socket, folder.path().join("a.sock"));
    assert_eq!(loaded.settings.admin.tls.as_ref().unwrap().cert, folder.path().join("cert.pem"));
    assert_eq!(loaded.settings.admin.tls.as_ref().unwrap().key, folder.path().join("key.pem"));
    assert_eq!(loaded.settings.store.path, folder.path().join("state"));
    let off = good("[metrics]\nlisten = 'off'\n[dns]\nlisten = '127.0.0.1:5300'\n");
    assert_eq!((off.settings.metrics.listen, off.settings.dns.listen), (None, vec!["127.0.0.1:5300".parse().unwrap()]));
}

#[test]
fn nested_zones_give_each_name_to_the_most_specific() {
    let folder = folder();
    std::fs::write(folder.path().join("sub"), "$TTL 1h\n@ SOA ns1 host 1 1h 15m 1w 5m\n@ NS ns1\nns1 A 192.0.2.53\n").unwrap();
    let text = format!(
        "schema = 1\n{BASE}[zone.'cut.example.com']\nfile = 'sub'\n[service.s]\nname = ['x.cut.example.com', 'old.cut.example.com']\npolicy = {{ failover = ['a', 'b'] }}\n"
    );
    let loaded = load_text(&text, &folder.path().join("w.toml")).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.zones.iter().map(|zone| zone.apex.to_string()).collect::<Vec<_>>(), ["example.com", "cut.example.com"]);
    assert_eq!(loaded.warnings, []);
    std::fs::write(folder.path().join("z"), format!("{ZONE}x.cut TXT hidden\n")).unwrap();
    let warnings = load_text(&text, &folder.path().join("w.toml")).unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.message.starts_with("`x.cut.example.com` in the file of `example.com` is hidden")), "{warnings:?}");
}

#[test]
fn deep_and_wide_policies_end() {
    // A chain as long as the file, and a tree that doubles at every step.
    let mut chain = format!("{BASE}[policy.p0]\nfailover = ['a', 'b']\n");
    for at in 1..3000 {
        let _ = write!(chain, "[policy.p{at}]\nfailover = ['p{}']\n", at - 1);
    }
    let found = problems(&chain);
    assert!(matches!(&found[..], [(_, _, path, message)] if path == "policy.p64" && message == "the tree is more than 64 policies deep"), "{found:?}");
    let mut tree = format!("{BASE}[policy.p0]\nfailover = ['a', 'b']\n[policy.q0]\nfailover = ['b', 'a']\n");
    for at in 1..40 {
        let _ = write!(tree, "[policy.p{at}]\nfailover = ['p{0}', 'q{0}']\n[policy.q{at}]\nfailover = ['q{0}', 'p{0}']\n", at - 1);
    }
    let found = problems(&format!("{tree}[service.s]\nname = 's.example.com'\npolicy = 'p39'\n"));
    assert!(!found.is_empty() && found.iter().all(|(.., message)| message.starts_with("the tree has 16384 leaves; at most 10000")), "{found:?}");
}

#[test]
fn the_summary_tells_times_and_numbers() {
    let loaded = good(&format!(
        "{BASE}[monitor.fast]\ntcp = 80\ninterval = '1s'\ntimeout = '500ms'\n[pool.f]\nmonitor = 'fast'\nendpoints = ['192.0.2.1', '2001:db8::1']\n\
         [service.s]\nname = ['s.example.com', 'u.example.com']\npolicy = {{ failover = ['a', 'b'] }}\n[service.t]\nname = 't.example.com'\npolicy = 'f'\nttl = '10s'\n"
    ));
    let summary = summary(&loaded);
    assert_eq!((summary.targets, summary.names, summary.zones.clone()), (4, 3, vec!["example.com".to_string()]));
    assert!((summary.probes_per_second - 2.2).abs() < 1e-9);
    assert_eq!(
        summary.monitors.iter().map(|monitor| monitor.detection).collect::<Vec<_>>(),
        [Some(Duration::from_secs(33)), Some(Duration::from_millis(3500))]
    );
    let moved: Vec<Option<Duration>> = summary.services.iter().map(|service| service.clients_moved).collect();
    assert_eq!(moved, [Some(Duration::from_secs(63)), Some(Duration::from_millis(13_500))]);
    let text = summary.to_string();
    for part in ["2 services, 3 names served", "4 targets probed, 2.2 probes per second", "1m 3s (seen in 33s, TTL 30s)"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn many_services_of_few_policies_share_their_trees() {
    let mut text = BASE.to_string();
    for at in 0..20 {
        let _ = write!(text, "[pool.p{at}]\nmonitor = 'm'\nendpoints = ['198.51.100.{at}']\n", at = at + 1);
    }
    for at in 0..10_000 {
        let (first, second) = (at % 20 + 1, (at + 1) % 20 + 1);
        let _ = write!(text, "[service.s{at}]\nname = 's{at}.example.com'\npolicy = {{ weighted = {{ p{first} = 80, p{second} = 20 }} }}\n");
    }
    let services = good(&text).estate.services;
    assert_eq!(services.len(), 10_000 + good(BASE).estate.services.len());
    let trees: std::collections::HashSet<_> = services.iter().map(|service| std::sync::Arc::as_ptr(&service.policy)).collect();
    assert!(trees.len() <= 20 + good(BASE).estate.services.len(), "{} trees", trees.len());
}

#[test]
fn a_family_is_a_family() {
    let loaded = good(BASE);
    assert_eq!(loaded.estate.pools[0].endpoints.iter().filter(|endpoint| loaded.estate.may_answer(**endpoint, Family::V4)).count(), 1);
}

#[test]
fn a_zones_records_may_stand_in_the_file_and_problems_name_its_lines() {
    let zone = "schema = 1\n[zone.\"x.test\"]\nrecords = \"\"\"\n@ 60 IN SOA ns hostmaster 1 1h 15m 1w 5s\n@ 60 IN NS ns\nns 60 IN A 192.0.2.1\n";
    let loaded = load_text(&format!("{zone}\"\"\"\n"), Path::new("windrose.toml")).expect("fine");
    assert_eq!((loaded.zones.len(), loaded.files.len()), (1, 1));
    let problems = load_text(&format!("{zone}bad 60 IN A 192.0.2.999\n\"\"\"\n"), Path::new("windrose.toml")).expect_err("a bad address");
    assert_eq!(problems.0.iter().map(|problem| (problem.file.display().to_string(), problem.line)).collect::<Vec<_>>(), [("windrose.toml".to_string(), 7)]);
    let both = load_text("schema = 1\n[zone.\"x.test\"]\nfile = \"a\"\nrecords = \"\"\n", Path::new("windrose.toml")).expect_err("both");
    assert!(both.to_string().contains("exclude each other"), "{both}");
}

#[test]
fn a_sentinel_is_a_target_of_its_own_unless_an_endpoint_asks_the_same() {
    let text = "schema = 1
[monitor.m]
tcp = 1
[monitor.twin]
tcp = 1
[pool.a]
monitor = 'm'
endpoints = ['192.0.2.1']
[sentinel.router]
monitor = 'm'
address = '192.0.2.9'
[sentinel.gateway]
monitor = 'twin'
address = '192.0.2.1'
";
    let estate = load_text(text, Path::new("w.toml")).unwrap().estate;
    let sentinels: Vec<_> = estate.sentinels.iter().map(|sentinel| (&*sentinel.name, sentinel.judgement.index())).collect();
    assert_eq!(sentinels, [("router", 1), ("gateway", 0)]);
    let targets: Vec<_> = estate.targets.iter().map(|target| (target.address.to_string(), estate.judgement(target.judgement).endpoints.len())).collect();
    assert_eq!(targets, [("192.0.2.1".to_string(), 1), ("192.0.2.9".to_string(), 0)]);
    assert!(estate.targets[1].key.starts_with("m@192.0.2.9#"));
}
