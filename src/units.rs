//! Durations (`"30s"`) and sizes (`"8MiB"`) as scripts and flags write them.

use std::time::Duration;

/// A duration: a number with `ms`, `s`, `m`, `h` or `d`, or several of them (`1h30m`).
///
/// # Errors
/// Says what is wrong with it, and how to write one.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no duration; write it like 30s, 1m30s or 500ms");
    let mut seconds = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (number, unit, after) = number_and_unit(rest).ok_or_else(wrong)?;
        let factor = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return Err(wrong()),
        };
        seconds += number * factor;
        rest = after;
    }
    seconds_to_duration(seconds).ok_or_else(wrong)
}

/// A number of seconds as a duration; `None` when it is negative or beyond all measure.
pub fn seconds_to_duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

/// A size in bytes: a number with `B`, `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024) or `kB`, `MB`,
/// `GB`, `TB` (powers of 1000); without a unit, bytes.
///
/// # Errors
/// Says what is wrong with it, and how to write one.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is no size; write it like 8MiB or 500kB");
    let (number, unit, after) = number_and_unit(text.trim()).ok_or_else(wrong)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kib" | "k" => 1024.0,
        "mib" | "m" => 1024.0 * 1024.0,
        "gib" | "g" => 1024.0 * 1024.0 * 1024.0,
        "tib" | "t" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        _ => return Err(wrong()),
    };
    let bytes = number * factor;
    if !after.is_empty() || bytes > 9e15 {
        return Err(wrong());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 9e15"
    )]
    Ok(bytes.round() as u64)
}

/// Splits `1.5h30m` into `1.5`, `h` and `30m`.
fn number_and_unit(text: &str) -> Option<(f64, &str, &str)> {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let number = text[..end].parse().ok()?;
    let rest = text[end..].trim_start();
    let end = rest
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    Some((number, &rest[..end], rest[end..].trim_start()))
}

/// A duration as people write it: `90s` is `1m30s`.
pub fn human_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (seconds, rest) = (millis / 1000, millis % 1000);
    let units = [(seconds / 3600, "h"), (seconds / 60 % 60, "m")];
    let mut parts: Vec<String> = units
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number}{unit}"))
        .collect();
    if seconds % 60 > 0 || rest > 0 {
        let number = format!("{}.{rest:03}", seconds % 60);
        let number = number.trim_end_matches('0').trim_end_matches('.');
        parts.push(format!("{number}s"));
    }
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let millis = |text| duration(text).map(|d| d.as_millis());
        assert_eq!(millis("30s"), Ok(30_000));
        assert_eq!(millis("1h30m"), Ok(5_400_000));
        assert_eq!(millis("1.5s"), Ok(1500));
        assert_eq!(millis("250ms"), Ok(250));
        assert_eq!(millis("2d"), Ok(172_800_000));
        for wrong in ["", "30", "s", "-1s", "1x", "1s2", "99999999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("8MiB"), Ok(8 << 20));
        assert_eq!(size("1.5 KiB"), Ok(1536));
        assert_eq!(size("500kB"), Ok(500_000));
        assert_eq!(size("7"), Ok(7));
        for wrong in ["", "MiB", "-1", "1MiB2", "1 parsec", "9000000TiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_read_well() {
        let shown =
            [0, 250, 1500, 90_000, 3_600_000].map(|ms| human_duration(Duration::from_millis(ms)));
        assert_eq!(shown, ["0ms", "250ms", "1.5s", "1m30s", "1h"]);
    }
}
