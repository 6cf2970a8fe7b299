//! Pictures of known states, compared with `snapshots/*.txt` (`WINDROSE_WRITE=1` writes them anew), and what keys lead to.

use std::path::Path;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;
use serde_json::json;

use super::draw;
use super::state::{Ask, Dialog, Key, Message, Pane, Said, State, What};
use crate::admin::api::{Endpoint, Overview, Time};
use crate::cli::table::Paint;
use crate::cli::testing::overview;

const COLOR: Paint = Paint { color: true };

/// The overview as it was so many seconds later, with answers counted.
fn later(seconds: u64, counts: [u64; 2]) -> Overview {
    let mut seen = overview();
    seen.at = Time(seen.at.0.plus(std::time::Duration::from_secs(seconds)));
    for service in &mut seen.services {
        service.answers_per_second = Some(402.0);
        for (pool, count) in service.pools.iter_mut().zip(counts) {
            pool.answers = Some(count);
        }
    }
    seen
}

fn endpoints() -> Vec<Endpoint> {
    let probe = json!({"at": "2026-11-21T12:00:01Z", "outcome": "fail", "reason": "timeout", "message": "no answer within 2s while connecting", "took_ms": 2000.4,
                       "phases": [], "status": null, "certificate_expires": null});
    let endpoint = json!({"id": "eu/a", "name": "a", "pool": "eu", "region": "eu-west", "address": "192.0.2.10", "weight": 1, "tier": 0, "monitor": "gateway",
                          "state": {"observed": "down", "forced": null, "effective": "down"}, "stale": false, "drained": false, "held_by": [], "serving": [],
                          "overrides": [], "since": null, "last_probe": probe, "last_failed": probe});
    vec![serde_json::from_value(endpoint).unwrap()]
}

fn event(sequence: u64, time: &str, kind: &str, severity: &str, summary: &str) -> Message {
    Message::Event(json!({"type": format!("windrose.{kind}"), "time": format!("2026-11-21T{time}.412Z"), "sequence": sequence,
                          "data": {"severity": severity, "summary": summary}}))
}

/// Three services, rates of a few looks, two events.
fn seen() -> State {
    let mut state = State::new(String::new());
    state.now = overview().at;
    for (seconds, counts) in [(0, [0, 0]), (2, [10, 200]), (4, [30, 600]), (6, [30, 1600])] {
        state.update(Message::Looked(Box::new(later(seconds, counts))));
    }
    state.update(Message::Endpoints("eu".to_string(), endpoints()));
    state.update(event(1, "11:59:20", "endpoint.down", "warning", "eu/a is down: no answer within 2s while connecting"));
    state.update(event(2, "11:59:22", "failover.started", "critical", "search: eu is down, us now answers 100%"));
    state
}

fn hit(state: &mut State, keys: &[Key]) -> Option<Ask> {
    keys.iter().filter_map(|key| state.update(Message::Key(*key))).last()
}

fn typed(state: &mut State, text: &str) {
    text.chars().for_each(|c| {
        state.update(Message::Key(Key::Char(c)));
    });
}

fn picture(state: &State, (width, height): (u16, u16), paint: Paint) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw::draw(frame, state, paint)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let lines = buffer.content.chunks(width).map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>());
    lines.map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Compares with the picture in the repository.
fn shows(name: &str, state: &State, size: (u16, u16)) {
    let shown = text(&picture(state, size, Paint::PLAIN));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/top/snapshots").join(format!("{name}.txt"));
    if std::env::var_os("WINDROSE_WRITE").is_some() {
        std::fs::write(&path, &shown).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}; WINDROSE_WRITE=1 writes it", path.display()));
    assert!(shown == expected, "{name} looks otherwise (WINDROSE_WRITE=1 takes it over). Expected:\n{expected}\nShown:\n{shown}");
}

#[test]
fn everything_fits_on_the_smallest_usual_terminal() {
    let mut state = seen();
    shows("services", &state, (80, 24));
    hit(&mut state, &[Key::Down, Key::Tab]);
    shows("down", &state, (80, 24));
}

