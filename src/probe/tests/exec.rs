//! Real programs, good and bad.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::*;
use crate::model::{ExecCheck, ExecTerms, ExitRule};

/// A folder that every user may enter, with scripts in it.
struct Shop(tempfile::TempDir);

impl Shop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn check(&self, script: &str) -> ExecCheck {
        let path = self.path("probe.sh");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        ExecCheck { program: path.display().to_string(), arguments: Vec::new(), port: None, exit: ExitRule::Zero, terms: terms() }
    }
}

/// Of nobody where this may become nobody, else of whoever runs this.
fn terms() -> ExecTerms {
    let own = std::fs::metadata("/proc/self").unwrap();
    let (uid, gid) = if own.uid() == 0 { (65_534, 65_534) } else { (own.uid(), own.gid()) };
    ExecTerms { user: "nobody".into(), uid, gid, running_max: 16, processes_max: 4096, memory_octets_max: 256 << 20 }
}

/// No program.
pub(super) fn nothing() -> ExecCheck {
    ExecCheck { program: "/nonexistent".into(), arguments: Vec::new(), port: None, exit: ExitRule::Zero, terms: terms() }
}

async fn run(check: ExecCheck, timeout: Duration) -> ProbeReport {
    probe(&monitor(Check::Exec(check), timeout), "192.0.2.1".parse().unwrap(), &Trust::unused(), &Arc::default()).await
}

fn failed(report: &ProbeReport) -> (Reason, &str) {
    match &report.outcome {
        Outcome::Fail { reason, message } => (*reason, message),
        Outcome::Pass | Outcome::Degraded { .. } | Outcome::Busy { .. } => panic!("passed"),
    }
}

/// Processes, but dead ones, that have this text in their command line.
fn processes_with(text: &str) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let with = all.filter(|entry| std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(text)));
    with.count()
}

