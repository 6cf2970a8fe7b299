//! The zones that all four serve: a parent with everything, a child that it delegates, another one apart.

use std::collections::BTreeSet;

use super::super::raw::name;

/// Apex without its final dot, and text.
pub fn all() -> Vec<(&'static str, String)> {
    vec![("diff.test", parent()), ("child.diff.test", CHILD.to_string()), ("apart.test", APART.to_string())]
}

pub fn is_apex(owner: &[u8]) -> bool {
    all().iter().any(|(apex, _)| name(apex).eq_ignore_ascii_case(owner))
}

/// The apex of the zone that a name belongs to.
pub fn zone_of(name: &[u8]) -> Option<&'static str> {
    let within = |apex: &str| name.to_ascii_lowercase().ends_with(&super::super::raw::name(apex));
    ["child.diff.test", "diff.test", "apart.test"].into_iter().find(|apex| within(apex))
}

/// A name that begins a chain which is longer than some follow.
pub fn is_endless(name: &[u8]) -> bool {
    name.to_ascii_lowercase().windows(7).any(|part| part == b"endless")
}

/// Owners of all zones, in wire form, and the names that CNAME and NS records point to.
pub fn names() -> Vec<Vec<u8>> {
    let mut names = BTreeSet::new();
    for (apex, text) in all() {
        let full = |relative: &str| match relative {
            "@" => name(apex),
            absolute if absolute.ends_with('.') => name(absolute),
            _ => [name(relative).split_last().expect("the root's octet").1, &name(apex)].concat(),
        };
        for line in text.lines().filter(|line| !line.starts_with([' ', '$', ';', '(', ')'])) {
            let mut words = line.split_whitespace();
            if let Some(owner) = words.next() {
                names.insert(full(owner));
            }
            let words: Vec<&str> = words.collect();
            if let Some(at) = words.iter().position(|word| matches!(*word, "CNAME" | "NS")) {
                names.insert(full(words[at + 1]));
            }
        }
    }
    names.into_iter().collect()
}

fn parent() -> String {
    let mut text = PARENT.to_string();
    let mut add = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    // Sets of every size around the limits.
    for count in [3, 6, 7, 8, 9, 14, 15, 16, 17, 18, 19, 30, 90] {
        (0..count).for_each(|n| add(format!("set{count} 90 TXT \"{n:03} {}\"", "t".repeat(54))));
    }
    for count in [20, 28, 29, 30, 31, 70, 72, 74, 76] {
        (0..count).for_each(|n| add(format!("many{count} 45 A 198.18.{count}.{n}")));
    }
    (0..3).for_each(|n| add(format!("mx{n} MX {n} many29")));
    // Cuts with more and more glue.
    for count in [1, 5, 12, 16, 17, 18, 40] {
        add(format!("fat{count} 70 NS ns.fat{count}"));
        (0..count).for_each(|n| add(format!("ns.fat{count} 70 AAAA 2001:db8:fa7::{n:x}")));
    }
    // Chains of every length; the longest is longer than anybody follows.
    for length in [2, 4, 5] {
        (0..length).for_each(|n| add(format!("chain{length}-{n} CNAME chain{length}-{}", n + 1)));
        add(format!("chain{length}-{length} A 192.0.2.{length}"));
    }
    (0..24).for_each(|n| add(format!("endless{n} CNAME endless{}", n + 1)));
    add("endless24 A 192.0.2.24".to_string());
    // Plain hosts, three levels.
    for n in 0..60 {
        add(format!("host{n} A 192.0.2.{n}"));
        if n % 3 == 0 {
            add(format!("host{n} {} AAAA 2001:db8::{n:x}", 60 + n));
        }
        if n % 4 == 0 {
            add(format!("deep.host{n} TXT \"below {n}\""));
        }
        if n % 5 == 0 {
            add(format!("a.b.c.tree{n} TXT \"leaf {n}\""));
        }
        if n % 6 == 0 {
            add(format!("*.gap.tree{n} A 203.0.113.{n}"));
        }
    }
    text
}