#[test]
fn where_bars_have_no_room_only_the_chosen_pool_has_them() {
    let mut state = seen();
    hit(&mut state, &[Key::Down, Key::Down, Key::Tab, Key::Down]);
    shows("compact", &state, (80, 24));
}

#[test]
fn a_large_window_shows_more() {
    let mut state = seen();
    hit(&mut state, &[Key::Down, Key::Down]);
    shows("large", &state, (130, 40));
}

#[test]
fn a_window_that_is_too_small_says_so_and_none_is_drawn_beyond() {
    let state = seen();
    assert!(text(&picture(&state, (40, 8), COLOR)).contains("too small"));
    for width in (1..200).step_by(7) {
        for height in (1..60).step_by(5) {
            picture(&state, (width, height), COLOR);
        }
    }
}

#[test]
fn every_dialog_fits_every_window() {
    let asks: [&[Key]; 4] = [&[Key::Char('?')], &[Key::Char('d')], &[Key::Down, Key::Char('s')], &[Key::Enter]];
    for keys in asks {
        let mut state = seen();
        hit(&mut state, keys);
        for size in [(60, 12), (61, 13), (80, 24), (200, 60)] {
            picture(&state, size, COLOR);
        }
    }
}

#[test]
fn colour_says_nothing_alone() {
    let state = seen();
    let (plain, coloured) = (picture(&state, (80, 24), Paint::PLAIN), picture(&state, (80, 24), COLOR));
    assert_eq!(text(&plain), text(&coloured));
    assert!(plain.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset), "NO_COLOR leaves none");
    let used: Vec<Color> = coloured.content.iter().map(|cell| cell.fg).filter(|color| *color != Color::Reset).collect();
    assert!(used.contains(&Color::Yellow) && used.contains(&Color::Cyan));
    assert!(!used.contains(&Color::Green), "green and red are the same to many");
}

#[test]
fn a_lost_server_is_said_and_what_was_seen_stays() {
    let mut state = seen();
    state.update(Message::Lost("can't connect: connection refused".to_string()));
    state.now = Time(state.now.0.plus(std::time::Duration::from_secs(30)));
    state.update(Message::Lost("can't connect: connection refused".to_string()));
    shows("lost", &state, (80, 24));
    state.update(Message::Looked(Box::new(later(8, [30, 1600]))));
    assert!(text(&picture(&state, (80, 24), Paint::PLAIN)).contains("● live"));
}

#[test]
fn a_drain_is_previewed_and_made_by_y_alone() {
    let mut state = seen();
    assert!(hit(&mut state, &[Key::Down, Key::Char('d')]).is_none());
    shows("form", &state, (80, 24));
    hit(&mut state, &[Key::Down, Key::Down, Key::Down]);
    typed(&mut state, "CHG-7");
    let Some(Ask { id, what: What::Preview(_) }) = hit(&mut state, &[Key::Enter]) else { panic!("{:?}", state.dialog) };
    let said = |text: &str, refused| Said { text: text.to_string(), refused };
    state.update(Message::Said(id, said("region/eu-west drained until 14:00:03 UTC: 1 service affected\nguards: ✔ min_serving_regions 1", false)));
    shows("preview", &state, (80, 24));
    assert!(hit(&mut state, &[Key::Enter]).is_none(), "Enter makes nothing");
    let Some(Ask { id, what: What::Make(_) }) = hit(&mut state, &[Key::Char('y')]) else { panic!("{:?}", state.dialog) };
    assert!(hit(&mut state, &[Key::Esc]).is_none());
    assert!(matches!(state.dialog, Some(Dialog::Waiting { .. })), "a change under way is waited for");
    state.update(Message::Said(id, said("region/eu-west drained", false)));
    assert!(matches!(state.dialog, Some(Dialog::Text { back: None, .. })));
    hit(&mut state, &[Key::Esc]);
    assert!(state.dialog.is_none());
}

