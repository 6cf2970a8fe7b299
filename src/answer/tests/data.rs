//! RFC 1034, section 4.3.2, and everything that was said about it later.

use super::*;

const API: &str = "api.example.com 3600 SOA ns1.api.example.com hostmaster.example.com 2024 7200 900 1209600 60
    api.example.com 3600 NS ns1.api.example.com
    api.example.com 3600 NS ns2.elsewhere.test
    api.example.com 300 MX 10 mail.api.example.com
    ns1.api.example.com 3600 A 192.0.2.53
    ns1.api.example.com 3600 AAAA 2001:db8::53
    mail.api.example.com 300 A 192.0.2.25
    www.api.example.com 300 A 192.0.2.1
    www.api.example.com 300 A 192.0.2.2
    www.api.example.com 300 TXT hello world
    a.b.ent.api.example.com 300 A 192.0.2.3
    alias.api.example.com 300 CNAME www.api.example.com
    alias2.api.example.com 300 CNAME alias.api.example.com
    away.api.example.com 300 CNAME www.elsewhere.test
    dangling.api.example.com 300 CNAME nothing.api.example.com
    toent.api.example.com 300 CNAME b.ent.api.example.com
    tocut.api.example.com 300 CNAME x.sub.api.example.com
    loop1.api.example.com 300 CNAME loop2.api.example.com
    loop2.api.example.com 300 CNAME loop1.api.example.com
    self.api.example.com 300 CNAME self.api.example.com
    *.wild.api.example.com 300 A 192.0.2.9
    *.wild.api.example.com 300 MX 5 mail.api.example.com
    host.wild.api.example.com 300 TXT here
    x.ent.wild.api.example.com 300 TXT here
    *.cwild.api.example.com 300 CNAME www.api.example.com
    _sip._tcp.api.example.com 300 SRV 1 2 5060 mail.api.example.com
    sub.api.example.com 600 NS ns.sub.api.example.com
    sub.api.example.com 600 NS ns1.api.example.com
    sub.api.example.com 600 NS ns.other.test
    sub.api.example.com 600 DS 12345
    ns.sub.api.example.com 600 A 198.51.100.53
    deep.sub.api.example.com 600 A 198.51.100.99
    unsigned.api.example.com 600 NS ns.elsewhere.test";

const SOA: &str = "NS api.example.com. 60 SOA ns1.api.example.com. hostmaster.example.com. 2024 7200 900 1209600 60";

fn world() -> World {
    World::new(&[("api.example.com", API)])
}

#[test]
fn records_of_a_name() {
    let mut world = world();
    assert_eq!(
        world.ask("WWW.api.example.com", 1),
        "NOERROR aa rd\n? WWW.api.example.com. A\nAN WWW.api.example.com. 300 A 192.0.2.1\nAN WWW.api.example.com. 300 A 192.0.2.2"
    );
    assert_eq!(world.ask("www.api.example.com", 16), "NOERROR aa rd\n? www.api.example.com. TXT\nAN www.api.example.com. 300 TXT \"hello\" \"world\"");
    assert_eq!(
        world.ask("api.example.com", 6),
        "NOERROR aa rd\n? api.example.com. SOA\nAN api.example.com. 3600 SOA ns1.api.example.com. hostmaster.example.com. 2024 7200 900 1209600 60"
    );
}

#[test]
fn nodata_and_nxdomain_have_the_soa_with_the_smaller_ttl() {
    let mut world = world();
    assert_eq!(world.ask("www.api.example.com", 28), format!("NOERROR aa rd\n? www.api.example.com. AAAA\n{SOA}"));
    assert_eq!(world.ask("nx.api.example.com", 1), format!("NXDOMAIN aa rd\n? nx.api.example.com. A\n{SOA}"));
    assert_eq!(world.ask("a.very.deep.nx.api.example.com", 1), format!("NXDOMAIN aa rd\n? a.very.deep.nx.api.example.com. A\n{SOA}"));
    assert_eq!(world.ask("below.www.api.example.com", 1), format!("NXDOMAIN aa rd\n? below.www.api.example.com. A\n{SOA}"));
}

