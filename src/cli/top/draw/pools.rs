//! Right: the pools of the chosen service with three bars each; where there is little room, only the chosen one has them.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::cli::table::{Paint, Tone, percent};
use crate::cli::top::state::{Pane, State};
use crate::cli::top::view::{self, PoolRow, rate_text};

use super::{chosen, cut, focused, framed, style};

/// Lines of a pool with bars.
const TALL: usize = 6;
/// Room of `effective `.
const LABEL: usize = 12;
/// Room of ` 62.5% ≠ desired`.
const SHARE: usize = 17;
/// Room of `⏸ drained 2/2`.
const HEALTH: usize = 13;
/// From here on a line has room for what was answered, too.
const WIDE: usize = 70;
/// Longest bar.
const BAR_MAX: usize = 40;
/// Samples of the line of rates.
const SPARKS: usize = 24;
/// Eighths.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, paint: Paint) {
    let title = cut(&view::title(state), usize::from(area.width).saturating_sub(8));
    let block = framed(title, focused(state, Pane::Pools));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let (width, height) = (usize::from(inner.width), usize::from(inner.height));
    let rows = view::pools(state);
    let all_tall = rows.len() * TALL <= height;
    let (mut lines, mut from) = (Vec::new(), 0);
    for row in rows {
        let is_chosen = row.chosen;
        let begin = lines.len();
        lines.extend(if all_tall || is_chosen { tall(row, width, paint) } else { vec![low(&row, width, paint)] });
        if is_chosen {
            // As far down as it takes to see all of the chosen one.
            from = lines.len().saturating_sub(height).min(begin);
        }
    }
    frame.render_widget(Paragraph::new(lines.split_off(from)), inner);
}

fn head(row: &PoolRow, width: usize, paint: Paint) -> Line<'static> {
    let (tone, health) = &row.health;
    let mark = if row.chosen { "> " } else { "  " };
    let place = format!("{:<18} ", cut(&row.place, 18));
    let room = width.saturating_sub(2 + 19 + health.chars().count() + 2);
    let spans = vec![
        Span::raw(mark),
        Span::styled(place, Style::new().add_modifier(Modifier::BOLD)),
        Span::styled(health.clone(), style(*tone, paint)),
        Span::raw(format!("  {:<room$}", cut(&row.note, room))),
    ];
    chosen(Line::from(spans), row.chosen)
}

fn tall(row: PoolRow, width: usize, paint: Paint) -> Vec<Line<'static>> {
    let [desired, effective, answered] = row.shares;
    let mut lines = vec![head(&row, width, paint)];
    lines.push(bar("desired", desired, "", Tone::Plain, width, paint));
    let (mark, tone) = if row.differs { ("≠ desired", Tone::Warn) } else { ("", Tone::Plain) };
    lines.push(bar("effective", effective, mark, tone, width, paint));
    lines.push(bar("answered 5m", answered, "", Tone::Plain, width, paint));
    let rate = row.rate.map_or_else(|| "–".to_string(), rate_text);
    lines.push(Line::from(format!("  {:<LABEL$}{} {rate} q/s", "now", sparks(&row.rates))));
    let (tone, probe) = row.probe;
    lines.push(Line::from(vec![Span::raw(format!("  {:<LABEL$}", "probe")), Span::styled(cut(&probe, width.saturating_sub(2 + LABEL)), style(tone, paint))]));
    lines
}

/// One line without bars.
fn low(row: &PoolRow, width: usize, paint: Paint) -> Line<'static> {
    let (tone, health) = &row.health;
    let [desired, effective, answered] = row.shares.map(percent);
    let differs = if row.differs { "≠" } else { "→" };
    let rate = row.rate.map_or_else(|| "–".to_string(), rate_text);
    let answered = if WIDE <= width { format!(" {answered:>6} answered") } else { String::new() };
    let text = format!(" {desired:>5} {differs} {effective:<5}{answered} {rate:>6} q/s");
    let place = width.saturating_sub(2 + 1 + HEALTH + text.chars().count()).min(18);
    Line::from(vec![
        Span::raw(format!("  {:<place$} ", cut(&row.place, place))),
        Span::styled(format!("{:<HEALTH$}", cut(health, HEALTH)), style(*tone, paint)),
        Span::raw(text),
    ])
}

fn bar(label: &'static str, share: Option<f64>, mark: &'static str, tone: Tone, width: usize, paint: Paint) -> Line<'static> {
    let room = width.saturating_sub(2 + LABEL + SHARE).min(BAR_MAX);
    let full = share.map_or(0, |share| ((share / 100.0 * room as f64).round() as usize).min(room));
    // A share that is more than nothing is seen.
    let full = if share.is_some_and(|share| 0.0 < share) { full.max(1) } else { full };
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(room.saturating_sub(full)));
    Line::from(vec![
        Span::raw(format!("  {label:<LABEL$}")),
        Span::styled(bar, style(tone, paint)),
        Span::styled(format!(" {:>6} {mark}", percent(share)), style(tone, paint)),
    ])
}

/// The newest rates, the highest of which is the highest bar.
fn sparks(rates: &[f64]) -> String {
    let newest = rates.get(rates.len().saturating_sub(SPARKS)..).unwrap_or_default();
    let highest = newest.iter().copied().fold(0.0, f64::max);
    let level = |rate: f64| {
        let at = if 0.0 < highest { (rate / highest * (LEVELS.len() - 1) as f64).round() as usize } else { 0 };
        LEVELS.get(at).copied().unwrap_or(' ')
    };
    let drawn: String = newest.iter().map(|rate| level(*rate)).collect();
    format!("{drawn:>SPARKS$}")
}
