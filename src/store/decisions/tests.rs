//! The record as files: what was told is read as it was told, also by the next process, after a torn tail, with a file of its own and in pieces; age, size, loss.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::control::{Account, AccountAnswer, AccountEndpoint, AccountFamily, AccountLeaf, AccountVerdict};
use crate::health::testing::estate;
use crate::model::{ServiceId, Timestamp};
use crate::policy::Rung;

const DAY: i64 = 86_400_000;
const START: i64 = 1_800_000_000_000;
const TWO: &str = "pool a: 10.0.0.1; pool b: 10.1.0.1; service one: failover a b; service two: failover a b";

fn settings(keep: u64, octets_max: u64) -> DecisionSettings {
    DecisionSettings { keep: Duration::from_secs(keep), octets_max }
}

fn week() -> DecisionSettings {
    settings(7 * 86_400, 1 << 20)
}

/// Answers from a pool, for a reason.
fn account(pool: &str, why: &str) -> Arc<Account> {
    let endpoints = vec![AccountEndpoint { id: format!("{pool}/1").into(), address: "10.0.0.1".into(), addresses: vec!["10.0.0.1".into()] }];
    let leaf = AccountLeaf { pools: vec![pool.into()], share: 1_000_000, rung: Rung::Policy, endpoints, ways: Vec::new() };
    let families = [AccountFamily { verdict: AccountVerdict::Answer, absent: false, leaves: vec![leaf] }, AccountFamily::default()];
    let steps = ["policy: failover: a, then b", "rung: policy: a 100 %", why].map(Arc::from).to_vec();
    Arc::new(Account { whose: "the file's policy".into(), answers: vec![AccountAnswer::from_parts(steps, families, 30)], ..Account::default() })
}

fn accounts(estate: &Arc<Estate>, at: i64, account: Arc<Account>, services: &[u32]) -> Accounts {
    let services = services.iter().copied().map(ServiceId).collect();
    let (at, estate) = (Timestamp(at), estate.clone());
    Accounts { at, generation: 7, configuration: "c0".into(), estate, alike: vec![Alike { account, cause: "health", services }] }
}

fn never() -> Accounts {
    panic!("nothing was lost")
}

/// The reason that is told of a moment.
fn why(decisions: &Decisions, service: &str, at: i64) -> Result<String, PastUnknown> {
    decisions.at(service, Timestamp(at)).map(|past| told(&past.then))
}

fn told(decision: &PastDecision) -> String {
    decision.account.as_ref().map_or("gone".to_string(), |account| account.answers[0].steps("one").last().expect("a step").1)
}

#[test]
fn what_was_told_is_read_at_every_moment_also_by_the_next_process() {
    let (folder, estate) = (tempfile::tempdir().unwrap(), Arc::new(estate(TWO)));
    let (mut recorder, _) = record(folder.path(), week(), Arc::default());
    recorder.accounts(accounts(&estate, START, account("a", "pool: up"), &[0, 1]), never);
    recorder.accounts(accounts(&estate, START + 5_000, account("b", "pool: down"), &[0]), never);
    recorder.accounts(accounts(&estate, START + 6_000, account("b", "pool: down"), &[0]), never);
    drop(recorder);
    let (mut recorder, decisions) = record(folder.path(), week(), Arc::default());
    recorder.accounts(accounts(&estate, START + 60_000, account("a", "pool: up"), &[0, 1]), never);
    let of = |service: &str| [0, 4_999, 5_000, 59_999, 60_000, 90_000].map(|after| why(&decisions, service, START + after).unwrap());
    assert_eq!(of("one"), ["up", "up", "down", "down", "up", "up"]);
    assert_eq!(of("two"), ["up"; 6]);
    let past = decisions.at("one", Timestamp(START + 30_000)).unwrap();
    assert_eq!((past.then.at.0, past.then.generation, &*past.then.configuration), (START + 5_000, 7, "c0"), "what is told again is no change");
    assert_eq!(past.then.account.as_deref(), Some(&*account("b", "pool: down")));
    assert_eq!((past.before.map(|before| before.at.0), past.after.map(|after| after.at.0)), (Some(START), Some(START + 60_000)));
    assert_eq!(why(&decisions, "one", START - 1), Err(PastUnknown::Before(Some(Timestamp(START)))));
    assert_eq!(why(&decisions, "three", START), Err(PastUnknown::Before(None)));
}

