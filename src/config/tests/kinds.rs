//! The monitors that ask nobody over TCP: `icmp`, `exec`, `push`.

use std::os::unix::fs::PermissionsExt;

use crate::model::{Check, ExitRule, Monitor, PushCheck, Silence, Thresholds};

use super::*;

fn load_with(folder: &Path, rest: &str, monitor: &str) -> Result<Loaded, Problems> {
    let text = format!("schema = 1\n{rest}\n[monitor.m]\n{monitor}\n[pool.a]\nmonitor = 'm'\nendpoints = ['192.0.2.1', '2001:db8::1']\n");
    load_text(&text, &folder.join("w.toml"))
}

#[track_caller]
fn refused(folder: &Path, rest: &str, monitor: &str) -> String {
    let problems = load_with(folder, rest, monitor).map(|_| ()).unwrap_err().0;
    problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect::<Vec<_>>().join("; ")
}

fn here() -> &'static Path {
    Path::new("")
}

#[test]
fn icmp_is_an_echo_with_the_usual_timing() {
    let loaded = load_with(here(), "", "icmp = true\ninterval = '5s'\nsource = '192.0.2.7'").unwrap();
    assert_eq!((&loaded.estate.monitors[0].check, loaded.estate.probed()), (&Check::Icmp, 2));
    assert!(loaded.estate.targets[0].key.starts_with("m@192.0.2.1#"));
    assert_eq!(refused(here(), "", "icmp = false"), "monitor.m.icmp: `false` is no monitor");
    assert_eq!(refused(here(), "", "icmp = true\nport = 7"), "monitor.m.port: `port` means nothing beside `icmp`");
    assert_eq!(refused(here(), "", "icmp = true\ntcp = 80"), "monitor.m.icmp: a monitor is of one kind, not tcp and icmp");
}

#[test]
fn push_has_bounds_and_thresholds_of_one() {
    let check = |monitor: &str| match load_with(here(), "", monitor).unwrap_or_else(|problems| panic!("{problems}")).estate.monitors[0].clone() {
        Monitor { check: Check::Push(check), thresholds, .. } => (check, thresholds),
        other => panic!("{other:?}"),
    };
    let seconds = Duration::from_secs;
    let once = Thresholds { down_after: 1, ok_after: 1, up_after: 1 };
    assert_eq!(check("push = true"), (PushCheck { ttl: seconds(120), ttl_max: seconds(600), silence: Silence::Unknown }, once));
    assert_eq!(check("push = true\nttl = '1h'").0.ttl_max, seconds(3600), "a longer one is allowed by itself");
    assert_eq!(check("push = true\nttl_max = '30s'").0.ttl, seconds(30));
    let (strict, thresholds) = check("push = true\nttl = '90s'\nttl_max = '5m'\nsilence = 'down'\ndown_after = 3");
    assert_eq!((strict.silence, thresholds.down_after), (Silence::Down, 3));
    assert_eq!(load_with(here(), "", "push = true").unwrap().estate.probed(), 0, "nobody is asked");

    let refused = |monitor: &str| refused(here(), "", monitor);
    assert_eq!(refused("push = true\nttl = '5m'\nttl_max = '1m'"), "monitor.m.ttl_max: ttl_max (1m) is shorter than ttl (5m)");
    assert_eq!(refused("push = true\nttl = '100ms'"), "monitor.m.ttl: out of range");
    assert_eq!(refused("push = true\nsilence = 'up'"), "monitor.m.silence: `up` is not what silence can mean");
    assert_eq!(refused("push = true\ninterval = '1s'"), "monitor.m.interval: `interval` means nothing beside `push`");
    assert_eq!(refused("tcp = 80\nttl = '1s'"), "monitor.m.ttl: `ttl` means nothing beside `tcp`");
    assert_eq!(refused("push = true\n[sentinel.s]\nmonitor = 'm'\naddress = '192.0.2.1'"), "sentinel.s.monitor: `m` probes nothing");
}

#[test]
fn a_composite_has_members_of_every_kind_and_its_pools_thresholds_go_before_those_of_push() {
    let text = "schema = 1\n[monitor.ping]\nicmp = true\n[monitor.job]\npush = true\n[monitor.m]\nall = ['ping', { monitor = 'job', mark = 'critical' }]\n[pool.a]\nmonitor = 'm'\nup_after = 2\nendpoints = ['192.0.2.1']\n";
    let loaded = load_text(text, Path::new("w.toml")).unwrap();
    let estate = &loaded.estate;
    assert_eq!((estate.targets.len(), estate.probed(), estate.judgements.len(), estate.judged_by_probes()), (2, 1, 2, 1));
    let job = estate.judgements.iter().find(|judgement| !estate.is_probed(judgement.target)).unwrap();
    assert_eq!(job.thresholds, Thresholds { down_after: 1, ok_after: 1, up_after: 2 });
    assert_eq!(refused(here(), "[monitor.ping]\nicmp = true", "any = ['ping']\ninterval = '1s'"), "monitor.m.interval: `interval` means nothing beside `any`");
}

