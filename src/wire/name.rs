//! Domain names in wire form (RFC 1035, section 3.1), lower-cased (RFC 4343).

/// A fully qualified domain name: lower-case, uncompressed wire form with the root label, at most 255 octets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<[u8]>);

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Two dots in a row, or a leading dot.
    #[error("has an empty label")]
    EmptyLabel,
    /// RFC 1035, section 2.3.4.
    #[error("has a label of more than 63 octets")]
    LabelTooLong,
    /// RFC 1035, section 2.3.4.
    #[error("is longer than 255 octets")]
    TooLong,
    /// `\` without a character or three digits up to 255 after it.
    #[error("has a bad escape; write \\. or \\032")]
    BadEscape,
    /// Use the A-label (`xn--…`) form.
    #[error("has a character outside ASCII; write it in its xn--… form")]
    NotAscii,
}

impl Name {
    /// The root.
    pub fn root() -> Self {
        Self(Box::new([0]))
    }

    /// From presentation form, with or without the final dot, always taken as fully qualified.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').filter(|rest| !rest.ends_with('\\')).unwrap_or(text);
        if text.is_empty() {
            return Ok(Self::root());
        }
        let (mut wire, mut label) = (Vec::with_capacity(text.len() + 2), Vec::with_capacity(63));
        let end_label = |label: &mut Vec<u8>, wire: &mut Vec<u8>| {
            match label.len() {
                0 => return Err(NameError::EmptyLabel),
                1..=63 => wire.push(label.len() as u8),
                _ => return Err(NameError::LabelTooLong),
            }
            wire.append(label);
            Ok(())
        };
        let mut octets = text.bytes();
        while let Some(octet) = octets.next() {
            match octet {
                b'.' => end_label(&mut label, &mut wire)?,
                b'\\' => label.push(unescape(&mut octets)?.to_ascii_lowercase()),
                0x80.. => return Err(NameError::NotAscii),
                _ => label.push(octet.to_ascii_lowercase()),
            }
        }
        end_label(&mut label, &mut wire)?;
        wire.push(0);
        if wire.len() > 255 { Err(NameError::TooLong) } else { Ok(Self(wire.into())) }
    }

    /// From uncompressed wire form; lower-cases it. `None` if it is not exactly one name.
    pub fn from_wire(wire: &[u8]) -> Option<Self> {
        if wire.len() > 255 {
            return None;
        }
        let mut rest = wire;
        loop {
            match rest.split_first()? {
                (0, []) => return Some(Self(wire.to_ascii_lowercase().into())),
                (length @ 1..=63, after) => rest = after.get(usize::from(*length)..)?,
                _ => return None,
            }
        }
    }

    /// Uncompressed wire form, lower case. (Length octets are below `A`, so lower-casing leaves them alone.)
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// Labels from left to right, without the root's.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first().filter(|(length, _)| **length > 0)?;
            let label;
            (label, rest) = after.split_at_checked(usize::from(*length))?;
            Some(label)
        })
    }

    /// Without the leftmost label; `None` at the root.
    pub fn parent(&self) -> Option<Name> {
        let (length, after) = self.0.split_first().filter(|(length, _)| **length > 0)?;
        Some(Self(after.get(usize::from(*length)..)?.into()))
    }

    /// This name or a name below `ancestor`.
    pub fn is_within(&self, ancestor: &Name) -> bool {
        let mut at = Some(self.clone());
        while let Some(name) = at {
            if name == *ancestor {
                return true;
            }
            at = name.parent();
        }
        false
    }

    /// Begins with the label `*` (RFC 4592).
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(b"\x01*")
    }
}

fn unescape(octets: &mut std::str::Bytes<'_>) -> Result<u8, NameError> {
    let first = octets.next().ok_or(NameError::BadEscape)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut value = u16::from(first - b'0');
    for _ in 0..2 {
        let digit = octets.next().filter(u8::is_ascii_digit).ok_or(NameError::BadEscape)?;
        value = value * 10 + u16::from(digit - b'0');
    }
    u8::try_from(value).map_err(|_| NameError::BadEscape)
}

/// Presentation form without the final dot; the root is `.`.
impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.len() == 1 {
            return f.write_str(".");
        }
        for (at, label) in self.labels().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            for octet in label {
                match octet {
                    b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => write!(f, "\\{}", char::from(*octet))?,
                    0x21..=0x7e => write!(f, "{}", char::from(*octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_in_and_out() {
        for (text, shown, wire) in [
            (".", ".", &b"\0"[..]),
            ("", ".", b"\0"),
            ("A.b", "a.b", b"\x01a\x01b\0"),
            ("a.b.", "a.b", b"\x01a\x01b\0"),
            ("\\000\\255\\ .x", "\\000\\255\\032.x", b"\x03\x00\xff \x01x\0"),
            ("a\\.b.c\\065", "a\\.b.ca", b"\x03a.b\x02ca\0"),
            ("x\\..y", "x\\..y", b"\x02x.\x01y\0"),
            ("\\$\\@\\;\\(\\)\\\"", "\\$\\@\\;\\(\\)\\\"", b"\x06$@;()\"\0"),
        ] {
            let name = Name::parse(text).unwrap();
            assert_eq!((&*name.to_string(), name.wire()), (shown, wire), "{text}");
            assert_eq!(format!("{name:?}"), shown);
            assert_eq!(shown.parse(), Ok(name));
        }
    }

    #[test]
    fn what_is_no_name_says_why() {
        let label = "a".repeat(63);
        let long = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(Name::parse(&long).unwrap().wire().len(), 255);
        for (text, why) in [
            ("a..b", NameError::EmptyLabel),
            (".a", NameError::EmptyLabel),
            ("..", NameError::EmptyLabel),
            (&*format!("{label}a.b"), NameError::LabelTooLong),
            (&*format!("{long}a"), NameError::TooLong),
            ("gr\u{fc}n", NameError::NotAscii),
            ("a\\", NameError::BadEscape),
            ("a\\25", NameError::BadEscape),
            ("a\\2x5", NameError::BadEscape),
            ("a\\256", NameError::BadEscape),
        ] {
            assert_eq!(Name::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn wire_form_is_exactly_one_name() {
        assert_eq!(Name::from_wire(b"\x01A\x00"), Some(Name::parse("a").unwrap()));
        for bad in [&b""[..], b"\x01", b"\x01a", b"\x01a\x00\x00", b"\x40a\x00", b"\xc0\x0c", &[1; 256]] {
            assert_eq!(Name::from_wire(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn kinship() {
        let [root, example, www, other] = [".", "example", "www.example", "xexample"].map(|text| Name::parse(text).unwrap());
        assert_eq!((www.parent(), root.parent()), (Some(example.clone()), None));
        assert!(www.is_within(&example) && www.is_within(&www) && www.is_within(&root) && !other.is_within(&example) && !example.is_within(&www));
        assert!(Name::parse("*.example").unwrap().is_wildcard() && !Name::parse("*x.example").unwrap().is_wildcard());
        assert_eq!(www.labels().collect::<Vec<_>>(), [b"www".as_slice(), b"example"]);
    }
}
