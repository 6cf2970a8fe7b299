//! `exec = ["/path/program", "argument"]`: a program of this host, if `[probe] exec` allows any.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::check::probing::Exec;
use crate::config::file::Monitor as Table;
use crate::config::problem::Sink;
use crate::config::read::At;
use crate::model::{ExecCheck, ExecTerms, ExitRule};

use super::Context;

/// Arguments, the program among them.
const WORDS_MAX: usize = 64;
/// Of one argument.
const WORD_OCTETS_MAX: usize = 1024;

pub(super) fn exec(table: &Table, path: &str, cx: &mut Context<'_>, sink: &mut Sink<'_>) -> ExecCheck {
    let Table { exec, port, exit, warning, .. } = table;
    let stand_in = ExecTerms { user: String::new(), uid: u32::MAX, gid: u32::MAX, running_max: 1, processes_max: 1, memory_octets_max: 1 };
    let words: Vec<&At<String>> = exec.get().map(|list| list.value.iter().filter_map(|word| word.get()).collect()).unwrap_or_default();
    let span = exec.get().map_or(0..0, |list| list.span.clone());
    let at = format!("{path}.exec");
    if let Exec::Off = cx.exec {
        let help = "programs are run only if the file says as whom: [probe] exec = { user = \"nobody\", folders = [\"/usr/lib/nagios/plugins\"] }";
        sink.problem(&span, &at, "this file does not allow programs", help);
    }
    if exec.get().is_some() && words.is_empty() {
        sink.problem(&span, &at, "no program", "write it like exec = [\"/usr/lib/nagios/plugins/check_ssh\", \"{address}\"]; there is no shell");
    }
    if words.len() > WORDS_MAX {
        sink.problem(&span, &at, format!("more than {WORDS_MAX} words"), "put them into a script");
    }
    for word in words.iter().filter(|word| word.value.len() > WORD_OCTETS_MAX || word.value.contains('\0')) {
        sink.problem(&word.span, &at, "no argument", format!("at most {WORD_OCTETS_MAX} octets, none of them 0"));
    }
    if let Some(word) = words.iter().find(|word| word.value.contains("{port}")).filter(|_| port.is_absent()) {
        sink.problem(&word.span, &at, "`{port}` stands for nothing", "add port = …: what is told where an endpoint has no port of its own");
    }
    if let (Exec::On(rules), Some(program)) = (&cx.exec, words.first()) {
        let folders: Vec<&Path> = rules.folders.iter().map(|folder| folder.as_path()).collect();
        if let Err((why, help)) = runnable(&program.value, &folders) {
            sink.problem(&program.span, &at, why, help);
        } else if writable_by_all(&program.value) {
            let message = format!("every user of this host can change `{}`", program.value);
            sink.warning(&program.span, &at, message, format!("chmod o-w {}", program.value));
        }
    }
    let port = port.get().map(|_| super::port(port, 0, format_args!("{path}.port"), sink));
    let mut words = words.into_iter().map(|word| word.value.clone());
    ExecCheck {
        program: words.next().unwrap_or_default(),
        arguments: words.collect(),
        port,
        exit: exit_rule(exit.get(), warning.get(), path, sink),
        terms: if let Exec::On(rules) = &cx.exec { rules.terms.clone() } else { stand_in },
    }
}

/// It is there, may be run, and lies, links followed, where programs may.
fn runnable(program: &str, folders: &[&Path]) -> Result<(), (String, String)> {
    if !Path::new(program).is_absolute() {
        return Err((format!("`{program}` is no absolute path"), "nothing is looked for in $PATH: write the whole path".into()));
    }
    let real = std::fs::canonicalize(program).map_err(|why| (format!("`{program}` can't be found: {why}"), "write the path of a program".into()))?;
    if !folders.iter().any(|folder| real.starts_with(folder)) {
        let allowed = folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
        let message = if real == Path::new(program) { format!("`{program}` lies elsewhere") } else { format!("`{program}` is {}, elsewhere", real.display()) };
        return Err((message, format!("programs must lie below what probe.exec.folders allows: {allowed}")));
    }
    match std::fs::metadata(&real) {
        Ok(about) if about.is_file() && about.permissions().mode() & 0o111 != 0 => Ok(()),
        _ => Err((format!("`{program}` is no program"), format!("a file that may be run: chmod +x {program}"))),
    }
}

fn writable_by_all(program: &str) -> bool {
    std::fs::metadata(program).is_ok_and(|about| about.permissions().mode() & 0o002 != 0)
}

fn exit_rule(exit: Option<&At<String>>, warning: Option<&At<String>>, path: &str, sink: &mut Sink<'_>) -> ExitRule {
    let nagios = match exit.map(|found| found.value.as_str()) {
        None | Some("zero") => false,
        Some("nagios") => true,
        Some(other) => {
            let help = "\"zero\" (0 passes, everything else fails) or \"nagios\" (0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN)";
            if let Some(found) = exit {
                sink.problem(&found.span, format_args!("{path}.exit"), format!("`{other}` is no rule for exit codes"), help);
            }
            true
        }
    };
    let Some(warning) = warning else { return if nagios { ExitRule::Nagios { warning_fails: false } } else { ExitRule::Zero } };
    if !nagios {
        sink.problem(&warning.span, format_args!("{path}.warning"), "`warning` means nothing beside exit = \"zero\"", "add exit = \"nagios\"");
    } else if !["pass", "fail"].contains(&warning.value.as_str()) {
        sink.problem(&warning.span, format_args!("{path}.warning"), format!("`{}` is no outcome", warning.value), "\"pass\" (default) or \"fail\"");
    }
    ExitRule::Nagios { warning_fails: warning.value == "fail" }
}
