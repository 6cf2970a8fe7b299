//! TYPE and QTYPE numbers that this program knows by name (IANA "Resource Record (RR) TYPEs").

/// RFC 1035
pub const A: u16 = 1;
/// RFC 1035
pub const NS: u16 = 2;
/// RFC 1035
pub const CNAME: u16 = 5;
/// RFC 1035
pub const SOA: u16 = 6;
/// RFC 1035
pub const PTR: u16 = 12;
/// RFC 1035; synthesised for ANY (RFC 8482)
pub const HINFO: u16 = 13;
/// RFC 1035
pub const MX: u16 = 15;
/// RFC 1035
pub const TXT: u16 = 16;
/// RFC 3596
pub const AAAA: u16 = 28;
/// RFC 2782
pub const SRV: u16 = 33;
/// RFC 3403
pub const NAPTR: u16 = 35;
/// RFC 6891; never asked for
pub const OPT: u16 = 41;
/// RFC 4034; lives on the parent's side of a cut
pub const DS: u16 = 43;
/// RFC 4034; may stand beside a CNAME
pub const RRSIG: u16 = 46;
/// RFC 4034; may stand beside a CNAME
pub const NSEC: u16 = 47;
/// RFC 4034
pub const DNSKEY: u16 = 48;
/// RFC 6698
pub const TLSA: u16 = 52;
/// RFC 9460
pub const SVCB: u16 = 64;
/// RFC 9460
pub const HTTPS: u16 = 65;
/// RFC 9824; never asked for
pub const NXNAME: u16 = 128;
/// RFC 2930; never asked for without a key
pub const TKEY: u16 = 249;
/// RFC 8945; never asked for
pub const TSIG: u16 = 250;
/// RFC 1995
pub const IXFR: u16 = 251;
/// RFC 5936
pub const AXFR: u16 = 252;
/// RFC 1035; obsolete
pub const MAILB: u16 = 253;
/// RFC 1035; obsolete
pub const MAILA: u16 = 254;
/// RFC 1035, RFC 8482
pub const ANY: u16 = 255;
/// RFC 8659
pub const CAA: u16 = 257;

/// CLASS IN (RFC 1035, section 3.2.4).
pub const CLASS_IN: u16 = 1;
/// CLASS CH: where servers tell about themselves (RFC 4892).
pub const CLASS_CH: u16 = 3;