#[test]
fn a_service_that_the_configuration_has_no_more_is_told_to_be_gone() {
    let (folder, both) = (tempfile::tempdir().unwrap(), Arc::new(estate(TWO)));
    let one = Arc::new(estate("pool a: 10.0.0.1; service one: failover a"));
    let (mut recorder, decisions) = record(folder.path(), week(), Arc::default());
    recorder.accounts(accounts(&both, START, account("a", "pool: up"), &[0, 1]), never);
    recorder.accounts(accounts(&one, START + 1_000, account("a", "pool: up again"), &[0]), never);
    recorder.accounts(accounts(&both, START + 2_000, account("a", "pool: up"), &[0, 1]), never);
    let of = |service: &str| [0, 1_000, 2_000].map(|after| why(&decisions, service, START + after).unwrap());
    assert_eq!((of("one"), of("two")), (["up", "up again", "up"].map(String::from), ["up", "gone", "up"].map(String::from)));
}

#[test]
fn a_torn_tail_costs_the_tail_alone() {
    let (folder, estate) = (tempfile::tempdir().unwrap(), Arc::new(estate(TWO)));
    let (mut recorder, decisions) = record(folder.path(), week(), Arc::default());
    recorder.accounts(accounts(&estate, START, account("a", "pool: up"), &[0, 1]), never);
    assert_eq!(why(&decisions, "one", START).as_deref(), Ok("up"), "asking writes what is open");
    recorder.accounts(accounts(&estate, START + 1_000, account("b", "pool: down"), &[0]), never);
    drop(recorder);
    let path = segments::all(&folder.path().join(FOLDER)).unwrap().remove(0).path;
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let decisions = Decisions { folder: folder.path().join(FOLDER), to: None };
    assert_eq!(why(&decisions, "one", START + 1_000).as_deref(), Ok("up"));
    std::fs::write(&path, [&whole[..], &[0; 100]].concat()).unwrap();
    assert_eq!(why(&decisions, "one", START + 1_000).as_deref(), Ok("down"));
}

/// A change a minute for ten days: each file alone, and all of them together.
#[test]
fn files_begin_with_what_is_in_force_and_old_ones_go() {
    let (folder, estate) = (tempfile::tempdir().unwrap(), Arc::new(estate(TWO)));
    let mut log = Log::new(folder.path().join(FOLDER), settings(3 * 86_400, 1 << 20), Arc::default());
    log.take(accounts(&estate, START, account("a", "pool: never touched again"), &[1]));
    for hour in 0..240 {
        log.take(accounts(&estate, START + hour * 3_600_000, account("a", &format!("pool: hour {hour}")), &[0]));
        log.write();
    }
    let decisions = Decisions { folder: log.folder.clone(), to: None };
    let files = segments::all(&log.folder).unwrap();
    assert!((8..=10).contains(&files.len()), "{files:?}");
    let first = (files[0].begun.0 - START) / 3_600_000;
    assert!((150..=168).contains(&first), "{first}");
    for hour in first..240 {
        assert_eq!(why(&decisions, "one", START + hour * 3_600_000 + 1).unwrap(), format!("hour {hour}"));
    }
    // What stands since before the first file is in it.
    assert_eq!(why(&decisions, "two", START + 1).as_deref(), Ok("never touched again"));
    assert!(matches!(why(&decisions, "one", START + 1), Err(PastUnknown::Before(Some(_)))));
    let past = decisions.at("two", Timestamp(START + 10 * DAY)).unwrap();
    assert_eq!((past.then.at.0, past.before, past.after), (START, None, None));
}

#[test]
fn what_was_lost_is_told_and_what_is_known_again_too() {
    let (folder, estate) = (tempfile::tempdir().unwrap(), Arc::new(estate(TWO)));
    let lost = Arc::new(AtomicU64::new(0));
    // Nobody takes anything out of this queue.
    let (to, full) = sync_channel(0);
    let mut recorder = Recorder { to: Some(to), lost_from: None, lost: lost.clone() };
    recorder.accounts(accounts(&estate, START, account("a", "pool: up"), &[0]), never);
    let all = || accounts(&estate, START + 9_000, account("b", "pool: down"), &[0, 1]);
    recorder.accounts(accounts(&estate, START + 1_000, account("b", "pool: down"), &[0]), all);
    assert_eq!((lost.load(Ordering::Relaxed), recorder.lost_from), (2, Some(Timestamp(START))));
    drop((recorder, full));
    // And as it is written.
    let (recorder, decisions) = record(folder.path(), week(), Arc::default());
    let to = recorder.to.clone().unwrap();
    to.send(Message::Accounts(accounts(&estate, START - 5_000, account("a", "pool: up"), &[0, 1]))).unwrap();
    to.send(Message::Again(Timestamp(START), all())).unwrap();
    assert_eq!(why(&decisions, "one", START - 1).as_deref(), Ok("up"));
    let gap = Err(PastUnknown::Lost(Timestamp(START), Timestamp(START + 9_000)));
    assert_eq!([0, 8_999].map(|after| why(&decisions, "two", START + after)), [gap.clone(), gap]);
    assert_eq!(why(&decisions, "two", START + 9_000).as_deref(), Ok("down"));
}

