//! Tables, colours and small texts for people. Colour never carries meaning alone: a word or sign stands beside it.

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, Color, Table, presets};

use crate::admin::api::{Endpoint, RegionState, Span, State, Time};

/// Whether and how to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    /// Colour is wanted.
    pub color: bool,
}

/// What a piece of text wants to say by its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing.
    #[default]
    Plain,
    /// All is well.
    Good,
    /// Look here.
    Warn,
    /// Broken.
    Bad,
    /// Aside.
    Dim,
}

impl Paint {
    /// Without colour.
    pub const PLAIN: Paint = Paint { color: false };

    /// By <https://no-color.org>: an environment variable of any content turns it off, and so does everything that is no terminal.
    pub fn wanted(no_color_flag: bool, terminal: bool, env: impl Fn(&str) -> Option<String>) -> Self {
        let no_color = env("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env("TERM").is_some_and(|term| term == "dumb");
        Self { color: terminal && !no_color_flag && !no_color && !dumb }
    }

    /// `text` in the colour of `tone`.
    pub fn tone(self, tone: Tone, text: &str) -> String {
        let color = match tone {
            _ if !self.color => return text.to_string(),
            Tone::Plain => return text.to_string(),
            Tone::Good => AnsiColor::Green,
            Tone::Warn => AnsiColor::Yellow,
            Tone::Bad => AnsiColor::Red,
            Tone::Dim => AnsiColor::BrightBlack,
        };
        let style = Style::new().fg_color(Some(color.into()));
        format!("{style}{text}{style:#}")
    }
}

/// One cell.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// How.
    pub tone: Tone,
}

