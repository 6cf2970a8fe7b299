//! From text to a table of values with spans, as much of it as can be had when the syntax is wrong.
//!
//! The parser recovers by itself, but a bracket that is never closed makes it read the rest of the file as a list. So a file with
//! wrong syntax is parsed again section by section (`[pool.eu]` to the next header): each tells its own mistakes, lines with mistakes
//! are blanked, sections that still don't parse keep only their header, and what remains is read like any other file.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeTable;

use super::problem::{Route, Sink};

/// Parses; problems go to `sink`. `repaired` lends the text that is parsed if the syntax was wrong.
pub(super) fn parse<'t>(text: &'t str, repaired: &'t mut String, sink: &mut Sink<'_>) -> Spanned<DeTable<'t>> {
    let (table, wrong) = DeTable::parse_recoverable(text);
    if wrong.is_empty() {
        return table;
    }
    *repaired = repair(text, sink);
    let (table, wrong) = DeTable::parse_recoverable(repaired);
    // What is left are mistakes between sections: a table or key that stands twice.
    for mistake in &wrong {
        tell(mistake, 0, text, sink);
    }
    table
}

fn tell(mistake: &toml::de::Error, start: usize, text: &str, sink: &mut Sink<'_>) -> Range<usize> {
    let span = mistake.span().unwrap_or(0..0);
    let span = (span.start + start).min(text.len())..(span.end + start).min(text.len());
    let help = match mistake.message() {
        "duplicate key" => "each key and each table stands once; merge the two",
        message if message.contains("unclosed table") => "a table's header is [pool.eu]",
        message if message.contains("array") => "a list is [\"one\", \"two\"]",
        message if message.contains("string") => "text stands in quotes: key = \"text\"",
        _ => "a line is `key = value`; text stands in \"quotes\", tables begin with [header]",
    };
    sink.problem(&span, Route::Top, mistake.message(), help);
    span
}

/// The text with what can't be parsed blanked out; every octet keeps its offset.
fn repair(text: &str, sink: &mut Sink<'_>) -> String {
    let mut repaired = text.as_bytes().to_vec();
    for section in sections(text) {
        let part = text.get(section.clone()).unwrap_or_default();
        let (_, wrong) = DeTable::parse_recoverable(part);
        let mut mistakes: Vec<_> = wrong.iter().collect();
        mistakes.sort_by_key(|mistake| mistake.span().map_or(0, |span| span.start));
        let mut line_end = 0;
        for mistake in mistakes {
            // The first mistake of a line explains the others; one in a list or string of several lines explains the rest of the section.
            let at = mistake.span().map_or(0, |span| span.start);
            if line_end > 0 && at < line_end {
                continue;
            }
            tell(mistake, section.start, text, sink);
            let many_lines = ["array", "inline table", "key-value pairs", "multi-line"].iter().any(|word| mistake.message().contains(word));
            let until = if many_lines { None } else { part.get(at..).and_then(|rest| rest.find('\n')) };
            let line = part.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |before| before + 1);
            line_end = until.map_or(part.len(), |until| at + until).max(1);
            blank(&mut repaired, section.start + line..section.start + line_end);
            if line == 0 && part.starts_with('[') {
                // Without its header, the section's keys would belong to the table above.
                blank(&mut repaired, section.clone());
                break;
            }
        }
        if line_end > 0 {
            sink.broken(section.clone());
            let still =
                repaired.get(section.clone()).and_then(|part| std::str::from_utf8(part).ok()).is_none_or(|part| !DeTable::parse_recoverable(part).1.is_empty());
            if still {
                let header = part.find('\n').unwrap_or(part.len());
                let sound = part.starts_with('[') && part.get(..header).is_some_and(|header| DeTable::parse_recoverable(header).1.is_empty());
                blank(&mut repaired, section.start + if sound { header } else { 0 }..section.end);
            }
        }
    }
    String::from_utf8(repaired).unwrap_or_default()
}

fn blank(text: &mut [u8], range: Range<usize>) {
    for octet in text.get_mut(range).unwrap_or_default() {
        if *octet != b'\n' {
            *octet = b' ';
        }
    }
}

/// The text before the first header, and each header with what follows it.
fn sections(text: &str) -> Vec<Range<usize>> {
    let mut starts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if at > 0 && looks_like_header(line) {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().copied().skip(1).chain([text.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// `[pool.eu]`, perhaps with a mistake in it; not a line of a list.
fn looks_like_header(line: &str) -> bool {
    let bare = line.split('#').next().unwrap_or_default().trim_end();
    bare.starts_with('[')
        && !bare.ends_with(',')
        && !bare.contains('=')
        && bare.trim_start_matches('[').starts_with(|c: char| c.is_ascii_alphanumeric() || "\"'_-".contains(c))
}
