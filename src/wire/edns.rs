//! EDNS(0): the OPT record (RFC 6891, section 6.1) and the options that this server reads or writes.

/// Option codes.
pub mod option {
    /// Name Server Identifier (RFC 5001).
    pub const NSID: u16 = 3;
    /// EDNS Client Subnet (RFC 7871).
    pub const CLIENT_SUBNET: u16 = 8;
    /// DNS Cookie (RFC 7873).
    pub const COOKIE: u16 = 10;
    /// edns-tcp-keepalive (RFC 7828).
    pub const KEEPALIVE: u16 = 11;
    /// Extended DNS Error (RFC 8914).
    pub const EXTENDED_ERROR: u16 = 15;
}

/// Info codes of Extended DNS Errors (RFC 8914, section 4).
pub mod ede {
    /// 0: the text says it all.
    pub const OTHER: u16 = 0;
}

/// The OPT record of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns<'a> {
    /// Requestor's UDP payload size as sent; below 512 means 512 (RFC 6891, section 6.2.3).
    pub payload: u16,
    /// The version; we speak 0.
    pub version: u8,
    /// DO (RFC 3225), copied into the response.
    pub dnssec_ok: bool,
    /// RDATA: options, not yet checked.
    pub options: &'a [u8],
}

impl<'a> Edns<'a> {
    /// From CLASS, TTL and RDATA of an OPT record. The upper bits of the extended RCODE mean nothing in a query; unknown flags are ignored.
    pub fn read(class: u16, ttl: [u8; 4], options: &'a [u8]) -> Self {
        let [_rcode, version, flags, _] = ttl;
        Self { payload: class, version, dnssec_ok: flags & 0x80 != 0, options }
    }

    /// The options that mean something here; others are skipped (RFC 6891, section 6.1.2). `Err` if they don't fill RDATA exactly.
    /// Of two with one code the first counts (RFC 7873, section 5.2; RFC 7871 and the others don't say).
    #[allow(clippy::result_unit_err, reason = "there is one thing to do about it: FORMERR")]
    pub fn known_options(&self) -> Result<KnownOptions<'a>, ()> {
        let (mut rest, mut known) = (self.options, KnownOptions::default());
        while !rest.is_empty() {
            let ([c0, c1, l0, l1], after) = rest.split_first_chunk::<4>().ok_or(())?;
            let (data, after) = after.split_at_checked(usize::from(u16::from_be_bytes([*l0, *l1]))).ok_or(())?;
            let place = match u16::from_be_bytes([*c0, *c1]) {
                option::NSID => &mut known.nsid,
                option::CLIENT_SUBNET => &mut known.subnet,
                option::COOKIE => &mut known.cookie,
                option::KEEPALIVE => &mut known.keepalive,
                _ => &mut None,
            };
            if place.is_none() {
                *place = Some(data);
            }
            rest = after;
        }
        Ok(known)
    }
}

/// The data of the options of a query that mean something here, not yet checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownOptions<'a> {
    /// [`option::NSID`]
    pub nsid: Option<&'a [u8]>,
    /// [`option::CLIENT_SUBNET`]
    pub subnet: Option<&'a [u8]>,
    /// [`option::COOKIE`]
    pub cookie: Option<&'a [u8]>,
    /// [`option::KEEPALIVE`]
    pub keepalive: Option<&'a [u8]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(options: &[u8]) -> Result<KnownOptions<'_>, ()> {
        Edns::read(1232, [0; 4], options).known_options()
    }

    #[test]
    fn options_must_fill_the_record_exactly() {
        assert_eq!(known(b""), Ok(KnownOptions::default()));
        assert_eq!(known(b"\x00\x03\x00\x00"), Ok(KnownOptions { nsid: Some(b""), ..KnownOptions::default() }));
        assert_eq!(known(b"\xff\xff\x00\x01x\x00\x08\x00\x02yz"), Ok(KnownOptions { subnet: Some(b"yz"), ..KnownOptions::default() }));
        for bad in [&b"\x00"[..], b"\x00\x03\x00", b"\x00\x03\x00\x01", b"\x00\x03\x00\x00\x00"] {
            assert_eq!(known(bad), Err(()), "{bad:?}");
        }
    }

    #[test]
    fn the_first_of_two_counts() {
        assert_eq!(known(b"\x00\x08\x00\x01a\x00\x08\x00\x01b").unwrap().subnet, Some(&b"a"[..]));
        let both = known(b"\x00\x0a\x00\x01a\x00\x0b\x00\x00\x00\x0a\x00\x01b").unwrap();
        assert_eq!((both.cookie, both.keepalive), (Some(&b"a"[..]), Some(&b""[..])));
    }
}
