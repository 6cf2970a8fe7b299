//! EDNS: one for one, sizes, versions, client subnet.

use super::*;

const ZONE: &str = "example 3600 SOA ns.example h.example 1 2 3 4 60
    example 3600 NS ns.example
    ns.example 3600 A 192.0.2.53
    www.example 300 A 192.0.2.1";

fn world() -> World {
    World::new(&[("example", ZONE)])
}

#[test]
fn an_opt_for_an_opt_and_none_for_none() {
    let mut world = world();
    assert_eq!(world.text(&query("www.example", 1)), "NOERROR aa rd\n? www.example. A\nAN www.example. 300 A 192.0.2.1");
    for (name, qtype) in [("www.example", 1), ("nx.example", 1), ("www.example", 28), ("elsewhere.test", 1), ("www.example", 252), ("www.example", 250)] {
        assert!(world.text(&ask(name, qtype, Some((4096, &[])))).ends_with("\nOPT 1232"), "{name} {qtype}");
        assert!(!world.text(&query(name, qtype)).contains("OPT"));
    }
}

#[test]
fn the_opt_record_is_exact() {
    let options = b"\x00\x0a\x00\x08cookie!!\xff\xfe\x00\x00";
    let mut packet = ask("www.example", 1, Some((4096, options)));
    // DO is the first bit of the two octets before RDLENGTH.
    let flags = packet.len() - options.len() - 4;
    packet[flags] |= 0x80;
    let response = world().handle(&packet, udp()).unwrap();
    assert_eq!(response[response.len() - 11..], *b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00");
}

#[test]
fn unknown_flags_are_cleared() {
    let mut packet = ask("www.example", 1, Some((4096, &[])));
    let end = packet.len();
    (packet[end - 4], packet[end - 3]) = (0x7f, 0xff);
    assert!(world().text(&packet).ends_with("\nOPT 1232"));
}

#[test]
fn other_versions_are_badvers_with_our_own() {
    let mut packet = ask("www.example", 1, Some((4096, b"broken")));
    let version = packet.len() - 6 - 5;
    packet[version] = 1;
    assert_eq!(world().text(&packet), "RCODE16 rd\n? www.example. A\nOPT 1232");
}

#[test]
fn malformed_opts_are_formerr() {
    let mut world = world();
    let mut two = ask("www.example", 1, Some((4096, &[])));
    two[11] = 2;
    two.extend_from_slice(b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00");
    assert_eq!(world.text(&two), "FORMERR rd\n? www.example. A\nOPT 1232");
    let mut owner = query("www.example", 1);
    owner[11] = 1;
    owner.extend_from_slice(b"\x01a\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00");
    assert_eq!(world.text(&owner), "FORMERR rd\n? www.example. A\nOPT 1232");
    for options in [&b"\x00"[..], b"\x00\x03\x00\x01", b"\x00\x03\x00\x00\xff"] {
        assert_eq!(world.text(&ask("www.example", 1, Some((4096, options)))), "FORMERR rd\n? www.example. A\nOPT 1232");
    }
}

#[test]
fn client_subnets_are_echoed_with_scope_0() {
    let mut world = world();
    let options = b"\x00\x08\x00\x07\x00\x01\x18\x00\xc0\x00\x02";
    for name in ["www.example", "nx.example", "elsewhere.test"] {
        assert!(world.text(&ask(name, 1, Some((1232, options)))).ends_with("\nOPT 1232 ecs=00011800c00002"), "{name}");
    }
}

#[test]
fn malformed_client_subnets_are_formerr() {
    let mut world = world();
    for subnet in [&b"\x00\x01\x18\x01\xc0\x00\x02"[..], b"\x00\x03\x00\x00", b"\x00\x01\x21\x00\xc0\x00\x02\x01\x00", b"\x00\x01\x10\x00\xc0\x00\x02", b"\x00"]
    {
        let options = [&[0, 8, 0, subnet.len() as u8], subnet].concat();
        assert_eq!(world.text(&ask("www.example", 1, Some((1232, &options)))), "FORMERR rd\n? www.example. A\nOPT 1232");
    }
}

/// 40 addresses: 640 octets of records.
fn large() -> World {
    let many: String = (1..=40).map(|n| format!("many.example 60 A 192.0.2.{n}\n")).collect();
    World::new(&[("example", &format!("{ZONE}\n{many}"))])
}

#[test]
fn udp_responses_obey_the_smaller_of_the_clients_size_and_1232() {
    let mut world = large();
    // 12 + 18 + 640 + 11 octets.
    for (payload, truncated) in
        [(None, true), (Some(0), true), (Some(511), true), (Some(512), true), (Some(680), true), (Some(681), false), (Some(65535), false)]
    {
        let packet = ask("many.example", 1, payload.map(|payload| (payload, &[][..])));
        let response = world.handle(&packet, udp()).unwrap();
        assert!(response.len() <= usize::from(payload.unwrap_or(512)).clamp(512, 1232));
        assert_eq!(text(&response).starts_with("NOERROR aa tc rd\n? many.example. A"), truncated, "{payload:?}");
        assert_eq!(text(&response).contains("\nAN"), !truncated, "no set in part");
    }
    let whole = world.handle(&query("many.example", 1), tcp()).unwrap();
    assert_eq!(text(&whole).matches("\nAN").count(), 40);
}
