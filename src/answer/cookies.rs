//! Server cookies (RFC 7873) in the one form that all servers make alike (RFC 9018): proof that a client receives what is sent to its address.
//!
//! ```text
//! client cookie (8) | version 1 (1) | reserved (3) | seconds since 1970 (4) | SipHash-2-4 of all that and the client's address (8)
//! ```

use std::net::IpAddr;

use siphasher::sip::SipHasher24;

use crate::model::CookieSecret;

use super::words::CookieOutcome;

/// A client's cookie.
const CLIENT_OCTETS: usize = 8;
/// Server cookies of other servers may be longer (RFC 7873, section 4).
const SERVER_OCTETS: std::ops::RangeInclusive<usize> = 8..=32;
/// Both cookies as they are made here: the client's, version with stamp, hash.
pub(super) type Cookie = [[u8; 8]; 3];
/// A cookie is accepted for so long (RFC 9018, section 4.3), seconds.
const AGE_MAX: i32 = 3600;
/// Clocks of nodes may differ by so much, seconds.
const AHEAD_MAX: i32 = 300;
/// From this age on a valid cookie is renewed, seconds.
const RENEW_AGE: i32 = 1800;
/// Version 1 and reserved zeros, before the stamp.
const VERSION: u64 = 1 << 56;

/// What a cookie option was worth, and what goes back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    pub(super) outcome: CookieOutcome,
    pub(super) reply: Cookie,
}

/// Judges a cookie option; `unix` is the time in seconds, modulo 2³². `None`: its length is none that a cookie may have (RFC 7873, section 5.2.2).
/// Without a secret nothing is judged: see the caller.
pub(super) fn judge(option: &[u8], client: IpAddr, unix: u32, secrets: &[CookieSecret]) -> Option<Judged> {
    let (asked, server) = option.split_first_chunk::<CLIENT_OCTETS>()?;
    if !server.is_empty() && !SERVER_OCTETS.contains(&server.len()) {
        return None;
    }
    if let Some((stamp, hash)) = own_form(server) {
        // Serial number arithmetic (RFC 1982): the stamp may wrap.
        let age = unix.wrapping_sub(stamp) as i32;
        let fits = (-AHEAD_MAX..=AGE_MAX).contains(&age);
        if let Some(made_by) = secrets.iter().position(|secret| fits && hash_of(*asked, stamp, client, *secret) == hash) {
            // One by a secret that is on its way out is renewed, too.
            let reply = if age < RENEW_AGE && made_by == 0 { [*asked, head(stamp), hash] } else { make(*asked, unix, client, secrets) };
            return Some(Judged { outcome: CookieOutcome::Valid, reply });
        }
    }
    let outcome = if server.is_empty() { CookieOutcome::New } else { CookieOutcome::Invalid };
    Some(Judged { outcome, reply: make(*asked, unix, client, secrets) })
}

/// Stamp and hash of a server cookie that looks like ours.
fn own_form(server: &[u8]) -> Option<(u32, [u8; 8])> {
    let (&[head, hash], []) = server.as_chunks::<8>().0.split_first_chunk::<2>()? else { return None };
    let head = u64::from_be_bytes(head);
    (server.len() == 16 && head & !u64::from(u32::MAX) == VERSION).then_some((head as u32, hash))
}

/// A new cookie, by the first secret.
fn make(asked: [u8; CLIENT_OCTETS], unix: u32, client: IpAddr, secrets: &[CookieSecret]) -> Cookie {
    [asked, head(unix), secrets.first().map_or([0; 8], |secret| hash_of(asked, unix, client, *secret))]
}

fn head(stamp: u32) -> [u8; 8] {
    (VERSION | u64::from(stamp)).to_be_bytes()
}

