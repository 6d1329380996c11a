//! Numbers: 64-bit integers exactly, everything else as a finite double.

use serde_json::Number;

/// Parses a JSON number. `None` if it is neither a 64-bit integer nor a finite double, or so small
/// that it would become 0.
pub(super) fn read(text: &str) -> Option<Number> {
    if let Ok(integer) = text.parse::<i64>() {
        return Some(integer.into());
    }
    if let Ok(integer) = text.parse::<u64>() {
        return Some(integer.into());
    }
    let double: f64 = text.parse().ok()?;
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let underflown = double == 0.0 && mantissa.bytes().any(|c| matches!(c, b'1'..=b'9'));
    if underflown { None } else { Number::from_f64(double) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_stay_exact_and_doubles_print_shortest() {
        for (text, printed) in [
            ("0", "0"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "1.8446744073709552e19"),
            ("1.0", "1.0"),
            ("1e0", "1.0"),
            ("1e300", "1e300"),
            ("0.10000000000000000001", "0.1"),
            ("5e-324", "5e-324"),
            ("0e-999", "0.0"),
        ] {
            let number = read(text).map(|n| n.to_string().replace("e+", "e"));
            assert_eq!(number.as_deref(), Some(printed), "{text}");
        }
    }

    #[test]
    fn too_large_and_too_small_are_refused() {
        for text in ["1e400", "-1e400", "1e-400", "0.0001e-400", &"9".repeat(400)] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
