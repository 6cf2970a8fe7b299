//! What an `exec` monitor runs, as whom, and what its exit code means.

/// A program of this host, run without a shell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExecCheck {
    /// Absolute path.
    pub program: String,
    /// Its arguments; `{address}` and `{port}` stand for the endpoint's.
    pub arguments: Vec<String>,
    /// Told to the program, unless the endpoint has its own.
    pub port: Option<u16>,
    /// What its exit code means.
    pub exit: ExitRule,
    /// As whom, and how much of it.
    pub terms: ExecTerms,
}

/// What an exit code means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ExitRule {
    /// 0 passes, everything else fails.
    #[default]
    Zero,
    /// Of the Nagios plugins: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
    Nagios {
        /// WARNING fails; else it passes, with a warning.
        warning_fails: bool,
    },
}

/// `[probe] exec`: what programs may do to this host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExecTerms {
    /// The user's name, for sentences.
    pub user: String,
    /// Its number; never 0.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
    /// Programs that run at once; further ones wait.
    pub running_max: u16,
    /// Processes of the user at once (`RLIMIT_NPROC`).
    pub processes_max: u32,
    /// Address space of each process, octets (`RLIMIT_AS`).
    pub memory_octets_max: u64,
}
