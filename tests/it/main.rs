//! Tests on the real binary, over real sockets, beside real peers.
//!
//! A test whose tool is missing prints "skipped: why"; `tests/run` installs them all.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods, reason = "tests fail by panicking, and read the clock")]

mod acceptance;
mod api;
mod architecture;
mod audit;
mod composite;
mod conformance;
mod corpus;
mod differential;
mod dns;
mod drills;
mod events;
mod fuzzed;
mod gateway;
mod guard;
mod hostnames;
mod http;
mod mutated;
mod node;
mod oracle;
mod overload;
mod peers;
mod persistence;
mod prometheus;
mod raw;
mod reload;
mod resolver;
mod serving;
mod tcp;
mod transfer;
mod upgrade;
mod webhooks;
