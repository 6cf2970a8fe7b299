//! Every metric of the daemon: name, kind, help and labels, in one list.
//!
//! Labels come from configuration or from closed lists; never from a query name or a client's address.

/// How a metric's samples read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up, from 0 at the start of the process.
    Counter,
    /// Observations counted in buckets.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// `windrose_<noun>_<unit>_<total>`
    pub name: &'static str,
    /// How it reads.
    pub kind: Kind,
    /// One sentence.
    pub help: &'static str,
    /// Label names, in the order of the values handed to `Series`.
    pub labels: &'static [&'static str],
}

macro_rules! catalog {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal)*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric = Metric { name: $name, kind: Kind::$kind, help: $help, labels: &[$($label),*] };
        )*

        /// All of them.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

catalog! {
    BUILD_INFO: Gauge "windrose_build_info" ["version" "revision" "rustc"] "Build information; the value is always 1.";
    NODE_INFO: Gauge "windrose_node_info" ["node"] "Name of this node; the value is always 1.";
    NODE_READY: Gauge "windrose_node_ready" [] "Whether this node answers its readiness probe with success.";
    NODE_BLIND: Gauge "windrose_node_blind" [] "Whether this node can't judge health, so that decisions are frozen.";
    SENTINEL_UP: Gauge "windrose_sentinel_up" ["sentinel"] "Whether a sentinel is up; when all are down, this node is blind.";
    PANICS: Counter "windrose_panics_total" [] "Panics that were contained: each is a bug, and cost one query, request or probe.";
    START_TIME: Gauge "windrose_start_time_seconds" [] "Unix time at which the server began serving.";

    DNS_QUERIES: Counter "windrose_dns_queries_total" ["zone" "qtype" "proto" "family"] "DNS queries received.";
    DNS_RESPONSES: Counter "windrose_dns_responses_total" ["zone" "rcode" "proto"] "DNS responses sent.";
    DNS_ANSWERS: Counter "windrose_dns_answers_total" ["service" "pool" "region" "reason"] "Answers given for a service, by the region answered and why it was chosen.";
    DNS_DURATION: Histogram "windrose_dns_query_duration_seconds" ["proto"] "Time from receiving a query to handing the response to the socket.";
    DNS_SIZE: Histogram "windrose_dns_response_size_bytes" ["proto"] "Size of DNS responses.";
    DNS_DROPPED: Counter "windrose_dns_dropped_total" ["reason"] "Datagrams and queries not answered.";
    DNS_TRUNCATED: Counter "windrose_dns_truncated_total" ["zone"] "Responses sent with the TC bit.";
    DNS_CLIENT_SUBNET: Counter "windrose_dns_client_subnet_total" ["zone" "outcome"] "Queries by whether EDNS Client Subnet was present and used.";
    DNS_TRANSFERS: Counter "windrose_dns_transfers_total" ["zone" "outcome"] "Zone transfers asked for, by how that ended.";
    DNS_NOTIFY: Counter "windrose_dns_notify_total" ["zone" "outcome"] "NOTIFY messages to secondaries, by how that ended.";
    DNS_COOKIES: Counter "windrose_dns_cookies_total" ["zone" "outcome"] "Queries with a DNS cookie, by what it was worth.";
    DNS_TCP: Gauge "windrose_dns_tcp_connections" [] "Open DNS-over-TCP connections.";

    PROBE_ATTEMPTS: Counter "windrose_probe_attempts_total" ["monitor" "pool" "endpoint" "region" "outcome"] "Health probes finished, by outcome: pass, degraded, busy (429 or 503 with Retry-After, where the monitor has a rule for it), fail.";
    PROBE_FAILURES: Counter "windrose_probe_failures_total" ["monitor" "pool" "endpoint" "region" "reason"] "Failed health probes by cause.";
    PROBE_SUCCESS: Gauge "windrose_probe_success" ["monitor" "pool" "endpoint" "region"] "Result of the last probe: 1 success (also degraded), 0 failure or busy.";
    PROBE_DURATION: Histogram "windrose_probe_duration_seconds" ["monitor" "pool" "endpoint" "region"] "Duration of probes.";
    PROBE_PHASE: Gauge "windrose_probe_phase_duration_seconds" ["monitor" "pool" "endpoint" "region" "phase"] "Duration of each phase of the last probe.";
    PROBE_LAST_RUN: Gauge "windrose_probe_last_run_timestamp_seconds" ["monitor" "pool" "endpoint" "region"] "Unix time at which the last probe finished.";
    PROBE_CERTIFICATE: Gauge "windrose_probe_tls_cert_expiry_timestamp_seconds" ["monitor" "pool" "endpoint" "region"] "Unix time at which the first certificate of the probed chain expires.";
    PROBE_WARNING: Gauge "windrose_probe_warning" ["monitor" "pool" "endpoint" "region"] "Whether the last probe over TLS warned (a certificate that ends within `expires_within`): 1 yes, 0 no.";
    PROBE_LAG: Histogram "windrose_probe_schedule_lag_seconds" [] "How late probes started against their schedule.";
    PROBE_INFLIGHT: Gauge "windrose_probe_inflight" [] "Probes running now.";
    PROBE_SKIPPED: Counter "windrose_probe_skipped_total" [] "Probes left out because their turn came while they could not run.";
    PROBE_VOID: Counter "windrose_probe_void_total" [] "Probes without an answer that are not counted, because this process did not run (stopped, or no CPU) for much of their time.";

    RESOLVER_LOOKUPS: Counter "windrose_resolver_lookups_total" ["outcome"] "Host names of targets that the resolver was asked for, by how that ended.";
    RESOLVER_FAILURES: Counter "windrose_resolver_failures_total" ["reason"] "Host names that could not be resolved, by why.";
    RESOLVER_AGE: Gauge "windrose_resolver_age_seconds" ["host" "family"] "Time since a target's host name was last resolved; it grows beyond the TTL when the last good addresses are used.";
    RESOLVER_RESOLVED: Gauge "windrose_resolver_resolved" ["host" "family"] "Whether a target's host name was resolved the last time it was asked for: 1 yes, 0 no.";

    ENDPOINT_UP: Gauge "windrose_endpoint_up" ["pool" "region" "endpoint"] "Health verdict of an endpoint after thresholds: 1 up, 0 not. Overrides do not change it.";
    ENDPOINT_SERVING: Gauge "windrose_endpoint_serving" ["pool" "region" "endpoint"] "Whether the endpoint may be given in answers now (health, overrides and drains applied).";
    ENDPOINT_STATE: Gauge "windrose_endpoint_state" ["pool" "region" "endpoint" "state"] "State of an endpoint; 1 for the state it is in, 0 for the others.";
    ENDPOINT_DEGRADED: Gauge "windrose_endpoint_degraded" ["pool" "region" "endpoint"] "Whether an endpoint is up, but degraded (slow, or it says so): 1 yes, 0 no.";
    ENDPOINT_WEIGHT: Gauge "windrose_endpoint_weight" ["pool" "region" "endpoint" "kind"] "Weight of an endpoint in its pool: `file`, `reported` (told by itself, within the monitor's bounds; absent where it tells none) and `effective` (the one in force, times its factor if it is degraded).";
    ENDPOINT_CHANGES: Counter "windrose_endpoint_state_changes_total" ["pool" "region" "endpoint" "to"] "Changes of an endpoint's health verdict.";

    POOL_ENDPOINTS: Gauge "windrose_pool_endpoints" ["pool" "region"] "Endpoints of a pool.";
    POOL_UP_ENDPOINTS: Gauge "windrose_pool_up_endpoints" ["pool" "region"] "Endpoints of a pool that are up.";
    POOL_UP: Gauge "windrose_pool_up" ["pool" "region"] "Whether a pool has at least min_up endpoints up.";
    REGION_UP: Gauge "windrose_region_up" ["region"] "Whether every pool of a region is up.";
    REGION_STATE: Gauge "windrose_region_state" ["region" "state"] "Verdict of a region from its pools: 1 for the state it is in (up, degraded, down, unknown), 0 for the others.";
    REGION_GUARDED: Gauge "windrose_region_guarded" ["region"] "Whether the blast guard holds a region that is down in the answers.";
    REGION_DATA_AT: Gauge "windrose_region_data_timestamp_seconds" ["region"] "When the data of a region was last restored or synchronised, as it was told; absent where nobody has told.";
    POOL_OUTDATED: Gauge "windrose_pool_data_outdated" ["pool" "region"] "Whether a pool is not used because the data of its region is older than hold_if_older_than, or nobody has told how old it is; 0 also if that was approved. Absent where the pool has no such limit.";
    POOL_LOAD: Gauge "windrose_pool_load" ["pool" "region"] "How much is asked of a pool, as it was told or read last, in the unit of its shed; absent where the pool declares none, and where nobody has told of late.";
    POOL_SHEDDING: Gauge "windrose_pool_shedding" ["pool" "region"] "Whether a pool gives away a share of its answers because its load is over what it declares. Absent where it declares nothing.";
    REGION_DRAINED: Gauge "windrose_region_drained" ["region"] "Whether a region is drained by an override.";

    SERVICE_SHARE: Gauge "windrose_service_share_ratio" ["service" "pool" "region" "kind"] "Share of a service's answers meant for a pool, 0 to 1. kind=\"desired\" is what was asked for, kind=\"effective\" is after health and overrides.";
    SERVICE_POOLS: Gauge "windrose_service_pools" ["service"] "Pools that a service's policy can choose.";
    SERVICE_POOLS_UP: Gauge "windrose_service_pools_up" ["service"] "Pools of a service that are up.";
    SERVICE_POOL_HELD: Gauge "windrose_service_pool_held" ["service" "pool" "region"] "Whether a pool is up again but kept out of a service by failback (returned, waiting).";
    SERVICE_AVAILABLE: Gauge "windrose_service_available" ["service"] "Whether at least one endpoint of the service is serving.";
    SERVICE_FALLBACK: Gauge "windrose_service_fallback_active" ["service"] "Whether the all-down rule of the service is answering.";
    SERVICE_TTL: Gauge "windrose_service_ttl_seconds" ["service"] "TTL given in the service's answers.";
    SERVICE_REVISION: Gauge "windrose_service_revision" ["service"] "Revision of the service's traffic state.";

    FAILOVERS: Counter "windrose_failovers_total" ["service" "from" "to" "trigger"] "Changes of the set of answered regions, by what caused them.";
    FAILOVER_DURATION: Histogram "windrose_failover_duration_seconds" ["service"] "Time from the first failed probe of an outage to the first answer without that region.";
    EVENTS: Counter "windrose_events_total" ["type"] "Events emitted.";
    GUARD_REFUSALS: Counter "windrose_guard_refusals_total" ["guard"] "Changes that a guard refused; one that several refuse counts for each.";
    WEBHOOK_DELIVERIES: Counter "windrose_webhook_deliveries_total" ["receiver" "result"] "Messages to webhooks: delivered, failed (one attempt; it is tried again), gave_up (after a day), dropped (too many waited).";
    WEBHOOK_QUEUE: Gauge "windrose_webhook_queue_length" ["receiver"] "Messages that wait for a webhook's receiver, those being gathered included.";
    SHIFT_ACTIVE: Gauge "windrose_shift_active" ["service" "phase"] "Shifts under way, by phase.";
    SHIFT_STEP: Gauge "windrose_shift_step" ["service"] "The step in force of the shift under way, from 1.";
    SCHEDULES: Gauge "windrose_schedules" ["state"] "Scheduled changes that are kept: waiting, done, and those that were refused or missed until somebody dismisses them.";
    SHIFTS: Counter "windrose_shifts_total" ["outcome"] "Shifts that have ended.";
    OVERRIDE_ACTIVE: Gauge "windrose_override_active" ["kind" "target"] "Overrides in force.";
    OVERRIDE_START: Gauge "windrose_override_start_timestamp_seconds" ["kind" "target"] "Unix time since which an override is in force.";
    OVERRIDE_EXPIRY: Gauge "windrose_override_expiry_timestamp_seconds" ["kind" "target"] "Unix time at which an override ends; absent for one without an end.";

    CONFIG_INFO: Gauge "windrose_config_info" ["hash"] "Hash of every file of the configuration in force; the value is always 1.";
    GEOIP_BUILT: Gauge "windrose_geoip_database_build_timestamp_seconds" ["database"] "Unix time at which the GeoIP database in use was made.";
    GEOIP_SOUND: Gauge "windrose_geoip_database_sound" ["database"] "Whether the GeoIP file that lies there could be read; if not, the one before counts on.";
    LATENCY_NETWORKS: Gauge "windrose_latency_networks" [] "Networks of which latency is known, as it was pushed.";
    LATENCY_NEWEST: Gauge "windrose_latency_newest_timestamp_seconds" [] "Unix time of the newest measurement of latency; absent where there is none.";
    LATENCY_OLDEST: Gauge "windrose_latency_oldest_timestamp_seconds" [] "Unix time of the oldest measurement of latency that counts; absent where there is none.";
    CONFIG_SUCCESS_TIME: Gauge "windrose_config_last_reload_success_timestamp_seconds" [] "Unix time of the last successful configuration load.";
    CONFIG_SUCCESSFUL: Gauge "windrose_config_last_reload_successful" [] "Whether the last configuration load succeeded.";
    CONFIG_RELOADS: Counter "windrose_config_reloads_total" ["outcome"] "Configuration loads.";

    STORE_UP: Gauge "windrose_store_up" ["store"] "Whether the state store is reachable and writable.";
    STORE_REVISION: Gauge "windrose_store_revision" [] "Revision of the state that this node serves.";
    STORE_OPERATIONS: Counter "windrose_store_operations_total" ["store" "op" "outcome"] "State store operations.";
    STORE_DURATION: Histogram "windrose_store_operation_duration_seconds" ["store" "op"] "Duration of state store operations.";

    API_REQUESTS: Counter "windrose_api_requests_total" ["method" "route" "code"] "Admin API requests.";
    API_DURATION: Histogram "windrose_api_request_duration_seconds" ["method" "route"] "Duration of admin API requests.";

    PROCESS_START: Gauge "process_start_time_seconds" [] "Start time of the process since unix epoch in seconds.";
    PROCESS_CPU: Counter "process_cpu_seconds_total" [] "Total user and system CPU time spent in seconds.";
    PROCESS_MEMORY: Gauge "process_resident_memory_bytes" [] "Resident memory size in bytes.";
    PROCESS_VIRTUAL_MEMORY: Gauge "process_virtual_memory_bytes" [] "Virtual memory size in bytes.";
    PROCESS_OPEN_FDS: Gauge "process_open_fds" [] "Number of open file descriptors.";
    PROCESS_MAX_FDS: Gauge "process_max_fds" [] "Maximum number of open file descriptors.";
    PROCESS_THREADS: Gauge "process_threads" [] "Number of OS threads in the process.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_end_in_total_and_nothing_else_does() {
        for metric in ALL {
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
        }
    }

    #[test]
    fn each_name_stands_once_and_each_help_is_a_sentence() {
        for (at, metric) in ALL.iter().enumerate() {
            assert!(ALL[..at].iter().all(|earlier| earlier.name != metric.name), "{} stands twice", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }

    #[test]
    fn no_label_can_carry_a_query_name_or_a_client() {
        for metric in ALL {
            for label in metric.labels {
                assert!(!["name", "qname", "client", "address", "instance", "job"].contains(label), "{}{{{label}}}", metric.name);
            }
        }
    }
}
