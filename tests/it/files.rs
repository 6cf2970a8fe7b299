//! Pieces of configuration that many tests use.

/// Pools `prod` (192.0.2.1) and `dr` (192.0.2.2), which are always up. A macro, so that `concat!` can go on from here.
macro_rules! trusted_pools {
    () => {
        r#"
[monitor.trusted]
always = "up"
[pool.prod]
monitor = "trusted"
endpoints = ["192.0.2.1"]
[pool.dr]
monitor = "trusted"
endpoints = ["192.0.2.2"]
"#
    };
}
