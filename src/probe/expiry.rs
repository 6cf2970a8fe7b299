//! When a certificate expires: a walk through its DER to `notAfter` (RFC 5280 §4.1), nothing else.
//!
//! rustls verifies certificates but does not tell their dates, and a whole X.509 parser would be a large dependency for one field.
//! Never here: trust. A certificate that makes no sense yields `None`.

use crate::model::Timestamp;

const INTEGER: u8 = 0x02;
pub(super) const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0] EXPLICIT Version`.
const VERSION: u8 = 0xa0;

/// `notAfter` of a DER certificate.
pub fn expires(certificate: &[u8]) -> Option<Timestamp> {
    let (_, certificate, _) = element(certificate, Some(SEQUENCE))?;
    let (_, mut rest, _) = element(certificate, Some(SEQUENCE))?;
    if rest.first() == Some(&VERSION) {
        (_, _, rest) = element(rest, Some(VERSION))?;
    }
    for before in [INTEGER, SEQUENCE, SEQUENCE] {
        // serialNumber, signature, issuer
        (_, _, rest) = element(rest, Some(before))?;
    }
    let (_, validity, _) = element(rest, Some(SEQUENCE))?;
    let (_, _, rest) = element(validity, None)?;
    let (tag, not_after, _) = element(rest, None)?;
    time(tag, not_after)
}

/// The first element of `der` as (tag, content, what follows); `None` if it is cut short, or has another tag than `expect`.
pub(super) fn element(der: &[u8], expect: Option<u8>) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    if expect.is_some_and(|expect| expect != tag) {
        return None;
    }
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // Lengths beyond 2^24 don't occur in handshakes.
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280 §4.1.2.5: always in UTC, with seconds).
pub(super) fn time(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        // §4.1.2.5.1: 50 to 99 are of the last century.
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let century = if year < "50" { "20" } else { "19" };
            (format!("{century}{year}"), rest)
        }
        GENERALIZED_TIME => text.split_at_checked(4).map(|(year, rest)| (year.to_string(), rest))?,
        _ => return None,
    };
    if rest.len() != 10 || !rest.is_ascii() {
        return None;
    }
    let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(|at| rest.get(at..at + 2).unwrap_or_default());
    let at = humantime::parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")).ok()?;
    let since_epoch = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp(i64::try_from(since_epoch.as_millis()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(not_after: (i32, u8, u8)) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["api.example.com".to_string()]).unwrap();
        params.not_after = rcgen::date_time_ymd(not_after.0, not_after.1, not_after.2);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_of_a_certificate_is_found_in_both_time_forms() {
        assert_eq!(expires(&certificate((2026, 1, 1))).unwrap().to_string(), "2026-01-01T00:00:00.000Z");
        assert_eq!(expires(&certificate((2049, 12, 31))).unwrap().to_string(), "2049-12-31T00:00:00.000Z");
        assert_eq!(expires(&certificate((2051, 2, 28))).unwrap().to_string(), "2051-02-28T00:00:00.000Z");
        assert_eq!(expires(&certificate((1999, 2, 28))).unwrap().to_string(), "1999-02-28T00:00:00.000Z");
    }

    #[test]
    fn cut_or_garbled_certificates_have_no_end_and_do_no_harm() {
        let good = certificate((2026, 1, 1));
        for end in 0..good.len() {
            assert_eq!(expires(&good[..end]), None);
        }
        for at in 0..good.len().min(200) {
            for value in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                expires(&bad);
            }
        }
    }
}