#[test]
fn the_soa_of_a_negative_answer_is_compressed_against_the_question() {
    let response = world().handle(&query("nx.api.example.com", 1), udp()).unwrap();
    // 12 + 24 for the question, then: owner 2, fixed 10, `ns1` and a pointer 6, `hostmaster.example.com` 24, numbers 20.
    assert_eq!(response.len(), 12 + 24 + 2 + 10 + 6 + 24 + 20);
}

#[test]
fn an_soa_ttl_below_its_minimum_wins() {
    let mut world = World::new(&[("example", "example 30 SOA ns.example h.example 1 2 3 4 900\nexample 30 NS ns.example")]);
    assert_eq!(world.ask("x.example", 1), "NXDOMAIN aa rd\n? x.example. A\nNS example. 30 SOA ns.example. h.example. 1 2 3 4 900");
}

#[test]
fn empty_non_terminals_exist() {
    let mut world = world();
    for name in ["b.ent.api.example.com", "ent.api.example.com", "_tcp.api.example.com", "wild.api.example.com"] {
        assert_eq!(world.ask(name, 1), format!("NOERROR aa rd\n? {name}. A\n{SOA}"));
        assert_eq!(world.ask(name, 255), format!("NOERROR aa rd\n? {name}. TYPE255\n{SOA}"));
    }
    assert_eq!(world.ask("c.ent.api.example.com", 1), format!("NXDOMAIN aa rd\n? c.ent.api.example.com. A\n{SOA}"));
}

#[test]
fn outside_our_zones_is_refused_without_a_referral() {
    let mut world = world();
    for name in ["", "com", "example.com", "xapi.example.com", "other.test", "api.example.com.evil.test"] {
        let asked = if name.is_empty() { "." } else { &format!("{name}.") };
        assert_eq!(world.ask(name, 1), format!("REFUSED rd\n? {asked} A"));
    }
}

#[test]
fn cname_chains_are_followed_inside_our_zones() {
    let mut world = world();
    assert_eq!(
        world.ask("alias2.api.example.com", 16),
        "NOERROR aa rd\n? alias2.api.example.com. TXT\nAN alias2.api.example.com. 300 CNAME alias.api.example.com.\n\
         AN alias.api.example.com. 300 CNAME www.api.example.com.\nAN www.api.example.com. 300 TXT \"hello\" \"world\""
    );
    assert_eq!(
        world.ask("alias2.api.example.com", 5),
        "NOERROR aa rd\n? alias2.api.example.com. CNAME\nAN alias2.api.example.com. 300 CNAME alias.api.example.com."
    );
    assert_eq!(world.ask("away.api.example.com", 1), "NOERROR aa rd\n? away.api.example.com. A\nAN away.api.example.com. 300 CNAME www.elsewhere.test.");
}

#[test]
fn the_end_of_a_chain_gives_the_rcode_and_the_soa() {
    let mut world = world();
    assert_eq!(
        world.ask("dangling.api.example.com", 1),
        format!("NXDOMAIN aa rd\n? dangling.api.example.com. A\nAN dangling.api.example.com. 300 CNAME nothing.api.example.com.\n{SOA}")
    );
    assert_eq!(
        world.ask("alias.api.example.com", 28),
        format!("NOERROR aa rd\n? alias.api.example.com. AAAA\nAN alias.api.example.com. 300 CNAME www.api.example.com.\n{SOA}")
    );
    assert_eq!(
        world.ask("toent.api.example.com", 1),
        format!("NOERROR aa rd\n? toent.api.example.com. A\nAN toent.api.example.com. 300 CNAME b.ent.api.example.com.\n{SOA}")
    );
}

#[test]
fn a_chain_into_a_cut_ends_in_a_referral_and_keeps_aa() {
    let text = world().ask("tocut.api.example.com", 1);
    assert!(text.starts_with("NOERROR aa rd\n? tocut.api.example.com. A\nAN tocut.api.example.com. 300 CNAME x.sub.api.example.com.\nNS sub.api.example.com. 600 NS ns.sub.api.example.com."), "{text}");
    assert!(text.contains("\nAR ns.sub.api.example.com. 600 A 198.51.100.53"), "{text}");
}

