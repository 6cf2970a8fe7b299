//! Differences that were looked at, and why we don't follow.

use super::super::raw::CNAME;
use super::answer::Answer;
use super::peers::Peer;
use super::queries::Asked;
use super::zones;

/// A kind of difference.
struct Reviewed {
    peers: &'static [Peer],
    /// What the peers do, and why we do otherwise.
    why: &'static str,
    /// Names the whole of the difference: what it does not name must be equal.
    covers: fn(&Asked, &Answer, &Answer) -> bool,
}

use Peer::{Bind, Knot, Nsd};

const REVIEWED: &[Reviewed] = &[
    Reviewed {
        peers: &[Nsd, Knot, Bind],
        why: "a transfer that nobody may have is NOTAUTH or NOTIMP: RFC 5936, section 2.2.1, allows REFUSED, which says it for all names alike",
        covers: |asked, ours, theirs| matches!(asked.qtype, 251 | 252) && ours.rcode == 5 && matches!(theirs.rcode, 1 | 4 | 5 | 9) && theirs.is_empty(),
    },
    Reviewed {
        peers: &[Nsd, Knot],
        why: "types that are no data (OPT, NXNAME, TKEY, TSIG, MAILA, MAILB) as if they were: FORMERR (RFC 6891, 8945, 9824) or NOTIMP, as in BIND",
        covers: |asked, ours, theirs| {
            matches!(asked.qtype, 41 | 128 | 249 | 250 | 253 | 254) && matches!(ours.rcode, 1 | 4) && matches!(theirs.rcode, 0 | 3 | 5)
        },
    },
    Reviewed {
        peers: &[Bind],
        why: "TKEY without a key is FORMERR: nothing is malformed (RFC 2930, section 4), we don't do it, so NOTIMP",
        covers: |asked, ours, theirs| asked.qtype == 249 && ours.rcode == 4 && theirs.rcode == 1 && theirs.is_empty(),
    },
    Reviewed {
        peers: &[Nsd],
        why: "RRSIG and NSEC at a CNAME are asked of its target: they stand beside a CNAME (RFC 4035, section 2.5), so they are asked of the name, as in Knot and BIND",
        covers: |asked, ours, theirs| {
            matches!(asked.qtype, 46 | 47) && theirs.answers.iter().any(|record| record.rtype == CNAME) && ours.answers.is_empty() && ours.rcode == 0
        },
    },
    Reviewed {
        peers: &[Nsd, Knot],
        why: "class ANY is answered from class IN: no resolver asks so, and what is not served is REFUSED (RFC 1035, section 4.1.1), as in BIND but for the code",
        covers: |asked, ours, theirs| asked.qclass == 255 && ours.rcode == 5 && matches!(theirs.rcode, 0 | 3),
    },
    Reviewed {
        peers: &[Knot],
        why: "type 0 is NOTIMP: it is an unknown type like others (RFC 3597, section 2), as in NSD and BIND",
        covers: |asked, ours, theirs| asked.qtype == 0 && matches!(ours.rcode, 0 | 3 | 5) && theirs.rcode == 4 && theirs.is_empty(),
    },
    Reviewed {
        peers: &[Bind],
        why: "an unassigned type between 128 and 248 is FORMERR: nothing says what such a meta type means, so it is a type that no name has, as in NSD and Knot",
        covers: |asked, ours, theirs| matches!(asked.qtype, 129..=248) && matches!(ours.rcode, 0 | 3 | 5) && theirs.rcode == 1 && theirs.is_empty(),
    },
    Reviewed {
        peers: &[Nsd],
        why: "BADVERS without DO, and with AA if the query has it: RFC 3225, section 3, copies DO into every response, as Knot and BIND do",
        covers: |_, ours, theirs| ours.rcode == 16 && *theirs == Answer { dnssec_ok: false, authoritative: theirs.authoritative, ..ours.clone() },
    },
    Reviewed {
        peers: &[Nsd, Knot, Bind],
        why: "ANY with one set, all sets, or TC: RFC 8482, section 4, leaves the choice, and ours is HINFO",
        covers: |asked, ours, theirs| {
            let positive = !ours.answers.is_empty() && !theirs.answers.is_empty();
            asked.qtype == 255 && positive && (ours.rcode, ours.authoritative) == (theirs.rcode, theirs.authoritative) && !ours.needless_truncation
        },
    },
    Reviewed {
        peers: &[Knot, Bind],
        why: "a chain ends where it leaves the zone, though the server has the other zone, too: RFC 1034, section 4.3.2, step 3a, goes back to step 1, as NSD does",
        covers: |_, ours, theirs| {
            let leaves = theirs.answers.iter().any(|record| record.rtype == CNAME && zones::zone_of(&record.owner) != zones::zone_of(&record.rdata));
            leaves && theirs.answers.is_subset(&ours.answers) && theirs.rcode == 0 && ours.authoritative && theirs.authoritative
        },
    },
    Reviewed {
        peers: &[Bind],
        why: "a class that is not served is NOTIMP or FORMERR: RFC 1035, section 4.1.1, has REFUSED for what policy does not serve, as in NSD and Knot",
        covers: |asked, ours, theirs| asked.qclass != 1 && ours.rcode == 5 && matches!(theirs.rcode, 1 | 4) && theirs.is_empty(),
    },
    Reviewed {
        peers: &[Nsd, Knot, Bind],
        why: "another number of CNAME links before they give up: RFC 1034, section 5.2.2, leaves it open; we give 10, and resolvers ask on",
        covers: |asked, ours, theirs| {
            let long = zones::is_endless(&asked.name);
            long && ours.rcode == 0
                && (ours.answers.is_subset(&theirs.answers) || theirs.answers.is_subset(&ours.answers))
                && ours.authoritative
                && theirs.authoritative
        },
    },
    Reviewed {
        peers: &[Bind],
        why: "a CNAME loop is SERVFAIL beside its chain: RFC 1034, section 3.6.2, has an error for it, but the records are right and resolvers see the loop",
        covers: |_, ours, theirs| ours.rcode == 0 && theirs.rcode == 2 && !ours.answers.is_empty() && theirs.agrees(&Answer { rcode: 2, ..ours.clone() }),
    },
];

/// Why this difference is known.
pub fn difference(peer: Peer, asked: &Asked, ours: &Answer, theirs: &Answer) -> Option<&'static str> {
    REVIEWED.iter().find(|known| known.peers.contains(&peer) && (known.covers)(asked, ours, theirs)).map(|known| known.why)
}

/// Entries that this peer no longer needs.
pub fn unneeded(peer: Peer, is_needed: impl Fn(&str) -> bool) -> Vec<&'static str> {
    REVIEWED.iter().filter(|known| known.peers.contains(&peer) && !is_needed(known.why)).map(|known| known.why).collect()
}
