//! What lies over the screen: something to read, to fill in, to decide.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph, Wrap};

use crate::cli::table::{Paint, Tone};
use crate::cli::top::form::{Field, Form, Value};
use crate::cli::top::state::{Dialog, Then};

use super::{cut, style};

/// Widest.
const WIDTH_MAX: u16 = 110;
/// Room of a field's label.
const LABEL: usize = 18;
/// Room of what is typed, with what stands around it.
const TYPED: usize = 30;

const HELP: &str = "\
↑ ↓ j k      choose          PgUp PgDn    ten at a time
Tab ← →      services, pools, events
Enter        describe what is chosen; all of an event
e            explain: how the service is answered, step by step
d            drain the chosen pool's region, or end its drain
s            split: set shares, or put another pool first
p            probe the chosen pool's endpoints now, without effect
/            filter by service, host name, pool or region; Esc shows all
q  Ctrl-C    quit

Three shares: desired is what is asked for, effective what health and
drains leave of it, answered what was given out in the last 5 minutes.
Answers change at once; clients follow within the TTL, some later.

Every change is previewed by the server, and made by y alone.
Guards are broken by commands only: see --break-glass.";

pub fn draw(frame: &mut Frame<'_>, area: Rect, dialog: &Dialog, paint: Paint) {
    match dialog {
        Dialog::Help => read(frame, area, "Keys", HELP, 0, "any key: back", paint),
        Dialog::Waiting { title, then: Then::Made(_), .. } => read(frame, area, title, "being made …", 0, "please wait", paint),
        Dialog::Waiting { title, .. } => read(frame, area, title, "asking the server …", 0, "Esc: don't wait", paint),
        Dialog::Text { title, text, scroll, back } => {
            let keys = if back.is_some() { "↑↓ read   Esc: back to the form" } else { "↑↓ read   Esc: back" };
            read(frame, area, title, text, *scroll, keys, paint);
        }
        Dialog::Preview { form, text, scroll, .. } => {
            read(frame, area, &format!("{}: preview, nothing has changed", form.title), text, *scroll, "y: DO IT   Esc: back to the form   ↑↓ read", paint);
        }
        Dialog::Form(form) => fill_in(frame, area, form, paint),
    }
}

/// In the middle, with so many lines and signs inside.
fn place(area: Rect, wide: usize, lines: usize) -> Rect {
    let short = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
    let width = short(wide).saturating_add(4).clamp(44, WIDTH_MAX).min(area.width.saturating_sub(2));
    let height = short(lines).saturating_add(2).min(area.height.saturating_sub(2)).max(3);
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

fn boxed(frame: &mut Frame<'_>, area: Rect, title: &str, keys: &'static str) -> Rect {
    let title = format!(" {} ", cut(title, usize::from(area.width).saturating_sub(6)));
    let block = Block::bordered().border_type(BorderType::Double).title(Line::styled(title, Style::new().add_modifier(Modifier::BOLD)));
    let block = block.title_bottom(Line::styled(format!(" {keys} "), Style::new().add_modifier(Modifier::BOLD)));
    let inner = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}

fn read(frame: &mut Frame<'_>, area: Rect, title: &str, text: &str, scroll: usize, keys: &'static str, paint: Paint) {
    let wide = text.lines().map(|line| line.chars().count()).max().unwrap_or(0).max(keys.chars().count() + 2).max(title.chars().count() + 2);
    let room = wide.min(usize::from(WIDTH_MAX.min(area.width.saturating_sub(2))).saturating_sub(4)).max(1);
    let lines = text.lines().map(|line| line.chars().count().div_ceil(room).max(1)).sum();
    let inner = boxed(frame, place(area, wide, lines), title, keys);
    let lines: Vec<Line<'_>> = text.lines().skip(scroll).map(|line| Line::styled(line, style(tone(line), paint))).collect();
    frame.render_widget(Paragraph::new(Text::from(lines)).wrap(Wrap { trim: false }), inner);
}

/// By the sign that a line has, which is what says it.
fn tone(line: &str) -> Tone {
    match line {
        _ if line.contains('✖') || line.starts_with("refused") || line.starts_with("failed") || line.starts_with("not reachable") => Tone::Bad,
        _ if line.contains('⚠') => Tone::Warn,
        _ => Tone::Plain,
    }
}

fn fill_in(frame: &mut Frame<'_>, area: Rect, form: &Form, paint: Paint) {
    let lines = form.fields.len() + 2;
    let hints = form.fields.iter().map(|field| field.hint.chars().count()).max().unwrap_or(0);
    let inner = boxed(frame, place(area, LABEL + TYPED + hints, lines), &form.title, "Enter: next, preview   ↑↓ field   Esc: leave");
    let mut lines: Vec<Line<'_>> = form.fields.iter().enumerate().map(|(at, field)| line(field, at == form.focus, paint)).collect();
    lines.push(Line::raw(""));
    lines.push(match &form.fault {
        Some(fault) => Line::styled(format!("✖ {fault}"), style(Tone::Bad, paint)),
        None => Line::styled("Nothing is changed before you have seen what it does.", style(Tone::Dim, paint)),
    });
    frame.render_widget(Paragraph::new(lines), inner);
    // The cursor stands where typing goes.
    if let Some(Field { value: Value::Text(typed), .. }) = form.fields.get(form.focus) {
        let column = 2 + LABEL + 1 + typed.chars().count().min(TYPED - 4);
        let short = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        frame.set_cursor_position(Position { x: inner.x.saturating_add(short(column)), y: inner.y.saturating_add(short(form.focus)) });
    }
}

fn line(field: &Field, focused: bool, paint: Paint) -> Line<'static> {
    let typed = match &field.value {
        // Of what is too long the end is shown, where one types.
        Value::Text(text) => {
            let from = text.chars().count().saturating_sub(TYPED - 4);
            format!("[{:<width$}]", text.chars().skip(from).collect::<String>(), width = TYPED - 4)
        }
        Value::Choice { of, at } => {
            let this = of.get(*at).map(String::as_str).unwrap_or_default();
            if of.len() < 2 { this.to_string() } else { format!("‹ {this} ›") }
        }
    };
    let mark = if focused { "> " } else { "  " };
    let hint = if matches!(&field.value, Value::Choice { of, .. } if 1 < of.len()) && focused { "← → another" } else { field.hint };
    let strong = if focused { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
    Line::from(vec![
        Span::styled(format!("{mark}{:<LABEL$}", cut(&field.label, LABEL - 1)), strong),
        Span::styled(format!("{typed:<width$} ", width = TYPED - 2), strong),
        Span::styled(hint, style(Tone::Dim, paint)),
    ])
}
