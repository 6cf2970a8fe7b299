//! See `zone_text` in `tests/it/fuzzed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| windrose_fuzz::zone_text(data));
