//! EDNS(0): the OPT record (RFC 6891, section 6.1) and the options that this server reads or writes.

/// Option codes.
pub mod option {
    /// EDNS Client Subnet (RFC 7871).
    pub const CLIENT_SUBNET: u16 = 8;
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

    /// The first client subnet option, after a walk over all options. `Err` if they don't fill RDATA exactly; unknown ones are skipped (RFC 6891, section 6.1.2).
    #[allow(clippy::result_unit_err, reason = "there is one thing to do about it: FORMERR")]
    pub fn client_subnet(&self) -> Result<Option<&'a [u8]>, ()> {
        let (mut rest, mut subnet) = (self.options, None);
        while !rest.is_empty() {
            let ([c0, c1, l0, l1], after) = rest.split_first_chunk::<4>().ok_or(())?;
            let (data, after) = after.split_at_checked(usize::from(u16::from_be_bytes([*l0, *l1]))).ok_or(())?;
            if u16::from_be_bytes([*c0, *c1]) == option::CLIENT_SUBNET && subnet.is_none() {
                subnet = Some(data);
            }
            rest = after;
        }
        Ok(subnet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(options: &[u8]) -> Result<Option<&[u8]>, ()> {
        Edns::read(1232, [0; 4], options).client_subnet()
    }

    #[test]
    fn options_must_fill_the_record_exactly() {
        assert_eq!(subnet(b""), Ok(None));
        assert_eq!(subnet(b"\x00\x03\x00\x00"), Ok(None));
        assert_eq!(subnet(b"\xff\xff\x00\x01x\x00\x08\x00\x02yz"), Ok(Some(&b"yz"[..])));
        for bad in [&b"\x00"[..], b"\x00\x03\x00", b"\x00\x03\x00\x01", b"\x00\x03\x00\x00\x00"] {
            assert_eq!(subnet(bad), Err(()), "{bad:?}");
        }
    }

    #[test]
    fn the_first_of_two_client_subnets_counts() {
        assert_eq!(subnet(b"\x00\x08\x00\x01a\x00\x08\x00\x01b"), Ok(Some(&b"a"[..])));
    }
}
