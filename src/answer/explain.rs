//! `dig TXT _explain.NAME`: why NAME is answered as it is, for clients of `dns.explain` alone. Everybody else gets what they would get without it.
//!
//! One TXT record for each step, numbered, since records of a set have no order (RFC 2181, section 5); all of them or TC. Everything comes from the snapshot,
//! so it is what was decided, and says when. Never on the hot path: [`is_asked`] is a comparison for every query that is not for TXT.

use std::net::IpAddr;

use crate::snapshot::{Found, Snapshot, What};
use crate::wire::{Lowered, Name, Packet, Question, Section, rtype};

use super::outcome::Outcome;

/// The first label.
const LABEL: &[u8] = b"\x08_explain";
/// Steps of one answer; the rest is counted.
const STEPS_MAX: usize = 60;
/// Octets of one step; longer ones are cut.
const STEP_OCTETS_MAX: usize = 600;
/// Octets of a character string (RFC 1035, section 3.3).
const STRING_OCTETS_MAX: usize = 255;

/// Whether this client may ask this.
#[inline]
pub(super) fn is_asked(snapshot: &Snapshot, question: &Question, name: &Lowered, client: IpAddr) -> bool {
    question.qtype == rtype::TXT
        && name.octets().starts_with(LABEL)
        && question.qclass == rtype::CLASS_IN
        && snapshot.settings().explain.iter().any(|network| network.contains(&client))
        // Outside our zones it is not for us to say.
        && !matches!(snapshot.names().find(name), Found::Outside)
}

/// Answers it. `name` is used up.
pub(super) fn explain(snapshot: &Snapshot, bound: usize, name: &mut Lowered, packet: &mut Packet<'_>, outcome: &mut Outcome<'_>) {
    let asked: Vec<u8> = name.octets().get(LABEL.len()..).unwrap_or_default().to_vec();
    name.set(&asked);
    outcome.authoritative = true;
    packet.lower_limit(bound);
    let lines = lines(snapshot, name, &asked, outcome);
    for (number, line) in (1..).zip(&lines) {
        if !put(packet, &format!("{number} {line}")) {
            // RFC 2181, section 9: a part of a set is no answer.
            packet.clear_records();
            outcome.truncated = true;
            return;
        }
    }
}

fn lines(snapshot: &Snapshot, name: &Lowered, asked: &[u8], outcome: &mut Outcome<'_>) -> Vec<String> {
    let found = snapshot.names().find(name);
    let zone = match &found {
        Found::Name(slot) | Found::Wildcard(slot) | Found::Cut(slot, _) => Some(slot.zone()),
        Found::Nothing(zone) => Some(*zone),
        Found::Outside => None,
    };
    let entry = zone.and_then(|zone| snapshot.names().zone(zone));
    outcome.zone = entry.map(|zone| zone.slot).unwrap_or_default();
    let apex = entry.and_then(|zone| Name::from_wire(asked.get(asked.len().checked_sub(zone.apex_octets.into())?..)?));
    let mut lines: Vec<String> = apex.iter().map(|apex| format!("zone: {apex}, authoritative, generation {}", snapshot.generation)).collect();
    let (service, wildcard) = match &found {
        Found::Name(slot) => (service_of(snapshot.names().what(slot)), false),
        Found::Wildcard(slot) => (service_of(snapshot.names().what(slot)), true),
        _ => (None, false),
    };
    let Some(service) = service else {
        let what = match found {
            Found::Name(_) => "static records, or nothing but names below it; no service",
            Found::Wildcard(_) => "static records of a wildcard",
            Found::Cut(..) => "delegated to other name servers",
            Found::Nothing(_) => "does not exist: NXDOMAIN",
            Found::Outside => "in none of our zones: REFUSED",
        };
        lines.push(format!("name: {what}"));
        return lines;
    };
    let Some(why) = snapshot.explained().and_then(|explained| explained.of(service)) else {
        lines.push("service: not decided yet".to_string());
        return lines;
    };
    lines.push(format!("service: {}{}", why.service, if wildcard { ", by a wildcard name" } else { "" }));
    lines.push(format!("revision: {}; decided {}", why.whose, why.at));
    lines.extend(why.steps.iter().take(STEPS_MAX).map(|step| step.to_string()));
    if STEPS_MAX < why.steps.len() {
        lines.push(format!("and {} more steps: windrose explain", why.steps.len() - STEPS_MAX));
    }
    lines
}

fn service_of(what: What<'_>) -> Option<crate::model::ServiceId> {
    match what {
        What::Service(service) => Some(service),
        What::Static(name) => name.service(),
        What::Empty => None,
    }
}

/// One record, owned by the name that was asked for, TTL 0: what it says is over with the next decision.
fn put(packet: &mut Packet<'_>, text: &str) -> bool {
    let octets = text.as_bytes();
    let octets = octets.get(..STEP_OCTETS_MAX).unwrap_or(octets);
    let mut rdata = Vec::with_capacity(octets.len() + 3);
    for string in octets.chunks(STRING_OCTETS_MAX) {
        rdata.push(string.len() as u8);
        rdata.extend_from_slice(string);
    }
    let [high, low] = (rdata.len() as u16).to_be_bytes();
    let fits = packet.put(&[0xc0, 0x0c, 0, rtype::TXT as u8, 0, rtype::CLASS_IN as u8, 0, 0, 0, 0, high, low]) && packet.put(&rdata);
    packet.count(Section::Answer, u16::from(fits));
    fits
}
