//! Well-formed queries about the names of `rich.toml`: what mutations begin with.

/// Names with something different at each.
const NAMES: &[&str] = &[
    "example",
    "ns.example",
    "www.example",
    "WwW.ExAmPlE",
    "alias.example",
    "toservice.example",
    "dangling.example",
    "outside.example",
    "tochild.example",
    "below.example",
    "loop1.example",
    "c1.example",
    "_sip._tcp.example",
    "x.y.wild.example",
    "here.wild.example",
    "x.here.wild.example",
    "q.wildalias.example",
    "ent.example",
    "sub.example",
    "host.sub.example",
    "child.example",
    "www.child.example",
    "up.child.example",
    "large.example",
    "larger.example",
    "both.example",
    "shop.example",
    "v4.example",
    "many.example",
    "all.example",
    "ten.example",
    "a.tenants.example",
    "gone.example",
    "empty.example",
    "desperate.example",
    "nothing.example",
    "a.b.c.nothing.example",
    "",
    "test",
    "elsewhere.test",
    "version.bind",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test",
    "x.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test",
];

/// Record data of OPT: options well-formed and not.
const OPTIONS: &[&[u8]] = &[
    b"",
    // Client subnet: IPv4 /24, IPv6 /32, none of it, a bad family, a bit beyond the prefix, a scope, cut short.
    b"\x00\x08\x00\x07\x00\x01\x18\x00\xc0\x00\x02",
    b"\x00\x08\x00\x08\x00\x02\x20\x00\x20\x01\x0d\xb8",
    b"\x00\x08\x00\x04\x00\x01\x00\x00",
    b"\x00\x08\x00\x04\x00\x09\x00\x00",
    b"\x00\x08\x00\x07\x00\x01\x17\x00\xc0\x00\x03",
    b"\x00\x08\x00\x07\x00\x01\x18\x18\xc0\x00\x02",
    b"\x00\x08\x00\x03\x00\x01\x18",
    // NSID, a client's cookie, a cookie with a server's part, one too short, keepalive, padding, an unknown one.
    b"\x00\x03\x00\x00",
    b"\x00\x0a\x00\x08\x01\x02\x03\x04\x05\x06\x07\x08",
    b"\x00\x0a\x00\x18\x01\x02\x03\x04\x05\x06\x07\x08\x01\x00\x00\x00\x60\x00\x00\x00\x11\x12\x13\x14\x15\x16\x17\x18",
    b"\x00\x0a\x00\x07\x01\x02\x03\x04\x05\x06\x07",
    b"\x00\x0b\x00\x00",
    b"\x00\x0c\x00\x05\x00\x00\x00\x00\x00",
    b"\xfd\xe9\x00\x04\x01\x02\x03\x04",
    b"\x00\x03\x00\x00\x00\x0a\x00\x08\x01\x02\x03\x04\x05\x06\x07\x08\x00\x08\x00\x07\x00\x01\x18\x00\xc0\x00\x02",
    b"\x00\x08\x00",
];

const QTYPES: &[u16] = &[1, 28, 2, 6, 5, 15, 16, 33, 43, 255, 252, 251, 41, 250, 65280];

/// The OPT record of a query.
#[derive(Clone, Copy, Debug)]
pub struct Opt<'a> {
    pub payload: u16,
    pub version: u8,
    pub dnssec_ok: bool,
    pub options: &'a [u8],
}

/// A query with RD set, class IN.
pub fn query(name: &str, qtype: u16, opt: Option<Opt<'_>>) -> Vec<u8> {
    let mut packet = vec![0x57, 0x72, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, u8::from(opt.is_some())];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        packet.push(label.len() as u8);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    packet.extend_from_slice(&qtype.to_be_bytes());
    packet.extend_from_slice(&[0, 1]);
    if let Some(Opt { payload, version, dnssec_ok, options }) = opt {
        packet.extend_from_slice(&[0, 0, 41]);
        packet.extend_from_slice(&payload.to_be_bytes());
        packet.extend_from_slice(&[0, version, if dnssec_ok { 0x80 } else { 0 }, 0]);
        packet.extend_from_slice(&(options.len() as u16).to_be_bytes());
        packet.extend_from_slice(options);
    }
    packet
}

/// Some thousand: every name with every type; EDNS, with all sorts of options, in two of three.
pub fn queries() -> Vec<Vec<u8>> {
    let mut queries = Vec::new();
    for (name, qtype) in NAMES.iter().flat_map(|name| QTYPES.iter().map(move |qtype| (name, qtype))) {
        queries.push(query(name, *qtype, None));
        let payload = [512, 1232, 4096, 0, 65535][queries.len() % 5];
        queries.push(query(name, *qtype, Some(Opt { payload, version: 0, dnssec_ok: true, options: b"" })));
        let options = OPTIONS[queries.len() / 3 % OPTIONS.len()];
        let version = u8::from(queries.len() % 31 == 0);
        queries.push(query(name, *qtype, Some(Opt { payload: 1232, version, dnssec_ok: false, options })));
    }
    queries
}

/// For the `edns_options` target: what it is given, by index.
pub fn name_and_type(which: u8) -> (&'static str, u16) {
    let which = usize::from(which);
    (NAMES[which % NAMES.len()], QTYPES[which / NAMES.len() % QTYPES.len()])
}

/// Data for the `edns_options` target: one for each of [`OPTIONS`].
pub fn option_seeds() -> impl Iterator<Item = Vec<u8>> {
    OPTIONS.iter().enumerate().map(|(at, options)| [&[at as u8 * 9, 0, 4, 208][..], options].concat())
}
