//! `windrose completion` and `windrose man`: what may be typed, for shells and for `man`. Made from the grammar itself; asks no server.

use std::path::Path;

use clap::CommandFactory;
use serde_json::json;

use super::args::{Cli, CompletionArgs, ManArgs, Shell};
use super::exit::{Exit, Failure};
use super::report::Report;

const NAME: &str = "windrose";

/// `windrose completion`
pub fn completion(args: &CompletionArgs) -> Report {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut octets = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut octets);
    let text = String::from_utf8_lossy(&octets).into_owned();
    Report::new(text.clone(), json!({ "text": text }))
}

/// `windrose man`
pub fn man(args: &ManArgs) -> Result<Report, Failure> {
    match &args.dir {
        Some(dir) => pages_in(dir),
        None => {
            let mut octets = Vec::new();
            let page = clap_mangen::Man::new(Cli::command()).render(&mut octets);
            page.map_err(|error| Failure::local(Exit::Failed, format!("can't make the page: {error}")))?;
            let text = String::from_utf8_lossy(&octets).into_owned();
            Ok(Report::new(text.clone(), json!({ "text": text })))
        }
    }
}

/// One page for each command. Pages are this program's own, so older ones are replaced.
fn pages_in(dir: &Path) -> Result<Report, Failure> {
    let written = std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir));
    written.map_err(|error| Failure::local(Exit::Failed, format!("can't write pages into {}: {error}", dir.display())))?;
    let dir = dir.display();
    Ok(Report::done(format!("✔ wrote the pages into {dir}; read one with: man -l {dir}/{NAME}.1\n"), json!({ "dir": dir.to_string() })))
}

/// `windrose openapi`: this program's own API, so no server is asked.
pub fn openapi() -> Report {
    let document = crate::admin::api::document(env!("CARGO_PKG_VERSION"));
    Report::new(format!("{document:#}\n"), document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_is_told_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = completion(&CompletionArgs { shell }).text;
            for command in Cli::command().get_subcommands() {
                assert!(text.contains(command.get_name()), "{shell:?} knows nothing of {}", command.get_name());
            }
        }
    }

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        man(&ManArgs { dir: Some(folder.path().join("man1")) }).unwrap();
        for command in Cli::command().get_subcommands() {
            let page = std::fs::read_to_string(folder.path().join(format!("man1/windrose-{}.1", command.get_name()))).unwrap();
            assert!(page.contains(".SH NAME") && page.contains("windrose"), "{page}");
        }
        let main = man(&ManArgs { dir: None }).unwrap().text;
        assert!(main.contains(".TH windrose 1") && main.contains("Exit codes"), "{main}");
    }
}
