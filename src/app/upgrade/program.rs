//! The program on disk, as this process was started: checked, started, awaited.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::timeout;
use tracing::info;

use crate::admin::upgrade::{NotUpgraded, TakenOver};

use super::give::{Ended, Giver};

/// Longest check of a configuration.
const CHECK_MAX: Duration = Duration::from_secs(60);
/// Longest time from start to the hand-over's end: its own deadlines are shorter.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a process that is no longer needed may take to end.
const END_MAX: Duration = Duration::from_secs(5);

/// How this process was started.
#[derive(Debug)]
pub(in crate::app) struct Program {
    /// Where the program is found, by the name that it was called by: a link in between may lead to another release now.
    path: PathBuf,
    /// Its arguments, without `--upgrade`.
    arguments: Vec<OsString>,
    /// The configuration.
    config: PathBuf,
    /// One upgrade at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Program {
    /// As this process was started. Call before the working directory can change.
    pub(in crate::app) fn of_this_process(config: &Path) -> std::io::Result<Self> {
        let mut arguments = std::env::args_os();
        let called = arguments.next().unwrap_or_default();
        let path = match found(&called, std::env::var_os("PATH").as_deref()) {
            Some(path) => path,
            None => std::env::current_exe()?,
        };
        let arguments = arguments.filter(|argument| !is_upgrade(argument)).collect();
        Ok(Self { path, arguments, config: config.to_path_buf(), turn: tokio::sync::Mutex::new(()) })
    }

    /// `windrose upgrade`: returns when another process has taken over, or why none has.
    pub(in crate::app) async fn upgrade(&self, socket: &Path, giver: &Arc<Giver>) -> Result<TakenOver, NotUpgraded> {
        let Ok(_turn) = self.turn.try_lock() else { return Err(NotUpgraded::Failed("an upgrade is under way already".to_string())) };
        giver.is_free().map_err(NotUpgraded::Failed)?;
        self.check().await?;
        let mut ended = giver.watch();
        let mut child = self.start(socket)?;
        let pid = child.id();
        info!(pid, "started {} to take over", self.path.display());
        let outcome = {
            let taken = async {
                loop {
                    if ended.changed().await.is_err() {
                        return Err("this server is stopping".to_string());
                    }
                    if let Some(Ended { pid: other, outcome }) = &*ended.borrow_and_update()
                        && (*other == pid || other.is_none() || outcome.is_ok())
                    {
                        return outcome.clone();
                    }
                }
            };
            tokio::pin!(taken);
            tokio::select! {
                biased;
                outcome = &mut taken => outcome,
                status = child.wait() => {
                    // Its last words may be on the way.
                    let last = timeout(END_MAX, &mut taken).await;
                    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                    last.unwrap_or_else(|_| Err(format!("the new process ended ({status}) before it asked to take over; its log says why")))
                }
                () = tokio::time::sleep(START_MAX) => Err(format!("the new process did not take over within {} s", START_MAX.as_secs())),
            }
        };
        if outcome.is_err() && timeout(END_MAX, child.wait()).await.is_err() {
            let _it_ended_just_now = child.kill().await;
        }
        outcome.map_err(NotUpgraded::Failed)
    }

    /// `PROGRAM check FILE`: a program that can't run, or a file that it can't use, disturbs nobody.
    async fn check(&self) -> Result<(), NotUpgraded> {
        let failed = |why: String| NotUpgraded::Failed(format!("{} can't be used: {why}", self.path.display()));
        let mut command = Command::new(&self.path);
        command.args(["check", "-o", "json"]).arg(&self.config).stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(CHECK_MAX, command.output()).await.map_err(|_| failed(format!("its check took more than {} s", CHECK_MAX.as_secs())))?;
        let output = output.map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let problems = said["problems"].as_array().map(|problems| problems.iter().filter_map(|text| text.as_str()).map(str::to_string).collect());
        match problems {
            Some(problems) => Err(NotUpgraded::Problems(problems)),
            None => Err(failed(format!("its check ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))),
        }
    }

    fn start(&self, socket: &Path) -> Result<Child, NotUpgraded> {
        let mut upgrade = OsString::from("--upgrade=");
        upgrade.push(socket);
        let mut command = Command::new(&self.path);
        // systemd's watchdog names the process that it watches; it will watch another one. Logs go where ours go.
        command.args(&self.arguments).arg(upgrade).stdin(Stdio::null()).env_remove("WATCHDOG_PID");
        command.spawn().map_err(|error| NotUpgraded::Failed(format!("can't start {}: {error}", self.path.display())))
    }
}

fn is_upgrade(argument: &OsStr) -> bool {
    argument.to_str().is_some_and(|argument| argument == "--upgrade" || argument.starts_with("--upgrade="))
}

/// What the shell or the service manager found: a path as it is, a bare name along `PATH`.
fn found(called: &OsStr, path: Option<&OsStr>) -> Option<PathBuf> {
    let called = Path::new(called);
    if called.components().count() > 1 {
        return std::path::absolute(called).ok();
    }
    std::env::split_paths(path?).map(|folder| folder.join(called)).find(|file| file.is_file() && file.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_as_it_was_called() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("windrose");
        std::fs::write(&file, "").unwrap();
        let path = std::env::join_paths([Path::new("/nonexistent"), folder.path()]).unwrap();
        assert_eq!(found(OsStr::new("windrose"), Some(&path)), Some(file.clone()));
        assert_eq!(found(OsStr::new("nothing-like-it"), Some(&path)), None);
        assert_eq!(found(file.as_os_str(), None), Some(file));
        let relative = found(OsStr::new("./windrose"), None).unwrap();
        assert!(relative.is_absolute() && relative.ends_with("windrose"));
    }

    #[test]
    fn the_next_process_is_not_given_the_flag_of_this_one() {
        let kept: Vec<&str> = ["serve", "--upgrade", "--config", "a.toml", "--upgrade=/run/a.sock", "--upgraded"]
            .into_iter()
            .filter(|argument| !is_upgrade(OsStr::new(argument)))
            .collect();
        assert_eq!(kept, ["serve", "--config", "a.toml", "--upgraded"]);
    }
}