#[test]
fn cname_loops_end() {
    let mut world = world();
    assert_eq!(
        world.ask("loop1.api.example.com", 1),
        "NOERROR aa rd\n? loop1.api.example.com. A\nAN loop1.api.example.com. 300 CNAME loop2.api.example.com.\n\
         AN loop2.api.example.com. 300 CNAME loop1.api.example.com."
    );
    assert_eq!(world.ask("self.api.example.com", 1), "NOERROR aa rd\n? self.api.example.com. A\nAN self.api.example.com. 300 CNAME self.api.example.com.");
}

#[test]
fn a_chain_to_the_apex_points_at_its_name_and_not_at_a_pointer() {
    let mut world = World::new(&[("example", "example 30 SOA ns.example h.example 1 2 3 4 900\nexample 30 A 192.0.2.1\nx.example 60 CNAME example")]);
    let response = world.handle(&query("x.example", 1), udp()).unwrap();
    assert_eq!(super::text(&response), "NOERROR aa rd\n? x.example. A\nAN x.example. 60 CNAME example.\nAN example. 30 A 192.0.2.1");
    // Header, question, CNAME with two octets of data: the owner of the address is where the apex stands in the question.
    assert_eq!(response[12 + 15 + 14..][..2], [0xc0, 14]);
}

#[test]
fn what_may_stand_beside_a_cname_is_asked_of_the_name_itself() {
    let mut world = World::new(&[("example", "example 30 SOA ns.example h.example 1 2 3 4 900\nx.example 60 CNAME y.example\nx.example 60 TYPE46 sig")]);
    assert_eq!(world.ask("x.example", 46), "NOERROR aa rd\n? x.example. TYPE46\nAN x.example. 60 TYPE46 736967");
    assert_eq!(world.ask("x.example", 47), "NOERROR aa rd\n? x.example. TYPE47\nNS example. 30 SOA ns.example. h.example. 1 2 3 4 900");
    assert!(world.ask("x.example", 1).starts_with("NXDOMAIN"));
}

#[test]
fn a_wildcard_may_stand_for_two_names_of_a_chain() {
    let mut world = World::new(&[("example", "example 30 SOA ns.example h.example 1 2 3 4 900\n*.w.example 60 CNAME a.w.example")]);
    let links = "AN b.w.example. 60 CNAME a.w.example.\nAN a.w.example. 60 CNAME a.w.example.";
    assert_eq!(world.ask("b.w.example", 1), format!("NOERROR aa rd\n? b.w.example. A\n{links}"));
    assert_eq!(world.ask("a.w.example", 1), "NOERROR aa rd\n? a.w.example. A\nAN a.w.example. 60 CNAME a.w.example.");
}

#[test]
fn long_chains_are_cut() {
    let links: String = (0..30).map(|n| format!("\nl{n}.example 60 CNAME l{}.example", n + 1)).collect();
    let mut world = World::new(&[("example", &format!("example 30 SOA ns.example h.example 1 2 3 4 900{links}\nl30.example 60 A 192.0.2.1"))]);
    assert_eq!(world.ask("l0.example", 1).matches("CNAME").count(), 10);
    assert!(world.ask("l21.example", 1).ends_with("\nAN l30.example. 60 A 192.0.2.1"));
}

#[test]
fn wildcards_stand_for_names_that_do_not_exist() {
    let mut world = world();
    assert_eq!(world.ask("any.wild.api.example.com", 1), "NOERROR aa rd\n? any.wild.api.example.com. A\nAN any.wild.api.example.com. 300 A 192.0.2.9");
    assert_eq!(world.ask("a.b.c.wild.api.example.com", 1), "NOERROR aa rd\n? a.b.c.wild.api.example.com. A\nAN a.b.c.wild.api.example.com. 300 A 192.0.2.9");
    assert_eq!(
        world.ask("long-name.wild.api.example.com", 15),
        "NOERROR aa rd\n? long-name.wild.api.example.com. MX\nAN long-name.wild.api.example.com. 300 MX 5 mail.api.example.com.\n\
         AR mail.api.example.com. 300 A 192.0.2.25"
    );
    assert_eq!(world.ask("any.wild.api.example.com", 28), format!("NOERROR aa rd\n? any.wild.api.example.com. AAAA\n{SOA}"));
    assert_eq!(world.ask("*.wild.api.example.com", 1), "NOERROR aa rd\n? *.wild.api.example.com. A\nAN *.wild.api.example.com. 300 A 192.0.2.9");
    assert_eq!(
        world.ask("any.cwild.api.example.com", 1),
        "NOERROR aa rd\n? any.cwild.api.example.com. A\nAN any.cwild.api.example.com. 300 CNAME www.api.example.com.\n\
         AN www.api.example.com. 300 A 192.0.2.1\nAN www.api.example.com. 300 A 192.0.2.2"
    );
}

