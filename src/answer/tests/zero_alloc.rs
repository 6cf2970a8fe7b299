//! A query costs no allocation: counted, per thread, by the allocator of the test binary.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use super::*;
use crate::answer::{Asked, answer};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn allocations() -> u64 {
    ALLOCATIONS.get()
}

#[allow(unsafe_code, reason = "an allocator can't be written without; this one only counts and passes on")]
// SAFETY: every call goes to the system's allocator with the same arguments; the counter is a thread-local without a destructor, so that counting never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ZONE: &str = "example 3600 SOA ns.example h.example 1 2 3 4 60
    example 3600 NS ns.example
    ns.example 3600 A 192.0.2.53
    www.example 300 A 192.0.2.1
    alias.example 300 CNAME s.example
    *.wild.example 300 MX 1 ns.example
    sub.example 600 NS ns.sub.example
    ns.sub.example 600 A 192.0.2.54";

#[test]
fn no_query_of_any_kind_allocates() {
    let mut world = World::new(&[("example", ZONE)])
        .service(
            &["s.example", "*.t.example"],
            30,
            8,
            &[("prod", 0.8, &[("192.0.2.1", 1), ("192.0.2.2", 1), ("2001:db8::1", 1)]), ("dr", 0.2, &[("192.0.2.9", 1)])],
        )
        .service(&["cname.example"], 30, 8, &[("saas", 0.5, &[("www.example", 1), ("gw.vendor.test", 2)]), ("other", 0.5, &[("gw.other.test", 1)])])
        .service(&["many.example"], 30, 2, &[("prod", 1.0, &[("192.0.2.1", 1), ("192.0.2.2", 2), ("192.0.2.3", 9)])]);
    let subnet = b"\x00\x08\x00\x07\x00\x01\x18\x00\xc0\x00\x02";
    let mut queries = Vec::new();
    for name in [
        "s.example",
        "X.t.example",
        "cname.example",
        "many.example",
        "www.example",
        "alias.example",
        "a.wild.example",
        "x.sub.example",
        "nx.example",
        "a.b.test",
        "",
    ] {
        for qtype in [1, 28, 15, 6, 43, 255, 252] {
            queries.extend([query(name, qtype), ask(name, qtype, Some((1232, &[]))), ask(name, qtype, Some((4096, subnet)))]);
        }
    }
    queries.extend([b"".to_vec(), b"\0\0\x80".to_vec(), queries[0][..20].to_vec(), ask("s.example", 1, Some((1232, b"\x00")))]);
    let mut out = [0; 1232];
    let asked: Asked = udp();
    let snapshot = world.snapshot.clone();
    let before = allocations();
    for query in &queries {
        answer(&snapshot, query, asked, &mut world.cx, &mut out);
    }
    assert_eq!(allocations() - before, 0);
    drop(Box::new(1));
    assert!(allocations() > before, "the counter counts");
}
