//! How commands end: exit codes, and what is said when something is refused.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | failed |
//! | 2 | usage, or an invalid configuration |
//! | 3 | condition not met (`status --exit-code`, `health`, `query --exit-code`, a `probe` that fails) |
//! | 4 | revision conflict |
//! | 5 | refused by a guard, or because the target is not up |
//! | 6 | server not reachable |
//! | 7 | not allowed |

use std::fmt::Write as _;

use crate::admin::api::{Problem, ProblemKind};

use super::table::{Paint, Tone};

/// An exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Usage or invalid configuration.
    Usage = 2,
    /// Condition not met.
    Condition = 3,
    /// Revision conflict.
    Conflict = 4,
    /// Refused by a guard, or because the target is not up.
    Refused = 5,
    /// Server not reachable.
    Unreachable = 6,
    /// Not allowed.
    NotAllowed = 7,
}

impl Exit {
    /// From the kind of a problem; from its HTTP status where the kind is not known to this program.
    pub fn of(problem: &Problem) -> Self {
        let Some(kind) = problem.kind() else {
            return match problem.status {
                401 | 403 => Self::NotAllowed,
                409 => Self::Refused,
                412 => Self::Conflict,
                400 | 422 => Self::Usage,
                _ => Self::Failed,
            };
        };
        match kind {
            ProblemKind::InvalidRequest
            | ProblemKind::PayloadTooLarge
            | ProblemKind::UnsupportedMediaType
            | ProblemKind::InvalidConfig
            | ProblemKind::KeyReused => Self::Usage,
            ProblemKind::Unauthorized | ProblemKind::Forbidden => Self::NotAllowed,
            ProblemKind::TargetNotUp | ProblemKind::NothingToUndo | ProblemKind::OverrideExists | ProblemKind::PolicyMismatch | ProblemKind::NothingToProbe => {
                Self::Refused
            }
            ProblemKind::ManagedElsewhere
            | ProblemKind::GuardRefused
            | ProblemKind::ConfirmationNeeded
            | ProblemKind::ShiftInProgress
            | ProblemKind::ShiftOver => Self::Refused,
            ProblemKind::RevisionMismatch => Self::Conflict,
            ProblemKind::NotFound | ProblemKind::MethodNotAllowed | ProblemKind::IfMatchRequired | ProblemKind::UpgradeFailed => Self::Failed,
            ProblemKind::Internal | ProblemKind::StoreUnavailable | ProblemKind::RateLimited | ProblemKind::RequestInProgress => Self::Failed,
        }
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The server refused.
    Problem(Box<Problem>),
    /// The server can't be reached, or did not answer in time.
    Unreachable {
        /// `unix socket /run/windrose/admin.sock`
        place: String,
        /// One sentence.
        why: String,
        /// What to do.
        hint: String,
    },
    /// Refused before anything was sent.
    Local {
        /// The exit code.
        exit: Exit,
        /// One sentence.
        detail: String,
        /// What to do; may be empty.
        hints: Vec<String>,
    },
}

impl Failure {
    /// A refusal of our own with one sentence.
    pub fn local(exit: Exit, detail: impl Into<String>) -> Self {
        Self::Local { exit, detail: detail.into(), hints: Vec::new() }
    }

    /// The same with something to do next.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        match self {
            Self::Local { exit, detail, mut hints } => {
                hints.push(hint.into());
                Self::Local { exit, detail, hints }
            }
            other => other,
        }
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Problem(problem) => Exit::of(problem),
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Local { exit, .. } => *exit,
        }
    }

    /// What stderr says: what, every fault with its hint, that nothing changed (`writing`), the exit code.
    pub fn text(&self, writing: bool, paint: Paint) -> String {
        let mut out = String::new();
        let verb = match self.exit() {
            Exit::Refused | Exit::NotAllowed | Exit::Conflict => "refused",
            _ => "failed",
        };
        let _ = match self {
            Self::Problem(problem) => {
                let _ = writeln!(out, "{}: {}", paint.tone(Tone::Bad, verb), sentence(problem));
                problem_lines(problem, paint, &mut out)
            }
            Self::Unreachable { place, why, hint } => writeln!(out, "{}: {place}: {why}\n  → {hint}", paint.tone(Tone::Bad, "not reachable")),
            Self::Local { detail, hints, .. } => {
                let _ = writeln!(out, "{}: {detail}", paint.tone(Tone::Bad, verb));
                hints.iter().try_for_each(|hint| writeln!(out, "  → {hint}"))
            }
        };
        // A request that got no answer may have been carried out all the same.
        let changed = match self {
            _ if !writing => "",
            Self::Unreachable { why, .. } if !why.starts_with("can't connect") => "whether it was done is not known; see windrose status",
            Self::Problem(problem) if problem.status >= 500 && problem.kind() != Some(ProblemKind::StoreUnavailable) => {
                "whether it was done is not known; see windrose status"
            }
            _ => "nothing changed.",
        };
        let _ = match changed {
            "" => writeln!(out, "exit {}", self.exit() as u8),
            changed => writeln!(out, "{changed:<58}  exit {}", self.exit() as u8),
        };
        out
    }
}

/// The detail, else the title.
fn sentence(problem: &Problem) -> &str {
    if problem.detail.is_empty() { &problem.title } else { &problem.detail }
}