/// RFC 9018, section 4.4.
fn hash_of(asked: [u8; CLIENT_OCTETS], stamp: u32, client: IpAddr, CookieSecret(secret): CookieSecret) -> [u8; 8] {
    let (address, octets) = match client {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 20),
        IpAddr::V6(address) => (u128::from(address), 32),
    };
    let input = [asked, head(stamp), ((address >> 64) as u64).to_be_bytes(), (address as u64).to_be_bytes()];
    let input = input.as_flattened().get(..octets).unwrap_or_default();
    SipHasher24::new_with_key(&secret).hash(input).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        std::array::from_fn(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap())
    }

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    fn client(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// RFC 9018, appendix A.1.
    #[test]
    fn a_new_cookie_is_that_of_the_rfc() {
        let judged = judge(&hex::<8>("2464c4abcf10c957"), client("198.51.100.100"), 1_559_731_985, &[CookieSecret(hex(SECRET))]).unwrap();
        assert_eq!((judged.outcome, judged.reply.as_flattened()), (CookieOutcome::New, &hex::<24>("2464c4abcf10c957010000005cf79f111f8130c3eee29480")[..]));
    }

    /// RFC 9018, appendix A.2: received after half an hour, renewed.
    #[test]
    fn an_old_cookie_is_valid_and_renewed_as_in_the_rfc() {
        let sent = hex::<24>("2464c4abcf10c957010000005cf79f111f8130c3eee29480");
        let judged = judge(&sent, client("198.51.100.100"), 1_559_734_385, &[CookieSecret(hex(SECRET))]).unwrap();
        assert_eq!((judged.outcome, judged.reply.as_flattened()), (CookieOutcome::Valid, &hex::<24>("2464c4abcf10c957010000005cf7a871d4a564a1442aca77")[..]));
    }

    /// RFC 9018, appendix A.4: an IPv6 client, and a secret that was rolled over.
    #[test]
    fn the_secret_before_is_still_accepted_and_the_new_one_makes() {
        let (old, new) = (hex("dd3bdf9344b678b185a6f5cb60fca715"), hex("445536bcd2513298075a5d379663c962"));
        let sent = hex::<24>("22681ab97d52c298010000005cf7c57926556bd0934c72f8");
        let judged = judge(&sent, client("2001:db8:220:1:59de:d0f4:8769:82b8"), 1_559_741_961, &[CookieSecret(new), CookieSecret(old)]).unwrap();
        assert_eq!((judged.outcome, judged.reply.as_flattened()), (CookieOutcome::Valid, &hex::<24>("22681ab97d52c298010000005cf7c609a6bb79d16625507a")[..]));
    }

    #[test]
    fn a_young_cookie_goes_back_as_it_came() {
        let secrets = [CookieSecret([7; 16])];
        let first = judge(&[1; 8], client("192.0.2.1"), 1000, &secrets).unwrap().reply;
        let judged = judge(first.as_flattened(), client("192.0.2.1"), 2799, &secrets).unwrap();
        assert_eq!((judged.outcome, judged.reply), (CookieOutcome::Valid, first));
    }

    #[test]
    fn another_address_time_or_secret_proves_nothing() {
        let secrets = [CookieSecret([7; 16])];
        let cookie = judge(&[1; 8], client("192.0.2.1"), 10_000, &secrets).unwrap().reply;
        let cookie: [u8; 24] = cookie.as_flattened().try_into().unwrap();
        let outcome = |cookie: &[u8], from: &str, unix, secret| judge(cookie, client(from), unix, &[CookieSecret([secret; 16])]).unwrap().outcome;
        assert_eq!(outcome(&cookie, "192.0.2.1", 13_600, 7), CookieOutcome::Valid);
        assert_eq!(outcome(&cookie, "192.0.2.1", 9_700, 7), CookieOutcome::Valid);
        for (from, unix, secret) in [("192.0.2.2", 10_000, 7), ("::1", 10_000, 7), ("192.0.2.1", 13_601, 7), ("192.0.2.1", 9_699, 7), ("192.0.2.1", 10_000, 8)]
        {
            assert_eq!(outcome(&cookie, from, unix, secret), CookieOutcome::Invalid, "{from} {unix} {secret}");
        }
        for at in 0..cookie.len() {
            let mut forged = cookie;
            forged[at] ^= 1;
            assert_eq!(outcome(&forged, "192.0.2.1", 10_000, 7), CookieOutcome::Invalid, "octet {at}");
        }
    }

    #[test]
    fn lengths_that_no_cookie_has_are_malformed() {
        let secrets = [CookieSecret([7; 16])];
        for length in 0..=64 {
            let well_formed = length == 8 || (16..=40).contains(&length);
            assert_eq!(judge(&vec![0; length], client("192.0.2.1"), 0, &secrets).is_some(), well_formed, "{length}");
        }
    }
}
