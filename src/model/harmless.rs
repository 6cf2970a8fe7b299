//! Text from outside, made fit for logs, terminals and one line.

/// At most `chars_max` characters (then `…`); runs of white space become one space, control characters and such that change how text runs `�`.
pub fn harmless(text: &str, chars_max: usize) -> String {
    let (mut out, mut count, mut chars) = (String::new(), 0, text.chars().peekable());
    while let Some(char) = chars.next() {
        if count == chars_max {
            out.push('…');
            break;
        }
        if char.is_whitespace() {
            while chars.next_if(|next| next.is_whitespace()).is_some() {}
            out.push(' ');
        } else if char.is_control() || matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}') {
            out.push('\u{fffd}');
        } else {
            out.push(char);
        }
        count += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_one_short_line_that_moves_no_terminal() {
        assert_eq!(harmless("a\r\n\t b\u{1b}[2Jc\u{0}\u{202e}d", 256), "a b\u{fffd}[2Jc\u{fffd}\u{fffd}d");
        assert_eq!(harmless(&"ä".repeat(300), 256), "ä".repeat(256) + "…");
    }
}
