//! `windrose dashboards export` and `windrose rules export`, as typed: what comes out is what is committed.

use std::process::Command;

use super::super::node::{Said, binary, run, tool};
use super::list::List;
use super::{deploy, made};

fn windrose(arguments: &[&str]) -> Said {
    run(Command::new(binary()).args(arguments).env("NO_COLOR", "1"))
}

#[test]
fn exported_files_are_the_committed_ones_and_are_not_replaced_unless_forced() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("out");
    let path = dir.to_str().expect("text");
    for arguments in [["dashboards", "export", path], ["rules", "export", path]] {
        let said = windrose(&arguments);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    }
    let list = List::read();
    for (committed, text) in made(&list) {
        let name = committed.rsplit('/').next().expect("a name");
        assert!(std::fs::read_to_string(dir.join(name)).is_ok_and(|written| written == text), "{name} differs");
    }
    let tests = |path| std::fs::read_to_string(path).expect("readable");
    assert!(tests(dir.join("windrose.rules.test.yml")) == tests(deploy("prometheus/windrose.rules.test.yml")), "the unit tests differ");
    assert_eq!(std::fs::read_dir(&dir).expect("readable").count(), 6);

    std::fs::write(dir.join("windrose.rules.yml"), "groups: []\n").expect("writable");
    let said = windrose(&["rules", "export", path]);
    assert!(said.code == 1 && said.err.contains("--force"), "{said:?}");
    assert_eq!(std::fs::read_to_string(dir.join("windrose.rules.yml")).expect("readable"), "groups: []\n");
    let said = windrose(&["rules", "export", path, "--force", "--runbooks", "https://wiki.example.com/{alert}"]);
    assert_eq!(said.code, 0, "{said:?}");
    if tool("promtool") {
        // Rules and their tests still fit together.
        let said = run(Command::new("promtool").args(["test", "rules"]).arg(dir.join("windrose.rules.test.yml")));
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    }
    let said = windrose(&["rules", "export", "--runbooks", "wiki"]);
    assert!(said.code == 2 && said.err.contains("not a web address"), "{said:?}");
}

#[test]
fn rules_are_printed_when_no_folder_is_given() {
    let said = windrose(&["rules", "export"]);
    assert_eq!(said.out, std::fs::read_to_string(deploy("prometheus/windrose.rules.yml")).expect("readable"));
}
