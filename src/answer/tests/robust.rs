//! Whatever comes: no panic, well-formed responses, never larger than allowed.

use proptest::prelude::*;

use super::*;
use crate::answer::Handled;

const ZONE: &str = "example 3600 SOA ns.example h.example 1 2 3 4 60
    example 3600 NS ns.example
    ns.example 3600 A 192.0.2.53
    www.example 300 A 192.0.2.1
    alias.example 300 CNAME www.example
    alias2.example 300 CNAME s.example
    *.wild.example 300 MX 1 ns.example
    a.b.ent.example 300 TXT x
    sub.example 600 NS ns.sub.example
    ns.sub.example 600 A 192.0.2.54";

thread_local! {
    static WORLD: std::cell::RefCell<World> = std::cell::RefCell::new(
        World::new(&[("example", ZONE), ("child.sub.example", "child.sub.example 60 SOA ns.example h.example 1 2 3 4 60")]).service(&["s.example", "*.t.example"], 30, 2, &[
            ("prod", 0.8, &[("192.0.2.1", 1), ("192.0.2.3", 1), ("192.0.2.4", 5), ("2001:db8::1", 1)]),
            ("dr", 0.2, &[("192.0.2.2", 1)]),
        ]),
    );
}

/// Answers, checks what always holds, and gives the rcode.
fn check(packet: &[u8], transport_tcp: bool) {
    WORLD.with_borrow_mut(|world| {
        let asked = if transport_tcp { tcp() } else { udp() };
        let response = match world.handle(packet, asked) {
            Ok(response) => response,
            // One of the mutations makes a TSIG record.
            Err(Handled::Slow(_)) => return,
            Err(_) => return assert!(packet.len() < 12 || packet[2] & 0x80 != 0),
        };
        assert_eq!(response[..2], packet[..2]);
        let text = text(&response);
        assert!(transport_tcp || response.len() <= 1232);
        if text.starts_with("FORMERR") || text.starts_with("RCODE16") {
            assert!(response.len() <= 512, "{text}");
        }
    });
}

fn seeds() -> impl Strategy<Value = Vec<u8>> {
    let names = [
        "www.example",
        "alias.example",
        "alias2.example",
        "x.wild.example",
        "ent.example",
        "x.sub.example",
        "sub.example",
        "s.example",
        "q.t.example",
        "nx.example",
        "",
        "child.sub.example",
    ];
    let options: [&[u8]; 4] =
        [b"", b"\x00\x08\x00\x07\x00\x01\x18\x00\xc0\x00\x02", b"\x00\x0a\x00\x08cookie!!", b"\x00\x08\x00\x08\x00\x02\x20\x00\x20\x01\x0d\xb8"];
    let edns = proptest::option::of((any::<u16>(), proptest::sample::select(options.to_vec())));
    let qtype = prop_oneof![proptest::sample::select(vec![1, 28, 2, 6, 5, 15, 43, 255, 252]), any::<u16>()];
    (proptest::sample::select(names.to_vec()), qtype, edns).prop_map(|(name, qtype, edns)| ask(name, qtype, edns))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn random_octets_never_hurt(packet in proptest::collection::vec(any::<u8>(), 0..600), over_tcp: bool) {
        check(&packet, over_tcp);
    }

    #[test]
    fn random_octets_after_a_good_header_never_hurt(rest in proptest::collection::vec(any::<u8>(), 0..400), additionals in 0_u8..4) {
        check(&[&[1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, additionals][..], &rest].concat(), false);
    }

    #[test]
    fn mutated_queries_never_hurt(
        mut packet in seeds(),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
        more in proptest::collection::vec(any::<u8>(), 0..8),
        over_tcp: bool,
    ) {
        for (at, octet) in edits {
            let at = at.index(packet.len());
            packet[at] = octet;
        }
        if let Some(cut) = cut {
            packet.truncate(cut.index(packet.len()));
        } else {
            packet.extend(more);
        }
        check(&packet, over_tcp);
    }

    #[test]
    fn responses_are_what_hickory_reads_too(packet in seeds()) {
        use hickory_proto::op::Message;
        let response = WORLD.with_borrow_mut(|world| world.handle(&packet, udp()).unwrap());
        prop_assert!(Message::from_vec(&response).is_ok(), "{}", text(&response));
    }
}
