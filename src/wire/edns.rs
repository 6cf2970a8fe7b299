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
    /// 3: what was known before.
    pub const STALE_ANSWER: u16 = 3;
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
    /// Options, not yet checked.
    rdata: &'a [u8],
}

impl<'a> Edns<'a> {
    /// From CLASS, TTL and RDATA of an OPT record. The upper bits of the extended RCODE mean nothing in a query; unknown flags are ignored.
    pub fn read(class: u16, ttl: [u8; 4], rdata: &'a [u8]) -> Self {
        let [_rcode, version, flags, _] = ttl;
        Self { payload: class, version, dnssec_ok: flags & 0x80 != 0, rdata }
    }

    /// The options in their order; [`MalformedOptions`] ends them if they don't fill RDATA exactly.
    pub fn options(&self) -> Options<'a> {
        Options { rest: self.rdata }
    }
}

/// Options that don't fill the RDATA of their OPT record exactly: FORMERR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedOptions;

/// See [`Edns::options`]: code and data of each.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    rest: &'a [u8],
}

impl<'a> Options<'a> {
    /// There is none left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<(u16, &'a [u8]), MalformedOptions>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let split = self.rest.split_first_chunk::<4>().and_then(|([c0, c1, l0, l1], after)| {
            let (data, after) = after.split_at_checked(usize::from(u16::from_be_bytes([*l0, *l1])))?;
            self.rest = after;
            Some((u16::from_be_bytes([*c0, *c1]), data))
        });
        if split.is_none() {
            self.rest = &[];
        }
        Some(split.ok_or(MalformedOptions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(rdata: &[u8]) -> Result<Vec<(u16, &[u8])>, MalformedOptions> {
        Edns::read(1232, [0; 4], rdata).options().collect()
    }

    #[test]
    fn options_must_fill_the_record_exactly() {
        assert_eq!(options(b""), Ok(vec![]));
        assert_eq!(options(b"\x00\x03\x00\x00"), Ok(vec![(3, &b""[..])]));
        assert_eq!(options(b"\xff\xff\x00\x01x\x00\x08\x00\x02yz"), Ok(vec![(65535, &b"x"[..]), (8, b"yz")]));
        for bad in [&b"\x00"[..], b"\x00\x03\x00", b"\x00\x03\x00\x01", b"\x00\x03\x00\x00\x00"] {
            assert_eq!(options(bad), Err(MalformedOptions), "{bad:?}");
        }
    }

    #[test]
    fn nothing_comes_after_a_malformed_option() {
        let mut options = Edns::read(1232, [0; 4], b"\x00\x03\x00\x01").options();
        assert_eq!((options.next(), options.next()), (Some(Err(MalformedOptions)), None));
    }
}
