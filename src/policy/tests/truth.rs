//! Truth tables for every kind of policy, as text for people to review: `truth/*.txt`. `WINDROSE_WRITE=1` writes them anew; whoever does so reads the difference.
//!
//! One endpoint a pool, one pool a child. Nothing is remembered from before, but what a table says. A cell is what the service answers for A.

use std::fmt::Write;
use std::path::Path;

use crate::client::{Clients, Questions};
use crate::health::State;
use crate::model::{Family, PoolId};
use crate::policy::testing::World;
use crate::policy::{Crowded, FamilyDecision, Hold, Keeper, Override, OverrideKind, OverrideTarget, Reach, Rung, Verdict, sticky_key};

/// What a child is.
#[derive(Clone, Copy, PartialEq)]
enum Child {
    Up,
    Unknown,
    ForceUp,
    Held,
    Drained,
    Down,
    DownDrained,
    ForceDown,
    Old,
    Approved,
    Sheds,
    Full,
}

use Child::{Approved, Down, DownDrained, Drained, ForceDown, ForceUp, Full, Held, Old, Sheds, Unknown, Up};

/// All of them, those that answer sooner first.
const EVERY: &[Child] = &[Up, Unknown, ForceUp, Held, Drained, Down, DownDrained, ForceDown];
/// One for each step of the ladder, where three children make many cells.
const FIVE: &[Child] = &[Up, Held, Drained, Down, ForceDown];
/// What freshness makes of a child, beside three others.
const AGES: &[Child] = &[Up, Old, Approved, Down, ForceDown];
/// What loads make of a child, beside four others.
const LOADS: &[Child] = &[Up, Sheds, Full, Held, Drained, Down, ForceDown];
/// The same, where three children make many cells.
const LOADS_OF_THREE: &[Child] = &[Up, Sheds, Full, Down];
/// Those that answer only if nothing else can.
const LAST: &[Child] = &[Down, DownDrained, ForceDown];

impl Child {
    fn word(self) -> &'static str {
        match self {
            Up => "up",
            Unknown => "unknown",
            ForceUp => "force_up",
            Held => "held",
            Drained => "drained",
            Down => "down",
            DownDrained => "down+drained",
            ForceDown => "force_down",
            Old => "old",
            Approved => "old+approved",
            Sheds => "sheds",
            Full => "full",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Up => "probes find it up",
            Unknown => "no verdict yet: counts as up (S3)",
            ForceUp => "probes find it down, an operator says up: counts as up (S2)",
            Held => "up, but it waits for failback: rung `held` (S9, S11)",
            Drained => "up, but an operator wants no new answers: rung `drained` (S9, S18)",
            Down => "probes find it down: rung `all_down` (S9)",
            DownDrained => "both: rung `all_down`, and there only if no other may (S10)",
            ForceDown => "probes find it up, an operator says down: on no rung (S9)",
            Old => "up, but its data is too old: on no rung (S9)",
            Approved => "the same, and an operator approves of it: as up (S9)",
            Sheds => "up, and over its load: it gives away 30 % of its answers, if anybody takes them",
            Full => "up, and over its load, but it gives nothing away yet: it takes nothing either",
        }
    }

    /// Makes the pool so.
    fn make(self, world: &mut World, name: &str) {
        let pool = world.estate.pool_named(name).expect("a pool");
        match self {
            Unknown => {}
            Up | Held | Drained | ForceDown | Old | Approved | Sheds | Full => world.turn(name, State::Up),
            Down | DownDrained | ForceUp => world.turn(name, State::Down),
        }
        if let Old | Approved = self {
            world.data(name, true);
        }
        if let Sheds | Full = self {
            world.crowded.insert(pool, Crowded { sheds: self == Sheds, why: "its load is 85, over 80".into() });
        }
        let kind = match self {
            Up | Unknown | Down | Old | Sheds | Full => return,
            Held => return Family::ALL.into_iter().for_each(|family| world.memories[0].held.push(Hold { pool, family })),
            Drained | DownDrained => OverrideKind::Drain,
            ForceUp => OverrideKind::ForceUp,
            Approved => OverrideKind::Approve,
            ForceDown => OverrideKind::ForceDown,
        };
        let id = format!("o-{name}").into();
        world.overrides.push(Override { id, kind, target: OverrideTarget::Pool(pool), reach: Reach::Name, services: None });
    }
}