async fn until_gone(text: &str) {
    let deadline = Instant::now() + AMPLE;
    while processes_with(text) > 0 {
        assert!(Instant::now() < deadline, "{} processes with {text} are left", processes_with(text));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn exit_codes_are_judged_by_the_rule() {
    let shop = Shop::new();
    let lax = ExitRule::Nagios { warning_fails: false };
    let strict = ExitRule::Nagios { warning_fails: true };
    let rows = [
        (ExitRule::Zero, "echo fine", None),
        (ExitRule::Zero, "echo; echo '  disk is | full  '; echo more; exit 1", Some((Reason::Exit, "probe.sh: disk is | full (exit code 1)"))),
        (ExitRule::Zero, "exit 3", Some((Reason::Exit, "probe.sh ended with exit code 3 and without a word"))),
        (ExitRule::Zero, "echo only stderr >&2; exit 2", Some((Reason::Exit, "probe.sh: only stderr (exit code 2)"))),
        (ExitRule::Zero, "kill -9 $$", Some((Reason::Exit, "probe.sh ended with signal 9 and without a word"))),
        (lax, "echo 'HTTP OK | time=0.1s'; exit 0", None),
        (lax, "echo 'slow | time=9s'; exit 1", None),
        (strict, "echo 'slow | time=9s'; exit 1", Some((Reason::Exit, "probe.sh: slow (WARNING)"))),
        (lax, "echo CRITICAL - refused; exit 2", Some((Reason::Exit, "probe.sh: CRITICAL - refused (CRITICAL)"))),
        (lax, "echo bad usage; exit 3", Some((Reason::Internal, "this node could not probe: probe.sh: bad usage (UNKNOWN)"))),
        (lax, "exit 4", Some((Reason::Exit, "probe.sh ended with exit code 4 and without a word"))),
    ];
    for (exit, script, expected) in rows {
        let report = run(ExecCheck { exit, ..shop.check(script) }, AMPLE).await;
        match expected {
            None => assert_eq!(report.outcome, Outcome::Pass, "{script}"),
            Some(expected) => assert_eq!(failed(&report), expected, "{script}"),
        }
        let warned = exit == lax && script.contains("slow");
        assert_eq!(report.warning.as_deref(), warned.then_some("probe.sh: slow (WARNING)"), "{script}");
    }
}

#[tokio::test]
async fn a_program_has_its_own_user_group_and_folder_and_nothing_of_the_daemons_environment() {
    let shop = Shop::new();
    let script = "exec > \"$1\" 2>/dev/null; id -u; id -g; id -G; pwd; cat; echo \"$@\"; env | grep -v '^_=' | grep -v '^PWD=' | sort; ls -l /proc/self/fd | grep -c socket:; ps -o pgid= -p $$; echo $$";
    let _open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let told = shop.path("told");
    let arguments = [told.to_str().unwrap(), "{address}:{port}", "$(id)", "a b"].map(String::from).to_vec();
    let check = ExecCheck { arguments, port: Some(8080), ..shop.check(script) };
    assert_pass(&run(check, AMPLE).await);
    let told = std::fs::read_to_string(&told).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    let (uid, gid) = (terms().uid.to_string(), terms().gid.to_string());
    assert_eq!(lines[..2], [&uid, &gid]);
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        assert_eq!(lines[2], gid, "root's further groups are gone");
    }
    assert_eq!(lines[3], "/");
    assert!(lines[4].ends_with("192.0.2.1:8080 $(id) a b"), "nothing is expanded: {}", lines[4]);
    let environment: Vec<&str> = lines[5..].iter().copied().take_while(|line| line.contains('=')).collect();
    assert_eq!(environment, ["WINDROSE_ADDRESS=192.0.2.1", "WINDROSE_ENDPOINT=", "WINDROSE_MONITOR=gateway", "WINDROSE_PORT=8080"], "{told}");
    let [descriptors, pgid, pid] = lines[lines.len() - 3..] else { panic!("{told}") };
    assert_eq!(descriptors.trim(), "0", "the daemon's sockets are not handed on");
    assert_eq!(pgid.trim(), pid);
}

#[tokio::test]
async fn on_timeout_the_whole_tree_of_children_is_killed() {
    let shop = Shop::new();
    let mark = shop.path("tree").display().to_string();
    let script = "if [ \"$2\" -gt 0 ]; then n=$(($2 - 1)); \"$0\" \"$1\" $n & \"$0\" \"$1\" $n & fi; trap '' TERM HUP INT; sleep 600";
    let check = ExecCheck { arguments: vec![mark.clone(), "4".into()], ..shop.check(script) };
    let probing = tokio::spawn(run(check, Duration::from_secs(2)));
    let deadline = Instant::now() + AMPLE;
    while processes_with(&mark) < 31 && !probing.is_finished() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let report = probing.await.unwrap();
    assert_eq!(failed(&report), (Reason::Timeout, "probe.sh did not end within 2s and was killed"));
    until_gone(&mark).await;
}

#[tokio::test]
async fn children_that_are_left_behind_hold_nothing_up_and_are_killed() {
    let shop = Shop::new();
    let mark = shop.path("left").display().to_string();
    let script = "[ \"$2\" = child ] && sleep 600; \"$0\" \"$1\" child & echo done; exit 1";
    let started = Instant::now();
    let report = run(ExecCheck { arguments: vec![mark.clone()], ..shop.check(script) }, AMPLE).await;
    assert_eq!(failed(&report), (Reason::Exit, "probe.sh: done (exit code 1)"));
    assert!(started.elapsed() < Duration::from_secs(5));
    until_gone(&mark).await;
}

#[tokio::test]
async fn a_probe_that_is_given_up_ends_its_program() {
    let shop = Shop::new();
    let mark = shop.path("aborted").display().to_string();
    let check = ExecCheck { arguments: vec![mark.clone()], ..shop.check("sleep 600 & wait") };
    let probing = tokio::spawn(run(check, Duration::from_secs(600)));
    let deadline = Instant::now() + AMPLE;
    while processes_with(&mark) == 0 {
        assert!(Instant::now() < deadline, "it never ran");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    probing.abort();
    until_gone(&mark).await;
}

#[tokio::test]
async fn a_flood_is_cut_off_and_a_line_is_short_and_harmless() {
    let shop = Shop::new();
    let started = Instant::now();
    let report = run(shop.check("yes 'a flood'"), AMPLE).await;
    assert_eq!(failed(&report), (Reason::Protocol, "the program said more than 64 KiB and was killed"));
    let report = run(shop.check("yes 'a flood' >&2"), AMPLE).await;
    assert_eq!(failed(&report).0, Reason::Protocol);
    assert!(started.elapsed() < AMPLE, "neither waited for its deadline");
    let report = run(shop.check("printf 'a\\033[2Jb\\tc\\r\\n'; exit 1"), AMPLE).await;
    assert_eq!(failed(&report).1, "probe.sh: a\u{fffd}[2Jb c (exit code 1)");
    let report = run(shop.check("head -c 60000 /dev/zero | tr '\\0' x; exit 1"), AMPLE).await;
    assert_eq!(failed(&report).1, format!("probe.sh: {}… (exit code 1)", "x".repeat(256)));
}

#[tokio::test]
async fn what_can_not_be_run_says_nothing_of_the_target() {
    let shop = Shop::new();
    let missing = ExecCheck { program: shop.path("nothing").display().to_string(), ..shop.check("") };
    let report = run(missing, AMPLE).await;
    let (reason, message) = failed(&report);
    assert_eq!(reason, Reason::Internal);
    assert!(message.contains("nothing can't be run as nobody: No such file"), "{message}");
    let secret = shop.check("exit 0");
    std::fs::set_permissions(Path::new(&secret.program), std::fs::Permissions::from_mode(0o000)).unwrap();
    assert_eq!(failed(&run(secret, AMPLE).await).0, Reason::Internal);
}

#[tokio::test]
async fn so_many_run_at_once_and_those_who_wait_are_not_late() {
    let shop = Shop::new();
    let terms = ExecTerms { running_max: 2, ..terms() };
    let check = ExecCheck { terms, ..shop.check("mkdir \"$1.a\" 2>/dev/null && d=a || { mkdir \"$1.b\" || exit 9; d=b; }; sleep 0.4; rmdir \"$1.$d\"") };
    let check = ExecCheck { arguments: vec![shop.path("slot").display().to_string()], ..check };
    let mut probing = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let monitor = monitor(Check::Exec(check.clone()), Duration::from_secs(5));
        probing.spawn(async move {
            let _turn = crate::probe::exec::turn(&monitor.check).await;
            probe(&monitor, "192.0.2.1".parse().unwrap(), &Trust::unused(), &Arc::default()).await
        });
    }
    for report in probing.join_all().await {
        assert_pass(&report);
        assert!(report.took < Duration::from_secs(5));
    }
}
