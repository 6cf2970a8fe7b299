//! A master file cut into entries and tokens (RFC 1035, section 5.1): quotes, escapes, comments and parentheses.
//!
//! Knows no names, types or numbers. A mistake spoils its own entry only: scanning goes on with the next one.

use std::ops::Range;

use super::{Problem, Source};

/// One entry: the tokens of a line, or of several lines held together by parentheses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Begins with white space: the owner is inherited.
    pub indented: bool,
    /// Never empty.
    pub tokens: Vec<Token>,
    /// Offset of the line end (or the text's end) after it.
    pub end: usize,
}

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// Offsets of its text; without the quotes, if quoted.
    pub span: Range<usize>,
    /// It stood in quotes.
    pub quoted: bool,
    /// Open parentheses before it.
    pub depth: usize,
}

/// All entries that are well formed; what is not goes to `problems`.
pub(super) fn entries(source: &Source<'_>, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut scanner = Scanner { source, octets: source.text.as_bytes(), at: 0 };
    let mut entries = Vec::new();
    while scanner.at < scanner.octets.len() {
        match scanner.entry() {
            Ok(entry) if entry.tokens.is_empty() => {}
            Ok(entry) => entries.push(entry),
            Err(problem) => problems.push(*problem),
        }
    }
    entries
}

struct Scanner<'a> {
    source: &'a Source<'a>,
    octets: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.octets.get(self.at).copied()
    }

    /// Reads up to and including the line end that closes the entry.
    fn entry(&mut self) -> Result<Entry, Box<Problem>> {
        let begin = self.at;
        let mut entry = Entry { indented: matches!(self.peek(), Some(b' ' | b'\t')), ..Entry::default() };
        let (mut open, mut depth) = (None, 0_usize);
        while let Some(octet) = self.peek() {
            match octet {
                b'\n' if depth == 0 => break,
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b';' => self.skip_to_line_end(),
                b'(' => {
                    open.get_or_insert(self.at);
                    depth += 1;
                    self.at += 1;
                }
                b')' if depth == 0 => {
                    let problem = self.source.problem(self.at..self.at + 1, "`)` without a `(` before it", "remove it, or write \\) in a name");
                    self.skip_to_line_end();
                    return Err(Box::new(problem));
                }
                b')' => {
                    depth -= 1;
                    self.at += 1;
                }
                b'"' => entry.tokens.push(self.quoted(depth)?),
                _ => entry.tokens.push(self.word(depth)),
            }
        }
        if let (Some(open), true) = (open, depth > 0) {
            self.resume_after(begin);
            return Err(Box::new(self.source.problem(open..open + 1, "`(` is never closed", "close it with `)` after the last field of the record")));
        }
        entry.end = self.at;
        self.at += 1;
        Ok(entry)
    }

    /// After an unclosed parenthesis: at the next line that looks like the begin of an entry of its own.
    fn resume_after(&mut self, begin: usize) {
        self.at = begin;
        loop {
            self.skip_to_line_end();
            self.at += 1;
            if !matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n' | b')' | b';')) {
                return;
            }
        }
    }

    fn skip_to_line_end(&mut self) {
        while self.peek().is_some_and(|octet| octet != b'\n') {
            self.at += 1;
        }
    }

    /// Text in quotes ends on its own line: a forgotten quote must not swallow the rest of the file.
    fn quoted(&mut self, depth: usize) -> Result<Token, Box<Problem>> {
        let open = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') if !matches!(self.octets.get(self.at + 1), None | Some(b'\n')) => self.at += 2,
                None | Some(b'\n') => {
                    let problem =
                        self.source.problem(open..self.at, "quoted text has no end on its line", "close it with `\"`; a quote inside is written \\\"");
                    self.resume_after(open);
                    return Err(Box::new(problem));
                }
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(Token { span: open + 1..self.at - 1, quoted: true, depth })
    }

    fn word(&mut self, depth: usize) -> Token {
        let start = self.at;
        while let Some(octet) = self.peek() {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' | b'"' => break,
                b'\\' if !matches!(self.octets.get(self.at + 1), None | Some(b'\n' | b'\r')) => self.at += 2,
                _ => self.at += 1,
            }
        }
        Token { span: start..self.at, quoted: false, depth }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    type Told = Vec<(u32, u32, String)>;

    fn words(text: &str) -> (Vec<Vec<String>>, Told) {
        let source = Source::new(Path::new("z"), text);
        let mut problems = Vec::new();
        let entries = entries(&source, &mut problems);
        let words = entries.iter().map(|entry| entry.tokens.iter().map(|token| text[token.span.clone()].to_string()).collect()).collect();
        (words, problems.into_iter().map(|problem| (problem.line, problem.column, problem.message)).collect())
    }

    #[test]
    fn entries_are_lines_unless_parentheses_hold_them_together() {
        let (entries, problems) = words("@ SOA a ( 1 ; serial (\n 2\n) ; end\n\n; nothing\nx TXT \"a ; b\" c\\;d \"q\\\"r\"\n");
        assert_eq!(problems, []);
        assert_eq!(entries, vec![vec!["@", "SOA", "a", "1", "2"], vec!["x", "TXT", "a ; b", "c\\;d", "q\\\"r"]]);
    }

    #[test]
    fn a_mistake_spoils_its_own_entry_only() {
        let (entries, problems) = words("a TXT \"open\nb A 1\n) A 2\nc SOA ( 1\n  2\n\n  3\nd A 2\ne A 3");
        let places: Vec<(u32, u32)> = problems.iter().map(|(line, column, _)| (*line, *column)).collect();
        assert_eq!(places, [(1, 7), (3, 1), (4, 7)], "{problems:?}");
        assert_eq!(entries, vec![vec!["b", "A", "1"], vec!["d", "A", "2"], vec!["e", "A", "3"]]);
    }
}
