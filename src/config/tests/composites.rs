//! Composite monitors, thresholds by precedence, and pools that require pools; and the blocks of `docs/health.md`.

use crate::model::{AnyMonitor, JudgementId, Mark, Need, Thresholds};

use super::*;

fn loaded(text: &str) -> Loaded {
    load_text(&format!("schema = 1\n{text}"), Path::new("w.toml")).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Path, message and help of each problem.
fn refused(text: &str) -> Vec<String> {
    let problems = load_text(&format!("schema = 1\n{text}"), Path::new("w.toml")).map(|_| ()).unwrap_err().0;
    problems.iter().map(|problem| format!("{}: {} ({})", problem.path, problem.message, problem.help)).collect()
}

const ZONE: &str = "[zone.'api.example.com']\nrecords = \"\"\"\n$TTL 1h\n@ IN SOA ns1 hostmaster 1 1h 15m 1w 5m\n@ IN NS ns1\nns1 IN A 192.0.2.53\n\"\"\"\n";

const TWO: &str = "[monitor.web]\ntcp = 80\n[monitor.database]\ntcp = 3306\ndown_after = 2\n";

#[test]
fn a_composite_listens_to_one_target_per_simple_member_however_many_share_it() {
    let estate = loaded(&format!(
        "{TWO}[monitor.portal]\nall = ['web', {{ monitor = 'database', mark = 'critical' }}]\n[monitor.deep]\nat_least = {{ n = 2, of = ['portal', 'web', {{ monitor = 'up', mark = 'watch' }}] }}\n[monitor.up]\nalways = 'up'\n[pool.a]\nmonitor = 'portal'\nendpoints = ['192.0.2.1']\n[pool.b]\nmonitor = 'deep'\nendpoints = ['192.0.2.1', '192.0.2.2']\n[pool.c]\nmonitor = 'web'\nendpoints = ['192.0.2.1']\n"
    ))
    .estate;
    let targets: Vec<_> = estate.targets.iter().map(|target| format!("{}@{}", estate.monitor(target.monitor).name, target.address)).collect();
    assert_eq!(targets, ["web@192.0.2.1", "database@192.0.2.1", "web@192.0.2.2", "database@192.0.2.2"]);
    assert_eq!(estate.judgements.len(), 4);
    let portal = &estate.composites[0];
    assert_eq!((&*portal.name, portal.need, portal.members[1].mark), ("portal", Need::All, Mark::Critical));
    let deep = &estate.composites[1];
    assert_eq!(
        (deep.need, deep.members[0].monitor, deep.members[2].mark),
        (Need::AtLeast(2), AnyMonitor::Composite(crate::model::CompositeId(0)), Mark::Watch)
    );
    // Web of the inner one, database, and web once more; `up` probes nothing.
    assert_eq!(estate.judgements_on(crate::model::EndpointId(1)), [JudgementId(0), JudgementId(1), JudgementId(0)]);
    assert_eq!(estate.targets_of(crate::model::EndpointId(1)).count(), 2, "each once");
    assert_eq!(estate.judgement(JudgementId(0)).endpoints.len(), 3, "one of each pool");
}

#[test]
fn thresholds_of_the_endpoint_go_before_the_pools_before_the_monitors_each_key_by_itself() {
    let estate = loaded(&format!(
        "{TWO}[pool.a]\nmonitor = 'database'\nok_after = 7\nendpoints = ['192.0.2.1', {{ address = '192.0.2.2', down_after = 9 }}]\n[pool.b]\nmonitor = 'database'\nendpoints = ['192.0.2.1']\n"
    ))
    .estate;
    assert_eq!(estate.targets.len(), 2, "probed once");
    let of = |endpoint: u32| {
        let judgement = estate.judgement(estate.judgements_on(crate::model::EndpointId(endpoint))[0]);
        (judgement.thresholds, judgement.key.split_once('~').map(|(_, suffix)| suffix.to_string()))
    };
    assert_eq!(of(0), (Thresholds { down_after: 2, ok_after: 7, up_after: 5 }, Some("2/7/5".to_string())));
    assert_eq!(of(1), (Thresholds { down_after: 9, ok_after: 7, up_after: 5 }, Some("9/7/5".to_string())));
    assert_eq!(of(2), (Thresholds { down_after: 2, ok_after: 5, up_after: 5 }, None), "the monitor's own: the key is the target's");
}

#[test]
fn what_a_composite_may_not_be_is_told() {
    let rows = [
        ("all = []", "monitor.m.all: a composite without members (name the monitors that it listens to)"),
        ("all = ['wep']", "monitor.m.all[0]: no monitor is called `wep` (did you mean `web`?)"),
        ("all = ['m']", "monitor.m: a circle: m → m (a composite can't listen to itself)"),
        ("all = ['web', 'web']", "monitor.m.all[1]: this monitor is a member already (remove one)"),
        ("all = ['web', { monitor = 'database', mark = 'critcal' }]", "monitor.m.all[1].mark: `critcal` is no mark (did you mean `critical`?)"),
        ("all = [{ mark = 'watch' }]", "monitor.m.all[0]: `monitor` is missing ({ monitor = \"web\", mark = \"critical\" })"),
        ("all = [{ monitor = 'web', mark = 'watch' }]", "monitor.m.all: nobody votes: every member is marked `watch` (leave the mark out for one)"),
        (
            "any = [{ monitor = 'web', mark = 'critical' }]",
            "monitor.m.any: nobody votes (members marked `critical` are conditions beside the vote: leave the mark out for those that vote, or write all = […])",
        ),
        ("at_least = { n = 3, of = ['web', 'database'] }", "monitor.m.at_least.n: 3 is out of range: 2 of its members vote (from 1 to 2)"),
        ("at_least = { of = ['web'] }", "monitor.m.at_least.n: `n` is missing (at_least = { n = 2, of = [\"a\", \"b\", \"c\"] })"),
        ("all = ['web']\ninterval = '1s'", "monitor.m.interval: `interval` means nothing beside `all` (remove it)"),
        ("all = ['web']\ndown_after = 1", "monitor.m.down_after: `down_after` means nothing beside `all` (remove it)"),
        (
            "all = ['web']\n[sentinel.s]\nmonitor = 'm'\naddress = '192.0.2.1'",
            "sentinel.s.monitor: `m` is a composite monitor (name one of its members: a sentinel is a single target, and there may be several sentinels)",
        ),
        (
            "all = ['web']\n[pool.p]\nmonitor = 'm'\nendpoints = [{ address = '192.0.2.1', connect = '10.0.0.1:80' }]",
            "pool.p.endpoints[0].connect: each member of a composite monitor has its own port, and this is one for all of them: 80 (write the address alone)",
        ),
    ];
    for (keys, told) in rows {
        assert_eq!(refused(&format!("{TWO}[monitor.m]\n{keys}\n")), [told], "{keys}");
    }
    assert_eq!(
        refused(&format!(
            "{TWO}[monitor.a]\nall = ['web', 'b']\n[monitor.b]\nany = ['c']\n[monitor.c]\nall = ['a']\n[pool.p]\nmonitor = 'b'\nendpoints = ['192.0.2.1']\n"
        )),
        ["monitor.c: a circle: a → b → c → a (a composite can't listen to itself)"]
    );
    let doubling: String =
        (1..8).map(|at| format!("[monitor.m{at}]\nall = ['m{}', 'n{}']\n[monitor.n{at}]\nall = ['m{}', 'n{}']\n", at - 1, at - 1, at - 1, at - 1)).collect();
    let told = refused(&format!("[monitor.m0]\ntcp = 1\n[monitor.n0]\ntcp = 2\n{doubling}[pool.p]\nmonitor = 'm7'\nendpoints = ['192.0.2.1']\n"));
    assert_eq!(
        told,
        [
            "monitor.m7: 128 members, those of its composites included: each is a probe of every endpoint (at most 64)",
            "monitor.n7: 128 members, those of its composites included: each is a probe of every endpoint (at most 64)"
        ]
    );
    let chain: String = (1..5000).map(|at| format!("[monitor.m{at}]\nall = ['m{}']\n", at - 1)).collect();
    let told = refused(&format!("[monitor.m0]\ntcp = 1\n{chain}"));
    assert!(told.iter().any(|told| told.contains("more than 8 composites below each other")), "{}", told.len());
}

const DATABASES: &str = "[monitor.m]\ntcp = 80\n[pool.db]\nmonitor = 'm'\nmin_up = 2\nendpoints = ['192.0.2.1', '192.0.2.2', '2001:db8::1', '2001:db8::2']\n";

#[test]
fn requirements_are_resolved_whatever_the_order_and_known_from_both_ends() {
    let estate = loaded(&format!(
        "[pool.top]\nmonitor = 'm'\nrequires = ['portal']\nendpoints = ['192.0.2.8']\n{DATABASES}[pool.portal]\nmonitor = 'm'\nrequires = 'db'\nendpoints = ['192.0.2.9']\n[pool.strict]\nmonitor = 'm'\nrequires = [{{ pool = 'db', up = 4 }}]\nendpoints = ['192.0.2.7']\n"
    ))
    .estate;
    let name = |id: &crate::model::PoolId| estate.pool(*id).name.to_string();
    let pool = |name: &str| estate.pool(estate.pool_named(name).unwrap());
    assert_eq!(pool("portal").requires.iter().map(|required| (name(&required.pool), required.up)).collect::<Vec<_>>(), [("db".to_string(), 2)]);
    assert_eq!(pool("strict").requires[0].up, 4);
    let mut by: Vec<String> = pool("db").required_by.iter().map(name).collect();
    by.sort();
    assert_eq!(by, ["portal", "strict", "top"], "through others, too");
    let warnings: Vec<String> = loaded(&format!("{ZONE}{DATABASES}")).warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, Vec::<String>::new(), "a pool that no service uses is fine");
}

