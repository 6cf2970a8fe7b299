//! How problems are told: all at once, with suggestions, as blocks.

use super::*;

#[test]
fn all_problems_come_at_once_syntax_too() {
    let text = "[node]\nname = x\n[dns]\nlisten = ['nowhere']\nworkers = 'many'\n[zone.'example.com']\nfile = 'z'\n[monitor.m]\nurl = 'http://{address}'\ntimout = '1s'\n[pool.a\nmonitor = 'm'\n[pool.b]\nmonitor = 'n'\nendpoints = ['x', 'y',\n[pool.c]\nmonitor = 'm'\nendpoints = ['192.0.2.1']\nmin_up = 5\n[service.s]\nname = 'old.example.com'\npolicy = { failover = ['c', 'd'] }\nttl = '1ms'\n";
    let lines: Vec<u32> = problems(text).iter().map(|(line, ..)| *line).collect();
    for line in [2, 4, 5, 10, 11, 14, 15, 19, 21, 22, 23] {
        assert!(lines.contains(&line), "line {line} is not among {lines:?}\n{}", try_load(text).unwrap_err());
    }
    assert_eq!(lines.len(), 11, "{}", try_load(text).unwrap_err());
}

#[test]
fn a_file_that_says_not_of_which_format_it_is_is_refused() {
    let told = |text: &str| try_load(text).unwrap_err().0.into_iter().map(|problem| (problem.line, problem.path, problem.message)).collect::<Vec<_>>();
    let missing = [(1, "schema".to_string(), "`schema` is missing".to_string())];
    for text in ["# nothing\n", BASE, "[zone.'example.com']\nfile = 'z'\n"] {
        assert_eq!(told(text), missing, "{text}");
    }
    for text in ["", " \n\n\t"] {
        assert_eq!(told(text), [(0, String::new(), "the file is empty".to_string())], "{text:?}");
    }
    // What can't be read is not missing, nor is what a broken line may have said.
    assert!(matches!(&told("schema = '1'\n")[..], [(1, path, message)] if path == "schema" && message.starts_with("expected a whole number")));
    assert!(matches!(&told("schema = \n")[..], [(1, path, _)] if path.is_empty()), "{:?}", told("schema = \n"));
}

#[test]
fn a_slip_of_the_fingers_gets_a_suggestion() {
    let cases = [
        ("[servce.x]\n".to_string(), "did you mean `service`?"),
        ("[monitor.gateway]\nurl = 'http://x'\nintervall = '1s'\n".to_string(), "did you mean `interval`?"),
        (
            format!("{BASE}[pool.prod]\nmonitor = 'mm'\nendpoints = ['192.0.2.7']\n[service.s]\nname = 's.example.com'\npolicy = 'prodd'\n"),
            "did you mean `prod`?",
        ),
        ("[node]\nxyz = 1\n".to_string(), "known here: name, stale_after"),
    ];
    for (text, help) in cases {
        let Problems(found) = try_load(&text).unwrap_err();
        assert!(found.iter().any(|problem| problem.help == help), "{text}{found:?}");
    }
}

#[test]
fn a_problem_prints_as_a_block_and_the_last_line_counts() {
    let text = "schema = 1\n[pool.eu]\nmonitor = 'm'\nendpoints = ['192.0.2.1', 'gw']\n[monitor.m]\nalways = 'up'\n[dns]\nworkers = -1\n";
    let told = load_text(text, Path::new("windrose.toml")).unwrap_err().to_string();
    assert_eq!(
        told,
        "windrose.toml:4:27: pool.eu.endpoints[1]: not an IP address
     4 | endpoints = ['192.0.2.1', 'gw']
       |                           ^^^^
  help: write it like \"192.0.2.10\" or \"2001:db8::10\"; host names and ports don't belong here

windrose.toml:8:11: dns.workers: -1 is out of range
     8 | workers = -1
       |           ^^
  help: from 0 to 1024; 0 by default

2 problems"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let folder = folder();
    let told = |path: &Path| load(path).unwrap_err().0.remove(0).message;
    assert!(told(&folder.path().join("nowhere")).starts_with("can't be read"));
    std::fs::write(folder.path().join("latin"), b"a = 1\n# \xff\n").unwrap();
    assert_eq!(told(&folder.path().join("latin")), "line 2 is not UTF-8");
}

#[test]
fn octets_that_are_not_utf8_are_refused_not_replaced() {
    let folder = folder();
    std::fs::write(folder.path().join("z"), [ZONE.as_bytes(), b"x TXT \"gr\xfcn\"\n"].concat()).unwrap();
    let Problems(found) = load_text(&with_schema(BASE), &folder.path().join("w.toml")).unwrap_err();
    assert!(matches!(&found[..], [problem] if problem.message.ends_with("line 9 is not UTF-8; write such octets as \\DDD")), "{found:?}");
}

#[test]
fn what_is_perhaps_not_meant_is_a_warning_with_its_place() {
    let cases = [
        (format!("{BASE}[service.s]\nname = 's.example.com'\npolicy = 'a'\n"), AFTER + 3, "only one pool answers"),
        (
            format!(
                "{BASE}[pool.six]\nmonitor = 'm'\nendpoints = ['2001:db8::1', '192.0.2.6']\n[service.s]\nname = 's.example.com'\npolicy = {{ failover = ['a', 'six'] }}\n"
            ),
            AFTER + 6,
            "the pools differ in address families: `a` has only IPv4, `six` IPv4 and IPv6",
        ),
        (
            format!("{BASE}[pool.six]\nmonitor = 'm'\nmin_up = 2\nendpoints = ['2001:db8::1', '192.0.2.6', '192.0.2.7']\n"),
            AFTER + 3,
            "min_up = 2 counts each address family by itself, and there are 1 IPv6",
        ),
        ("[monitor.m]\ntcp = 1\n".to_string(), 1, "no zone: every query is refused"),
    ];
    for (text, line, message) in cases {
        let found = good(&text).warnings;
        assert!(matches!(&found[..], [problem] if problem.line == line && problem.message.starts_with(message)), "{text}\n{line} {message}\n{found:?}");
    }
    let two = good(&format!("{BASE}[service.s]\nname = 's.example.com'\npolicy = 'a'\n[service.t]\nname = 't.example.com'\npolicy = 'a'\n")).warnings;
    assert!(two.len() == 1 && two[0].message.ends_with("(and 1 more services with this policy)"), "{two:?}");
}

#[test]
fn a_monitor_slower_than_the_window_is_warned_of() {
    let load = |health: &str| {
        let text = format!("schema = 1\n{health}[monitor.m]\ntcp = 1\ninterval = '2m'\n");
        let warnings = load_text(&text, Path::new("w.toml")).unwrap().warnings;
        warnings.into_iter().filter(|warning| warning.path == "health.window").collect::<Vec<_>>()
    };
    let found = load("");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].message, "what fails together is seen up to 2m 3s apart by monitor m, which is longer than window (1m)");
    assert_eq!(load("[health]\nwindow = '3m'\n"), []);
    assert_eq!(load("[health]\nwindow = '0s'\n"), []);
}