/// What the service answers if `a`, `b` and so on are so, and those in `last` answered before.
fn answer(policies: &str, service: &str, children: &[Child], last: &[&str]) -> String {
    let mut text = String::from("thresholds down_after=1 ok_after=1 up_after=1\npool sorry: 10.9.9.9 monitor=none\n");
    let names = ["a", "b", "c"];
    for (at, name) in names.iter().enumerate().take(children.len()) {
        writeln!(text, "pool {name}: 10.0.{at}.1 shed=30").unwrap();
    }
    let all_down = if service.contains("all_down=") { "" } else { "all_down=serve_all" };
    let mut world = World::fresh(&format!("{text}{policies}\nservice s: {service} failback=manual {all_down}"));
    for (child, name) in children.iter().zip(names) {
        child.make(&mut world, name);
    }
    let pools: Vec<PoolId> = last.iter().filter_map(|name| world.estate.pool_named(name)).collect();
    world.memories[0].last = [pools, Vec::new()];
    cell(&world, &world.decide("s").families[Family::V4.index()])
}

/// `a`, `a 80, b 20`, `b (standby)`, `a 60, b 40 (standby)`: no word for rung `policy`; one for all where all have it.
fn cell(world: &World, decision: &FamilyDecision) -> String {
    let alone = decision.leaves.len() == 1;
    let leaves = decision.leaves.iter().map(|leaf| {
        let pools = leaf.pools.iter().map(|pool| &*world.estate.pool(*pool).name).collect::<Vec<_>>().join("+");
        let share = if alone { String::new() } else { format!(" {}", (leaf.share * 10_000.0).round() / 100.0) };
        (format!("{pools}{share}"), leaf.rung)
    });
    let leaves: Vec<(String, Rung)> = leaves.collect();
    let told = |rung: Rung| if rung == Rung::Policy { String::new() } else { format!(" ({})", rung.word()) };
    match (&decision.verdict, leaves.first()) {
        (Verdict::NoData, _) => "nodata".into(),
        (Verdict::ServFail(_), _) => "servfail".into(),
        (Verdict::Answer, Some((_, rung))) if leaves.iter().all(|(_, other)| other == rung) => {
            let shares: Vec<&str> = leaves.iter().map(|(share, _)| &**share).collect();
            format!("{}{}", shares.join(", "), told(*rung))
        }
        (Verdict::Answer, _) => leaves.iter().map(|(share, rung)| format!("{share}{}", told(*rung))).collect::<Vec<_>>().join(", "),
    }
}

/// Columns under each other, two spaces between them.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  ")).collect::<String>();
    rows.iter().map(|row| format!("{}\n", line(row).trim_end())).collect()
}

/// Every state of `a` (rows) with every state of `b` (columns); of three children one such square for each state of `c`.
fn squares(text: &mut String, rule: &str, policies: &str, service: &str, children: usize) {
    squares_of(text, rule, policies, service, if children == 2 { EVERY } else { FIVE }, children);
}

/// The same, of these states.
fn squares_of(text: &mut String, rule: &str, policies: &str, service: &str, states: &[Child], children: usize) {
    let named = policies.split("; ").map(|policy| policy.trim_start_matches("policy ")).filter(|policy| !policy.is_empty());
    let heading: Vec<&str> = [service].into_iter().chain(named).collect();
    writeln!(text, "\n## {}\n{rule}", heading.join("    where ")).unwrap();
    let thirds: Vec<Option<Child>> = if children == 2 { vec![None] } else { states.iter().copied().map(Some).collect() };
    for third in thirds {
        let corner = third.map(|third| format!("c {}", third.word())).unwrap_or_default();
        let head = [corner].into_iter().chain(states.iter().map(|b| format!("b {}", b.word()))).collect();
        let row = |a: &Child| {
            let cells = states.iter().map(|b| {
                let so: Vec<Child> = [*a, *b].into_iter().chain(third).collect();
                answer(policies, service, &so, &[])
            });
            [format!("a {}", a.word())].into_iter().chain(cells).collect()
        };
        let rows: Vec<Vec<String>> = [head].into_iter().chain(states.iter().map(row)).collect();
        write!(text, "\n{}", aligned(&rows)).unwrap();
    }
}

