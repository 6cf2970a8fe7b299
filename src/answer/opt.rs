//! The OPT record of a response: there is one if and only if the query had one (RFC 6891, section 6.1.1).
//!
//! | option      | goes back                                                              |
//! |-------------|------------------------------------------------------------------------|
//! | NSID        | if asked for and revealed (RFC 5001)                                    |
//! | subnet      | as it came, with the SCOPE in which the answer holds (RFC 7871)         |
//! | cookie      | the client's with ours (RFC 7873)                                       |
//! | keepalive   | over TCP, if asked for: how long an idle connection stays (RFC 7828)    |
//! | error       | why SERVFAIL, or what is odd (RFC 8914), if there is room               |
//! | padding     | never: transports are not encrypted (RFC 7830, section 3)               |

use std::time::Duration;

use crate::client::Subnet;
use crate::wire::{Packet, Section, option, rtype};

use super::UDP_OCTETS_MAX;
use super::cookies::Cookie;
use super::outcome::Outcome;

/// How long a TCP connection may be idle at least before it is closed (RFC 7766, section 6.2.3; RFC 7828): told to clients that
/// ask. It is closed after ten seconds at most; what lies between is the server's to look who has gone quiet.
pub const TCP_IDLE: Duration = Duration::from_millis(9_500);
/// The same in units of 100 ms.
const TCP_IDLE_UNITS: u16 = (TCP_IDLE.as_millis() / 100) as u16;

/// An OPT record without options (RFC 6891, section 6.1.2).
const OPT_OCTETS: usize = 11;
/// Code and length before an option's data.
const OPTION_HEAD_OCTETS: usize = 4;

/// What of a response's OPT record is settled before its answer.
#[derive(Default)]
pub(super) struct OptReply<'a> {
    /// Of the whole record without an error; 0: there is none.
    octets: usize,
    dnssec_ok: bool,
    nsid: Option<&'a str>,
    subnet: Option<Subnet<'a>>,
    cookie: Option<Cookie>,
    keepalive: bool,
}

impl<'a> OptReply<'a> {
    /// There is one.
    pub(super) fn begin(&mut self, dnssec_ok: bool) {
        (self.octets, self.dnssec_ok) = (OPT_OCTETS, dnssec_ok);
    }

    /// There is one, if the query had any, and nothing in it: the query is not understood.
    pub(super) fn begin_again(&mut self, seen: bool) {
        *self = Self { octets: if seen { OPT_OCTETS } else { 0 }, dnssec_ok: self.dnssec_ok, ..Self::default() };
    }

    pub(super) fn set_nsid(&mut self, name: &'a str) {
        if self.nsid.replace(name).is_none() {
            self.octets += OPTION_HEAD_OCTETS + name.len();
        }
    }

    pub(super) fn set_subnet(&mut self, subnet: Subnet<'a>) {
        self.subnet = Some(subnet);
        self.octets += OPTION_HEAD_OCTETS + subnet.echo().len();
    }

    pub(super) fn set_cookie(&mut self, cookie: Cookie) {
        self.cookie = Some(cookie);
        self.octets += OPTION_HEAD_OCTETS + size_of::<Cookie>();
    }

    pub(super) fn set_keepalive(&mut self) {
        if !std::mem::replace(&mut self.keepalive, true) {
            self.octets += OPTION_HEAD_OCTETS + 2;
        }
    }

    pub(super) fn has_cookie(&self) -> bool {
        self.cookie.is_some()
    }

    /// Octets of the whole record, without an error; 0: there is none.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// Writes the record, if there is one.
    pub(super) fn put(&self, packet: &mut Packet<'_>, outcome: &Outcome<'_>) {
        if self.octets == 0 {
            return;
        }
        packet.use_reserved();
        let error_octets = |text: &[u8]| OPTION_HEAD_OCTETS + 2 + text.len();
        // RFC 8914, section 3: the error is left out if there is no room.
        let extra_text = outcome.extra_text.filter(|text| self.octets + error_octets(text) <= packet.room());
        let rdata_octets = self.octets - OPT_OCTETS + extra_text.map_or(0, error_octets);
        let [payload_high, payload_low] = (UDP_OCTETS_MAX as u16).to_be_bytes();
        let [length_high, length_low] = (rdata_octets as u16).to_be_bytes();
        let rcode_high = (outcome.rcode.number() >> 4) as u8;
        let flags_high = if self.dnssec_ok { 0x80 } else { 0 };
        packet.put(&[0, 0, rtype::OPT as u8, payload_high, payload_low, rcode_high, 0, flags_high, 0, length_high, length_low]);
        packet.count(Section::Additional, 1);
        if rdata_octets == 0 {
            return;
        }
        if let Some([client, head, hash]) = self.cookie {
            let [c0, c1] = option::COOKIE.to_be_bytes();
            packet.put(&[c0, c1, 0, size_of::<Cookie>() as u8]);
            packet.put([client, head, hash].as_flattened());
        }
        if let Some(name) = self.nsid {
            put_option(packet, option::NSID, name.as_bytes());
        }
        if let Some(subnet) = self.subnet {
            let start = packet.length();
            put_option(packet, option::CLIENT_SUBNET, subnet.echo());
            packet.patch(start + OPTION_HEAD_OCTETS + Subnet::SCOPE_AT, &[outcome.scope]);
        }
        if self.keepalive {
            put_option(packet, option::KEEPALIVE, &TCP_IDLE_UNITS.to_be_bytes());
        }
        if let Some(text) = extra_text {
            put_option_head(packet, option::EXTENDED_ERROR, 2 + text.len());
            packet.put(&outcome.extra_code.to_be_bytes());
            packet.put(text);
        }
    }
}

fn put_option(packet: &mut Packet<'_>, code: u16, data: &[u8]) {
    put_option_head(packet, code, data.len());
    packet.put(data);
}

fn put_option_head(packet: &mut Packet<'_>, code: u16, octets: usize) {
    let [c0, c1] = code.to_be_bytes();
    let [l0, l1] = (octets as u16).to_be_bytes();
    packet.put(&[c0, c1, l0, l1]);
}
