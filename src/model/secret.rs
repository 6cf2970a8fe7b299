//! A value that is never shown: no `Display`, and a `Debug` that tells nothing.

use std::fmt;

/// A secret. Whoever needs it says so with [`expose`](Self::expose), which can be searched for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for the one place that sends or uses it; never for a log, an error or an answer of the API.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_nothing_of_a_secret_not_even_its_length() {
        assert_eq!(format!("{:?} {:#?}", Secret::new("s3cret"), Secret::new(vec![1, 2, 3])), "Secret(…) Secret(…)");
    }
}
