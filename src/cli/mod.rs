//! The subcommands that do more than call the library.

pub mod check;
pub mod test;
pub mod trace;

use messenger::time::Duration;

/// Seconds, with a fraction if need be, up to a day.
pub fn seconds(text: &str) -> Result<Duration, String> {
    span(text, 1.0, "a number of seconds, such as 0.5")
}

/// Milliseconds, with a fraction if need be, up to a day.
pub fn millis(text: &str) -> Result<Duration, String> {
    span(text, 1e-3, "a number of milliseconds, such as 100")
}

fn span(text: &str, unit: f64, expected: &str) -> Result<Duration, String> {
    const MAX: f64 = 86_400.0;
    let number: f64 = text.parse().map_err(|_| format!("expected {expected}"))?;
    let seconds = number * unit;
    if !(0.0..=MAX).contains(&seconds) {
        return Err(format!("expected 0 to {MAX} seconds"));
    }
    Ok(std::time::Duration::from_secs_f64(seconds).into())
}
