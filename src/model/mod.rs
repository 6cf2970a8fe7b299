//! Nouns: what exists, checked once and then trusted.
//!
//! The [`Estate`] is the meaning of a configuration file: regions, pools, endpoints, monitors, targets and services,
//! in dense tables that are indexed by newtype ids. It is made by `config::check` alone and never changes afterwards;
//! a reload makes another one.
//!
//! Never here: health, traffic set by operators, sockets, clocks, file formats.

mod answering;
mod change_rules;
mod clients;
mod dns_check;
mod estate;
mod exec_check;
mod fading;
mod failback;
mod glob;
mod guarding;
mod harmless;
mod host;
mod http_check;
mod ids;
mod interner;
mod json_test;
mod judging;
mod moment;
mod monitor;
mod names;
mod outcomes;
mod policy;
mod probing;
mod scope;
mod secret;
mod settings;
mod shedding;
mod shift_plan;
mod time;
mod tls_terms;
mod transfer;
mod webhook;

pub use answering::{AnswerSettings, CookieSecret, CookieSettings, RateLimit, SubnetSettings};
pub use change_rules::{Capacity, ChangeKind, ChangeRules, FreezeTime, FreezeWindow, Gate, GuardKeys, GuardKind, Origin, parse_week_moment};
pub use clients::{By, Condition, Even, GeoRule, GeoRules, LatencyRules, Nearest, Network, Place, Site, Sticky};
pub use dns_check::DnsCheck;
pub use estate::{Address, AllDown, Answering, Endpoint, Estate, Pool, Region, Requirement, Resolver, Service, Target, Watch, did_you_mean};
pub use exec_check::{ExecCheck, ExecTerms, ExitRule};
pub use fading::Fading;
pub use failback::{Failback, STEPS_MAX, Stages, Steps, StepsError};
pub use glob::glob_matches;
pub use guarding::{GuardRules, Sentinel};
pub use harmless::harmless;
pub use host::{Host, ResolverRules};
pub use http_check::{Header, HttpCheck, HttpVersion, Method, Pattern, Scheme};
pub use ids::{CombinedId, CompositeId, EndpointId, Family, HostId, JudgementId, MonitorId, PoolId, RegionId, ServiceId, TargetId};
pub use interner::Interner;
pub use json_test::{JsonPath, JsonTest, Op, Step};
pub use judging::{AnyMonitor, Combined, Composite, Judgement, Mark, Member, Need};
pub use moment::Moment;
pub use monitor::{Check, GrpcCheck, Monitor, PushCheck, Silence, Sources, TcpCheck, Thresholds, TlsCheck};
pub use names::Names;
pub use outcomes::{Busy, DegradedRule, Factor, HttpOutcomes, REDIRECTS_MAX, ReportKind, ReportPlace, ReportRule, Weight};
pub use policy::{Choice, Node, PolicyForm, ResolveError, Share};
pub use probing::{Forbidden, Own, ProbeRules};
pub use scope::Scope;
pub use secret::Secret;
pub use settings::{AdminSettings, AuditSettings, DnsSettings, MetricsSettings, NodeSettings, OutcomeSettings, Settings, StoreSettings, Subject, TlsFiles};
pub use shedding::{Load, SHED_MAX, Shed, ShedBy};
pub use shift_plan::{AbortWhen, Analysis, Gauge, ShiftPlan, ShiftRules, ShiftStep, parse_step, step_faults};
pub use time::{Now, Timestamp, duration_text, parse_duration};
pub use tls_terms::{CaFile, ClientIdentity, TlsTerms, Verify};
pub use transfer::Secondary;
pub use webhook::{Webhook, WebhookTemplate};
