//! Names of files with `*`, `?` and `[…]`, as the C library's `glob` reads them.

/// Whether a name fits a pattern; neither has slashes. A dot at the beginning is only met by a dot.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // The last star, and how far it reaches: a later one takes its place, so this ends soon.
    let (mut at, mut read, mut star) = (0, 0, None);
    while read < name.len() {
        let step = match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
                continue;
            }
            Some('?') => Some(at + 1),
            Some('[') => class(&pattern, at, name[read]),
            Some('\\') if at + 1 < pattern.len() => (pattern[at + 1] == name[read]).then_some(at + 2),
            Some(own) => (*own == name[read]).then_some(at + 1),
            None => None,
        };
        match (step, star) {
            (Some(next), _) => (at, read) = (next, read + 1),
            (None, Some((star_at, reached))) => {
                star = Some((star_at, reached + 1));
                (at, read) = (star_at + 1, reached + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

/// Where the pattern goes on, if the character is among those in the brackets that begin here. A bracket
/// without its end is a character.
fn class(pattern: &[char], start: usize, character: char) -> Option<usize> {
    let not = matches!(pattern.get(start + 1), Some('!' | '^'));
    let first = start + 1 + usize::from(not);
    let Some(length) = pattern.get(first + 1..).and_then(|rest| rest.iter().position(|one| *one == ']'))
    else {
        return (character == '[').then_some(start + 1);
    };
    let end = first + 1 + length;
    let (mut at, mut found) = (first, false);
    while at < end {
        if at + 2 < end && pattern[at + 1] == '-' {
            found |= (pattern[at]..=pattern[at + 2]).contains(&character);
            at += 3;
        } else {
            found |= pattern[at] == character;
            at += 1;
        }
    }
    (found != not).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let table = [
            ("*.conf", "a.conf", true),
            ("*.conf", ".conf", false),
            ("*.conf", "a.conf~", false),
            ("*", "", true),
            ("a*b*c", "aXbXbc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[0-9]*", "10-x", true),
            ("[!a-c]x", "dx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[x", "[x", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("ä*", "äö", true),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
        // What takes other matchers for ever.
        assert!(!fits(&"*a".repeat(200), &"a".repeat(199)));
    }
}
