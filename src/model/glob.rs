//! Patterns of names: `*` stands for any characters, also none; everything else for itself.

/// Does `name` fit `pattern`? Linear in the product of both at worst; names are short.
pub fn glob_matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        // The first place is as good as any: what follows has the more room.
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::glob_matches;

    #[test]
    fn a_star_is_anything_and_the_rest_itself() {
        let table = [
            ("orders", "orders", true),
            ("orders", "orders2", false),
            ("orders", "my-orders", false),
            ("shop-*", "shop-", true),
            ("shop-*", "shop-eu", true),
            ("shop-*", "shop", false),
            ("*", "", true),
            ("*", "x", true),
            ("*-eu", "shop-eu", true),
            ("*-eu", "shop-eu-2", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("a**a", "aa", true),
            ("", "", true),
            ("", "x", false),
        ];
        for (pattern, name, fits) in table {
            assert_eq!(glob_matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
