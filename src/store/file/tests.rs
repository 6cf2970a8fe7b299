//! What the store promises, on real files.

use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;
use crate::control::{History, Record};
use crate::model::Timestamp;
use crate::store::codec::tests::entry;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn alive(at: i64) -> Op {
    Op::Put(Key::Alive, Record::Alive(Timestamp(at)))
}

fn history(service: &str, sequence: u64) -> Op {
    let record = History { form: None, before: None, verb: "set".into(), actor: "a".into(), reason: String::new(), at: Timestamp(0), overridden: Vec::new() };
    Op::Put(Key::History(service.into(), sequence), Record::History(record))
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn what_is_committed_is_loaded_after_reopening(entries in prop::collection::vec(entry(), 1..20)) {
        let folder = folder();
        let expected: std::collections::BTreeMap<_, _> = entries.iter().cloned().map(|(key, record)| (codec::key_text(&key), record)).collect();
        {
            let store = Store::open(folder.path()).unwrap();
            let ops = entries.into_iter().map(|(key, record)| Op::Put(key, record)).collect();
            assert_eq!(run(store.commit(Vec::new(), ops, false)), Ok(Revision(1)));
        }
        let (all, revision) = Store::open(folder.path()).unwrap().load().unwrap();
        prop_assert_eq!(revision, Revision(1));
        prop_assert!(all.iter().all(|stored| stored.revision == Revision(1)));
        let found: std::collections::BTreeMap<_, _> = all.into_iter().map(|stored| (codec::key_text(&stored.key), stored.record)).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_damage_makes_opening_panic(at in 0.0..1.0, noise in prop::collection::vec(any::<u8>(), 1..300), cut in any::<bool>()) {
        let folder = folder();
        {
            let store = Store::open(folder.path()).unwrap();
            for sequence in 1..20 {
                run(store.commit(Vec::new(), vec![history("orders", sequence), alive(1)], false)).unwrap();
            }
        }
        let path = folder.path().join(FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = (bytes.len() as f64 * at) as usize;
        if cut {
            bytes.truncate(at);
        } else {
            bytes.iter_mut().skip(at).zip(&noise).for_each(|(octet, noise)| *octet = *noise);
        }
        std::fs::write(&path, &bytes).unwrap();
        if let Err(error) = Store::open(folder.path()).and_then(|store| store.load()) {
            prop_assert!(error.to_string().contains("--without-store"), "{}", error);
        }
    }
}

#[test]
fn the_counter_counts_operators_and_not_what_was_learned() {
    let folder = folder();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(run(store.commit(Vec::new(), vec![history("a", 1)], false)), Ok(Revision(1)));
    assert_eq!(run(store.commit(Vec::new(), vec![alive(1)], true)), Ok(Revision(1)));
    assert_eq!(run(store.commit(Vec::new(), vec![Op::Delete(Key::Alive)], false)), Ok(Revision(2)));
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    let (all, revision) = store.load().unwrap();
    assert_eq!((revision, all.len(), all[0].revision), (Revision(2), 1, Revision(1)), "deleting never takes the counter back");
}

#[test]
fn an_unmet_expectation_writes_nothing() {
    let folder = folder();
    let store = Store::open(folder.path()).unwrap();
    run(store.commit(vec![(Key::Alive, Expect::Absent)], vec![alive(1)], false)).unwrap();
    let before = store.load().unwrap();
    for (expect, ok) in [(Expect::Absent, false), (Expect::At(Revision(7)), false), (Expect::At(Revision(1)), true)] {
        let expect = vec![(Key::Alive, expect), (Key::Override(3), Expect::Absent)];
        let done = run(store.commit(expect, vec![history("a", 1), alive(2)], false));
        match ok {
            true => assert_eq!(done, Ok(Revision(2))),
            false => {
                assert_eq!(done, Err(StoreError::Conflict { key: "alive".into(), found: Some(Revision(1)) }));
                assert_eq!(store.load().unwrap(), before);
            }
        }
    }
}

#[test]
fn a_second_open_is_refused_until_the_first_is_gone() {
    let folder = folder();
    let first = Store::open(folder.path()).unwrap();
    let refused = Store::open(folder.path()).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }) && refused.to_string().contains("in use by another process"), "{refused}");
    let clone = first.clone();
    drop(first);
    assert!(Store::open(folder.path()).is_err(), "a clone still holds it");
    drop(clone);
    Store::open(folder.path()).unwrap();
}

#[test]
fn folder_and_file_are_for_the_owner_alone() {
    let folder = folder();
    let path = folder.path().join("a/b");
    let _store = Store::open(&path).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join(FILE))), (0o700, 0o600));
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1, "one file");
}

#[test]
fn a_copy_taken_between_any_two_commits_opens_and_is_whole() {
    // What a kill leaves: the bytes that were written so far, without closing.
    let (folder, copies) = (folder(), folder());
    let store = Store::open(folder.path()).unwrap();
    for sequence in 1..=20 {
        run(store.commit(Vec::new(), vec![history("orders", sequence), alive(sequence as i64)], false)).unwrap();
        let copy = copies.path().join(sequence.to_string());
        std::fs::create_dir(&copy).unwrap();
        std::fs::copy(folder.path().join(FILE), copy.join(FILE)).unwrap();
        let (all, revision) = Store::open(&copy).unwrap().load().unwrap();
        assert_eq!((revision, all.len() as u64), (Revision(sequence), sequence + 1));
        assert!(all.iter().any(|stored| stored.record == Record::Alive(Timestamp(sequence as i64))));
    }
}

#[test]
fn a_half_made_store_is_made_again() {
    let folder = folder();
    std::fs::write(folder.path().join(FILE_NEW), b"redb, half").unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.load().unwrap(), (Vec::new(), Revision(0)));
}