/// Faults and hints of a problem.
fn problem_lines(problem: &Problem, paint: Paint, out: &mut String) -> std::fmt::Result {
    for fault in &problem.errors {
        // A guard is known by its name.
        let guard = problem.kind() == Some(ProblemKind::GuardRefused) || problem.confirmation.is_some();
        let place = if guard { &fault.code } else { fault.place.as_deref().unwrap_or(&fault.pointer) };
        // One fault often says what the detail says; then only what to do is left to say.
        if problem.errors.len() == 1 && problem.detail.starts_with(&fault.message) {
            if !fault.hint.is_empty() {
                writeln!(out, "  → {}", fault.hint)?;
            }
            continue;
        }
        let gap = if place.is_empty() { "" } else { "  " };
        writeln!(out, "  {} {place}{gap}{}", paint.tone(Tone::Bad, "✖"), fault.message)?;
        if !fault.hint.is_empty() {
            writeln!(out, "      → {}", fault.hint)?;
        }
    }
    if let Some(name) = &problem.did_you_mean
        && !problem.detail.contains("did you mean")
    {
        writeln!(out, "  → did you mean `{name}`?")?;
    }
    match problem.kind() {
        Some(ProblemKind::RevisionMismatch) => {
            let now = problem.revision.map(|revision| format!(" It is at revision {revision} now.")).unwrap_or_default();
            writeln!(out, "  → somebody changed it meanwhile.{now} Look with windrose history SERVICE, then try again.")?;
        }
        Some(ProblemKind::Unauthorized) if problem.errors.is_empty() => {
            writeln!(out, "  → give a token with --token-file or WINDROSE_TOKEN; `windrose token create` on the server makes one.")?
        }
        Some(ProblemKind::StoreUnavailable) => writeln!(out, "  → DNS goes on answering as before; try again when the store works.")?,
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::api::Fault;

    #[test]
    fn every_problem_kind_has_its_exit_code() {
        let codes: Vec<_> = ProblemKind::ALL.into_iter().map(|kind| (kind.word(), Exit::of(&Problem::new(kind, "")) as u8)).collect();
        assert_eq!(
            codes,
            [
                ("invalid-request", 2),
                ("unauthorized", 7),
                ("forbidden", 7),
                ("not-found", 1),
                ("method-not-allowed", 1),
                ("target-not-up", 5),
                ("nothing-to-undo", 5),
                ("override-exists", 5),
                ("policy-mismatch", 5),
                ("managed-elsewhere", 5),
                ("upgrade-failed", 1),
                ("nothing-to-probe", 5),
                ("guard-refused", 5),
                ("confirmation-needed", 5),
                ("shift-in-progress", 5),
                ("shift-over", 5),
                ("revision-mismatch", 4),
                ("payload-too-large", 2),
                ("unsupported-media-type", 2),
                ("invalid-config", 2),
                ("if-match-required", 1),
                ("rate-limited", 1),
                ("request-in-progress", 1),
                ("key-reused", 2),
                ("internal", 1),
                ("store-unavailable", 1),
            ]
        );
    }

    #[test]
    fn a_kind_of_a_newer_server_goes_by_its_status() {
        let unknown = |status| Problem { type_: "https://example.org/guard-refused".into(), status, ..Problem::default() };
        let codes: Vec<_> = [401, 403, 409, 412, 422, 500].map(|status| Exit::of(&unknown(status)) as u8).into();
        assert_eq!(codes, [7, 7, 5, 4, 2, 1]);
    }

    #[test]
    fn every_fault_is_shown_with_what_to_do() {
        let fault =
            |pointer: &str, message: &str, hint: &str| Fault { pointer: pointer.into(), message: message.into(), hint: hint.into(), ..Fault::default() };
        let mut problem = Problem::new(ProblemKind::InvalidRequest, "2 faults");
        problem.errors = vec![fault("/policy/weighted/dx", "`dx` is neither a pool nor a policy", "did you mean `dr`?"), fault("", "shares sum to 90", "")];
        let text = Failure::Problem(Box::new(problem)).text(true, Paint::PLAIN);
        assert_eq!(
            text,
            "failed: 2 faults\n  ✖ /policy/weighted/dx  `dx` is neither a pool nor a policy\n      → did you mean `dr`?\n  ✖ shares sum to 90\n\
             nothing changed.                                            exit 2\n"
        );
    }

    #[test]
    fn a_fault_that_repeats_the_detail_is_said_once() {
        let mut problem = Problem::new(ProblemKind::TargetNotUp, "`dr` is not up; nothing was changed");
        problem.errors = vec![Fault { pointer: "/to".into(), message: "`dr` is not up".into(), hint: "choose another".into(), ..Fault::default() }];
        let text = Failure::Problem(Box::new(problem)).text(true, Paint::PLAIN);
        assert!(text.starts_with("refused: `dr` is not up; nothing was changed\n  → choose another\nnothing changed."), "{text}");
    }

    #[test]
    fn a_lost_reply_does_not_claim_that_nothing_changed() {
        let lost = Failure::Unreachable { place: "socket".into(), why: "no answer within 10s".into(), hint: "x".into() };
        assert!(lost.text(true, Paint::PLAIN).contains("not known"));
        let absent = Failure::Unreachable { place: "socket".into(), why: "can't connect: no such file".into(), hint: "x".into() };
        assert!(absent.text(true, Paint::PLAIN).contains("nothing changed"));
    }
}
