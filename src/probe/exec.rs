//! A program of this host: run without a shell, as a user of its own, with little, and ended with all its children.
//!
//! ```text
//! slot ─▶ start: own user, own process group, empty environment ─▶ launch: limits itself, becomes the program ─▶ read what it says, wait for its end
//!                          └──────────── deadline, abort, flood, the end: the whole process group is killed ────────────┘
//! ```
//!
//! Between fork and exec nothing of ours runs; what limits the program is the next executable, `launch`. A child that leaves the process group (setsid)
//! is not killed: it keeps the limits, processor time among them.
//!
//! Never here: a shell, the daemon's environment, its descriptors (all that it opens are closed on exec), or root.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::health::{Phase, Reason};
use crate::model::{Check, ExecCheck, ExecTerms, ExitRule, duration_text, harmless};

use super::fail::Failure;
use super::launch;
use super::tcp::Way;
use super::trace::Trace;

/// A program that says more is ended.
const SAID_OCTETS_MAX: usize = 64 * 1024;
/// What is kept of it: the first line is somewhere there.
const KEPT_OCTETS: usize = 4 * 1024;
/// Characters of its first line that a sentence quotes.
const LINE_CHARS_MAX: usize = 256;
/// What has been said when it ends is in the pipe: nobody needs longer to take it out.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What the program is told beside the address (`WINDROSE_ADDRESS`, `{address}`) and its port (`WINDROSE_PORT`, `{port}`; 0: none).
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// `WINDROSE_ENDPOINT`: `pool/name`; of several the first, of none empty.
    pub endpoint: String,
    /// `WINDROSE_MONITOR`
    pub monitor: &'a str,
    /// The deadline, from which its processor time is limited.
    pub within: Duration,
}

/// How many run at once, in this process; a plan with another number begins a new count.
static SLOTS: Mutex<Option<(u16, Arc<Semaphore>)>> = Mutex::new(None);

/// The turn of a check that runs a program. Hold it while it runs; others need none.
pub async fn turn(check: &Check) -> Option<OwnedSemaphorePermit> {
    match check {
        Check::Exec(check) => slot(&check.terms).await,
        _ => None,
    }
}

/// Waits until one more may run; who waits longest is next. No part of the deadline: that others are slow says nothing of this target.
async fn slot(terms: &ExecTerms) -> Option<OwnedSemaphorePermit> {
    let slots = {
        let mut slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slots {
            Some((most, slots)) if *most == terms.running_max => slots.clone(),
            _ => slots.insert((terms.running_max, Arc::new(Semaphore::new(usize::from(terms.running_max))))).1.clone(),
        }
    };
    // It is never closed.
    slots.acquire_owned().await.ok()
}

/// Passes when the program's exit code says so.
pub async fn check(check: &ExecCheck, way: Way<'_>, asked: &Asked<'_>, trace: &mut Trace) -> Result<(), Failure> {
    trace.enter(Phase::Connect);
    way.permit.check(way.peer)?;
    // Its arguments may hold a password.
    trace.detail(|detail| detail.sent(&check.program));
    let command = command(check, way.peer, asked);
    let (program, terms) = (check.program.clone(), check.terms.clone());
    // Forking a large process takes its time. If nobody waits any more, what was started ends as it is dropped.
    let started = tokio::task::spawn_blocking(move || Running::start(command, &program, &terms));
    let mut running = started.await.map_err(|_| internal("starting the program broke off, which is a bug in windrose".to_string()))??;
    trace.enter(Phase::Request);
    let (status, said) = running.run_to_end().await?;
    drop(running);
    trace.detail(|detail| detail.body(&said.kept));
    judge(check, status, &said, trace)
}

/// The deadline passed.
pub fn timed_out(check: &ExecCheck, within: Duration) -> Failure {
    Failure::new(Reason::Timeout, format!("{} did not end within {} and was killed", name(check), duration_text(within)))
}

fn internal(why: String) -> Failure {
    Failure::new(Reason::Internal, format!("this node could not probe: {why}"))
}

/// The program without its folder.
fn name(check: &ExecCheck) -> &str {
    check.program.rsplit('/').next().unwrap_or(&check.program)
}