const PARENT: &str = r#"$TTL 3600
@ SOA ns1.diff.test. Host\.Master.diff.test. 2026112101 3600 900 604800 300
@ NS ns1
@ NS ns2
@ NS ns.elsewhere.example.
@ MX 10 mail
@ MX 20 Mail2
@ TXT "apex"
@ CAA 0 issue "ca.example.net"
@ A 192.0.2.100
ns1 A 192.0.2.53
ns1 AAAA 2001:db8::53
ns2 A 198.51.100.53
mail A 192.0.2.25
mail AAAA 2001:db8::25
mail2 A 192.0.2.26
; every type
types A 192.0.2.7
types AAAA 2001:db8::7
types TXT "one" "two; three" ""
types TXT "bytes \000\255\\\""
types MX 10 mail
types MX 0 .
types HINFO "cpu" "os"
types RP hostmaster.diff.test. types.diff.test.
types NAPTR 100 10 "S" "SIP+D2U" "" _sip._udp
types SSHFP 1 1 0123456789abcdef0123456789abcdef01234567
types TLSA 3 1 1 49FD46E6C4B45C55D4AC69CBD3CD34AC1AFE51DE8DEB5A2EC4A2C9D5E3E1D6A3
types CAA 128 issuewild ";"
types HTTPS 1 . alpn=h2,h3 port=8443
types SVCB 1 mail alpn=h2
types PTR mail
types TYPE65280 \# 3 0a0b0c
types TYPE99 \# 5 0474657374
ptr PTR Mail
ptr PTR types
srv SRV 10 60 5060 mail
srv SRV 20 60 5060 MAIL2
srv SRV 30 60 5060 sip.elsewhere.example.
srv SRV 40 60 5060 host.cut
_sip._tcp SRV 10 60 5060 host1
mxcut MX 10 mail.cut
mxcname MX 10 cname
mxwild MX 10 some.wild
mxchild MX 10 www.child
mxlost MX 10 nobody
zero 0 A 192.0.2.8
huge 2147483647 A 192.0.2.9
; names of all kinds
MiXeD TXT "mixed"
\000\255b\.d TXT "binary"
\000\255b\.d A 192.0.2.10
sp\032ace TXT "space"
\042.star TXT "an asterisk, written as a number, is a wildcard all the same"
a\042b TXT "an asterisk in a label"
xn--bcher-kva A 192.0.2.11
_under_score TXT "under"
abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz- A 192.0.2.12
; empty non-terminals
x.y.z.ent TXT "ent"
deep.down.below A 192.0.2.13
; wildcards
*.wild A 192.0.2.14
*.wild TXT "any"
*.wild MX 10 mail
exact.wild TXT "exact"
a.b.wild A 192.0.2.15
ent.x.wild A 192.0.2.16
*.*.twostar A 192.0.2.17
*.cname CNAME host1
*.cnameout CNAME www.elsewhere.example.
*.cnamelost CNAME nobody
*.cnamewild CNAME some.wild
*.cnamecut CNAME x.cut
sub.*.mid A 192.0.2.18
*.srv SRV 1 2 3 host1
*.deep.wild2 A 192.0.2.19
*.wild2 TXT "outer"
; chains
cname CNAME host1
CNAME2 CNAME cname
out CNAME www.elsewhere.example.
out2 CNAME out
lost CNAME nobody
lost2 CNAME lost
toent CNAME y.z.ent
towild CNAME some.wild
towild2 CNAME b.wild
tocut CNAME cut
tocut2 CNAME a.b.cut
tochild CNAME www.child
tochild2 CNAME nobody.child
toapart CNAME www.apart.test.
toapex CNAME @
toset CNAME set90
tobelow CNAME x.host1
loop1 CNAME loop2
loop2 CNAME loop3
loop3 CNAME loop1
self CNAME self
*.loopwild CNAME a.loopwild
intoloop CNAME loop2
; cuts
cut 600 NS ns.cut
cut 600 NS ns.other
cut 600 NS ns.elsewhere.example.
cut 600 DS 12345 13 2 49FD46E6C4B45C55D4AC69CBD3CD34AC1AFE51DE8DEB5A2EC4A2C9D5E3E1D6A3
ns.cut A 198.51.100.1
ns.cut AAAA 2001:db8:1::1
other NS ns.other
ns.other A 198.51.100.2
bare NS ns.elsewhere.example.
bare2 NS ns.apart.test.
inner.ent2 NS ns1
inner.ent2 DS 1 13 2 49FD46E6C4B45C55D4AC69CBD3CD34AC1AFE51DE8DEB5A2EC4A2C9D5E3E1D6A4
tohost NS host3
deepcut NS a.b.c.deepcut
a.b.c.deepcut A 198.51.100.3
CaSeCut NS NS.casecut
ns.CASECUT A 198.51.100.4
x.wild3 NS ns.x.wild3
ns.x.wild3 A 198.51.100.5
*.wild3 A 192.0.2.20
child NS ns.child
child NS ns1
child DS 54321 13 2 49FD46E6C4B45C55D4AC69CBD3CD34AC1AFE51DE8DEB5A2EC4A2C9D5E3E1D6A5
ns.child A 192.0.2.77
"#;

const CHILD: &str = r#"$TTL 600
@ SOA ns.child.diff.test. hostmaster.diff.test. 7 3600 900 604800 7200
@ NS ns
@ NS ns1.diff.test.
@ A 192.0.2.80
ns A 192.0.2.77
www A 192.0.2.78
up CNAME host1.diff.test.
uplost CNAME nobody.diff.test.
upcut CNAME x.cut.diff.test.
sub NS ns.sub
ns.sub A 198.51.100.6
*.wild TXT "child"
deep.ent A 192.0.2.79
"#;

const APART: &str = r#"$TTL 60
@ SOA ns.apart.test. hostmaster.apart.test. 1 3600 900 604800 30
@ NS ns
ns A 192.0.2.90
www A 192.0.2.91
back CNAME cname.diff.test.
"#;
