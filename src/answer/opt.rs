//! The OPT record of a response: there is one if and only if the query had one (RFC 6891, section 6.1.1).
//!
//! | option      | goes back                                                              |
//! |-------------|------------------------------------------------------------------------|
//! | NSID        | if asked for and revealed (RFC 5001)                                    |
//! | subnet      | as it came, SCOPE 0 (RFC 7871)                                          |
//! | cookie      | the client's with ours (RFC 7873)                                       |
//! | keepalive   | over TCP, if asked for: how long an idle connection stays (RFC 7828)    |
//! | error       | why SERVFAIL (RFC 8914), if there is room                               |
//! | padding     | never: transports are not encrypted (RFC 7830, section 3)               |

use std::time::Duration;

use crate::client::Subnet;
use crate::wire::{Packet, Section, ede, option, rtype};

use super::UDP_OCTETS_MAX;
use super::cookies::COOKIE_OCTETS;
use super::outcome::Outcome;

/// How long a TCP connection may be idle before it is closed (RFC 7766, section 6.2.3; RFC 7828): told to clients that ask.
pub const TCP_IDLE: Duration = Duration::from_secs(10);
/// The same in units of 100 ms.
const TCP_IDLE_UNITS: u16 = (TCP_IDLE.as_millis() / 100) as u16;

/// An OPT record without options (RFC 6891, section 6.1.2).
const OPT_OCTETS: usize = 11;
/// Code and length before an option's data.
const OPTION_HEAD_OCTETS: usize = 4;

/// What of a response's OPT record is settled before its answer.
#[derive(Clone, Copy, Default)]
pub(super) struct OptReply<'a> {
    pub(super) dnssec_ok: bool,
    pub(super) nsid: Option<&'a str>,
    pub(super) subnet: Option<Subnet<'a>>,
    pub(super) cookie: Option<[u8; COOKIE_OCTETS]>,
    pub(super) keepalive: bool,
}

impl OptReply<'_> {
    /// Octets of the whole record, without an error.
    pub(super) fn octets(&self) -> usize {
        let option = |octets: Option<usize>| octets.map_or(0, |octets| OPTION_HEAD_OCTETS + octets);
        OPT_OCTETS
            + option(self.nsid.map(str::len))
            + option(self.subnet.map(|subnet| subnet.echo().len()))
            + option(self.cookie.map(|cookie| cookie.len()))
            + option(self.keepalive.then_some(2))
    }

    pub(super) fn put(&self, packet: &mut Packet<'_>, outcome: &Outcome<'_>) {
        packet.use_reserved();
        let octets = self.octets();
        let error_octets = |text: &[u8]| OPTION_HEAD_OCTETS + 2 + text.len();
        // RFC 8914, section 3: the error is left out if there is no room.
        let extra_text = outcome.extra_text.filter(|text| octets + error_octets(text) <= packet.room());
        let rdata_octets = octets - OPT_OCTETS + extra_text.map_or(0, error_octets);
        let [payload_high, payload_low] = (UDP_OCTETS_MAX as u16).to_be_bytes();
        let [length_high, length_low] = (rdata_octets as u16).to_be_bytes();
        let rcode_high = (outcome.rcode.number() >> 4) as u8;
        let flags_high = if self.dnssec_ok { 0x80 } else { 0 };
        packet.put(&[0, 0, rtype::OPT as u8, payload_high, payload_low, rcode_high, 0, flags_high, 0, length_high, length_low]);
        if let Some(name) = self.nsid {
            put_option(packet, option::NSID, &[], name.as_bytes());
        }
        if let Some(subnet) = self.subnet {
            put_option(packet, option::CLIENT_SUBNET, &[], subnet.echo());
        }
        if let Some(cookie) = self.cookie {
            put_option(packet, option::COOKIE, &[], &cookie);
        }
        if self.keepalive {
            put_option(packet, option::KEEPALIVE, &[], &TCP_IDLE_UNITS.to_be_bytes());
        }
        if let Some(text) = extra_text {
            put_option(packet, option::EXTENDED_ERROR, &ede::OTHER.to_be_bytes(), text);
        }
        packet.count(Section::Additional, 1);
    }
}

fn put_option(packet: &mut Packet<'_>, code: u16, head: &[u8], data: &[u8]) {
    let [c0, c1] = code.to_be_bytes();
    let [l0, l1] = ((head.len() + data.len()) as u16).to_be_bytes();
    packet.put(&[c0, c1, l0, l1]);
    packet.put(head);
    packet.put(data);
}
