//! What this server tells about itself, in class CH (RFC 4892, section 2): nothing, unless `reveal` says so.

use crate::model::AnswerSettings;
use crate::wire::{Lowered, Packet, Question, Rcode, Section, rtype};

use super::outcome::Outcome;

/// Answers `id.server`, `version.server` and their older spellings, and `config.windrose` (the hash of the configuration); everything else is REFUSED.
pub(super) fn chaos(settings: &AnswerSettings, question: &Question, name: &Lowered, packet: &mut Packet<'_>, outcome: &mut Outcome<'_>) {
    let text = match name.octets() {
        b"\x02id\x06server\0" | b"\x08hostname\x04bind\0" => &settings.id,
        b"\x07version\x06server\0" | b"\x07version\x04bind\0" => &settings.version,
        b"\x06config\x08windrose\0" => &settings.config,
        _ => &None,
    };
    let (Some(text), rtype::TXT | rtype::ANY) = (text, question.qtype) else {
        outcome.rcode = Rcode::Refused;
        return;
    };
    outcome.authoritative = true;
    let octets = text.as_bytes().get(..text.len().min(255)).unwrap_or_default();
    // Owner by pointer, TXT, CH, TTL 0, RDLENGTH, one character string.
    let length = octets.len() as u8;
    let [rdlength_high, rdlength_low] = (u16::from(length) + 1).to_be_bytes();
    let fits = packet.put(&[0xc0, 0x0c, 0, rtype::TXT as u8, 0, rtype::CLASS_CH as u8, 0, 0, 0, 0, rdlength_high, rdlength_low, length]) && packet.put(octets);
    packet.count(Section::Answer, u16::from(fits));
}
