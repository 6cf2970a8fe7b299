//! Tests on the real binary, over real sockets, beside real peers.
//!
//! A test whose tool is missing prints "skipped: why"; `tests/run` installs them all.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods, reason = "tests fail by panicking, and read the clock")]

#[macro_use]
mod files;

mod acceptance;
mod access;
mod aliases;
mod api;
mod architecture;
mod asking;
mod audit;
mod boards;
mod composite;
mod conformance;
mod corpus;
mod differential;
mod dns;
mod doctor;
mod drills;
mod errors;
mod events;
mod exec;
mod explaining;
mod flattened;
mod fresh;
mod fuzzed;
mod gateway;
mod guard;
mod guards;
mod hostnames;
mod http;
mod latency;
mod mutated;
mod node;
mod once;
mod openapi;
mod oracle;
mod outcome_log;
mod outcomes;
mod overload;
mod pages;
mod peers;
mod persistence;
mod planfile;
mod prometheus;
mod push;
mod raw;
mod reload;
mod replay;
mod resolver;
mod returning;
mod routes;
mod schedules;
mod serving;
mod shed;
mod shifts;
mod simulate;
mod standby;
mod steering;
mod tags;
mod tcp;
mod terminal;
mod top;
mod transfer;
mod upgrade;
mod webhooks;
