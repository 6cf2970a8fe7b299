//! What the fuzz targets do with octets from nowhere, and what must hold whatever they are.
//!
//! One function per target of `fuzz/`, which includes this module; `corpus.rs` feeds the kept corpus through the same functions in every run of the
//! tests. A function returns if all is well and panics if not. Never here: anything of the library but its public face.

// Included by the fuzz targets, by the tests and by the benches; none of them uses everything.
#![allow(dead_code, unused_imports, reason = "each includer uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "what is wrong is found by panicking")]

#[path = "../../../src/answer/tests/decoder.rs"]
mod decoder;
mod packet;
mod queries;
mod texts;
pub mod world;

pub use packet::{edns_options, packet};
pub use queries::{Opt, option_seeds, queries, query};
pub use texts::{config, zone_text};

/// A target: its name, which is also its corpus's folder, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 4] = [("packet", packet), ("edns_options", edns_options), ("zone_text", zone_text), ("config", config)];
