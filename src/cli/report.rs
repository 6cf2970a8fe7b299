//! What a command has to say when it worked.

use serde_json::Value;

use super::exit::Exit;

/// What a command has to say.
#[derive(Debug)]
pub struct Report {
    /// For people, on stdout.
    pub text: String,
    /// For `-o json`: what the API said.
    pub raw: Value,
    /// What was done, on stdout unless `--quiet`.
    pub done: String,
    /// Sentences beside the data, on stderr unless `--quiet`.
    pub note: String,
    /// The exit code.
    pub exit: Exit,
}

impl Report {
    /// Done, with nothing beside.
    pub fn new(text: impl Into<String>, raw: Value) -> Self {
        Self { text: text.into(), raw, done: String::new(), note: String::new(), exit: Exit::Done }
    }

    /// Sentences about what was done, and no data.
    pub fn done(done: impl Into<String>, raw: Value) -> Self {
        Self { done: done.into(), ..Self::new("", raw) }
    }

    /// With a sentence for stderr.
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// Condition not met, if `unmet`.
    pub fn condition(self, unmet: bool) -> Self {
        Self { exit: if unmet { Exit::Condition } else { self.exit }, ..self }
    }

    /// What goes to stdout and stderr. JSON stands alone on stdout; findings with an exit code other than 0 are never quiet.
    pub fn streams(&self, json: bool, quiet: bool) -> (String, String) {
        let hush = quiet && self.exit == Exit::Done;
        match json {
            true => (format!("{:#}\n", self.raw), String::new()),
            false if hush => (self.text.clone(), String::new()),
            false => (format!("{}{}", self.text, self.done), self.note.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stands_alone_and_quiet_keeps_data() {
        let report = Report::new("data\n", serde_json::json!({"a": 1})).note("said\n");
        assert_eq!(report.streams(false, false), ("data\n".into(), "said\n".into()));
        assert_eq!(report.streams(false, true), ("data\n".into(), String::new()));
        assert_eq!(report.streams(true, false), ("{\n  \"a\": 1\n}\n".into(), String::new()));
        let report = Report::done("moved\n", Value::Null);
        assert_eq!([report.streams(false, false).0, report.streams(false, true).0], ["moved\n", ""]);
    }
}