#[test]
fn a_disk_that_refuses_costs_nothing_as_long_as_it_is_not_for_too_long() {
    let (folder, estate) = (tempfile::tempdir().unwrap(), Arc::new(estate(TWO)));
    let place = folder.path().join(FOLDER);
    // No folder can be made where a file is.
    std::fs::write(&place, "").unwrap();
    let mut log = Log::new(place.clone(), week(), Arc::default());
    for after in 0..3 {
        log.take(accounts(&estate, START + after * 1_000, account("a", &format!("pool: {after}")), &[0, 1]));
        log.write();
    }
    std::fs::remove_file(&place).unwrap();
    log.write();
    let decisions = Decisions { folder: place.clone(), to: None };
    assert_eq!([0, 1_000, 2_000].map(|after| why(&decisions, "two", START + after).unwrap()), ["0", "1", "2"]);
    // And then for so long that they don't fit.
    std::fs::remove_dir_all(&place).unwrap();
    std::fs::write(&place, "").unwrap();
    log.file = None;
    for after in 3..=WAITING_MAX as i64 + 5 {
        let why = if after % 2 == 0 { "pool: even" } else { "pool: odd" };
        log.take(accounts(&estate, START + after * 1_000, account("a", why), &[0, 1]));
    }
    log.write();
    assert_eq!((log.pending.len(), log.lost.load(Ordering::Relaxed)), (0, WAITING_MAX as u64 + 3));
    std::fs::remove_file(&place).unwrap();
    let end = START + 20_000_000;
    log.take(accounts(&estate, end, account("a", "pool: the last"), &[0, 1]));
    log.write();
    let gap = PastUnknown::Lost(Timestamp(START + 3_000), Timestamp(START + (WAITING_MAX as i64 + 5) * 1_000));
    assert_eq!(why(&decisions, "one", START + 4_000), Err(gap));
    assert_eq!(why(&decisions, "one", end).as_deref(), Ok("the last"));
}

#[test]
fn with_keep_0_nothing_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let (recorder, decisions) = record(folder.path(), settings(0, 1 << 20), Arc::default());
    assert!(!recorder.is_on());
    assert_eq!(why(&decisions, "one", START), Err(PastUnknown::Off));
    assert!(!folder.path().join(FOLDER).exists());
}

/// These are the numbers that docs/explain.md states.
#[test]
fn a_decision_takes_as_many_octets_as_is_stated() {
    let names: String = (0..1_000).map(|at| format!("service s{at}: failover a\n")).collect();
    let estate = Arc::new(estate(&format!("pool a: 10.0.0.1\n{names}")));
    let octets = |settle: &dyn Fn(i64) -> Accounts| {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::new(folder.path().join(FOLDER), settings(7 * 86_400, 1 << 30), Arc::default());
        let all: Vec<u32> = (0..1_000).collect();
        log.take(accounts(&estate, START, account("a", "pool: up"), &all));
        log.write();
        let before = log.file.as_ref().expect("a file").1.octets;
        for round in 0..100 {
            log.take(settle(round));
            log.write();
        }
        ((log.file.as_ref().expect("a file").1.octets - before) as f64 / 100.0, before)
    };
    // Down since another moment each time.
    let sentence = |round: i64| format!("pool: pool a is down: 0 of 1 endpoints up (10.0.0.1: timeout: no answer within 3s, down since {})", Timestamp(round));
    let everybody: Vec<u32> = (0..1_000).collect();
    let (one, base) = octets(&|round| accounts(&estate, START + round * 997, account("a", &sentence(round)), &[711]));
    let (all, _) = octets(&|round| accounts(&estate, START + round * 997, account("a", &sentence(round)), &everybody));
    let (known, _) = octets(&|round| accounts(&estate, START + round * 997, account("a", if round % 2 == 0 { "pool: x" } else { "pool: y" }), &[711]));
    eprintln!(
        "octets of a decision: {one:.0} with a new sentence, {all:.0} for all of 1,000 services, {known:.0} with known sentences; 1,000 services: {base}"
    );
    assert!(one < 180.0 && all < 180.0 && known < 50.0 && base < 10_000, "{one} {all} {known} {base}");
}
