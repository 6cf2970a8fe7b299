//! What somebody may do.

/// What a token or a certificate may do: `read < operate < admin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Look.
    Read,
    /// Move traffic, override.
    Operate,
    /// Tokens, reload.
    Admin,
}

impl Scope {
    /// The word in API, CLI and the store.
    pub fn word(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Operate => "operate",
            Scope::Admin => "admin",
        }
    }

    /// The other way.
    pub fn parse(word: &str) -> Option<Self> {
        [Scope::Read, Scope::Operate, Scope::Admin].into_iter().find(|scope| scope.word() == word)
    }
}
