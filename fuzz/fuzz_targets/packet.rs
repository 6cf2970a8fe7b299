//! See `packet` in `tests/it/fuzzed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| windrose_fuzz::packet(data));
