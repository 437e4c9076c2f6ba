//! Patterns of `KEYS` and `SCAN … MATCH`: `*`, `?`, `[abc]`, `[a-z]`, `[^a]` and a backslash before a literal.
//!
//! Matching takes time proportional to pattern × text at worst: only the last star is ever tried again.

/// Whether the whole text matches the pattern.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // What to go back to: the pattern after the last star, and the text it was tried at.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', after @ ..] = pattern {
            retry = Some((after, text));
            pattern = after;
            continue;
        }
        if text.is_empty() && pattern.is_empty() {
            return true;
        }
        if let Some(after) = text.first().and_then(|byte| match_one(pattern, *byte)) {
            (pattern, text) = (after, &text[1..]);
            continue;
        }
        let Some((after_star, [_, shorter @ ..])) = retry else {
            return false;
        };
        retry = Some((after_star, shorter));
        (pattern, text) = (after_star, shorter);
    }
}

/// The rest of the pattern if its first element matches the byte.
fn match_one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [b'?', after @ ..] => Some(after),
        [b'[', class @ ..] => match_class(class, byte),
        [b'\\', literal, after @ ..] | [literal, after @ ..] => (*literal == byte).then_some(after),
        [] => None,
    }
}

/// The same for a class, from after its bracket. One that is not closed ends with the pattern, as in Redis.
fn match_class(class: &[u8], byte: u8) -> Option<&[u8]> {
    let (negated, mut rest) = match class {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, class),
    };
    let mut found = false;
    loop {
        rest = match rest {
            [] => return (found != negated).then_some(rest),
            [b']', after @ ..] => return (found != negated).then_some(after),
            [b'\\', literal, after @ ..] => {
                found |= *literal == byte;
                after
            }
            [low, b'-', high, after @ ..] => {
                found |= (*low.min(high)..=*low.max(high)).contains(&byte);
                after
            }
            [literal, after @ ..] => {
                found |= *literal == byte;
                after
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h*llo", "heeeell", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hello", false),
            ("h[^e]llo", "hbllo", true),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h[a-c]llo", "hdllo", false),
            (r"h\?llo", "h?llo", true),
            (r"h\?llo", "hello", false),
            (r"[\]]", "]", true),
            ("[abc", "b", true),
            (r"a\", "a\\", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("**a", "ba", true),
            ("a", "A", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn many_stars_do_not_explode() {
        let pattern = "a*".repeat(30) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(3_000).as_bytes()));
    }
}
