//! The configuration file: what its text may say (`file`), what it means (`check`), and every problem with its place.
//!
//! ```text
//! text ─▶ syntax (values with spans) ─▶ read, file (words) ─▶ check (meaning) ─▶ Settings, Estate, zones
//!              └───────────────────────────┴──────────────────────┴─▶ Problems, all at once
//! ```
//!
//! Reads files, and asks the system whether a resolver's address is its own. Never here: what operators have set (that is the store's), a configuration in force being changed (`control`).

mod check;
mod file;
mod gather;
mod inline;
mod mmdb;
mod problem;
mod read;
mod summary;
mod syntax;
mod target_key;

use std::path::{Path, PathBuf};

pub use inline::monitor as inline_monitor;
pub use mmdb::{Database, Mmdb, Stamp};
pub use problem::{Problem, Problems};
pub use summary::{MonitorSummary, ServiceSummary, Summary, summary};

use sha2::{Digest, Sha256};

use crate::client::{Attributes, Questions};
use crate::model::{AnswerSettings, Estate, Settings};
use crate::zone::{Source, Zone};

use check::Meaning;
use problem::{Route, Sink};
use read::Read;

/// A configuration without problems.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// How this node runs; takes effect at start only.
    pub settings: Settings,
    /// What shapes responses; takes effect with a reload.
    pub answers: AnswerSettings,
    /// What exists.
    pub estate: Estate,
    /// Static records, in file order.
    pub zones: Vec<Zone>,
    /// GeoIP databases, in the order of `[geo]`.
    pub databases: Vec<Database>,
    /// What is served and yet perhaps not meant.
    pub warnings: Vec<Problem>,
    /// Every file that was read; this configuration first.
    pub files: Vec<PathBuf>,
    /// Of every file that was read, in one word: 16 hex digits of SHA-256. Paths don't count.
    pub hash: String,
}

/// Reads and checks the configuration at `path` with every file that it names. All problems come at once.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    let failed = |why: String, help: &str| Problems(vec![Problem::of_file(path, why, help)]);
    let octets = std::fs::read(path).map_err(|why| failed(format!("can't be read: {why}"), "give the path of a TOML file, such as config/windrose.toml"))?;
    match String::from_utf8(octets) {
        Ok(text) => load_text(&text, path),
        Err(why) => {
            let line = 1 + why.as_bytes().iter().take(why.utf8_error().valid_up_to()).filter(|octet| **octet == b'\n').count();
            Err(failed(format!("line {line} is not UTF-8"), "save the file as UTF-8"))
        }
    }
}

/// Checks a text as if it were the file `name`: relative paths are relative to it, and problems call it so.
pub fn load_text(text: &str, name: &Path) -> Result<Loaded, Problems> {
    if text.trim().is_empty() {
        return Err(Problems(vec![Problem::of_file(name, "the file is empty", "begin it with schema = 1; config/windrose.toml shows every table")]));
    }
    let mut sink = Sink::new(Source::new(name, text));
    let mut repaired = String::new();
    let table = syntax::parse(text, &mut repaired, &mut sink);
    let span = table.span();
    let value = toml::Spanned::new(span, toml::de::DeValue::Table(table.into_inner()));
    let file = file::File::read(value, &Route::Top, &mut sink).unwrap_or_default();
    let Meaning { settings, mut answers, mut estate, zones, files } = check::check(file, name.parent().unwrap_or(Path::new("")), &mut sink);
    let Sink { mut problems, mut warnings, .. } = sink;
    if !problems.is_empty() {
        problems.sort_by(|a, b| (a.file != name, &a.file, a.line, a.column).cmp(&(b.file != name, &b.file, b.line, b.column)));
        problems.dedup();
        return Err(Problems(problems));
    }
    let databases = databases(&estate, name, &mut warnings);
    estate.services = gather::gather(estate.services);
    let mut all = vec![name.to_path_buf()];
    let hash = hash_of(text, &files);
    answers.config = answers.config.map(|_| hash.as_str().into());
    all.extend(files);
    Ok(Loaded { settings, answers, estate, zones, databases, warnings, files: all, hash })
}

/// Reads the databases. What is wrong with them refuses no configuration: others write these files, and what a name answers does not hang on them alone.
fn databases(estate: &Estate, name: &Path, warnings: &mut Vec<Problem>) -> Vec<Database> {
    let databases: Vec<Database> = estate.geo.databases.iter().map(|path| Database::read(path)).collect();
    let broken = databases.iter().filter_map(|database| Some((&database.path, database.read.as_ref().err()?)));
    warnings.extend(broken.map(|(path, why)| Problem {
        path: "geo.databases".to_string(),
        ..Problem::of_file(path, why.clone(), "what was read from it before counts on; without, nothing is known of any client")
    }));
    let said = databases.iter().filter_map(|database| database.read.as_ref().ok()).fold(Attributes::default(), |all, database| all.or(database.says));
    let lacking = Questions::of(estate).attributes().lacking(said);
    if databases.iter().all(|database| database.read.is_ok()) && !lacking.is_empty() {
        let message = format!("no database of [geo] says the {} of anybody, and policies ask for it", lacking.join(", "));
        warnings.push(Problem {
            path: "geo.databases".to_string(),
            ..Problem::of_file(name, message, "add a database that does: City says places, ASN says AS numbers")
        });
    }
    databases
}

/// One word for the text and the files that it names, in their order.
fn hash_of(text: &str, files: &[PathBuf]) -> String {
    let mut hasher = Sha256::new();
    let mut put = |octets: &[u8]| {
        // Lengths keep the end of one apart from the beginning of the next.
        hasher.update((octets.len() as u64).to_be_bytes());
        hasher.update(octets);
    };
    put(text.as_bytes());
    // They were read a moment ago; one that has gone since counts as empty.
    files.iter().for_each(|file| put(&std::fs::read(file).unwrap_or_default()));
    hasher.finalize().iter().take(8).map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests;
