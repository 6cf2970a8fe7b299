//! The fuzz targets' functions: the same as in the tests, which replay the corpus.

#[path = "../../tests/it/fuzzed/mod.rs"]
mod fuzzed;

pub use fuzzed::*;