#[test]
fn garbage_truncation_and_emptiness_are_findings() {
    for bytes in [b"".to_vec(), b"not a store at all".to_vec(), vec![0; 8192], vec![0xff; 100_000]] {
        let folder = folder();
        std::fs::write(folder.path().join(FILE), &bytes).unwrap();
        let refused = Store::open(folder.path()).unwrap_err();
        assert!(matches!(refused, OpenError::Corrupt { .. }), "{refused:?}");
        assert!(refused.to_string().contains("--without-store"));
        assert_eq!(std::fs::read(folder.path().join(FILE)).unwrap(), bytes, "it is left as it was");
    }
}

#[test]
fn a_record_that_cannot_be_read_is_named() {
    let folder = folder();
    Store::open(folder.path()).unwrap();
    for (key, bytes) in [("traffic/orders", &b"{"[..]), ("weather/today", b"{}")] {
        let database = Database::open(folder.path().join(FILE)).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(RECORDS).unwrap().insert(key, bytes).unwrap();
        transaction.commit().unwrap();
        drop(database);
        let refused = Store::open(folder.path()).unwrap().load().unwrap_err();
        assert!(matches!(&refused, OpenError::Record { key: named, .. } if named == key), "{refused}");
        let database = Database::open(folder.path().join(FILE)).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(RECORDS).unwrap().remove(key).unwrap();
        transaction.commit().unwrap();
    }
}

#[test]
fn a_later_format_is_refused() {
    let folder = folder();
    Store::open(folder.path()).unwrap();
    let database = Database::open(folder.path().join(FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("format", FORMAT + 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(Store::open(folder.path()), Err(OpenError::Newer { found: 2, known: 1, .. })));
}

#[test]
fn a_write_that_failed_is_taken_out_and_the_store_recovers() {
    let folder = folder();
    let store = Store::open(folder.path()).unwrap();
    run(store.commit(Vec::new(), vec![alive(1)], false)).unwrap();
    let before = store.load().unwrap();
    {
        // The write reached the disk, its fsync said no: this is what is left then.
        let mut state = store.shared.state.lock().unwrap();
        let mut doubt = Doubt::default();
        let done = write(state.database.as_ref().unwrap(), &[], &[alive(2), history("a", 1), Op::Delete(Key::Alive)], false, &mut doubt);
        assert!(done.is_ok());
        (state.database, state.doubt) = (None, Some(doubt));
    }
    assert_eq!(run(store.commit(vec![(Key::Alive, Expect::At(Revision(1)))], Vec::new(), true)), Ok(Revision(1)), "what was reported as not made is not there");
    assert_eq!(store.load().unwrap(), before);
}

#[test]
fn a_write_that_failed_before_the_disk_leaves_nothing_to_take_out() {
    let folder = folder();
    let store = Store::open(folder.path()).unwrap();
    run(store.commit(Vec::new(), vec![alive(1)], false)).unwrap();
    {
        let mut state = store.shared.state.lock().unwrap();
        let before = vec![("alive".to_string(), None)];
        (state.database, state.doubt) = (None, Some(Doubt { commits: 1, revision: 1, before }));
    }
    assert_eq!(run(store.commit(Vec::new(), vec![history("a", 1)], false)), Ok(Revision(2)));
    assert_eq!(store.load().unwrap().0.len(), 2);
}

#[test]
fn clones_commit_one_after_the_other() {
    let folder = folder();
    let store = Store::open(folder.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let revisions = runtime.block_on(async {
        let many: Vec<_> = (0..8)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move { store.commit(Vec::new(), vec![history("a", n)], false).await.unwrap().0 })
            })
            .collect();
        let mut revisions = Vec::new();
        for one in many {
            revisions.push(one.await.unwrap());
        }
        revisions.sort_unstable();
        revisions
    });
    assert_eq!(revisions, (1..=8).collect::<Vec<_>>());
}

#[test]
fn a_file_where_the_folder_should_be_is_named() {
    let folder = folder();
    let path = folder.path().join("taken");
    std::fs::write(&path, b"").unwrap();
    let refused = Store::open(&path).unwrap_err();
    assert!(refused.to_string().contains("taken"), "{refused}");
}

#[test]
fn permission_problems_name_the_path_and_the_way_out() {
    let path = Path::new("/var/lib/windrose");
    let refused = io_problem(path, ErrorKind::PermissionDenied.into());
    let text = refused.to_string();
    assert!(text.contains("/var/lib/windrose") && text.contains("chown") && text.contains("[store] path"), "{text}");
}

#[test]
fn a_closed_store_is_anothers_to_open_and_comes_back_with_the_next_commit_when_that_one_is_gone() {
    let folder = folder();
    let first = Store::open(folder.path()).unwrap();
    assert_eq!(run(first.commit(Vec::new(), vec![history("orders", 1)], false)), Ok(Revision(1)));
    assert!(matches!(Store::open(folder.path()), Err(OpenError::InUse { .. })));
    first.close();
    let second = Store::open(folder.path()).unwrap();
    assert_eq!(run(second.commit(Vec::new(), vec![alive(2)], true)), Ok(Revision(1)));
    assert!(matches!(first.reopen(), Err(StoreError::Unavailable(why)) if why.contains("in use")));
    assert!(matches!(run(first.commit(Vec::new(), vec![history("orders", 2)], false)), Err(StoreError::Unavailable(why)) if why.contains("in use")));
    drop(second);
    assert_eq!(run(first.commit(Vec::new(), vec![history("orders", 2)], false)), Ok(Revision(2)));
    assert!(matches!(Store::open(folder.path()), Err(OpenError::InUse { .. })), "it holds the lock again");
    first.close();
    first.reopen().unwrap();
    assert_eq!(first.load().unwrap().0.len(), 3);
}
