//! The last step before a program of an `exec` monitor: this very executable, started under another name and already as the program's user, limits itself
//! and becomes the program.
//!
//! Limits can be set from outside, too (prlimit(2)), but only after the program has begun, and only by who has CAP_SYS_RESOURCE; in itself every process may
//! lower them. The program gains no privileges by what it runs (`no_new_privs`): no setuid, no file capabilities.
//!
//! Never here: anything that a caller could gain. Whoever runs it by hand gets less than before.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::model::ExecTerms;

/// `argv[0]`
pub const NAME: &str = "windrose-exec";
/// Exit code when there was no program to become; a sentence after [`NAME`] is on stderr.
pub const FAILED: u8 = 125;

/// What is limited, in the order of the arguments. Address space comes last: nothing is allocated afterwards.
const LIMITED: [Resource; 6] = [Resource::Core, Resource::Cpu, Resource::Fsize, Resource::Nofile, Resource::Nproc, Resource::As];

/// Octets of a file that it writes, and files that it has open.
const FILE_OCTETS_MAX: u64 = 16 << 20;
const FILES_MAX: u64 = 256;

/// The arguments before the program's. `other_user`: it is not windrose's own, and so has none of its groups.
pub fn limits(terms: &ExecTerms, other_user: bool, cpu_seconds: u64) -> [String; 1 + LIMITED.len()] {
    [u64::from(other_user), 0, cpu_seconds, FILE_OCTETS_MAX, FILES_MAX, u64::from(terms.processes_max), terms.memory_octets_max].map(|limit| limit.to_string())
}

/// If this process was started as `windrose-exec`: becomes the program, or says why not. Call it first of all.
pub fn launched() -> Option<ExitCode> {
    let mut words = std::env::args_os();
    if words.next()? != *NAME {
        return None;
    }
    let Err(why) = become_program(words);
    eprintln!("{NAME}: {why}");
    Some(ExitCode::from(FAILED))
}

fn become_program(mut words: impl Iterator<Item = OsString>) -> Result<std::convert::Infallible, String> {
    let mut numbers = [0; 1 + LIMITED.len()];
    for number in &mut numbers {
        let word = words.next().and_then(|word| word.into_string().ok()).and_then(|word| word.parse::<u64>().ok());
        *number = word.ok_or("this is started by windrose, to run the program of an exec monitor")?;
    }
    let [other_user, limits @ ..] = numbers;
    let program = words.next().ok_or("no program")?;
    let mut command = Command::new(&program);
    command.args(words);
    if other_user != 0 {
        leave_groups()?;
    }
    // A kernel that has no such set has nothing in it.
    let _none_left = rustix::thread::clear_ambient_capability_set();
    rustix::thread::set_no_new_privs(true).map_err(|why| format!("it can't give up privileges: {why}"))?;
    for (resource, most) in LIMITED.into_iter().zip(limits) {
        let lower = rustix::process::getrlimit(resource).maximum.map_or(most, |now| now.min(most));
        setrlimit(resource, Rlimit { current: Some(lower), maximum: Some(lower) }).map_err(|why| format!("it can't be limited: {why}"))?;
    }
    Err(format!("{} can't be run: {}", program.display(), command.exec()))
}

/// Root's groups are gone when it becomes another user. Those of a windrose with capabilities alone are not, and one of them opens the admin socket.
fn leave_groups() -> Result<(), String> {
    let own = rustix::process::getgid();
    let groups = rustix::process::getgroups().map_err(|why| format!("its groups are not known: {why}"))?;
    if groups.iter().all(|group| *group == own) {
        return Ok(());
    }
    rustix::thread::set_thread_groups(&[])
        .map_err(|why| format!("it would keep the groups of windrose, which needs CAP_SETGID as an ambient capability: {why}"))
}
