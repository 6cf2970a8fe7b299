//! Many host names in one piece of memory.

use std::ops::Range;

use crate::wire::Name;

/// Host names, lower case, one after the other in wire form, which says itself where a name ends: a million of them are 30 MB, and one allocation.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Names {
    octets: Vec<u8>,
    count: usize,
}

impl Names {
    /// The name in wire form that begins at this octet: a walk that can wait between two names. The next one begins after it.
    pub fn wire_at(&self, octet: usize) -> Option<&[u8]> {
        let rest = self.octets.get(octet..)?;
        rest.get(..octets_of_first(rest)?)
    }

    /// In wire form, in file order.
    pub fn wires(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.octets[..];
        std::iter::from_fn(move || {
            let name;
            (name, rest) = rest.split_at_checked(octets_of_first(rest)?)?;
            Some(name)
        })
    }

    /// In file order.
    pub fn iter(&self) -> impl Iterator<Item = Name> {
        self.wires().filter_map(Name::from_wire)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// None.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Octets of all of them together.
    pub fn octets(&self) -> usize {
        self.octets.len()
    }

    /// It is one of them.
    pub fn contains(&self, name: &Name) -> bool {
        self.wires().any(|wire| wire == name.wire())
    }

    /// One more, at the end.
    pub fn push(&mut self, name: &Name) {
        self.octets.extend_from_slice(name.wire());
        self.count += 1;
    }

    /// Those of another list, at the end.
    pub fn append(&mut self, other: &Names) {
        self.octets.extend_from_slice(&other.octets);
        self.count += other.count;
    }

    /// A copy of the names in these octets, which begin and end where names do.
    pub fn copied(&self, octets: Range<usize>) -> Names {
        let octets = self.octets.get(octets).unwrap_or_default().to_vec();
        let mut copy = Self { octets, count: 0 };
        copy.count = copy.wires().count();
        copy
    }

    /// It is one of them, or one of them is below it.
    pub fn reach_below(&self, ancestor: &Name) -> bool {
        self.iter().any(|name| name.is_within(ancestor))
    }
}

/// Octets of the name that these begin with.
fn octets_of_first(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *octets.get(at)? {
            0 => return Some(at + 1),
            length => at += 1 + usize::from(length),
        }
    }
}

impl FromIterator<Name> for Names {
    fn from_iter<I: IntoIterator<Item = Name>>(names: I) -> Self {
        let mut all = Self::default();
        names.into_iter().for_each(|name| all.push(&name));
        all
    }
}

/// As people write them.
impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let names: Vec<Name> = ["a.example", "*.b.example", ".", "xn--p1ai"].map(|text| Name::parse(text).unwrap()).into();
        let mut packed: Names = names.iter().cloned().collect();
        assert_eq!((packed.iter().collect::<Vec<_>>(), packed.len(), packed.is_empty()), (names.clone(), 4, false));
        let new = Name::parse("c.example").unwrap();
        assert!(!packed.contains(&new) && packed.contains(&names[1]));
        packed.push(&new);
        assert_eq!(packed.iter().last(), Some(new));
        let octets = packed.octets();
        packed.append(&packed.clone());
        assert_eq!((packed.len(), packed.copied(octets..2 * octets)), (10, packed.copied(0..octets)));
        assert_eq!(packed.octets(), packed.wires().map(<[u8]>::len).sum::<usize>());
        assert_eq!(format!("{:?}", names.into_iter().take(2).collect::<Names>()), "[a.example, *.b.example]");
    }
}
