//! EDNS Client Subnet (RFC 7871): the prefix that a resolver says it asks for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A checked client subnet option of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet<'a> {
    option: &'a [u8],
}

impl<'a> Subnet<'a> {
    /// Where SCOPE PREFIX-LENGTH stands in the option's data (RFC 7871, section 6).
    pub const SCOPE_AT: usize = 3;

    /// Checks an option's data strictly (RFC 7871, sections 6 and 7.1.2). `None` means FORMERR: a family other than IPv4, IPv6 or none,
    /// a SCOPE other than 0, a SOURCE longer than the family's addresses, too few or too many address octets, bits set beyond SOURCE.
    pub fn read(option: &'a [u8]) -> Option<Self> {
        let ([f0, f1, source, scope], address) = option.split_first_chunk::<4>()?;
        let longest = match u16::from_be_bytes([*f0, *f1]) {
            // "No address": sent with SOURCE 0 alone.
            0 => 0,
            1 => 32,
            2 => 128,
            _ => return None,
        };
        if *scope != 0 || *source > longest || address.len() != usize::from(source.div_ceil(8)) {
            return None;
        }
        let stray_bits = match (source % 8, address.last()) {
            (0, _) | (_, None) => 0,
            (bits, Some(last)) => last << bits,
        };
        (stray_bits == 0).then_some(Self { option })
    }

    /// Whom the resolver asks for: the first address of the prefix, cut to so many bits of its family. `None`: the resolver says nothing (SOURCE 0).
    pub fn client(&self, ipv4_prefix: u8, ipv6_prefix: u8) -> Option<IpAddr> {
        let ([_, family, source, _], address) = self.option.split_first_chunk::<4>()?;
        let mut octets = [0_u8; 16];
        octets.iter_mut().zip(address).for_each(|(octet, sent)| *octet = *sent);
        let first = |most: u8| u128::from_be_bytes(octets) & !u128::MAX.checked_shr((*source).min(most).into()).unwrap_or(0);
        match (*source, *family) {
            (0, _) => None,
            (_, 1) => Some(IpAddr::V4(Ipv4Addr::from((first(ipv4_prefix) >> 96) as u32))),
            _ => Some(IpAddr::V6(Ipv6Addr::from(first(ipv6_prefix)))),
        }
    }

    /// The option's data for a response that does not depend on the client: family, source and address as they came, SCOPE 0 (RFC 7871, section 7.2.1).
    /// A query's SCOPE is 0, so these are the same octets.
    pub fn echo(&self) -> &'a [u8] {
        self.option
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_subnets_are_echoed_as_they_came() {
        let valid: [&[u8]; 6] = [
            &[0, 1, 24, 0, 192, 0, 2],
            &[0, 1, 0, 0],
            &[0, 0, 0, 0],
            &[0, 1, 32, 0, 192, 0, 2, 1],
            &[0, 1, 20, 0, 192, 0, 0xf0],
            &[0, 2, 56, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 0],
        ];
        for option in valid {
            assert_eq!(Subnet::read(option).map(|subnet| subnet.echo()), Some(option));
        }
    }

    #[test]
    fn everything_else_is_malformed() {
        let malformed: [&[u8]; 11] = [
            &[],
            &[0, 1, 24],
            &[0, 3, 0, 0],
            &[0, 0, 8, 0, 1],
            &[0, 1, 24, 24, 192, 0, 2],
            &[0, 1, 33, 0, 192, 0, 2, 1, 0],
            &[0, 2, 129, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0, 1, 24, 0, 192, 0],
            &[0, 1, 24, 0, 192, 0, 2, 0],
            &[0, 1, 20, 0, 192, 0, 0x08],
            &[0, 1, 0, 0, 0],
        ];
        for option in malformed {
            assert_eq!(Subnet::read(option), None, "{option:?}");
        }
    }
}
