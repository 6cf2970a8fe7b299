//! What a certificate says of itself, for people: whose it is, who signed it, for which names, from when until when (RFC 5280 §4.1).
//!
//! A walk through its DER like [`expiry`](super::expiry)'s. Never here: trust. What makes no sense is left out.

use std::net::IpAddr;

use crate::health::CertificateDetail;

use super::expiry::{SEQUENCE, element, time};
use super::fail::quotable;

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const SET: u8 = 0x31;
/// `[0] EXPLICIT Version`, `[3] EXPLICIT Extensions`.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// `id-at-commonName`, `id-at-organizationName`, `id-ce-subjectAltName`.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ORGANIZATION: &[u8] = &[0x55, 4, 10];
const ALTERNATIVE_NAME: &[u8] = &[0x55, 29, 17];
/// `dNSName`, `iPAddress` of a GeneralName.
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
/// Names that are shown.
const NAMES_MAX: usize = 10;

/// As much as can be read of a DER certificate.
pub fn describe(certificate: &[u8]) -> CertificateDetail {
    let mut detail = CertificateDetail::default();
    let _as_far_as_it_makes_sense = walk(certificate, &mut detail);
    detail
}

fn walk(certificate: &[u8], detail: &mut CertificateDetail) -> Option<()> {
    let (_, certificate, _) = element(certificate, Some(SEQUENCE))?;
    let (_, mut rest, _) = element(certificate, Some(SEQUENCE))?;
    if rest.first() == Some(&VERSION) {
        (_, _, rest) = element(rest, Some(VERSION))?;
    }
    for before in [INTEGER, SEQUENCE] {
        (_, _, rest) = element(rest, Some(before))?;
    }
    let (_, issuer, rest) = element(rest, Some(SEQUENCE))?;
    detail.issuer = name(issuer);
    let (_, validity, rest) = element(rest, Some(SEQUENCE))?;
    let (from_tag, from, validity) = element(validity, None)?;
    let (until_tag, until, _) = element(validity, None)?;
    (detail.from, detail.until) = (time(from_tag, from), time(until_tag, until));
    let (_, subject, rest) = element(rest, Some(SEQUENCE))?;
    detail.subject = name(subject);
    let (_, _, mut rest) = element(rest, Some(SEQUENCE))?;
    while rest.first() != Some(&EXTENSIONS) {
        (_, _, rest) = element(rest, None)?;
    }
    let (_, extensions, _) = element(rest, Some(EXTENSIONS))?;
    let (_, mut extensions, _) = element(extensions, Some(SEQUENCE))?;
    while !extensions.is_empty() {
        let (_, extension, after) = element(extensions, Some(SEQUENCE))?;
        extensions = after;
        let (_, id, mut value) = element(extension, Some(OBJECT_ID))?;
        if id != ALTERNATIVE_NAME {
            continue;
        }
        if value.first() != Some(&OCTET_STRING) {
            // `critical`
            (_, _, value) = element(value, None)?;
        }
        let (_, value, _) = element(value, Some(OCTET_STRING))?;
        let (_, mut names, _) = element(value, Some(SEQUENCE))?;
        while !names.is_empty() && detail.names.len() < NAMES_MAX {
            let (tag, name, after) = element(names, None)?;
            names = after;
            detail.names.extend(alternative(tag, name));
        }
    }
    Some(())
}

fn alternative(tag: u8, name: &[u8]) -> Option<String> {
    match tag {
        DNS_NAME => Some(quotable(&String::from_utf8_lossy(name))),
        IP_ADDRESS => {
            let v4 = <[u8; 4]>::try_from(name).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(name).map(IpAddr::from)).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// The common name of a Name, else its organisation, else nothing.
fn name(mut parts: &[u8]) -> String {
    let mut organization = String::new();
    while let Some((_, set, after)) = element(parts, Some(SET)) {
        parts = after;
        let Some((_, pair, _)) = element(set, Some(SEQUENCE)) else { continue };
        let Some((_, id, value)) = element(pair, Some(OBJECT_ID)) else { continue };
        let Some((_, text, _)) = element(value, None) else { continue };
        let text = quotable(&String::from_utf8_lossy(text));
        match id {
            COMMON_NAME => return text,
            ORGANIZATION => organization = text,
            _ => {}
        }
    }
    organization
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> Vec<u8> {
        let names = vec!["api.example.com".to_string(), "*.example.com".to_string(), "192.0.2.1".to_string(), "2001:db8::1".to_string()];
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Example");
        params.distinguished_name.push(rcgen::DnType::CommonName, "gateway \u{1b}[2J");
        params.not_before = rcgen::date_time_ymd(2020, 2, 3);
        params.not_after = rcgen::date_time_ymd(2061, 1, 1);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn subject_issuer_names_and_dates_are_found() {
        let detail = describe(&certificate());
        assert_eq!((&*detail.subject, &*detail.issuer), ("gateway \u{fffd}[2J", "gateway \u{fffd}[2J"));
        assert_eq!(detail.names, ["api.example.com", "*.example.com", "192.0.2.1", "2001:db8::1"]);
        let times = [detail.from, detail.until].map(|at| at.unwrap().to_string());
        assert_eq!(times, ["2020-02-03T00:00:00.000Z", "2061-01-01T00:00:00.000Z"]);
    }

    #[test]
    fn cut_or_garbled_certificates_do_no_harm() {
        let good = certificate();
        for end in 0..good.len() {
            describe(&good[..end]);
        }
        for at in 0..good.len() {
            for value in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                describe(&bad);
            }
        }
    }
}