#[test]
fn a_refusal_shows_every_guard_and_leads_back_to_the_form() {
    let mut state = seen();
    hit(&mut state, &[Key::Down, Key::Char('s'), Key::Down, Key::Down]);
    typed(&mut state, "x");
    let Some(Ask { id, .. }) = hit(&mut state, &[Key::Enter]) else { panic!("{:?}", state.dialog) };
    let text = "refused: 2 guards stand in the way\n  ✖ max_step  80 points at once, limit 50\n      → --break-glass max_step\n  ✖ healthy_targets  eu is down\nnothing changed.";
    state.update(Message::Said(id, Said { text: text.to_string(), refused: true }));
    shows("refused", &state, (80, 24));
    assert!(hit(&mut state, &[Key::Char('y')]).is_none(), "what is refused can't be made");
    hit(&mut state, &[Key::Esc]);
    assert!(matches!(&state.dialog, Some(Dialog::Form(form)) if form.title == "Split search"));
}

#[test]
fn an_answer_that_nobody_waits_for_is_dropped() {
    let mut state = seen();
    let Some(Ask { id, .. }) = hit(&mut state, &[Key::Enter]) else { panic!("{:?}", state.dialog) };
    hit(&mut state, &[Key::Esc]);
    state.update(Message::Said(id, Said { text: "late".to_string(), refused: false }));
    assert!(state.dialog.is_none());
}

#[test]
fn keys_walk_and_what_is_chosen_stays_when_the_list_changes() {
    let mut state = seen();
    assert_eq!((state.service.as_str(), state.pool.as_str()), ("orders", "prod"));
    hit(&mut state, &[Key::Char('j'), Key::Down, Key::Down]);
    assert_eq!((state.service.as_str(), state.pool.as_str()), ("web", "prod"), "it ends at the last");
    hit(&mut state, &[Key::Tab, Key::Char('j')]);
    assert_eq!((state.pane, state.pool.as_str()), (Pane::Pools, "dr"));
    let mut other = later(8, [30, 1600]);
    other.services.reverse();
    state.update(Message::Looked(Box::new(other)));
    assert_eq!((state.service.as_str(), state.pool.as_str()), ("web", "dr"));
    let mut gone = later(10, [30, 1600]);
    gone.services.truncate(1);
    state.update(Message::Looked(Box::new(gone)));
    assert_eq!(state.service, "orders", "what is gone can't be chosen");
}

#[test]
fn the_chosen_event_stays_while_others_come() {
    let mut state = seen();
    hit(&mut state, &[Key::BackTab, Key::Down]);
    assert_eq!((state.pane, state.chosen_event()), (Pane::Events, 1));
    state.update(event(3, "11:59:23", "region.down", "critical", "eu-west is down"));
    assert_eq!(state.chosen_event(), 2);
    hit(&mut state, &[Key::Enter]);
    assert!(matches!(&state.dialog, Some(Dialog::Text { text, .. }) if text.contains("endpoint.down")));
}

#[test]
fn a_filter_narrows_by_service_pool_or_region() {
    let mut state = seen();
    hit(&mut state, &[Key::Char('/')]);
    typed(&mut state, "EU-we");
    assert_eq!(state.services().iter().map(|service| service.name.as_str()).collect::<Vec<_>>(), ["search"]);
    assert_eq!(state.service, "search");
    shows("filter", &state, (80, 24));
    hit(&mut state, &[Key::Enter, Key::Char('q')]);
    assert!(state.over, "after Enter keys are keys again");
    hit(&mut state, &[Key::Esc]);
    assert_eq!(state.services().len(), 3);
}

#[test]
fn what_other_keys_ask_for() {
    let mut state = seen();
    assert!(matches!(hit(&mut state, &[Key::Char('e')]), Some(Ask { what: What::Explain(args), .. }) if args.name == "orders.api.example.com"));
    hit(&mut state, &[Key::Esc]);
    assert!(matches!(hit(&mut state, &[Key::Char('p')]), Some(Ask { what: What::Probe(pool), .. }) if pool == "prod"));
    hit(&mut state, &[Key::Esc]);
    assert!(matches!(hit(&mut state, &[Key::Tab, Key::Enter]), Some(Ask { what: What::Describe(args), .. }) if args.name == "prod"));
    hit(&mut state, &[Key::Interrupt]);
    assert!(state.over);
}
