//! A picture of the state: pure, from 60×12 upwards, whatever the terminal can.
//!
//! Never colour alone: each toned piece has a sign or word of its own, what is chosen has a `>`. Without colour nothing is lost.
//! Tones are cyan, yellow and bold red: they differ in lightness, too, and need no telling of red from green.

mod dialog;
mod events;
mod pools;
mod services;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Paragraph};

use crate::cli::table::{Paint, Tone};

use super::state::{Pane, State};
use super::view;

/// Smaller than this is no picture.
const SMALLEST: (u16, u16) = (60, 12);
/// Of the left side.
const LEFT: (u16, u16) = (30, 44);
/// Of the events, with their frame.
const EVENTS: (u16, u16) = (4, 12);

/// What keys do, in one line.
const KEYS: &str = " ↑↓ choose  Tab pane  Enter describe  e explain  d drain  s split  p probe  / filter  ? help  q quit";
/// The same where there is less room.
const KEYS_SHORT: &str = " ↑↓ Tab  Enter describe  e explain  d drain  s split  p probe  / find  ? q";

/// Everything.
pub fn draw(frame: &mut Frame<'_>, state: &State, paint: Paint) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!("{}×{} is too small a window: {}×{} it takes at least. q quits.", area.width, area.height, SMALLEST.0, SMALLEST.1);
        frame.render_widget(Paragraph::new(text).wrap(ratatui::widgets::Wrap { trim: true }), area);
        return;
    }
    let below = (area.height / 4).clamp(EVENTS.0, EVENTS.1);
    let rows = Layout::vertical([Constraint::Length(2), Constraint::Min(1), Constraint::Length(below), Constraint::Length(1)]);
    let [head, middle, log, foot] = rows.areas(area);
    let left = (area.width / 3).clamp(LEFT.0, LEFT.1);
    let [left, right] = Layout::horizontal([Constraint::Length(left), Constraint::Min(1)]).areas(middle);
    header(frame, head, state, paint);
    services::draw(frame, left, state, paint);
    pools::draw(frame, right, state, paint);
    events::draw(frame, log, state, paint);
    footer(frame, foot, state, paint);
    if let Some(dialog) = &state.dialog {
        dialog::draw(frame, area, dialog, paint);
    }
}

fn header(frame: &mut Frame<'_>, area: Rect, state: &State, paint: Paint) {
    let view::Header { left, live: (tone, live), problem: (worst, problem) } = view::header(state);
    let [first, second] = Layout::vertical([Constraint::Length(1), Constraint::Length(1)]).areas(area);
    let room = u16::try_from(live.chars().count()).unwrap_or(u16::MAX).min(first.width);
    let [lead, mark] = Layout::horizontal([Constraint::Min(0), Constraint::Length(room)]).spacing(1).areas(first);
    frame.render_widget(Line::styled(cut(&left, usize::from(lead.width)), Style::new().add_modifier(Modifier::BOLD)), lead);
    frame.render_widget(Line::styled(live, style(tone, paint)), mark);
    // Why it is not connected matters more than what was wrong before.
    let line = match &state.lost {
        Some(lost) => Line::styled(format!("✖ what is shown is old: {}", lost.why), style(Tone::Bad, paint)),
        None => Line::styled(cut(&problem, usize::from(second.width)), style(worst, paint)),
    };
    frame.render_widget(line, second);
}

fn footer(frame: &mut Frame<'_>, area: Rect, state: &State, paint: Paint) {
    let line = if state.filtering {
        Line::from(vec![
            Span::raw(" / "),
            Span::raw(state.filter.clone()),
            Span::raw("_"),
            Span::styled("   Enter keeps it, Esc shows all", style(Tone::Dim, paint)),
        ])
    } else if !state.filter.is_empty() {
        Line::from(format!(" only what fits `{}`; Esc shows all   ? help  q quit", state.filter))
    } else {
        let keys = if usize::from(area.width) < KEYS.chars().count() { KEYS_SHORT } else { KEYS };
        Line::styled(keys, style(Tone::Dim, paint))
    };
    frame.render_widget(line, area);
}

/// What a tone looks like.
fn style(tone: Tone, paint: Paint) -> Style {
    let plain = Style::new();
    match tone {
        Tone::Bad if paint.color => plain.fg(Color::LightRed).add_modifier(Modifier::BOLD),
        Tone::Bad => plain.add_modifier(Modifier::BOLD),
        _ if !paint.color => plain,
        Tone::Plain => plain,
        Tone::Good => plain.fg(Color::Cyan),
        Tone::Warn => plain.fg(Color::Yellow),
        Tone::Dim => plain.fg(Color::DarkGray),
    }
}

/// The frame of a part; the one that has the keys has a thicker line and a sign.
fn framed(title: String, focused: bool) -> Block<'static> {
    let block = Block::bordered();
    if focused {
        block.border_type(BorderType::Thick).title(Line::styled(format!(" » {title} "), Style::new().add_modifier(Modifier::BOLD)))
    } else {
        block.title(format!(" {title} "))
    }
}

/// A line that is chosen stands out, also without colour.
fn chosen(line: Line<'static>, chosen: bool) -> Line<'static> {
    if chosen { line.style(Style::new().add_modifier(Modifier::REVERSED)) } else { line }
}

/// Which rows are shown so that row `at` is among them.
fn window(at: usize, rows: usize, room: usize) -> std::ops::Range<usize> {
    let first = (at + 1).saturating_sub(room);
    first..(first + room).min(rows)
}

fn focused(state: &State, pane: Pane) -> bool {
    state.pane == pane
}

/// At most so many signs; what is cut off leaves a mark.
fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room { text.to_string() } else { text.chars().take(room.saturating_sub(1)).chain(['…']).collect() }
}
