//! The chain: whatever is added, cut off, lost or failed, it can be followed; whatever is changed shows where.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::Timestamp;

/// The audit with a store of its own.
#[derive(Default)]
struct Kept {
    audit: Audit,
    disk: BTreeMap<u64, String>,
    anchor: Option<String>,
    now: Now,
}

impl Kept {
    fn commit(&mut self, drafts: usize, cut: bool, works: bool) {
        let drafts: Vec<AuditDraft> =
            (0..drafts).map(|at| AuditDraft::denied(&Call { actor: format!("anna {at}"), detail: "why \"not\" ü".into(), ..Call::default() })).collect();
        let ops = self.audit.begin(&drafts, cut, self.now);
        if works {
            for op in ops {
                match op {
                    Op::Put(Key::Audit(number), Record::Line(text)) => drop(self.disk.insert(number, text.to_string())),
                    Op::Put(Key::AuditAnchor, Record::Line(text)) => self.anchor = Some(text.to_string()),
                    Op::Delete(Key::Audit(number)) => drop(self.disk.remove(&number)),
                    other => panic!("{other:?} is not the audit's"),
                }
            }
        }
        self.audit.done(works, self.now);
    }

    fn restart(&mut self) {
        let mut audit = Audit::default();
        audit.settings = self.audit.settings;
        self.anchor.iter().for_each(|text| audit.recall_anchor(text));
        self.disk.iter().for_each(|(number, text)| audit.recall(*number, text));
        self.audit = audit;
    }

    fn verify(&self) -> Result<Proved, Broken> {
        verify(self.audit.anchor().as_ref(), self.disk.values().map(String::as_str))
    }
}

/// One step: entries, a cut, a failing store, a restart, time.
fn step() -> impl Strategy<Value = (usize, bool, bool, bool, u64)> {
    (0_usize..4, any::<bool>(), prop::bool::weighted(0.8), prop::bool::weighted(0.1), 0_u64..40)
}

proptest! {
    #[test]
    fn the_chain_verifies_after_anything_cuts_included(steps in prop::collection::vec(step(), 1..60)) {
        let mut kept = Kept::default();
        kept.audit.settings = AuditSettings { keep: Duration::from_secs(100), entries_max: 12 };
        for (entries, cut, works, restarts, seconds) in steps {
            kept.now.wall = kept.now.wall.plus(Duration::from_secs(seconds));
            kept.commit(entries, cut && kept.audit.is_cut_due(kept.now), works);
            if restarts {
                kept.restart();
            }
            let proved = kept.verify().map_err(|broken| TestCaseError::fail(broken.why))?;
            let head = kept.audit.head();
            prop_assert_eq!(proved.range.map(|(_, last)| last), head.as_ref().map(|head| head.number));
            if let Some(head) = head {
                prop_assert_eq!(proved.hash, head.hash);
            }
            prop_assert_eq!(kept.audit.anchor().map_or(0, |anchor| anchor.number) + 1, kept.disk.keys().next().copied().unwrap_or(1));
        }
    }

    #[test]
    fn a_changed_byte_is_found_where_it_is(entry in 0_usize..8, place in any::<prop::sample::Index>(), flip in 1_u8..128) {
        let mut kept = Kept::default();
        (0..8).for_each(|_| kept.commit(1, false, true));
        let mut lines: Vec<String> = kept.disk.values().cloned().collect();
        let mut octets = lines[entry].clone().into_bytes();
        let at = place.index(octets.len());
        octets[at] ^= flip;
        lines[entry] = String::from_utf8_lossy(&octets).into_owned();
        let broken = verify(None, lines.iter().map(String::as_str)).expect_err("it was changed");
        prop_assert_eq!((broken.line, broken.number), (entry + 1, entry as u64 + 1), "{}", broken.why);
    }
}

#[test]
fn entries_that_are_taken_away_added_or_swapped_are_found() {
    let mut kept = Kept::default();
    (0..5).for_each(|_| kept.commit(1, false, true));
    let lines: Vec<String> = kept.disk.values().cloned().collect();
    let found = |order: &[usize]| verify(None, order.iter().map(|at| lines[*at].as_str())).map_err(|broken| broken.number);
    assert_eq!(found(&[0, 1, 2, 3, 4]).unwrap().range, Some((1, 5)));
    assert_eq!(found(&[0, 1, 3, 4]), Err(3));
    assert_eq!(found(&[1, 2, 3]), Err(1));
    assert_eq!(found(&[0, 1, 1, 2]), Err(3));
    assert_eq!(found(&[0, 2, 1]), Err(2));
    assert_eq!(found(&[0, 1, 2]).unwrap().range, Some((1, 3)), "an end that was cut off shows only beside the head that was noted");
    // Somebody who writes a new hash to a changed entry breaks the next one.
    let mut fields: serde_json::Map<_, _> = serde_json::from_str(&lines[1]).unwrap();
    fields.shift_remove("hash");
    fields["actor"] = "mallory".into();
    let (forged, _) = chain::seal(fields);
    let broken = verify(None, [&*lines[0], &forged, &*lines[2]]).unwrap_err();
    assert_eq!(broken.number, 3);
    assert!(broken.why.contains("does not follow"), "{}", broken.why);
}

#[test]
fn cuts_keep_what_is_young_and_say_what_went() {
    let mut kept = Kept::default();
    kept.audit.settings = AuditSettings { keep: Duration::from_secs(1000), entries_max: 100 };
    for second in 0..130 {
        kept.now.wall = Timestamp(second * 1000);
        kept.commit(1, false, true);
    }
    assert!(kept.audit.is_cut_due(kept.now));
    kept.commit(0, true, true);
    assert_eq!(kept.disk.len(), 90, "30 too many, a tenth of the limit more, one entry that says so");
    let last = kept.disk.values().next_back().unwrap();
    assert!(last.contains("\"audit.cut\"") && last.contains("entries 1 to 41 were cut off"), "{last}");
    assert!(!kept.audit.is_cut_due(kept.now));
    assert_eq!(kept.audit.anchor().unwrap().number, 41);
    kept.now.wall = Timestamp(2000 * 1000);
    assert!(!kept.audit.is_cut_due(kept.now), "by age once a day at most");
    kept.now.wall = Timestamp(100_000 * 1000);
    kept.commit(1, true, true);
    assert_eq!(kept.disk.len(), 2);
    assert_eq!(kept.verify().unwrap().range, Some((132, 133)));
}
