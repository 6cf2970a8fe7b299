//! Left: every service in one line.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::cli::table::{Paint, thousands};
use crate::cli::top::state::{Pane, State};
use crate::cli::top::view::{self, ServiceRow};

use super::{chosen, cut, focused, framed, style, window};

/// Room of the state's sign and word.
const STATE: usize = 8;
/// Room of the rate.
const RATE: usize = 7;

pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, paint: Paint) {
    let rows = view::services(state);
    let total = state.overview.as_ref().map_or(0, |overview| overview.services_total);
    let all = if (rows.len() as u64) < total { format!("Services {} of {}", rows.len(), thousands(total)) } else { "Services".to_string() };
    let block = framed(all, focused(state, Pane::Services)).title_bottom(Line::from(" q/s, last minute ").right_aligned());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if rows.is_empty() {
        frame.render_widget(Paragraph::new(if state.filter.is_empty() { "no services" } else { "nothing fits the filter" }), inner);
        return;
    }
    let at = rows.iter().position(|row| row.chosen).unwrap_or(0);
    let shown = window(at, rows.len(), usize::from(inner.height));
    let lines: Vec<Line<'_>> = rows.into_iter().skip(shown.start).take(shown.len()).map(|row| line(row, usize::from(inner.width), paint)).collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

fn line(row: ServiceRow, width: usize, paint: Paint) -> Line<'static> {
    let ServiceRow { chosen: is_chosen, state: (tone, word), name, rate } = row;
    let room = width.saturating_sub(2 + STATE + 1 + RATE);
    let mark = if is_chosen { "> " } else { "  " };
    chosen(
        Line::from(vec![
            Span::raw(mark),
            Span::styled(format!("{word:<STATE$} "), style(tone, paint)),
            Span::raw(format!("{:<room$}", cut(&name, room))),
            Span::raw(format!("{rate:>RATE$}")),
        ]),
        is_chosen,
    )
}
