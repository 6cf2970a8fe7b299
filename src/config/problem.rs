//! What is wrong in a configuration: collected all at once, told with place and help.

use std::fmt;
use std::ops::Range;

pub use crate::zone::Problem;
use crate::zone::Source;

/// Suggestions ("did you mean") looked for in one load: each one compares with every known name.
const SUGGESTIONS_MAX: usize = 100;
/// Problems that are printed; the rest is counted.
const SHOWN_MAX: usize = 200;

/// Every problem of a configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// One block per problem, and how many there are.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.0.iter().take(SHOWN_MAX) {
            writeln!(f, "{problem}\n")?;
        }
        match self.0.len() {
            1 => f.write_str("1 problem"),
            many if many > SHOWN_MAX => write!(f, "{many} problems, the first {SHOWN_MAX} shown"),
            many => write!(f, "{many} problems"),
        }
    }
}

impl std::error::Error for Problems {}

/// A key's place in the file's tree, built on the way down and printed only when something is wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Route<'a> {
    /// The file itself.
    Top,
    /// A key of a table.
    Key(&'a Route<'a>, &'a str),
    /// A place in a list.
    Index(&'a Route<'a>, usize),
}

impl Route<'_> {
    pub(super) fn key<'a>(&'a self, key: &'a str) -> Route<'a> {
        Route::Key(self, key)
    }

    pub(super) fn index(&self, index: usize) -> Route<'_> {
        Route::Index(self, index)
    }
}

/// `pool.eu.endpoints[2].address`; keys with dots are quoted as in the file.
impl fmt::Display for Route<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Route::Top => Ok(()),
            Route::Index(above, index) => write!(f, "{above}[{index}]"),
            Route::Key(above, key) => {
                if !matches!(above, Route::Top) {
                    write!(f, "{above}.")?;
                }
                let bare = !key.is_empty() && key.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_');
                if bare { f.write_str(key) } else { write!(f, "{key:?}") }
            }
        }
    }
}

/// Where problems go while a file is read and checked.
#[derive(Debug)]
pub(super) struct Sink<'a> {
    source: Source<'a>,
    /// Sections that could not be parsed whole: what seems to be missing there is not told.
    broken: Vec<Range<usize>>,
    suggestions_left: usize,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(source: Source<'a>) -> Self {
        Self { source, broken: Vec::new(), suggestions_left: SUGGESTIONS_MAX, problems: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn broken(&mut self, section: Range<usize>) {
        self.broken.push(section);
    }

    /// Something is wrong at `span`.
    pub(super) fn problem(&mut self, span: &Range<usize>, at: impl fmt::Display, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem { path: at.to_string(), ..self.source.problem(span.clone(), message, help) });
    }

    /// So many until now.
    pub(super) fn problem_count(&self) -> usize {
        self.problems.len()
    }

    /// A key is missing from the table whose header is at `span`.
    pub(super) fn missing(&mut self, span: &Range<usize>, at: impl fmt::Display, message: impl Into<String>, help: impl Into<String>) {
        if !self.broken.iter().any(|section| section.contains(&span.start)) {
            self.problem(span, at, message, help);
        }
    }

    /// Perhaps not meant.
    pub(super) fn warning(&mut self, span: &Range<usize>, at: impl fmt::Display, message: impl Into<String>, help: impl Into<String>) {
        self.warnings.push(Problem { path: at.to_string(), ..self.source.problem(span.clone(), message, help) });
    }

    /// `windrose.toml:12:8`.
    pub(super) fn place(&self, span: &Range<usize>) -> String {
        let (line, column) = self.source.line_column(span.start);
        format!("{}:{line}:{column}", self.source.file.display())
    }

    /// The file and line where the text of the string at `span` begins: for `"""`, the next line if the text begins there.
    pub(super) fn text_begins(&self, span: &Range<usize>) -> (&'a std::path::Path, u32) {
        let (line, _) = self.source.line_column(span.start);
        let after = self.source.text.get(span.start..).unwrap_or_default().trim_start_matches(['"', '\'']);
        (self.source.file, line + u32::from(after.starts_with('\n') || after.starts_with("\r\n")))
    }

    /// ``did you mean `prod`?``, or `otherwise`.
    pub(super) fn suggestion<'n>(&mut self, name: &str, known: impl Iterator<Item = &'n str>, otherwise: impl Into<String>) -> String {
        let near = if self.suggestions_left > 0 { crate::model::did_you_mean(name, known) } else { None };
        self.suggestions_left = self.suggestions_left.saturating_sub(1);
        near.map_or_else(|| otherwise.into(), |near| format!("did you mean `{near}`?"))
    }
}
