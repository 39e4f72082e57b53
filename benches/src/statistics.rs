//! Medians, quartiles and geometric means: what is left of many rounds.

use serde::Serialize;

/// The middle of a sample, and the quartiles around it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// A quarter of the values lies below.
    pub lower: f64,
    /// Half of the values lie below.
    pub median: f64,
    /// A quarter of the values lies above.
    pub upper: f64,
}

impl Spread {
    /// The spread of `values`.
    ///
    /// # Panics
    ///
    /// When there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self {
            lower: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            upper: quantile(&sorted, 0.75),
        }
    }
}

/// The value below which the part `q` of the values lies, interpolated (Hyndman and Fan's type 7).
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let below = sorted[place.floor() as usize];
    let above = sorted[place.ceil() as usize];
    below + (above - below) * place.fract()
}

/// The geometric mean of positive values; `None` when there are none.
pub fn geometric_mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (mut count, mut sum) = (0_u32, 0.0);
    for value in values {
        count += 1;
        sum += value.ln();
    }
    (count > 0).then(|| (sum / f64::from(count)).exp())
}

/// A unit in which times are written.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    /// Its symbol.
    pub name: &'static str,
    nanoseconds: f64,
}

impl Unit {
    /// The unit that leaves a time one to four digits before the point.
    pub fn for_time(nanoseconds: f64) -> Self {
        let (name, nanoseconds) = match nanoseconds {
            n if n < 10_000.0 => ("ns", 1.0),
            n if n < 10_000_000.0 => ("µs", 1e3),
            _ => ("ms", 1e6),
        };
        Self { name, nanoseconds }
    }

    /// A time in this unit, to three digits or so.
    pub fn number(self, nanoseconds: f64) -> String {
        match nanoseconds / self.nanoseconds {
            n if n < 10.0 => format!("{n:.2}"),
            n if n < 100.0 => format!("{n:.1}"),
            n => format!("{n:.0}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_the_values() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]);
        assert_eq!(
            spread,
            Spread {
                lower: 1.75,
                median: 2.5,
                upper: 3.25
            }
        );
    }

    #[test]
    fn one_value_is_its_own_spread() {
        let spread = Spread::of([7.0]);
        assert_eq!((spread.lower, spread.median, spread.upper), (7.0, 7.0, 7.0));
    }

    #[test]
    fn a_time_is_written_in_a_unit_that_suits_it() {
        let written = |n| {
            let unit = Unit::for_time(n);
            format!("{} {}", unit.number(n), unit.name)
        };
        assert_eq!(written(2.5), "2.50 ns");
        assert_eq!(written(32.14), "32.1 ns");
        assert_eq!(written(12_345.0), "12.3 µs");
        assert_eq!(written(1_090_000.0), "1090 µs");
    }

    #[test]
    fn the_geometric_mean_of_a_ratio_and_its_inverse_is_one() {
        let mean = geometric_mean([0.25, 4.0]).expect("there are values");
        assert!((mean - 1.0).abs() < 1e-12);
        assert_eq!(geometric_mean([]), None);
    }
}
