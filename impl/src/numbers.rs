//! Floating-point numbers as text: scores, and what replies and digests make of them.

mod long_double;

pub(crate) use long_double::LongDouble;

/// Digits that tell every double apart.
const DIGITS: usize = 17;

/// A double in the spelling of C's `%.17g`: seventeen significant digits without trailing zeros, with an exponent if it
/// is below -4 or above 16.
pub(crate) fn exact(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if number == 0.0 {
        return if number.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let scientific = format!("{number:.*e}", DIGITS - 1);
    let (mantissa, exponent) = scientific
        .split_once('e')
        .expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    if !(-4..DIGITS as i32).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        let mantissa = without_trailing_zeros(mantissa);
        return format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    }
    let decimals = (DIGITS as i32 - 1 - exponent) as usize;
    without_trailing_zeros(&format!("{number:.decimals$}")).to_owned()
}

/// A double in the fewest digits that tell it apart, spelled as by the library `fpconv`, which servers from Redis 7.2 on
/// use: plain if few zeros have to be filled in, otherwise with an exponent. Theirs may have a digit too many where the
/// algorithm of that library (Grisu2) does not find the fewest, for about one number in a thousand.
pub(crate) fn shortest(number: f64) -> String {
    if number.is_infinite() || number == 0.0 {
        return exact(number);
    }
    let scientific = format!("{:e}", number.abs());
    let (mantissa, exponent) = scientific
        .split_once('e')
        .expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    let digits = mantissa.replace('.', "");
    let length = digits.len() as i32;
    // The number is `digits` times ten to this.
    let power = exponent - (length - 1);
    let magnitude = exponent.abs();
    let sign = if number < 0.0 { "-" } else { "" };
    if power >= 0 && magnitude < length + 7 {
        return format!("{sign}{digits}{}", "0".repeat(power as usize));
    }
    if power < 0 && (power > -7 || magnitude < 4) {
        return format!("{sign}{:.*}", power.unsigned_abs() as usize, number.abs());
    }
    let direction = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{mantissa}e{direction}{magnitude}")
}

fn without_trailing_zeros(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

/// A score or an increment as Redis reads it: a decimal number or an infinity, nothing before or after it.
pub(crate) fn parse_float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().filter(|number: &f64| !number.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_spelled_as_c_spells_them() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.10000000000000001"),
            (3.3, "3.2999999999999998"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (0.0001, "0.0001"),
            (0.000_01, "1.0000000000000001e-05"),
            (1e-300, "1e-300"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            assert_eq!(exact(number), text);
        }
    }

    #[test]
    fn doubles_are_spelled_in_the_fewest_digits() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.3, "3.3"),
            (-1.5, "-1.5"),
            (100.0, "100"),
            (1e7, "10000000"),
            (1e8, "1e+8"),
            (12e7, "120000000"),
            (12e8, "1.2e+9"),
            (17_179_869_184.0, "17179869184"),
            (0.1, "0.1"),
            (0.000_001, "0.000001"),
            (0.000_000_1, "1e-7"),
            (0.000_123_456_7, "1.234567e-4"),
            (0.001_234_567, "0.001234567"),
            (1e300, "1e+300"),
            (5e-324, "5e-324"),
            (1_234_567.891_234, "1234567.891234"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(shortest(number), text);
        }
    }

    #[test]
    fn floats_are_read_strictly() {
        for (text, number) in [
            ("1", Some(1.0)),
            ("+inf", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("1e3", Some(1000.0)),
            (".5", Some(0.5)),
            ("nan", None),
            (" 1", None),
            ("1 ", None),
            ("", None),
            ("one", None),
        ] {
            assert_eq!(parse_float(text.as_bytes()), number, "{text}");
        }
    }
}
