//! `failback` with a mode.

use crate::model::{Failback, Stages, Steps};

use super::*;

fn text(failback: &str, policy: &str) -> String {
    format!("{BASE}[service.s]\nname = 's.example.com'\npolicy = {policy}\nfailback = {failback}\n")
}

fn read(failback: &str) -> Failback {
    good(&text(failback, "{ failover = ['a', 'b'] }")).estate.services[0].failback
}

#[test]
fn each_form_is_what_it_says() {
    let seconds = Duration::from_secs;
    let staged = |after, jitter, steps: &[i64], hold| {
        Failback::Staged(Stages { after: seconds(after), jitter: seconds(jitter), steps: Steps::new(steps).unwrap(), hold: seconds(hold) })
    };
    for (written, meant, shown) in [
        ("'2m'", Failback::After(seconds(120)), "2m"),
        ("{ after = '2m' }", Failback::After(seconds(120)), "2m"),
        ("{ after = '2m', jitter = '30s' }", Failback::Scattered { after: seconds(120), jitter: seconds(30) }, "2m and up to 30s more"),
        ("{ jitter = '30s' }", Failback::Scattered { after: seconds(60), jitter: seconds(30) }, "1m and up to 30s more"),
        ("{ mode = 'one_way' }", Failback::OneWay(seconds(60)), "one_way"),
        ("{ mode = 'staged' }", staged(60, 0, &[5, 20, 100], 300), "staged: 5, 20, 100 % of its share, 5m each, after 1m"),
        (
            "{ mode = 'staged', steps = [10, 100], hold = '2s', after = '0s', jitter = '1m' }",
            staged(0, 60, &[10, 100], 2),
            "staged: 10, 100 % of its share, 2s each, after 0s and up to 1m more",
        ),
    ] {
        assert_eq!((read(written), read(written).to_string().as_str()), (meant, shown), "{written}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    for (failback, policy, path, message) in [
        ("{ mode = 'slowly' }", "'a'", "service.s.failback.mode", "there is no failback mode `slowly`"),
        ("{ mode = 'staged', steps = [5, 50] }", "'a'", "service.s.failback.steps", "the last step must be 100"),
        ("{ mode = 'staged', steps = [] }", "'a'", "service.s.failback.steps", "1 to 8 steps are needed"),
        ("{ mode = 'staged', steps = [50, 20, 100] }", "'a'", "service.s.failback.steps", "steps are per cent from 1 to 100"),
        ("{ mode = 'staged', hold = '10ms' }", "'a'", "service.s.failback.hold", "a step of 10ms can't be watched"),
        ("{ steps = [5, 100] }", "'a'", "service.s.failback.steps", "`steps` belongs to mode = \"staged\""),
        ("{ mode = 'one_way', hold = '1m' }", "'a'", "service.s.failback.hold", "`hold` belongs to mode = \"staged\""),
        ("{ mode = 'one_way', jitter = '1m' }", "'a'", "service.s.failback.jitter", "nothing moves at a time with one_way"),
        ("{ mode = 'one_way' }", "{ weighted = ['a', 'b'] }", "service.s.failback", "one_way changes the order of a failover, and this policy is `weighted`"),
        ("{ made = 'one_way' }", "'a'", "service.s.failback.made", "unknown key"),
    ] {
        let found = problems(&text(failback, policy));
        assert!(found.iter().any(|(_, _, at, said)| at == path && said.starts_with(message)), "{failback}: {found:?}");
    }
}
