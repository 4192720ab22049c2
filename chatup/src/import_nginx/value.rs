//! What words of a directive mean: numbers, times, sizes, switches, and texts with variables.

/// A time in milliseconds, as Nginx writes it (`1m 30s`, `500ms`, a bare number of seconds): units from the
/// largest to the smallest. A year has 365 days, a month (`M`) 30.
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    const SECOND: u64 = 1_000;
    const UNITS: [(&str, u64); 8] = [
        ("y", 365 * 86_400 * SECOND),
        ("M", 30 * 86_400 * SECOND),
        ("w", 7 * 86_400 * SECOND),
        ("d", 86_400 * SECOND),
        ("h", 3_600 * SECOND),
        ("ms", 1),
        ("m", 60 * SECOND),
        ("s", SECOND),
    ];
    let (mut sum, mut rest, mut below) = (0u64, text, u64::MAX);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        let behind = &rest[digits..];
        let each = match UNITS.iter().find(|(unit, _)| behind.starts_with(unit)) {
            Some((unit, each)) => {
                rest = behind[unit.len()..].trim_start_matches(' ');
                *each
            }
            None if behind.trim_matches(' ').is_empty() => {
                rest = "";
                SECOND
            }
            None => return None,
        };
        if each >= below {
            return None;
        }
        below = each;
        sum = sum.checked_add(number.checked_mul(each)?)?;
    }
    Some(sum)
}

/// A size in bytes: a number, perhaps with k, m or g.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let (number, each) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1 << 10),
        b'm' | b'M' => (&text[..text.len() - 1], 1 << 20),
        b'g' | b'G' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    count(number)?.checked_mul(each)
}

/// A number, of digits only.
pub(super) fn count(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// `on` or `off`.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// A piece of a text with variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// What stands for itself.
    Literal(String),
    /// `$1` to `$9`: what a group of a regular expression has found.
    Group(u8),
    /// `$name`, `${name}`.
    Variable(String),
}

impl Piece {
    /// The name of an argument of the URL, if it is one (`$arg_name`).
    pub(super) fn argument(&self) -> Option<&str> {
        match self {
            Piece::Variable(name) => name.strip_prefix("arg_").filter(|name| !name.is_empty()),
            _ => None,
        }
    }
}

/// Takes a text apart.
///
/// # Errors
/// A dollar sign without a name.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, &'static str> {
    const NAMELESS: &str = "a $ without the name of a variable";
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some(behind) = rest.strip_prefix('$') else {
            let end = rest.find('$').unwrap_or(rest.len());
            pieces.push(Piece::Literal(rest[..end].to_owned()));
            rest = &rest[end..];
            continue;
        };
        if let Some(digit @ b'1'..=b'9') = behind.bytes().next() {
            pieces.push(Piece::Group(digit - b'0'));
            rest = &behind[1..];
            continue;
        }
        let (inner, braced) = behind.strip_prefix('{').map_or((behind, false), |inner| (inner, true));
        let length = inner.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let (name, after) = inner.split_at(length);
        rest = if braced { after.strip_prefix('}').ok_or(NAMELESS)? } else { after };
        match name.parse::<u8>() {
            _ if name.is_empty() => return Err(NAMELESS),
            Ok(group @ 1..=9) if name.len() == 1 => pieces.push(Piece::Group(group)),
            _ => pieces.push(Piece::Variable(name.to_owned())),
        }
    }
    Ok(pieces)
}

/// The same as text; with braces where a name would go on in what follows.
pub(super) fn joined(pieces: &[Piece]) -> String {
    let goes_on = |next: Option<&Piece>| match next {
        Some(Piece::Literal(text)) => {
            text.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_')
        }
        _ => false,
    };
    let one = |(number, piece): (usize, &Piece)| match piece {
        Piece::Literal(text) => text.clone(),
        Piece::Group(group) => format!("${group}"),
        Piece::Variable(name) if goes_on(pieces.get(number + 1)) => format!("${{{name}}}"),
        Piece::Variable(name) => format!("${name}"),
    };
    pieces.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sizes_numbers() {
        let table = [
            ("30", Some(30_000)),
            ("5m", Some(300_000)),
            ("1m 30s", Some(90_000)),
            ("1h30m", Some(5_400_000)),
            ("500ms", Some(500)),
            ("1s 5ms", Some(1_005)),
            ("1M", Some(2_592_000_000)),
            ("", None),
            ("30s 1m", None),
            ("1x", None),
            ("s", None),
            ("99999999999999999999", None),
        ];
        for (text, expected) in table {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
        assert_eq!(
            [bytes("200k"), bytes("1m"), bytes("7"), bytes("k"), bytes("-1")].map(|size| size.unwrap_or(0)),
            [204_800, 1_048_576, 7, 0, 0]
        );
        assert_eq!((count("12"), count("+1"), count("")), (Some(12), None, None));
    }

    #[test]
    fn texts_with_variables() {
        let table = [
            ("$1", "Ok([Group(1)])"),
            ("test_$1", "Ok([Literal(\"test_\"), Group(1)])"),
            ("$10", "Ok([Group(1), Literal(\"0\")])"),
            ("${arg_id}s", "Ok([Variable(\"arg_id\"), Literal(\"s\")])"),
            ("$a/$b", "Ok([Variable(\"a\"), Literal(\"/\"), Variable(\"b\")])"),
            ("x$", "Err(\"a $ without the name of a variable\")"),
            ("${a", "Err(\"a $ without the name of a variable\")"),
        ];
        for (text, expected) in table {
            assert_eq!(format!("{:?}", pieces(text)), expected, "{text}");
        }
    }
}
