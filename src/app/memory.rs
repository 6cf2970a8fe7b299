//! Memory that is free is given back to the system.
//!
//! The C library keeps what was freed for later. That is right while a daemon works, and wrong after it has read 100,000 services: the parser's memory
//! would stay with it for ever, three times what it needs itself. Never here: deciding when (`control_loop`, `serve`).

/// Gives back what is free. Takes a few milliseconds for each hundred megabytes; who allocates meanwhile may wait as long, so not on a worker.
pub(super) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code, reason = "the C library's own way; the only unsafe line outside dns/mmsg")]
    // SAFETY: malloc_trim may be called at any time from any thread (malloc_trim(3): MT-Safe) and touches only memory that nobody holds.
    unsafe {
        libc::malloc_trim(0);
    }
}
