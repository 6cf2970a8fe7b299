//! `icmp = true`: an echo; and a warning where the user that reads the file could not send one.
//!
//! Reads `/proc`. Never here: a socket.

use crate::config::file::Monitor as Table;
use crate::config::problem::Sink;
use crate::model::Check;

/// Number of CAP_NET_RAW (capabilities(7)).
const NET_RAW: u32 = 13;

pub(super) fn icmp(table: &Table, path: &str, sink: &mut Sink<'_>) -> Check {
    if let Some(found) = table.icmp.get() {
        if !found.value {
            sink.problem(&found.span, format_args!("{path}.icmp"), "`false` is no monitor", "icmp = true");
        }
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        if !may_send(&read("/proc/self/status"), &read("/proc/sys/net/ipv4/ping_group_range")) {
            let help = "sysctl net.ipv4.ping_group_range=\"0 2147483647\", or CAP_NET_RAW for windrose; until then there is no verdict, and no outage for it";
            sink.warning(&found.span, format_args!("{path}.icmp"), "the user that runs this may not send ICMP echoes", help);
        }
    }
    Check::Icmp
}

/// By what the kernel says of this process; what it does not say counts as a yes.
fn may_send(status: &str, range: &str) -> bool {
    let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key));
    let Some(capabilities) = line("CapEff:").and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()) else { return true };
    let mut bounds = range.split_whitespace().map(|bound| bound.parse::<u64>().ok());
    let (Some(Some(from)), Some(Some(to))) = (bounds.next(), bounds.next()) else { return true };
    let groups = ["Gid:", "Groups:"].into_iter().filter_map(line).flat_map(str::split_whitespace).filter_map(|group| group.parse().ok());
    capabilities & (1 << NET_RAW) != 0 || groups.into_iter().any(|group| (from..=to).contains(&group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_or_a_group_in_the_range_is_enough() {
        let status = |capabilities: &str| format!("Name:\twindrose\nGid:\t998\t998\t998\t998\nGroups:\t4 27\nCapEff:\t{capabilities}\n");
        assert!(may_send(&status("0000000000002000"), "1\t0\n"));
        assert!(!may_send(&status("0000000000000400"), "1\t0\n"));
        assert!(may_send(&status("0"), "0\t2147483647\n"));
        assert!(may_send(&status("0"), "20\t30\n"), "a group beside");
        assert!(!may_send(&status("0"), "100 900"));
        assert!(may_send("", ""), "elsewhere than on Linux nobody knows");
    }
}