impl Cell {
    /// With a tone.
    pub fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

/// A table without lines: columns two spaces apart, a header in capitals. A header that begins with `>` is right-aligned.
pub struct Grid {
    header: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Grid {
    /// Without rows yet.
    pub fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// One more row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// No rows?
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Lines, each ended by a newline.
    pub fn render(&self, paint: Paint) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if paint.color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        if self.header.iter().any(|title| !title.trim_start_matches('>').is_empty()) {
            table.set_header(self.header.iter().map(|title| title.trim_start_matches('>')));
        }
        for row in &self.rows {
            table.add_row(row.iter().map(|cell| {
                let drawn = comfy_table::Cell::new(&cell.text);
                match cell.tone {
                    _ if !paint.color => drawn,
                    Tone::Plain => drawn,
                    Tone::Good => drawn.fg(Color::Green),
                    Tone::Warn => drawn.fg(Color::Yellow),
                    Tone::Bad => drawn.fg(Color::Red),
                    Tone::Dim => drawn.fg(Color::DarkGrey),
                }
            }));
        }
        for (at, title) in self.header.iter().enumerate() {
            if let Some(column) = table.column_mut(at) {
                column.set_padding((0, 2));
                if title.starts_with('>') {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

/// Sign and word of a state, with how many endpoints are up; drained beats the rest.
pub fn health_cell(state: State, drained: bool, stale: bool, up: u32, of: u32) -> Cell {
    let (tone, word) = match (state, drained) {
        (State::Down, _) => (Tone::Bad, "✖ down"),
        (_, true) => (Tone::Warn, "⏸ drained"),
        (State::Up, _) => (Tone::Good, "✔ up"),
        (State::Unknown, _) => (Tone::Dim, "? unknown"),
    };
    Cell::toned(tone, format!("{word} {up}/{of}{}", if stale { " (stale)" } else { "" }))
}

/// A region's, with how many endpoints are up; drained beats all but down.
pub fn region_cell(state: RegionState, drained: bool, up: u32, of: u32) -> Cell {
    let (tone, word) = match (state, drained) {
        (RegionState::Down, _) => (Tone::Bad, "✖ down"),
        (_, true) => (Tone::Warn, "⏸ drained"),
        (RegionState::Degraded, _) => (Tone::Warn, "⚠ degraded"),
        (RegionState::Up, _) => (Tone::Good, "✔ up"),
        (RegionState::Unknown, _) => (Tone::Dim, "? unknown"),
    };
    Cell::toned(tone, format!("{word} {up}/{of}"))
}

/// Sign and word of a state.
pub fn state_cell(state: State) -> Cell {
    match state {
        State::Up => Cell::toned(Tone::Good, "✔ up"),
        State::Down => Cell::toned(Tone::Bad, "✖ down"),
        State::Unknown => Cell::toned(Tone::Dim, "? unknown"),
    }
}

/// Sign and word of an endpoint: what is apart from up and down is said.
pub fn endpoint_cell(endpoint: &Endpoint) -> Cell {
    match endpoint.state.effective {
        _ if endpoint.guarded => Cell::toned(Tone::Warn, "✖ down, held up"),
        State::Up if endpoint.degraded.is_some() => Cell::toned(Tone::Warn, "✔ up, degraded"),
        state => state_cell(state),
    }
}

/// A share: `80%`, `12.5%`, `–` where there is none.
pub fn percent(share: Option<f64>) -> String {
    match share {
        None => "–".to_string(),
        Some(share) if (share - share.round()).abs() < 0.05 => format!("{share:.0}%"),
        Some(share) => format!("{share:.1}%"),
    }
}

/// A number with thousands apart: `1,284`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// An age in its one or two largest units: `41s`, `3m 5s`, `2h`, `4d 1h`.
pub fn age(from: Time, to: Time) -> String {
    let seconds = to.0.since(from.0).as_secs();
    let whole = match seconds {
        0..3_600 => seconds,
        3_600..86_400 => seconds - seconds % 60,
        _ => seconds - seconds % 3_600,
    };
    Span(std::time::Duration::from_secs(whole)).to_string().replace("days", "d").replace("day", "d")
}

/// The time of day, `14:02:03 UTC`, with the date if it is another than `today`'s.
pub fn clock(at: Time, today: Time) -> String {
    let (at, today) = (at.to_string(), today.to_string());
    let (day, time) = at.split_once('T').unwrap_or((&at, ""));
    let time = time.get(..8).unwrap_or(time);
    if today.starts_with(day) { format!("{time} UTC") } else { format!("{day} {time} UTC") }
}

/// `1 service`, `3 services`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn columns_line_up_and_numbers_stand_right() {
        let mut grid = Grid::new(&["NAME", ">SHARE", "NOTE"]);
        grid.row(vec!["prod".into(), "80%".into(), "".into()]);
        grid.row(vec!["a-long-name".into(), "100%".into(), "standby".into()]);
        assert_eq!(grid.render(Paint::PLAIN), "NAME         SHARE  NOTE\nprod           80%\na-long-name   100%  standby\n");
    }

    #[test]
    fn colour_is_only_for_terminals_that_want_it() {
        let env = |name: &'static str, value: &'static str| move |asked: &str| (asked == name).then(|| value.to_string());
        assert!(Paint::wanted(false, true, |_| None).color);
        assert!(Paint::wanted(false, true, env("NO_COLOR", "")).color);
        for paint in [
            Paint::wanted(true, true, |_| None),
            Paint::wanted(false, false, |_| None),
            Paint::wanted(false, true, env("NO_COLOR", "1")),
            Paint::wanted(false, true, env("TERM", "dumb")),
        ] {
            assert!(!paint.color);
        }
        assert_eq!(Paint { color: true }.tone(Tone::Bad, "✖ down"), "\u{1b}[31m✖ down\u{1b}[0m");
    }

    #[test]
    fn a_coloured_table_keeps_its_widths() {
        let mut grid = Grid::new(&["HEALTH", "X"]);
        grid.row(vec![health_cell(State::Up, false, false, 1, 2), "y".into()]);
        let colored = grid.render(Paint { color: true });
        assert!(colored.contains("\u{1b}["), "{colored:?}");
        let (mut plain, mut escape) = (String::new(), false);
        for c in colored.chars() {
            match c {
                '\u{1b}' => escape = true,
                'm' if escape => escape = false,
                _ if escape => {}
                c => plain.push(c),
            }
        }
        assert_eq!(plain.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"), grid.render(Paint::PLAIN).trim_end());
    }

    #[test]
    fn numbers_and_times_are_short() {
        let at = |seconds: i64| Time(Timestamp(seconds * 1000));
        assert_eq!([percent(Some(80.0)), percent(Some(12.54)), percent(None)], ["80%", "12.5%", "–"]);
        assert_eq!([thousands(7), thousands(1284), thousands(1_000_000)], ["7", "1,284", "1,000,000"]);
        assert_eq!([age(at(0), at(41)), age(at(0), at(185)), age(at(0), at(7_210)), age(at(0), at(349_300))], ["41s", "3m 5s", "2h", "4d 1h"]);
        assert_eq!(clock(at(1_795_262_403), at(1_795_262_400)), "12:00:03 UTC");
        assert_eq!(clock(at(1_795_262_403), at(0)), "2026-11-21 12:00:03 UTC");
    }
}