#[test]
fn existing_names_block_wildcards() {
    let mut world = world();
    // The name itself, a name below it, an empty non-terminal, a name below that, a name below the wildcard itself.
    assert_eq!(world.ask("host.wild.api.example.com", 1), format!("NOERROR aa rd\n? host.wild.api.example.com. A\n{SOA}"));
    assert_eq!(world.ask("x.host.wild.api.example.com", 1), format!("NXDOMAIN aa rd\n? x.host.wild.api.example.com. A\n{SOA}"));
    assert_eq!(world.ask("ent.wild.api.example.com", 1), format!("NOERROR aa rd\n? ent.wild.api.example.com. A\n{SOA}"));
    assert_eq!(world.ask("y.ent.wild.api.example.com", 1), format!("NXDOMAIN aa rd\n? y.ent.wild.api.example.com. A\n{SOA}"));
    assert_eq!(world.ask("x.*.wild.api.example.com", 1), format!("NXDOMAIN aa rd\n? x.*.wild.api.example.com. A\n{SOA}"));
}

#[test]
fn ns_records_of_a_wildcard_are_data_and_not_a_cut() {
    let mut world = World::new(&[("example", "example 30 SOA ns.example h.example 1 2 3 4 900\n*.w.example 60 NS ns.other.test")]);
    for name in ["*.w.example", "x.w.example"] {
        assert_eq!(world.ask(name, 2), format!("NOERROR aa rd\n? {name}. NS\nAN {name}. 60 NS ns.other.test."));
    }
}

const REFERRAL: &str = "NS sub.api.example.com. 600 NS ns.sub.api.example.com.\nNS sub.api.example.com. 600 NS ns1.api.example.com.\n\
    NS sub.api.example.com. 600 NS ns.other.test.\nAR ns.sub.api.example.com. 600 A 198.51.100.53\n\
    AR ns1.api.example.com. 3600 A 192.0.2.53\nAR ns1.api.example.com. 3600 AAAA 2001:db8::53";

#[test]
fn at_and_below_a_cut_is_a_referral_without_aa() {
    let mut world = world();
    for name in ["sub.api.example.com", "x.y.sub.api.example.com", "deep.sub.api.example.com", "ns.sub.api.example.com"] {
        for (qtype, word) in [(1, "A"), (2, "NS"), (255, "TYPE255")] {
            assert_eq!(world.ask(name, qtype), format!("NOERROR rd\n? {name}. {word}\n{REFERRAL}"));
        }
    }
    assert_eq!(world.ask("x.sub.api.example.com", 43), format!("NOERROR rd\n? x.sub.api.example.com. DS\n{REFERRAL}"));
}

#[test]
fn ds_at_a_cut_is_the_parents() {
    let mut world = world();
    assert_eq!(world.ask("sub.api.example.com", 43), "NOERROR aa rd\n? sub.api.example.com. DS\nAN sub.api.example.com. 600 DS 3132333435");
    assert_eq!(world.ask("unsigned.api.example.com", 43), format!("NOERROR aa rd\n? unsigned.api.example.com. DS\n{SOA}"));
}

#[test]
fn glue_that_does_not_fit_sets_tc_if_it_is_needed() {
    let glue = |n: usize, owner: &str| (0..n).map(|at| format!("\n{owner} 60 AAAA 2001:db8::{at:x}")).collect::<String>();
    let zone = |owner: &str, n| format!("example 30 SOA ns.example h.example 1 2 3 4 900\nsub.example 60 NS {owner}{}", glue(n, owner));
    let mut fits = World::new(&[("example", &zone("ns.sub.example", 5))]);
    assert!(fits.ask("x.sub.example", 1).starts_with("NOERROR rd\n"));
    let mut needed = World::new(&[("example", &zone("ns.sub.example", 20))]);
    assert_eq!(needed.ask("x.sub.example", 1), "NOERROR tc rd\n? x.sub.example. A\nNS sub.example. 60 NS ns.sub.example.");
    assert_eq!(text(&needed.handle(&query("x.sub.example", 1), tcp()).unwrap()).matches("\nAR").count(), 20);
    let mut welcome = World::new(&[("example", &zone("ns.example", 20))]);
    assert_eq!(welcome.ask("x.sub.example", 1), "NOERROR rd\n? x.sub.example. A\nNS sub.example. 60 NS ns.example.");
}

