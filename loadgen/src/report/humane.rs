//! Numbers and names as people read them: the same in the text and in the page.

/// A time of so many microseconds with three digits: `812 µs`, `12.4 ms`, `1.23 s`, `12.3 min`.
#[must_use]
pub fn time(us: f64) -> String {
    let us = us.max(0.0);
    if us < 999.5 && us.fract() <= 0.0 {
        format!("{us:.0} µs") // A histogram's grain is 1 µs: no digits behind it.
    } else if us < 999.5 {
        format!("{} µs", three_digits(us))
    } else if us < 999_500.0 {
        format!("{} ms", three_digits(us / 1e3))
    } else if us < 600e6 {
        format!("{} s", three_digits(us / 1e6))
    } else {
        format!("{} min", three_digits(us / 60e6))
    }
}

/// A time of so many microseconds with all its digits, for where it is held against a limit:
/// `200.191 ms`.
#[must_use]
pub fn time_exact(us: f64) -> String {
    let (number, unit) = match us {
        us if us >= 1e6 => (format!("{:.6}", us / 1e6), "s"),
        us if us >= 1e3 => (format!("{:.3}", us / 1e3), "ms"),
        us => (format!("{us:.3}"), "µs"),
    };
    format!("{} {unit}", without_zeros(&number))
}

/// A count with all its digits, in groups of three: `30,000,000`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count that was worked with as a float, with all its digits.
#[must_use]
pub fn whole(number: f64) -> String {
    format!("{:.0}", number.abs()).parse().map_or_else(|_| number.to_string(), count)
}

/// A count and its noun, in the singular or the plural: `1 delivery`, `2 deliveries`.
#[must_use]
pub fn counted(number: u64, (one, many): (&str, &str)) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A number with three digits and k, M or G: `340k`, `1.02M`.
#[must_use]
pub fn short(number: f64) -> String {
    let size = number.abs();
    let (divisor, unit) = match size {
        size if size < 999.5 => (1.0, ""),
        size if size < 999.5e3 => (1e3, "k"),
        size if size < 999.5e6 => (1e6, "M"),
        _ => (1e9, "G"),
    };
    format!("{}{unit}", without_zeros(&three_digits(number / divisor)))
}

/// Bytes with three digits: `512 B`, `14.2 KiB`, `1.50 GiB`.
#[must_use]
pub fn bytes(number: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut number, mut unit) = (number, 0);
    while number.abs() >= 1023.5 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    let digits = if unit == 0 { format!("{number:.0}") } else { three_digits(number) };
    format!("{digits} {}", UNITS[unit])
}

/// A share of a whole in per cent, with two digits that count: `0.00012 %`. Never rounded to
/// nothing or to all: who lost one message of a billion has not lost 0 %. Nothing without a whole.
#[must_use]
pub fn share(part: u64, whole: u64) -> Option<String> {
    if whole == 0 {
        return None;
    }
    let percent = 100.0 * part as f64 / whole as f64;
    if part == 0 {
        return Some("0 %".to_owned());
    }
    if part < whole && percent > 99.0 {
        let decimals = decimals_for(100.0 * (whole - part) as f64 / whole as f64, 1);
        return Some(format!("{percent:.decimals$} %"));
    }
    let decimals = decimals_for(percent, 2);
    Some(format!("{} %", without_zeros(&format!("{percent:.decimals$}"))))
}

/// A share between 0 and 1 in per cent, with one decimal: `51.2 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A number of unknown size: with two decimals, more where it is small, none where it is large.
#[must_use]
pub fn number(value: f64) -> String {
    if value.abs() >= 1e15 || !value.is_finite() {
        return format!("{value:e}");
    }
    let decimals = if value.abs() >= 1000.0 { 0 } else { decimals_for(value.abs(), 3).min(9) };
    let text = without_zeros(&format!("{:.decimals$}", value.abs()));
    let (whole, rest) = text.split_once('.').map_or((&text[..], None), |(whole, rest)| (whole, Some(rest)));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), count);
    let sign = if value < 0.0 { "-" } else { "" };
    rest.map_or_else(|| format!("{sign}{whole}"), |rest| format!("{sign}{whole}.{rest}"))
}

/// Text that came from outside, for a terminal: control characters, which could move the cursor or
/// change colours, become `�`, as do those that reverse the direction of what follows.
#[must_use]
pub fn printable(text: &str) -> String {
    let bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if bad(c) { '\u{fffd}' } else { c }).collect()
}

/// Three digits that count, of a number below 1000.
fn three_digits(number: f64) -> String {
    let size = number.abs();
    match size {
        size if size >= 99.95 => format!("{number:.0}"),
        size if size >= 9.995 => format!("{number:.1}"),
        size if size >= 0.9995 || size <= 0.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

/// Decimals with which so many digits of a positive number count.
fn decimals_for(number: f64, digits: usize) -> usize {
    // 1e-9: a power of ten must not fall below itself.
    let zeros = (-number.log10() - 1e-9).ceil().clamp(0.0, 15.0);
    digits - 1 + (1..=15_u8).take_while(|zero| f64::from(*zero) <= zeros).count()
}

fn without_zeros(text: &str) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well_at_their_edges() {
        let rows: &[(String, &str)] = &[
            (time(0.0), "0 µs"),
            (time(7.0), "7 µs"),
            (time(7.25), "7.25 µs"),
            (time(0.8033), "0.803 µs"),
            (time(45.0), "45 µs"),
            (time(999.4), "999 µs"),
            (time(999.6), "1.00 ms"),
            (time(12_345.0), "12.3 ms"),
            (time(999_499.0), "999 ms"),
            (time(999_600.0), "1.00 s"),
            (time(61e6), "61.0 s"),
            (time(3600e6), "60.0 min"),
            (time_exact(200_191.0), "200.191 ms"),
            (time_exact(900.5), "900.5 µs"),
            (time_exact(2e6), "2 s"),
            (count(0), "0"),
            (count(999), "999"),
            (count(1_000), "1,000"),
            (count(1_234_567), "1,234,567"),
            (counted(1, ("delivery", "deliveries")), "1 delivery"),
            (counted(0, ("delivery", "deliveries")), "0 deliveries"),
            (short(0.0), "0"),
            (short(0.5), "0.5"),
            (short(12.0), "12"),
            (short(999.6), "1k"),
            (short(1_020_000.0), "1.02M"),
            (short(2.5e9), "2.5G"),
            (bytes(0.0), "0 B"),
            (bytes(1023.0), "1023 B"),
            (bytes(1024.0), "1.00 KiB"),
            (bytes(14_540.8), "14.2 KiB"),
            (bytes(-2048.0), "-2.00 KiB"),
            (number(0.0), "0"),
            (number(0.012_34), "0.0123"),
            (number(-1.5), "-1.5"),
            (number(99.88), "99.88"),
            (number(1_234_567.8), "1,234,568"),
            (number(f64::NAN), "NaN"),
            (printable("a\u{1b}[31mb\n\u{202e}c"), "a�[31mb��c"),
        ];
        for (found, expected) in rows {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_share_is_never_rounded_to_nothing_or_to_all() {
        let rows = [
            (0, 10, "0 %"),
            (10, 10, "100 %"),
            (1, 1_000_000_000, "0.0000001 %"),
            (1, 3, "33.3 %"),
            (999_999_999, 1_000_000_000, "99.9999999 %"),
            (20, 10, "200 %"),
        ];
        for (part, whole, expected) in rows {
            assert_eq!(share(part, whole).as_deref(), Some(expected), "{part} of {whole}");
        }
        assert_eq!(share(1, 0), None);
    }
}