/// A page: what the words mean, then its tables.
fn page(title: &str, states: &[Child], tables: impl FnOnce(&mut String)) -> String {
    let meaning = |child: &Child| vec![format!("  {}", child.word()), child.meaning().to_string()];
    let rungs = [
        ("a", "all answers come from a, on rung `policy` (S9)"),
        ("a 80, b 20", "per cent of answers; exact, not by dice (S8)"),
        ("a+b", "the serving sets of both in each answer (S6)"),
        ("(standby)", "by a child with share 0 (S9)"),
        ("(held)", "nothing better is up, its hold ends (S9, S11)"),
        ("(drained)", "nothing better is up (S9)"),
        ("(all_down)", "by `when_all_down`, `serve_all` unless a table says otherwise (S10)"),
        ("servfail", "nobody may answer (S9)"),
    ];
    let rungs: Vec<Vec<String>> = rungs.iter().map(|(word, meaning)| vec![format!("  {word}"), meaning.to_string()]).collect();
    let states: Vec<Vec<String>> = states.iter().map(meaning).collect();
    let mut text = format!(
        "# {title}\n\nWritten by a test (src/policy/tests/truth.rs), read by people. S: the rules of SEMANTICS.\n\nWhat a child is:\n{}\nWhat is answered:\n{}",
        aligned(&states),
        aligned(&rungs)
    );
    tables(&mut text);
    text
}