#[test]
fn additional_addresses_where_they_are_ours_and_fit() {
    let mut world = world();
    assert_eq!(
        world.ask("api.example.com", 15),
        "NOERROR aa rd\n? api.example.com. MX\nAN api.example.com. 300 MX 10 mail.api.example.com.\nAR mail.api.example.com. 300 A 192.0.2.25"
    );
    assert_eq!(
        world.ask("_sip._tcp.api.example.com", 33),
        "NOERROR aa rd\n? _sip._tcp.api.example.com. SRV\nAN _sip._tcp.api.example.com. 300 SRV 1 2 5060 mail.api.example.com.\n\
         AR mail.api.example.com. 300 A 192.0.2.25"
    );
    assert_eq!(
        world.ask("api.example.com", 2),
        "NOERROR aa rd\n? api.example.com. NS\nAN api.example.com. 3600 NS ns1.api.example.com.\nAN api.example.com. 3600 NS ns2.elsewhere.test.\n\
         AR ns1.api.example.com. 3600 A 192.0.2.53\nAR ns1.api.example.com. 3600 AAAA 2001:db8::53"
    );
    let many: String = (0..40).map(|n| format!("\nmail.example 60 A 192.0.2.{n}")).collect();
    let mut full = World::new(&[("example", &format!("example 30 SOA ns.example h.example 1 2 3 4 900\nexample 60 MX 1 mail.example{many}"))]);
    assert_eq!(full.ask("example", 15), "NOERROR aa rd\n? example. MX\nAN example. 60 MX 1 mail.example.");
}

#[test]
fn service_bindings_bring_the_addresses_of_their_targets() {
    // RFC 9460, section 4.1. TYPE lines hold octets as they are: priority, name, no parameters; the root stands for the owner itself.
    let zone = "example 30 SOA ns.example h.example 1 2 3 4 900\nx.example 60 TYPE65 \0\u{1}\u{1}h\u{7}example\0\nh.example 60 A 192.0.2.1\ny.example 60 TYPE65 \0\u{1}\0";
    let mut world = World::new(&[("example", zone)]);
    assert!(world.ask("x.example", 65).ends_with("\nAR h.example. 60 A 192.0.2.1"));
    assert!(!world.ask("y.example", 65).contains("\nAR"));
}

#[test]
fn any_is_small() {
    let mut world = world();
    assert_eq!(world.ask("www.api.example.com", 255), "NOERROR aa rd\n? www.api.example.com. TYPE255\nAN www.api.example.com. 3600 HINFO \"RFC8482\" \"\"");
    assert_eq!(
        world.ask("x.wild.api.example.com", 255),
        "NOERROR aa rd\n? x.wild.api.example.com. TYPE255\nAN x.wild.api.example.com. 3600 HINFO \"RFC8482\" \"\""
    );
    assert_eq!(
        world.ask("alias.api.example.com", 255),
        "NOERROR aa rd\n? alias.api.example.com. TYPE255\nAN alias.api.example.com. 300 CNAME www.api.example.com."
    );
    assert_eq!(world.ask("nx.api.example.com", 255), format!("NXDOMAIN aa rd\n? nx.api.example.com. TYPE255\n{SOA}"));
}

