//! See `edns_options` in `tests/it/fuzzed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| windrose_fuzz::edns_options(data));
