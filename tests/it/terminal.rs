//! A real terminal (tmux) with a command in it. Never without `tool("tmux")` asked first.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::node::{Said, TestNode, binary, run};

/// Many nodes share the machine's cores meanwhile.
const PATIENCE: Duration = Duration::from_secs(40);

/// A terminal with a command in it, and a shell that says how it ended and how the terminal was left.
pub struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Types `windrose ARGUMENTS` into a fresh one of `size` (columns, rows).
    pub fn start(node: &TestNode, arguments: &str, size: (u16, u16)) -> Self {
        // A socket of its own: tmux leaves the one of a terminal that has just ended when it likes.
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let terminal = Self { socket: node.path(&format!("tmux-{}", STARTED.fetch_add(1, Ordering::Relaxed))) };
        let (width, height) = (size.0.to_string(), size.1.to_string());
        let script = format!("sh -c 'echo $$ > {}; exec {} {arguments}'; echo ended $?; stty -a; exec cat", node.path("top.pid").display(), binary());
        let begun = terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, &script], node);
        assert_eq!(begun.code, 0, "{begun:?}");
        terminal
    }

    fn tmux(&self, arguments: &[&str], node: &TestNode) -> Said {
        let mut command = Command::new("tmux");
        command.arg("-u").arg("-S").arg(&self.socket).args(arguments);
        run(command.env("WINDROSE_SOCKET", node.socket()).env("LC_ALL", "C.UTF-8").env_remove("TMUX"))
    }

    pub fn said(&self, arguments: &[&str]) -> String {
        run(Command::new("tmux").arg("-u").arg("-S").arg(&self.socket).args(arguments).env("LC_ALL", "C.UTF-8").env_remove("TMUX")).out
    }

    /// What is on it now.
    pub fn shown(&self) -> String {
        self.said(&["capture-pane", "-p"])
    }

    /// Waits until it shows all of this.
    pub fn shows(&self, wanted: &[&str]) -> String {
        let mut last = String::new();
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let shown = self.shown();
            if wanted.iter().all(|text| shown.contains(text)) {
                return shown;
            }
            last.clone_from(&shown);
            assert!(std::time::Instant::now() < deadline, "it never showed {wanted:?}, but:\n{last}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Hits keys, by tmux's names.
    pub fn keys(&self, keys: &[&str]) {
        self.said(&[&["send-keys"], keys].concat());
    }

    /// Types a text.
    pub fn types(&self, text: &str) {
        self.said(&["send-keys", "-l", text]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.said(&["kill-server"]);
    }
}