#[test]
fn the_most_specific_zone_answers() {
    let parent = "example 30 SOA ns.example h.example 1 2 3 4 900\nexample 60 NS ns.example\nchild.example 60 NS ns.child.example\nchild.example 60 DS abc
        ns.child.example 60 A 192.0.2.66\ninside.child.example 60 TXT occluded\nto.example 60 CNAME www.child.example\n*.example 60 TXT wild\nuncut.other.example 60 TXT x";
    let child = "child.example 20 SOA ns.child.example h.child.example 9 2 3 4 900\nchild.example 60 NS ns.child.example\nns.child.example 60 A 192.0.2.1
        www.child.example 60 A 192.0.2.2\nup.child.example 60 CNAME nx.deep.example";
    let deep = "deep.example 10 SOA ns.deep.example h.deep.example 7 2 3 4 900\ndeep.example 60 NS ns.deep.example";
    let soa_child = "NS child.example. 20 SOA ns.child.example. h.child.example. 9 2 3 4 900";
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let zones = [("example", parent), ("child.example", child), ("deep.example", deep)];
        let mut world = World::new(&order.map(|at| zones[at]));
        assert_eq!(
            world.ask("child.example", 2),
            "NOERROR aa rd\n? child.example. NS\nAN child.example. 60 NS ns.child.example.\nAR ns.child.example. 60 A 192.0.2.1"
        );
        assert_eq!(world.ask("inside.child.example", 16), format!("NXDOMAIN aa rd\n? inside.child.example. TXT\n{soa_child}"));
        assert_eq!(world.ask("ns.child.example", 1), "NOERROR aa rd\n? ns.child.example. A\nAN ns.child.example. 60 A 192.0.2.1");
        assert_eq!(world.ask("any.example", 16), "NOERROR aa rd\n? any.example. TXT\nAN any.example. 60 TXT \"wild\"");
        // DS is the parent's, whether it delegates or not.
        assert_eq!(world.ask("child.example", 43), "NOERROR aa rd\n? child.example. DS\nAN child.example. 60 DS 616263");
        assert_eq!(world.ask("deep.example", 43), "NOERROR aa rd\n? deep.example. DS\nNS example. 30 SOA ns.example. h.example. 1 2 3 4 900");
        assert_eq!(world.ask("example", 43), "NOERROR aa rd\n? example. DS\nNS example. 30 SOA ns.example. h.example. 1 2 3 4 900");
        // Chains cross from zone to zone.
        assert_eq!(world.ask("to.example", 28), format!("NOERROR aa rd\n? to.example. AAAA\nAN to.example. 60 CNAME www.child.example.\n{soa_child}"));
        assert_eq!(
            world.ask("to.example", 1),
            "NOERROR aa rd\n? to.example. A\nAN to.example. 60 CNAME www.child.example.\nAN www.child.example. 60 A 192.0.2.2"
        );
        assert_eq!(
            world.ask("up.child.example", 1),
            "NXDOMAIN aa rd\n? up.child.example. A\nAN up.child.example. 60 CNAME nx.deep.example.\nNS deep.example. 10 SOA ns.deep.example. h.deep.example. 7 2 3 4 900"
        );
    }
}

#[test]
fn the_root_may_be_a_zone() {
    let mut world = World::new(&[("", ". 30 SOA ns.test h.test 1 2 3 4 900\n. 60 NS ns.test\nns.test 60 A 192.0.2.1\nc.test 60 CNAME nx.test")]);
    assert_eq!(world.ask("", 2), "NOERROR aa rd\n? . NS\nAN . 60 NS ns.test.\nAR ns.test. 60 A 192.0.2.1");
    assert_eq!(world.ask("a.b", 1), "NXDOMAIN aa rd\n? a.b. A\nNS . 30 SOA ns.test. h.test. 1 2 3 4 900");
    assert_eq!(world.ask("c.test", 1), "NXDOMAIN aa rd\n? c.test. A\nAN c.test. 60 CNAME nx.test.\nNS . 30 SOA ns.test. h.test. 1 2 3 4 900");
}

#[test]
fn names_of_the_greatest_length_are_found_and_missed() {
    let label = "a".repeat(63);
    let long = format!("{label}.{label}.{label}.{}.example", "b".repeat(53));
    let mut world = World::new(&[("example", &format!("example 30 SOA ns.example h.example 1 2 3 4 900\n{long} 60 A 192.0.2.1"))]);
    assert_eq!(query(&long, 1).len(), 12 + 255 + 4);
    assert!(world.ask(&long, 1).ends_with(" 60 A 192.0.2.1"));
    let deep = "x.".repeat(123) + "example";
    assert!(world.ask(&deep, 1).starts_with("NXDOMAIN aa rd\n"));
    // The wildcard of so long a name would not be a name.
    assert!(world.ask(&format!("c.{}", &long[..long.len() - 9]), 1).starts_with("REFUSED"));
}
