//! Below: what happened, newest first.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::cli::table::Paint;
use crate::cli::top::state::{Pane, State};
use crate::cli::top::view::{self, EventRow};

use super::{chosen, cut, focused, framed, style, window};

pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, paint: Paint) {
    let has_keys = focused(state, Pane::Events);
    let block = framed("Events, newest first (UTC)".to_string(), has_keys);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if state.events.is_empty() {
        frame.render_widget(Paragraph::new("  nothing happened yet"), inner);
        return;
    }
    let shown = window(state.chosen_event(), state.events.len(), usize::from(inner.height));
    let rows = view::events(state).into_iter().skip(shown.start).take(shown.len());
    let lines: Vec<Line<'_>> = rows.map(|row| line(row, usize::from(inner.width), has_keys, paint)).collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

fn line(row: EventRow, width: usize, has_keys: bool, paint: Paint) -> Line<'static> {
    let EventRow { chosen: is_chosen, time, sign: (tone, sign), kind, summary } = row;
    // Which event is chosen matters only to somebody who walks here.
    let marked = is_chosen && has_keys;
    let room = width.saturating_sub(2 + 9 + 2 + 19);
    let spans = vec![
        Span::raw(if marked { "> " } else { "  " }),
        Span::raw(format!("{time:<8} ")),
        Span::styled(format!("{sign} {:<18} ", cut(&kind, 18)), style(tone, paint)),
        Span::raw(format!("{:<room$}", cut(&summary, room))),
    ];
    chosen(Line::from(spans), marked)
}
