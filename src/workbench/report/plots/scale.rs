//! Scales in round steps, and their figures.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;

use crate::workbench::format::thousands;

/// What a panel is measured by.
#[derive(Clone)]
pub struct Scale {
    pub range: Range<f64>,
    /// Where its figures are.
    ticks: Vec<f64>,
    figure: fn(f64) -> String,
}

impl Scale {
    /// Logarithmic, from decade to decade; of logarithms of milliseconds.
    pub fn of_latencies(logs: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for log in logs {
            (low, high) = (low.min(log.floor()), high.max(log.ceil()));
        }
        let (low, high) = if low <= high { (low, high.max(low + 1.0)) } else { (0.0, 1.0) };
        Self { range: low..high, ticks: ticks(low, high, 1.0), figure: |log| number(10f64.powf(log)) }
    }

    /// From nothing up to about this, in round steps.
    pub fn from_zero(highest: f64) -> Self {
        let step = round_step(highest.max(1e-3) / 4.0);
        let high = (highest / step).ceil().max(1.0) * step;
        Self { range: 0.0..high, ticks: ticks(0.0, high, step), figure: number }
    }

    /// Of the seconds of a test.
    pub fn of_seconds(span: f64) -> Self {
        Self { range: 0.0..span, ticks: ticks(0.0, span, round_step(span / 12.0)), figure: number }
    }
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range.clone()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Nothing is drawn between the figures.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, value: &f64) -> String {
        (self.figure)(*value)
    }
}

/// 1, 2 or 5 times a power of ten: the first that is at least this.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].map(|digit| digit * power).into_iter().find(|&step| step >= least).unwrap_or(10.0 * power)
}

fn ticks(low: f64, high: f64, step: f64) -> Vec<f64> {
    // Not by adding up, which would add up errors.
    (0..1_000)
        .map(|number| low + f64::from(number) * step)
        .take_while(|&tick| tick <= high + step / 1e3)
        .collect()
}

/// `0.001`, `0.5`, `20`, `1,000`
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is positive, and of a scale")]
pub fn number(value: f64) -> String {
    if value.round() >= 1_000.0 {
        return thousands(value.round() as usize);
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_round() {
        let steps = [0.3, 1.0, 1.1, 2.5, 60.0, 1000.0].map(|least| number(round_step(least)));
        assert_eq!(steps, ["0.5", "1", "2", "5", "100", "1,000"]);
        assert_eq!(
            [0.0, 0.001, 0.25, 20.0, 999.0, 1e6].map(number),
            ["0", "0.001", "0.25", "20", "999", "1,000,000"]
        );
        let scale = Scale::of_latencies([0.2, -1.5].into_iter());
        assert_eq!((scale.range, scale.ticks), (-2.0..1.0, vec![-2.0, -1.0, 0.0, 1.0]));
        assert_eq!(Scale::of_latencies([].into_iter()).range, 0.0..1.0);
        assert_eq!(Scale::of_latencies([-3.0].into_iter()).range, -3.0..-2.0);
        assert_eq!(
            Scale::from_zero(33.0).ticks.into_iter().map(number).collect::<Vec<_>>(),
            ["0", "10", "20", "30", "40"]
        );
        assert!(!Scale::from_zero(0.0).range.is_empty());
    }
}