#[test]
fn what_is_told_may_be_anywhere_and_an_echo_may_not() {
    let load = |monitor: &str| {
        load_text(
            &format!("schema = 1\n[monitor.m]\n{monitor}\n[pool.a]\nmonitor = 'm'\nendpoints = [{{ address = '192.0.2.1', connect = '169.254.7.7:8090' }}]\n"),
            Path::new("w.toml"),
        )
    };
    assert!(load("push = true").is_ok());
    let refused = load("icmp = true").map(|_| ()).unwrap_err().0;
    assert_eq!(refused[0].message, "monitor m would probe 169.254.7.7, which is a link-local address");
}

#[test]
fn two_monitors_that_are_told_are_never_one_and_tuning_keeps_the_key() {
    let text = "schema = 1\n[monitor.a]\npush = true\n[monitor.b]\npush = true\n[pool.x]\nmonitor = 'a'\nendpoints = ['192.0.2.1']\n[pool.y]\nmonitor = 'b'\nendpoints = ['192.0.2.1']\n";
    let loaded = load_text(text, Path::new("w.toml")).unwrap();
    assert_eq!(loaded.estate.targets.len(), 2);
    let key = |monitor: &str| load_with(here(), "", monitor).unwrap().estate.targets[0].key.clone();
    assert_eq!(key("push = true"), key("push = true\nttl = '5m'\nsilence = 'down'"));
}

#[test]
fn programs_are_run_only_if_the_file_says_as_whom_and_from_where() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = folder.path().join("plugins");
    std::fs::create_dir(&plugins).unwrap();
    let write = |path: &Path, mode| {
        std::fs::write(path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let good = write(&plugins.join("check_it"), 0o755);
    let (text, open) = (write(&plugins.join("readme"), 0o644), write(&plugins.join("open"), 0o777));
    let elsewhere = write(&folder.path().join("evil"), 0o755);
    std::os::unix::fs::symlink(&elsewhere, plugins.join("link")).unwrap();
    let link = plugins.join("link").display().to_string();
    let allowed = format!("[probe]\nexec = {{ user = 'nobody', folders = '{}', running_max = 3 }}", plugins.display());
    let load = |monitor: &str| load_with(folder.path(), &allowed, monitor);
    let refused = |monitor: &str| refused(folder.path(), &allowed, monitor);

    let loaded = load(&format!("exec = ['{good}', '{{address}}', '{{port}}']\nport = 9000\nexit = 'nagios'\nwarning = 'fail'")).unwrap();
    let Check::Exec(check) = &loaded.estate.monitors[0].check else { panic!() };
    assert_eq!((&check.program, check.arguments.len(), check.port), (&good, 2, Some(9000)));
    assert_eq!((check.exit, check.terms.running_max), (ExitRule::Nagios { warning_fails: true }, 3));
    assert_ne!(check.terms.uid, 0);
    assert!(load(&format!("exec = ['{open}']")).unwrap().warnings.iter().any(|warning| warning.message.contains("every user of this host can change")));

    let off = super::kinds::refused(folder.path(), "", &format!("exec = ['{good}']"));
    assert_eq!(off, "monitor.m.exec: this file does not allow programs");
    assert_eq!(refused("exec = ['check_it']"), "monitor.m.exec: `check_it` is no absolute path");
    assert!(refused("exec = ['/nonexistent/x']").contains("can't be found"));
    assert_eq!(refused(&format!("exec = ['{elsewhere}']")), format!("monitor.m.exec: `{elsewhere}` lies elsewhere"));
    assert!(refused(&format!("exec = ['{link}']")).ends_with("evil, elsewhere"), "links are followed");
    assert!(refused(&format!("exec = ['{}/../evil']", plugins.display())).contains("elsewhere"));
    assert_eq!(refused(&format!("exec = ['{text}']")), format!("monitor.m.exec: `{text}` is no program"));
    assert_eq!(refused("exec = []"), "monitor.m.exec: no program");
    assert_eq!(refused(&format!("exec = ['{good}', '{{port}}']")), "monitor.m.exec: `{port}` stands for nothing");
    assert_eq!(refused(&format!("exec = ['{good}']\nexit = 'one'")), "monitor.m.exit: `one` is no rule for exit codes");
    assert_eq!(refused(&format!("exec = ['{good}']\nwarning = 'fail'")), "monitor.m.warning: `warning` means nothing beside exit = \"zero\"");
    assert_eq!(refused(&format!("exec = ['{good}']\nsource = '192.0.2.9'")), "monitor.m.source: `source` means nothing beside `exec`");

    let probe = |exec: &str| super::kinds::refused(folder.path(), &format!("[probe]\nexec = {{ {exec} }}"), "tcp = 80");
    let dir = plugins.display();
    assert_eq!(probe(&format!("user = 'root', folders = '{dir}'")), "probe.exec.user: `root` may do everything on this host");
    assert_eq!(probe(&format!("user = 'nobodyy', folders = '{dir}'")), "probe.exec.user: /etc/passwd has no user `nobodyy`");
    assert_eq!(probe(&format!("folders = '{dir}'")), "probe.exec: `user` is missing");
    assert_eq!(probe("user = 'nobody'"), "probe.exec: `folders` is missing");
    assert_eq!(probe("user = 'nobody', folders = '/'"), "probe.exec.folders: `/` is everything");
    assert_eq!(probe("user = 'nobody', folders = 'plugins'"), "probe.exec.folders: `plugins` is no absolute path");
    assert_eq!(probe(&format!("user = 'nobody', folders = '{dir}', running_max = 0")), "probe.exec.running_max: 0 is out of range");
}