fn command(check: &ExecCheck, peer: SocketAddr, asked: &Asked<'_>) -> Command {
    let ExecCheck { program, arguments, terms, port: _, exit: _ } = check;
    let (address, port) = (peer.ip().to_string(), peer.port().to_string());
    let mut command = launcher(program, terms, asked.within);
    command.args(arguments.iter().map(|argument| argument.replace("{address}", &address).replace("{port}", &port)));
    command.env_clear().env("WINDROSE_ADDRESS", &address).env("WINDROSE_ENDPOINT", &asked.endpoint).env("WINDROSE_MONITOR", asked.monitor);
    if peer.port() != 0 {
        command.env("WINDROSE_PORT", &port);
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    if geteuid().as_raw() != terms.uid {
        // Root loses all its other groups by it; others do so in `launch`.
        command.uid(terms.uid).gid(terms.gid);
    }
    command
}

/// This executable, as what becomes the program. It is found by its inode: an upgrade of the file does not matter.
#[cfg(not(test))]
fn launcher(program: &str, terms: &ExecTerms, within: Duration) -> Command {
    let mut command = Command::new("/proc/self/exe");
    // Processor time is what a child that gets away is limited by.
    command.arg0(launch::NAME).args(launch::limits(terms, geteuid().as_raw() != terms.uid, within.as_secs() + 1)).arg(program);
    command
}

/// In unit tests this executable is another one; `tests/it/exec.rs` sees the limits.
#[cfg(test)]
fn launcher(program: &str, _: &ExecTerms, _: Duration) -> Command {
    Command::new(program)
}

/// A process group; killed when dropped, whoever of it is left.
#[derive(Debug)]
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // Nobody left is what it should find.
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

/// A program that runs. The group goes first when it is dropped: a leader that was waited for gives its number back.
#[derive(Debug)]
struct Running {
    group: Option<Group>,
    child: Child,
}

/// What a program has said so far.
#[derive(Debug, Default)]
struct Said {
    kept: Vec<u8>,
    octets: usize,
}

impl Running {
    fn start(mut command: Command, program: &str, terms: &ExecTerms) -> Result<Self, Failure> {
        let child = command.spawn().map_err(|error| match error.raw_os_error() {
            Some(libc::EPERM) => {
                internal(format!("windrose may not run programs as {}: it needs CAP_SETUID and CAP_SETGID, or to run as that user", terms.user))
            }
            _ => internal(format!("{program} can't be run as {}: {error}", terms.user)),
        })?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { group: pid.map(Group), child })
    }

    /// Waits for its end, and gives what it said. All that it has started is ended with it.
    async fn run_to_end(&mut self) -> Result<(ExitStatus, Said), Failure> {
        let (mut out, mut err) = (Said::default(), Said::default());
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let status = {
            let hearing = async { tokio::try_join!(hear(stdout, &mut out), hear(stderr, &mut err)) };
            tokio::pin!(hearing);
            let (mut heard, mut status) = (false, None);
            while status.is_none() {
                tokio::select! {
                    ended = self.child.wait() => status = Some(ended),
                    whole = &mut hearing, if !heard => {
                        whole?;
                        heard = true;
                    }
                }
            }
            // Now, while no other process can have its number: who still holds the pipes is gone, too.
            self.group = None;
            if !heard && let Ok(whole) = timeout(LAST_WORDS, hearing).await {
                whole?;
            }
            status
        };
        let status = status.transpose().ok().flatten().ok_or_else(|| internal("nobody knows how the program ended".to_string()))?;
        Ok((status, if out.kept.iter().any(|octet| !octet.is_ascii_whitespace()) { out } else { err }))
    }
}

/// Reads to the end; a flood is a failure.
async fn hear(stream: Option<impl AsyncRead + Unpin>, said: &mut Said) -> Result<(), Failure> {
    let Some(mut stream) = stream else { return Ok(()) };
    let mut buffer = [0; 4096];
    // A pipe that breaks is one that ends.
    while let Ok(length) = stream.read(&mut buffer).await
        && length > 0
    {
        said.octets += length;
        if said.octets > SAID_OCTETS_MAX {
            return Err(Failure::new(Reason::Protocol, format!("the program said more than {} KiB and was killed", SAID_OCTETS_MAX / 1024)));
        }
        let room = KEPT_OCTETS - said.kept.len();
        said.kept.extend(buffer.iter().take(length.min(room)));
    }
    Ok(())
}

impl Said {
    /// Its first line with something in it; the figures behind a Nagios plugin's `|` are left out.
    fn line(&self, exit: ExitRule) -> Option<String> {
        let text = String::from_utf8_lossy(&self.kept);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
        let line = if exit == ExitRule::Zero { line } else { line.split('|').next().unwrap_or(line) };
        let line = harmless(line.trim(), LINE_CHARS_MAX);
        (!line.is_empty()).then_some(line)
    }
}

fn judge(check: &ExecCheck, status: ExitStatus, said: &Said, trace: &mut Trace) -> Result<(), Failure> {
    use std::os::unix::process::ExitStatusExt;
    let line = said.line(check.exit);
    let told = |word: &str| match &line {
        Some(line) => format!("{}: {line} ({word})", name(check)),
        None => format!("{} ended with {word} and without a word", name(check)),
    };
    let Some(code) = status.code() else {
        return Err(Failure::new(Reason::Exit, told(&format!("signal {}", status.signal().unwrap_or(0)))));
    };
    if code == i32::from(launch::FAILED)
        && let Some(why) = line.as_deref().and_then(|line| line.strip_prefix(launch::NAME)?.strip_prefix(": "))
    {
        return Err(internal(why.to_string()));
    }
    match (check.exit, code) {
        (_, 0) => Ok(()),
        (ExitRule::Nagios { warning_fails: false }, 1) => {
            trace.warning = Some(told("WARNING"));
            Ok(())
        }
        (ExitRule::Nagios { .. }, 1) => Err(Failure::new(Reason::Exit, told("WARNING"))),
        (ExitRule::Nagios { .. }, 2) => Err(Failure::new(Reason::Exit, told("CRITICAL"))),
        // The plugin says that it could not look: no verdict follows.
        (ExitRule::Nagios { .. }, 3) => Err(internal(told("UNKNOWN"))),
        _ => Err(Failure::new(Reason::Exit, told(&format!("exit code {code}")))),
    }
}
