//! What is compared of a response.

use std::collections::BTreeSet;

use super::super::raw::{NS, Record, Response};
use super::queries::Asked;

/// What is made up for a client that has proven nothing may be cut beyond so many times its query.
const AMPLIFICATION_MAX: usize = 10;

/// RCODE, flags and sections as sets; names without their case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub rcode: u16,
    pub authoritative: bool,
    /// TC without need: the whole response would have fitted.
    pub needless_truncation: bool,
    pub edns: bool,
    pub dnssec_ok: bool,
    pub answers: BTreeSet<Record>,
    pub authorities: BTreeSet<Record>,
    /// Addresses below the cut of a referral, which it can't do without (RFC 9471).
    pub glue: BTreeSet<Record>,
    /// The rest of the additional section: a server may add it or not (RFC 1034, section 4.3.2, step 6).
    pub extras: BTreeSet<Record>,
}

impl Answer {
    /// Of a response, or of the whole one over TCP where that was asked for.
    pub fn of(asked: &Asked, first: &Response, whole: Option<&Response>) -> Self {
        let response = whole.unwrap_or(first);
        let [answers, mut authorities, additionals] = response.sections.each_ref().map(|section| section.iter().map(Record::folded).collect::<BTreeSet<_>>());
        // A server may add its zone's own NS records to an answer, or not (RFC 1034, section 4.3.2, says nothing of it).
        let positive = response.authoritative() && !answers.is_empty() && authorities.iter().all(|record| record.rtype == NS);
        if positive {
            authorities.retain(|record| !super::zones::is_apex(&record.owner));
        }
        let cut = authorities.iter().find(|record| record.rtype == NS && !positive).map(|record| record.owner.clone());
        let (glue, extras) = additionals.into_iter().partition(|record| cut.as_ref().is_some_and(|cut| record.owner.ends_with(cut)));
        Self {
            rcode: response.rcode(),
            authoritative: response.authoritative(),
            needless_truncation: first.truncated()
                && response.octets.len() <= asked.limit()
                && response.octets.len() <= AMPLIFICATION_MAX * asked.query.octets().len(),
            edns: response.opt.is_some(),
            dnssec_ok: response.opt.as_ref().is_some_and(|opt| opt.flags & 0x8000 != 0),
            answers,
            authorities,
            glue,
            extras,
        }
    }

    /// Both say the same. Of what may be added or not, sets that both have are equal.
    pub fn agrees(&self, other: &Self) -> bool {
        let of_both = |ours: &BTreeSet<Record>, theirs: &BTreeSet<Record>| {
            let is_theirs = |record: &&Record| theirs.iter().any(|their| (&their.owner, their.rtype) == (&record.owner, record.rtype));
            ours.iter().filter(is_theirs).cloned().collect()
        };
        let extras: BTreeSet<Record> = of_both(&self.extras, &other.extras);
        extras == of_both(&other.extras, &self.extras) && Self { extras: other.extras.clone(), ..self.clone() } == *other
    }

    pub fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.authorities.is_empty() && self.glue.is_empty() && self.extras.is_empty()
    }
}
