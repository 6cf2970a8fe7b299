//! The process itself, under the names that every Prometheus client library uses. Linux only; elsewhere these series are absent.

use crate::model::Now;

use super::catalog;
use super::series::Series;

/// Clock ticks a second in `/proc/self/stat` (`USER_HZ`): 100 on every architecture that Rust supports with std on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads `/proc/self`. What can't be read is left out.
pub fn collect(now: Now, out: &mut Vec<Series>) {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).ok();
    let cpu = read("stat").as_deref().and_then(cpu_seconds);
    let status = read("status").unwrap_or_default();
    let open = std::fs::read_dir("/proc/self/fd").ok().map(|folder| folder.count().saturating_sub(1) as f64);
    let began = now.wall.as_secs_f64() - now.mono.as_secs_f64();
    let all = [
        (catalog::PROCESS_START, Some(began)),
        (catalog::PROCESS_CPU, cpu),
        (catalog::PROCESS_MEMORY, status_value(&status, "VmRSS:").map(|kib| kib * 1024.0)),
        (catalog::PROCESS_VIRTUAL_MEMORY, status_value(&status, "VmSize:").map(|kib| kib * 1024.0)),
        (catalog::PROCESS_THREADS, status_value(&status, "Threads:")),
        (catalog::PROCESS_OPEN_FDS, open),
        (catalog::PROCESS_MAX_FDS, read("limits").as_deref().and_then(max_fds)),
    ];
    out.extend(all.into_iter().filter_map(|(metric, value)| Some(Series::single(metric, value?))));
}

/// Fields 14 and 15 of proc(5) `stat`. The command in field 2 may hold spaces and parentheses, so fields are counted after the last `)`.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn status_value(status: &str, key: &str) -> Option<f64> {
    status.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

/// The soft limit; "unlimited" has no number.
fn max_fds(limits: &str) -> Option<f64> {
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 9 0 100 1 1";
        assert_eq!(cpu_seconds(stat), Some(2.0));
    }

    #[test]
    fn values_are_found_by_their_key() {
        assert_eq!(status_value("VmPeak:\t 9 kB\nVmRSS:\t  2048 kB\nThreads:\t3\n", "VmRSS:"), Some(2048.0));
        assert_eq!(max_fds("Limit Soft Hard Units\nMax open files            1024                 4096                 files\n"), Some(1024.0));
        assert_eq!(max_fds("Max open files            unlimited            unlimited            files\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_all_of_them() {
        let mut out = Vec::new();
        collect(Now::default(), &mut out);
        assert!(out.len() >= 6, "{out:?}");
    }
}