#[test]
fn what_a_pool_may_not_require_is_told() {
    let rows = [
        ("requires = 'dbs'", "pool.p.requires: no pool is called `dbs` (did you mean `db`?)"),
        ("requires = 'p'", "pool.p.requires: a circle: p → p (a pool can't require itself, and chains are short)"),
        ("requires = ['db', 'db']", "pool.p.requires[1]: this pool is required already (remove one)"),
        ("requires = { pool = 'db', up = 5 }", "pool.p.requires.up: up = 5, but pool db has 4 endpoints (from 1 to 4; 2 (its min_up) by default)"),
        ("requires = { up = 1 }", "pool.p.requires: `pool` is missing ({ pool = \"prod-db\", up = 2 })"),
        ("down_after = 0", "pool.p.down_after: 0 is out of range (from 1 to 1000; 3 by default)"),
    ];
    for (key, told) in rows {
        assert_eq!(refused(&format!("{DATABASES}[pool.p]\nmonitor = 'm'\n{key}\nendpoints = ['192.0.2.9']\n")), [told], "{key}");
    }
    let circle = "[monitor.m]\ntcp = 1\n[pool.a]\nmonitor = 'm'\nrequires = 'b'\nendpoints = ['192.0.2.1']\n[pool.b]\nmonitor = 'm'\nrequires = 'a'\nendpoints = ['192.0.2.2']\n";
    assert_eq!(refused(circle), ["pool.a.requires: a circle: a → b → a (a pool can't require itself, and chains are short)"]);
    let always = "[monitor.up]\nalways = 'up'\n[pool.p]\nmonitor = 'up'\nok_after = 2\nendpoints = ['192.0.2.1']\n";
    assert_eq!(refused(always), ["pool.p: thresholds mean nothing where nothing is probed (remove them)"]);
}

#[test]
fn the_blocks_of_the_health_page_are_sound() {
    let page = include_str!("../../../docs/health.md");
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(4 <= blocks.len(), "{} blocks", blocks.len());
    for block in &blocks {
        let loaded = loaded(&format!("{ZONE}{block}"));
        assert!(loaded.warnings.is_empty(), "{block}\n{:?}", loaded.warnings);
    }
    let first = loaded(&format!("{ZONE}{}", blocks[0])).estate;
    assert_eq!((&*first.composites[0].name, first.targets.len(), first.combined.len()), ("portal", 6, 3), "two ports at three addresses");
    assert!(page.find("```toml").unwrap() < 1500, "the two ports come first");
}