/// The page in the repository is this one.
fn is_kept(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/policy/tests/truth").join(format!("{name}.txt"));
    if std::env::var_os("WINDROSE_WRITE").is_some() {
        std::fs::write(&path, page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}; WINDROSE_WRITE=1 writes it", path.display()));
    let (now, before): (Vec<&str>, Vec<&str>) = (page.lines().collect(), kept.lines().collect());
    let other = now.iter().zip(&before).enumerate().find(|(_, (now, before))| now != before);
    assert!(page == kept, "truth/{name}.txt says otherwise (WINDROSE_WRITE=1 takes it over), first: {other:#?}, lines {} and {}", now.len(), before.len());
}

#[test]
fn a_failover_answers_as_its_truth_table_says() {
    let page = page("failover: the first child that is up", EVERY, |text| {
        squares(text, "S6: the first that is up. S9: of those on the best rung the first.", "", "failover a b", 2);
        squares(text, "S6: up only while both children are; without them `all_down` is less strict (S10).", "", "failover a b min_up=2", 2);
        squares(text, "S6: of three.", "", "failover a b c", 3);
    });
    is_kept("failover", &page);
}

#[test]
fn a_weighted_policy_answers_as_its_truth_table_says() {
    let page = page("weighted: per cent shares of the children that are up, pro rata", EVERY, |text| {
        squares(text, "S6: who is up has its share; who is not leaves it to the other.", "", "weighted a=80 b=20", 2);
        squares(text, "S9: b has share 0 and answers only if no child with a share is admitted on that rung.", "", "weighted a=100 b=0", 2);
        squares(text, "S9: the same with a as the standby: places in the file decide nothing.", "", "weighted a=0 b=100", 2);
        squares(text, "S6: up only while both are.", "", "weighted a=80 b=20 min_up=2", 2);
        squares(text, "S6: pro rata: without b it is a 75, c 25; without c it is a 66.67, b 33.33.", "", "weighted a=60 b=30 c=10", 3);
        squares(text, "S9: two standbys answer equally.", "", "weighted a=100 b=0 c=0", 3);
    });
    is_kept("weighted", &page);
}

#[test]
fn a_multivalue_answers_as_its_truth_table_says() {
    let page = page("multivalue: the serving sets of all children that are up, together", EVERY, |text| {
        squares(text, "S6: all that are up.", "", "multivalue a b", 2);
        squares(text, "S6: up only while both are.", "", "multivalue a b min_up=2", 2);
        squares(text, "S6: a region of three zones which two keep up.", "", "multivalue a b c min_up=2", 3);
    });
    is_kept("multivalue", &page);
}

#[test]
fn a_policy_of_policies_answers_as_its_truth_table_says() {
    let page = page("Policies of policies: a subtree is a child", FIVE, |text| {
        squares(text, "S6: the subtree is up while one of its children is; then c waits.", "policy ab: weighted a=80 b=20", "failover ab c", 3);
        squares(text, "S6: the subtree is up only while both of its children are.", "policy ab: weighted a=80 b=20 min_up=2", "failover ab c", 3);
        squares(
            text,
            "S6: its share goes to whichever of its children is up, and to c only without both.",
            "policy ab: failover a b",
            "weighted ab=70 c=30",
            3,
        );
        squares(text, "S9: share 0 is settled inside each weighted node: b before c.", "policy ab: weighted a=100 b=0", "weighted ab=100 c=0", 3);
        squares(text, "S9: below a standby everything is standby.", "policy bc: weighted b=50 c=50", "weighted a=100 bc=0", 3);
        squares(text, "S6: a region of two zones that needs both, then another region.", "policy ab: multivalue a b min_up=2", "failover ab c", 3);
        squares(text, "S6: one address set of the first that is up and of c.", "policy ab: failover a b", "multivalue ab c", 3);
    });
    is_kept("nested", &page);
}

#[test]
fn a_trickle_goes_where_its_truth_table_says() {
    let page = page("trickle: a small share for who stands by", EVERY, |text| {
        squares(text, "The next that is up gets it, on rung `policy` alone.", "", "failover a b trickle=5", 2);
        squares(text, "Of three: the next, whichever that is.", "", "failover a b c trickle=5", 3);
        squares(text, "Those with share 0 share it; nothing trickles while they answer.", "", "weighted a=100 b=0 c=0 trickle=5", 3);
    });
    is_kept("trickle", &page);
}

#[test]
fn data_that_is_too_old_keeps_a_pool_off_every_rung_as_its_truth_table_says() {
    let page = page("hold_if_older_than: data that is too old", AGES, |text| {
        squares_of(text, "S9: too old is on no rung; approved it is as any other.", "", "failover a b", AGES, 2);
        squares_of(text, "S9: the same.", "", "weighted a=80 b=20", AGES, 2);
    });
    is_kept("freshness", &page);
}

#[test]
fn what_a_pool_sheds_goes_where_its_truth_table_says() {
    let page = page("shed: a pool over its load gives away 30 % of its answers", LOADS, |text| {
        squares_of(text, "The next that is up and not full takes it; if there is none, it stays.", "", "failover a b", LOADS, 2);
        squares_of(text, "Whoever has the rest of the share takes it, pro rata.", "", "weighted a=80 b=20", LOADS, 2);
        squares_of(text, "A standby takes it, too: on rung `policy`, for somebody with a share is up.", "", "weighted a=100 b=0", LOADS, 2);
        squares_of(text, "It is left out of 30 % of the answers, unless only full ones were left.", "", "multivalue a b", LOADS, 2);
        squares_of(text, "Of the part that it would get.", "", "failover a b trickle=5", LOADS, 2);
        squares_of(text, "Full ones are passed over.", "", "failover a b c", LOADS_OF_THREE, 3);
        squares_of(text, "Siblings with a share come before those with none.", "", "weighted a=60 b=40 c=0", LOADS_OF_THREE, 3);
        squares_of(text, "First inside the subtree, then outside of it.", "policy ab: weighted a=50 b=50", "failover ab c", LOADS_OF_THREE, 3);
        squares_of(
            text,
            "A subtree's own `min_up` is about health: it is up while the one that sheds is.",
            "policy ab: weighted a=50 b=50 min_up=2",
            "failover ab c",
            LOADS_OF_THREE,
            3,
        );
        squares_of(
            text,
            "Where only full ones are left of a multivalue, the whole answer goes elsewhere.",
            "policy ab: multivalue a b",
            "failover ab c",
            LOADS_OF_THREE,
            3,
        );
    });
    is_kept("shed", &page);
}

/// One in each place, and one of whom nothing is known.
const CLIENTS: [(&str, &str); 3] = [("near a", "192.0.2.1"), ("near b", "198.51.100.1"), ("unknown", "203.0.113.1")];

/// What each of [`CLIENTS`] is answered if `a`, `b` and `c` are so.
fn answers_by_client(service: &str, children: &[Child; 3]) -> Vec<String> {
    let mut world = World::fresh(&format!(
        "thresholds down_after=1 ok_after=1 up_after=1
         region a: 52.5,13.4; region b: 40.7,-74.0; region c: -33.9,151.2; network near_a: 192.0.2.0/24 at=52.4,13.1; network near_b: 198.51.100.0/24 at=40.0,-74.0
         pool a: 10.0.0.1; pool b: 10.0.1.1; pool c: 10.0.2.1; service s: {service} failback=manual all_down=serve_all"
    ));
    let origins = super::clients::measured(&[("192.0.2.0/24", "c a b"), ("198.51.100.0/24", "a b")]);
    world.clients = Clients::build(&world.estate, &Questions::of(&world.estate), &origins);
    for (child, name) in children.iter().zip(["a", "b", "c"]) {
        child.make(&mut world, name);
    }
    let decision = world.decide("s");
    let answer = |client: &str| cell(&world, &decision.of_class(world.clients.find(client.parse().unwrap()).0).0[Family::V4.index()]);
    CLIENTS.iter().map(|(_, client)| answer(client)).collect()
}

#[test]
fn a_policy_that_asks_who_asks_answers_as_its_truth_table_says() {
    let page = page("geo, nearest and latency: who asks", FIVE, |text| {
        text.push_str("\nThe region nearest to network near_a is a, then b, then c; to near_b: b, a, c. Nothing is known of the third client.\n");
        text.push_str("Measured from near_a: c is quickest, then a, then b; from near_b: a, then b, nothing of c.\n");
        for (service, rule) in [
            ("nearest c b a", "The nearest that is up: health comes before distance. Of whom nothing is known gets the first written."),
            ("nearest c b a unknown=share", "The same, and those of whom nothing is known are spread."),
            ("latency b a c", "The quickest that is up, as measured; c, of which near_b has measured nothing, comes after all others there."),
            ("geo network:near_a=a network:near_b=b *=c", "The first rule that matches and whose branch is up."),
            ("geo network:near_a!=a network:near_b=b *=c", "A strict rule keeps its clients, whatever its branch is."),
        ] {
            writeln!(text, "\n## {service}\n{rule}\n").unwrap();
            let head = ["a", "b", "c"].into_iter().chain(CLIENTS.iter().map(|(name, _)| *name)).map(String::from).collect();
            const STATES: [Child; 4] = [Up, Held, Drained, Down];
            let row = |(a, b, c): (Child, Child, Child)| {
                let children = [a, b, c];
                children.iter().map(|child| child.word().to_string()).chain(answers_by_client(service, &children)).collect()
            };
            let every = STATES.into_iter().flat_map(|a| STATES.into_iter().flat_map(move |b| STATES.into_iter().map(move |c| (a, b, c))));
            let rows: Vec<Vec<String>> = [head].into_iter().chain(every.map(row)).collect();
            text.push_str(&aligned(&rows));
        }
    });
    is_kept("clients", &page);
}

/// Where so many clients of a sticky service go, one letter each, and on which rung, if a, b and c are so.
fn homes(service: &str, children: &[Child; 3]) -> String {
    const CLIENTS: u32 = 20;
    let mut world = World::fresh(&format!(
        "thresholds down_after=1 ok_after=1 up_after=1
         pool a: 10.0.0.1; pool b: 10.0.1.1; pool c: 10.0.2.1; service s: {service} sticky failback=manual all_down=serve_all"
    ));
    for (child, name) in children.iter().zip(["a", "b", "c"]) {
        child.make(&mut world, name);
    }
    let decision = world.decide("s");
    let leaves = &decision.families[Family::V4.index()].leaves;
    let keeper = Keeper::of(leaves);
    let home = |number: u32| {
        let client = std::net::Ipv4Addr::from(0x2e00_0001_u32.wrapping_add(number << 8));
        let (key, _) = sticky_key(decision.sticky.unwrap_or_default(), client.into());
        let leaf = leaves.get(keeper.as_ref().map_or(0, |keeper| keeper.choose(key, 0)))?;
        Some((world.estate.pool(*leaf.pools.first()?).name.to_string(), leaf.rung))
    };
    let homes: Vec<(String, Rung)> = (0..CLIENTS).filter_map(home).collect();
    let rung = homes.iter().map(|(_, rung)| *rung).max().unwrap_or_default();
    let told = if rung == Rung::Policy { String::new() } else { format!(" ({})", rung.word()) };
    let letters: String = homes.iter().map(|(name, _)| name.as_str()).collect();
    if letters.is_empty() { "servfail".into() } else { format!("{letters}{told}") }
}

#[test]
fn a_client_of_a_sticky_service_goes_where_its_truth_table_says() {
    const STATES: [Child; 5] = [Up, Unknown, Drained, Down, ForceDown];
    let page = page("sticky: who keeps to whom", &STATES, |text| {
        text.push_str("\nA row of letters: where each of twenty fixed clients goes, always in the same order. Nodes must agree on it, so it never changes.\n");
        for (service, rule) in [
            ("weighted a=50 b=30 c=20", "A child that goes loses its own clients and nobody else's; the same ones come back."),
            ("weighted a=80 b=20 c=0", "c stands by: share 0 answers only if no child with a share may (S9)."),
            ("weighted a=100 b=0 c=0", "Those who stand by share what comes to them."),
            ("weighted a=60 b=40 c=0 trickle=20", "c keeps its part of the clients, and a loss among the others moves none of them."),
        ] {
            writeln!(text, "\n## {service}\n{rule}\n").unwrap();
            let head = ["a", "b", "c", "clients"].map(String::from).to_vec();
            let row = |(a, b, c): (Child, Child, Child)| {
                let children = [a, b, c];
                children.iter().map(|child| child.word().to_string()).chain([homes(service, &children)]).collect()
            };
            let every = STATES.into_iter().flat_map(|a| STATES.into_iter().flat_map(move |b| STATES.into_iter().map(move |c| (a, b, c))));
            let rows: Vec<Vec<String>> = [head].into_iter().chain(every.map(row)).collect();
            text.push_str(&aligned(&rows));
        }
    });
    is_kept("sticky", &page);
}

#[test]
fn when_all_are_down_answers_are_as_their_truth_table_says() {
    let page = page("when_all_down: nobody is up", LAST, |text| {
        text.push_str(
            "\nEvery cell is on rung `all_down`, so it is not said. Columns: `when_all_down` (S10); of last_good, after the colon: who answered before, from\n",
        );
        text.push_str("the rungs above. `sorry` is a last resort. `nodata` and `servfail` are as asked.\n");
        let columns: [(&str, &str, &[&str]); 8] = [
            ("last_good: a b", "last_good", &["a", "b"]),
            ("last_good: b", "last_good", &["b"]),
            ("last_good: none", "last_good", &[]),
            ("serve_all", "serve_all", &[]),
            ("first", "first", &[]),
            ("nodata", "nodata", &[]),
            ("servfail", "servfail", &[]),
            ("pool sorry", "pool:sorry", &[]),
        ];
        for policy in ["weighted a=80 b=20", "weighted a=100 b=0", "failover a b", "multivalue a b", "weighted a=80 b=20 min_up=2"] {
            writeln!(text, "\n## {policy}\n").unwrap();
            let head = ["a", "b"].into_iter().chain(columns.iter().map(|(head, ..)| *head)).map(String::from).collect();
            // With `min_up` a living child may stand in a tree that is down.
            let states: Vec<Child> = if policy.contains("min_up") { [Up].into_iter().chain(LAST.iter().copied()).collect() } else { LAST.to_vec() };
            let pairs = states.iter().flat_map(|a| states.iter().map(move |b| [*a, *b])).filter(|pair| *pair != [Up, Up]);
            let row = |pair: [Child; 2]| {
                let cells = columns.iter().map(|(_, word, last)| {
                    let answer = answer("", &format!("{policy} all_down={word}"), &pair, last);
                    let on_it = answer.strip_suffix(" (all_down)").map(String::from);
                    on_it.or_else(|| Some(answer.clone()).filter(|answer| !answer.contains('('))).unwrap_or_else(|| panic!("{policy}: {answer}"))
                });
                pair.iter().map(|child| child.word().to_string()).chain(cells).collect()
            };
            let rows: Vec<Vec<String>> = [head].into_iter().chain(pairs.map(row)).collect();
            text.push_str(&aligned(&rows));
        }
    });
    is_kept("all_down", &page);
}

/// What a name may have, and whether that is old.
const NAMES: [(&str, &str, Option<&str>); 5] = [
    ("never resolved", "", Some("no answer")),
    ("A", "198.51.100.1", None),
    ("AAAA", "2001:db8::1", None),
    ("A and AAAA", "198.51.100.1 2001:db8::1", None),
    ("both, old", "198.51.100.1 2001:db8::1", Some("no answer")),
];

#[test]
fn host_names_answer_in_the_families_that_their_truth_table_says() {
    let page = page("host names: the families of what they have", &[Up, Unknown, Down], |text| {
        text.push_str("\nA row: what the host name of a's only endpoint has. b has an address of each family and is up. `nodata`: a is chosen and has no such address (S7).\n");
        text.push_str("CNAME: the same as `answer = \"cname\"`, where b has a host name, too, that was never resolved: one decision for every type.\n");
        for (service, rule) in [
            ("failover a b", "S7: a name without addresses of a family keeps its place; one without any is down."),
            ("weighted a=80 b=20", "S7: a split stays a split."),
            ("failover a", "S9: nobody else: a name that was never resolved is SERVFAIL, no NODATA that resolvers keep."),
        ] {
            for state in [Up, Unknown, Down] {
                writeln!(text, "\n## {service}, a is {}\n{rule}\n", state.word()).unwrap();
                let head = ["the name has", "A", "AAAA", "CNAME"].map(String::from).to_vec();
                let row = |(word, found, old): (&str, &str, Option<&str>)| {
                    let estate = |b: &str, answer: &str| {
                        format!(
                            "thresholds down_after=1 ok_after=1 up_after=1\npool a: gw.vendor.example\npool b: {b}\nservice s: {service} {answer} failback=manual all_down=serve_all"
                        )
                    };
                    let decided = |text: &str| {
                        let mut world = World::fresh(text);
                        state.make(&mut world, "a");
                        world.turn("b", State::Up);
                        world.resolves("gw.vendor.example", found, 600, old);
                        let decision = world.decide("s");
                        Family::ALL.map(|family| {
                            let decided = &decision.families[family.index()];
                            let empty = decided.leaves.iter().any(|leaf| leaf.endpoints.is_empty());
                            cell(&world, decided) + if empty { ", a's nodata" } else { "" }
                        })
                    };
                    let [v4, v6] = decided(&estate("10.0.1.1 2001:db8:1::1", ""));
                    let [alias, _] = decided(&estate("gw.other.example", "cname"));
                    vec![word.to_string(), v4, v6, alias]
                };
                let rows: Vec<Vec<String>> = [head].into_iter().chain(NAMES.into_iter().map(row)).collect();
                text.push_str(&aligned(&rows));
            }
        }
    });
    is_kept("hosts", &page);
}
