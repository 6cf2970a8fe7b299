//! A person at a terminal is asked before much traffic moves; scripts and the way back are not.

use super::node::{TestNode, tool};
use super::terminal::Terminal;
use super::top::SERVICES;

fn shares(node: &TestNode) -> String {
    node.json(&["describe", "service", "search"])["traffic"]["policy"]["weighted"].to_string()
}

#[test]
fn at_a_terminal_a_large_move_shows_its_preview_and_wants_a_name_typed() {
    if !tool("tmux") {
        return;
    }
    let node = TestNode::start(&SERVICES.replace("eu = 100, us = 0", "eu = 80, us = 20"));
    let mut asked = Terminal::start(&node, "split search eu=20 us=80", (140, 40));
    let shown = asked.shows(&["▼ 60.0", "more than 50 points of a service move. Type search to go on:"]);
    assert!(shown.contains("takes over: us"), "{shown}");
    asked.types("serach");
    asked.keys(&["Enter"]);
    asked.shows(&["`search` was not typed", "nothing changed", "ended 5"]);
    assert_eq!(shares(&node), r#"{"eu":80,"us":20}"#);
    drop(asked);

    asked = Terminal::start(&node, "split search eu=20 us=80", (140, 40));
    asked.shows(&["Type search to go on:"]);
    asked.types("search");
    asked.keys(&["Enter"]);
    asked.shows(&["undo: windrose undo search", "ended 0"]);
    assert_eq!(shares(&node), r#"{"eu":20,"us":80}"#);
    drop(asked);

    // Back at once, small moves, those who said yes, and scripts: no question.
    for (arguments, then) in [
        ("undo search", r#"{"eu":80,"us":20}"#),
        ("split search eu=40 us=60", r#"{"eu":40,"us":60}"#),
        ("split search eu=100 us=0 --yes", r#"{"eu":100,"us":0}"#),
    ] {
        let quick = Terminal::start(&node, arguments, (140, 40));
        quick.shows(&["undo: windrose undo search", "ended 0"]);
        assert_eq!(shares(&node), then, "{arguments}");
    }
    node.ok(&["split", "search", "eu=0", "us=100"]);
    assert_eq!(shares(&node), r#"{"eu":0,"us":100}"#);
}
