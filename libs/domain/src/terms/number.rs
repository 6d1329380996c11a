//! Numbers by value.

/// The value of a JSON number: its significant digits and a power of ten. Texts of equal decimal
/// value give the same: `1`, `1.0` and `10e-1` are `1e0`. PostgreSQL compares `jsonb` numbers so.
pub(super) fn canonical(text: &str) -> String {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |text| ("-", text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = [whole, fraction].concat();
    let digits = all.trim_end_matches('0');
    if digits.is_empty() {
        return "0".to_owned();
    }
    let shift =
        i64::try_from(all.len() - digits.len()).unwrap_or(0) - i64::try_from(fraction.len()).unwrap_or(0);
    let power = exponent.parse::<i64>().unwrap_or(0) + shift;
    format!("{sign}{}e{power}", digits.trim_start_matches('0'))
}
