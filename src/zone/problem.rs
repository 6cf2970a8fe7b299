//! A finding in a file that people wrote: where it is, what is wrong, what to do.
//!
//! Shared by zone files and the configuration (which adds the key's path). Never here: deciding what is a problem.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Longest piece of a line that is shown, in characters.
const EXCERPT_MAX: usize = 120;

/// One finding with its place. Columns and widths count characters, lines and columns begin at 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// As it was named to us.
    pub file: PathBuf,
    /// 0: the file as a whole.
    pub line: u32,
    /// Of the first character.
    pub column: u32,
    /// Characters to underline.
    pub width: u32,
    /// The line.
    pub excerpt: String,
    /// The key, such as `pool.eu.endpoints[2].address`; empty in zone files.
    pub path: String,
    /// What is wrong: one sentence, lower case, no full stop.
    pub message: String,
    /// What to do about it; may be empty.
    pub help: String,
}

impl Problem {
    /// About a file as a whole.
    pub fn of_file(file: &Path, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { file: file.to_path_buf(), message: message.into(), help: help.into(), ..Self::default() }
    }

    /// `windrose.toml:12:8`.
    pub fn place(&self) -> String {
        match self.line {
            0 => self.file.display().to_string(),
            line => format!("{}:{line}:{}", self.file.display(), self.column),
        }
    }
}

/// The place, the sentence, the line with the spot underlined, and what to do.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place())?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if self.line > 0 {
            let (shown, before, width) = self.window();
            let underline = "^".repeat(width.max(1));
            write!(f, "\n{:>6} | {shown}\n       | {:before$}{underline}", self.line, "")?;
        }
        if !self.help.is_empty() {
            write!(f, "\n  help: {}", self.help)?;
        }
        Ok(())
    }
}

impl Problem {
    /// The part of a long line around the spot, the characters before the spot in it, and how many to underline.
    fn window(&self) -> (String, usize, usize) {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let length = self.excerpt.chars().count();
        let column = (self.column.max(1) as usize - 1).min(length);
        let skip = if length <= EXCERPT_MAX { 0 } else { column.saturating_sub(EXCERPT_MAX / 2) };
        let mut shown: String = self.excerpt.chars().skip(skip).take(EXCERPT_MAX).map(plain).collect();
        let (mut before, room) = (column - skip, EXCERPT_MAX.min(length - skip));
        let width = (self.width as usize).min(room.saturating_sub(before));
        if skip > 0 {
            shown.insert(0, '…');
            before += 1;
        }
        if skip + EXCERPT_MAX < length {
            shown.push('…');
        }
        (shown, before, width)
    }
}

/// A text that knows its lines.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// What problems call it.
    pub file: &'a Path,
    /// All of it.
    pub text: &'a str,
    /// Offset at which each line begins.
    starts: Vec<usize>,
}

impl<'a> Source<'a> {
    /// Finds the lines.
    pub fn new(file: &'a Path, text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, octet)| *octet == b'\n').map(|(at, _)| at + 1)).collect();
        Self { file, text, starts }
    }

    /// Line, from 1, that holds an offset.
    pub fn line(&self, offset: usize) -> u32 {
        u32::try_from(self.starts.partition_point(|start| *start <= offset)).unwrap_or(u32::MAX)
    }

    /// Line and column, from 1.
    pub fn line_column(&self, offset: usize) -> (u32, u32) {
        let line = self.line(offset);
        let start = self.starts.get(line as usize - 1).copied().unwrap_or(0);
        let before = self.text.get(start..offset.min(self.text.len())).map_or(0, |before| before.chars().count());
        (line, u32::try_from(before + 1).unwrap_or(u32::MAX))
    }

    /// A problem at `span` (octet offsets). A span over several lines is underlined on its first.
    pub fn problem(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Problem {
        let (line, column) = self.line_column(span.start);
        let start = self.starts.get(line as usize - 1).copied().unwrap_or(0);
        let end = self.starts.get(line as usize).map_or(self.text.len(), |next| next - 1);
        let excerpt = self.text.get(start..end).unwrap_or_default().trim_end();
        let spot = self.text.get(span.start..span.end.min(start + excerpt.len()).max(span.start)).unwrap_or_default();
        Problem {
            file: self.file.to_path_buf(),
            line,
            column,
            width: u32::try_from(spot.chars().count().max(1)).unwrap_or(1),
            excerpt: excerpt.to_string(),
            path: String::new(),
            message: message.into(),
            help: help.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_underlines_its_spot() {
        let source = Source::new(Path::new("w.toml"), "a = 1\nttl = \"30x\"\n");
        let problem = source.problem(12..17, "not a duration", "write it like \"30s\"");
        assert_eq!(problem.to_string(), "w.toml:2:7: not a duration\n     2 | ttl = \"30x\"\n       |       ^^^^^\n  help: write it like \"30s\"");
    }

    #[test]
    fn columns_count_characters_and_offsets_past_the_end_are_no_panic() {
        let source = Source::new(Path::new("w"), "é = ü");
        assert_eq!(source.line_column(5), (1, 5));
        assert_eq!(source.problem(900..1000, "x", "").line, 1);
        assert_eq!(source.problem(1..2, "inside a character", "").line, 1);
    }

    #[test]
    fn a_long_line_is_shown_around_the_spot() {
        let text = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
        let shown = Source::new(Path::new("w"), &text).problem(500..504, "x", "").to_string();
        let lines: Vec<&str> = shown.lines().collect();
        let caret = lines[2].find('^').unwrap();
        assert_eq!(lines[1].chars().skip(caret).take(4).collect::<String>(), "HERE");
        assert!(lines[1].chars().count() < 140, "{shown}");
    }

    #[test]
    fn a_problem_of_a_whole_file_has_no_line() {
        assert_eq!(Problem::of_file(Path::new("a.toml"), "can't be read", "make it").to_string(), "a.toml: can't be read\n  help: make it");
    }
}
