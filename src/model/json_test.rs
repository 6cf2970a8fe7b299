//! `$.lag_seconds <= 30`: a place in a JSON body, a comparison, a value.
//!
//! A small grammar of our own, because one value at one place is all that a health check asks: paths that select many places would need
//! a rule for which of them count.
//!
//! ```text
//! test  = path op value
//! path  = "$" ( "." name | "[" number "]" | '["' text '"]' )*
//! op    = "==" | "!=" | "<" | "<=" | ">" | ">="
//! value = a JSON number, string, true, false or null
//! ```
//!
//! Never here: documents. `probe` walks them.

use std::cmp::Ordering;
use std::fmt;

/// One comparison; equal when its text is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JsonTest {
    /// As written, for messages.
    text: String,
    path: Vec<Step>,
    op: Op,
    /// JSON text of the value.
    value: String,
}

/// A step into a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Of an object.
    Key(String),
    /// Of a list, from 0.
    Index(usize),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// `==`
    Equal,
    /// `!=`
    Other,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

/// Longer ones first: `<=` is not `<`.
const OPS: [(&str, Op); 6] = [("==", Op::Equal), ("!=", Op::Other), ("<=", Op::AtMost), (">=", Op::AtLeast), ("<", Op::Less), (">", Op::More)];

impl Op {
    /// Whether an order passes; `None`: the values have none (a text and a number).
    pub fn passes(self, order: Option<Ordering>) -> bool {
        match self {
            Op::Equal => order == Some(Ordering::Equal),
            Op::Other => order != Some(Ordering::Equal),
            Op::Less => order == Some(Ordering::Less),
            Op::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Op::More => order == Some(Ordering::Greater),
            Op::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

impl JsonTest {
    /// Reads a comparison; the error says in a sentence what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (path, rest) = steps(text.trim())?;
        let rest = rest.trim_start();
        let (op, value) = OPS
            .iter()
            .find_map(|(word, op)| Some((*op, rest.strip_prefix(word)?.trim())))
            .ok_or_else(|| format!("expected ==, !=, <, <=, > or >= before `{rest}`"))?;
        match serde_json::from_str::<serde_json::Value>(value) {
            Ok(serde_json::Value::Array(_) | serde_json::Value::Object(_)) => Err("lists and objects can't be compared".to_string()),
            Ok(_) => Ok(Self { text: text.trim().to_string(), path, op, value: value.to_string() }),
            Err(_) => Err(format!("`{value}` is not a JSON value: texts stand in double quotes")),
        }
    }

    /// Where to look.
    pub fn path(&self) -> &[Step] {
        &self.path
    }

    /// How to compare.
    pub fn op(&self) -> Op {
        self.op
    }

    /// With what: JSON text of a number, a string, true, false or null.
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// A place in a document: `$.weight`. Equal when its text is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JsonPath {
    text: String,
    steps: Vec<Step>,
}

impl JsonPath {
    /// Reads a path; the error says in a sentence what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (steps, rest) = steps(text.trim())?;
        if !rest.is_empty() {
            return Err(format!("`{rest}` is no part of a path"));
        }
        Ok(Self { text: text.trim().to_string(), steps })
    }

    /// Where to look.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// As written.
impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The path at the beginning, and what follows it.
fn steps(text: &str) -> Result<(Vec<Step>, &str), String> {
    let mut rest = text.strip_prefix('$').ok_or("a path begins with $, which stands for the whole body")?;
    let mut path = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(|char: char| !(char.is_alphanumeric() || char == '_' || char == '-')).unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            if name.is_empty() {
                return Err("a name is missing after `.`; names with other characters are written [\"…\"]".to_string());
            }
            path.push(Step::Key(name.to_string()));
            rest = after;
        } else if let Some(after) = rest.strip_prefix("[\"") {
            let (name, after) = after.split_once("\"]").ok_or("`[\"` without `\"]`")?;
            path.push(Step::Key(name.to_string()));
            rest = after;
        } else if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']').ok_or("`[` without `]`")?;
            path.push(Step::Index(index.parse().map_err(|_| format!("`{index}` is not a place in a list: they count from 0"))?));
            rest = after;
        } else {
            return Ok((path, rest));
        }
    }
}

/// As written.
impl fmt::Display for JsonTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_read() {
        let key = |name: &str| Step::Key(name.to_string());
        for (text, path, op, value) in [
            ("$.lag_seconds <= 30", vec![key("lag_seconds")], Op::AtMost, "30"),
            (" $.a.b[0]==\"ok\" ", vec![key("a"), key("b"), Step::Index(0)], Op::Equal, "\"ok\""),
            ("$[\"a b\"].größe-2 != null", vec![key("a b"), key("größe-2")], Op::Other, "null"),
            ("$ == true", vec![], Op::Equal, "true"),
            ("$[1][2]>-1.5e3", vec![Step::Index(1), Step::Index(2)], Op::More, "-1.5e3"),
        ] {
            let test = JsonTest::parse(text).unwrap();
            assert_eq!((test.path(), test.op(), test.value()), (&path[..], op, value), "{text}");
            assert_eq!(test.to_string(), text.trim());
        }
    }

    #[test]
    fn a_path_alone_names_one_place() {
        let path = JsonPath::parse(" $.stats[0].load ").unwrap();
        assert_eq!((path.steps(), path.to_string().as_str()), (&[Step::Key("stats".into()), Step::Index(0), Step::Key("load".into())][..], "$.stats[0].load"));
        for (text, why) in [("weight", "a path begins with $"), ("$.weight == 1", "` == 1` is no part of a path"), ("$.", "a name is missing")] {
            let found = JsonPath::parse(text).unwrap_err();
            assert!(found.starts_with(why), "{text}: {found}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("lag <= 30", "a path begins with $"),
            ("$.lag", "expected ==, !=, <, <=, > or >= before ``"),
            ("$.lag = 30", "expected ==, !=, <, <=, > or >= before `= 30`"),
            ("$. == 1", "a name is missing after `.`"),
            ("$..x == 1", "a name is missing after `.`"),
            ("$[x] == 1", "`x` is not a place in a list"),
            ("$[-1] == 1", "`-1` is not a place in a list"),
            ("$[1 == 1", "`[` without `]`"),
            ("$[\"a == 1", "`[\"` without `\"]`"),
            ("$.status == ok", "`ok` is not a JSON value"),
            ("$.status == 1 2", "`1 2` is not a JSON value"),
            ("$.list == []", "lists and objects can't be compared"),
        ] {
            let found = JsonTest::parse(text).unwrap_err();
            assert!(found.starts_with(why), "{text}: {found}");
        }
    }
}
