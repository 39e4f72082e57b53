//! The numbers of a runtime in the text format that Prometheus reads, behind the feature `metrics`.
//!
//! Source of the format: <https://prometheus.io/docs/instrumenting/exposition_formats/>, version 0.0.4.

use std::fmt;
use std::time::Duration;

use crate::histogram::Histogram;
use crate::metrics::Metrics;

impl Metrics {
    /// The numbers as Prometheus reads them, each with its meaning and with the name of the runtime as a label.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// let runtime = rt::Builder::new().workers(2).build()?;
    /// runtime.block_on(async { rt::spawn(async {}).await.unwrap() });
    /// let text = runtime.metrics().prometheus("svc").to_string();
    /// assert!(text.contains("# TYPE rt_tasks_spawned_total counter\n"));
    /// assert!(text.contains("rt_tasks_spawned_total{runtime=\"svc\"} 1\n"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn prometheus<'a>(&'a self, runtime: &'a str) -> Prometheus<'a> {
        Prometheus {
            metrics: self,
            runtime,
        }
    }
}

/// Writes the numbers of a runtime as Prometheus reads them; made by [`Metrics::prometheus`].
#[derive(Clone, Copy, Debug)]
pub struct Prometheus<'a> {
    metrics: &'a Metrics,
    runtime: &'a str,
}

/// A number that only grows, one that goes up and down, or many numbers by their size.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Bounds of the buckets are powers of two of nanoseconds, from 256 ns to 17 s, so that they are bounds of the
/// runtime's own buckets too.
const BOUNDS: std::ops::RangeInclusive<u32> = 8..=34;

/// Each second one is written: a factor of four lies between two bounds.
const STEP: usize = 2;

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// The value of a label: backslash, quote and line feed are escaped.
struct Label<'a>(&'a str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

/// Name, kind, meaning and value.
type Number = (&'static str, Kind, &'static str, u64);

impl Metrics {
    fn of_tasks(&self) -> [Number; 5] {
        use Kind::{Counter, Gauge};
        let (n_injected, n_rescues) = (self.n_injected as u64, self.n_rescues.into());
        [
            (
                "rt_tasks_spawned_total",
                Counter,
                "Tasks spawned.",
                self.n_spawned,
            ),
            (
                "rt_tasks_live",
                Gauge,
                "Tasks that are not through.",
                self.n_live,
            ),
            ("rt_polls_total", Counter, "Polls of tasks.", self.n_polls),
            (
                "rt_tasks_injected",
                Gauge,
                "Tasks queued from outside.",
                n_injected,
            ),
            (
                "rt_rescues_total",
                Counter,
                "Work found behind a long poll.",
                n_rescues,
            ),
        ]
    }

    fn of_threads(&self) -> [Number; 5] {
        use Kind::Gauge;
        let wide = |number: usize| number as u64;
        let blocking = [
            self.n_blocking,
            self.n_blocking_queued,
            self.n_blocking_threads,
        ];
        let [n_jobs, n_queued, n_threads] = blocking.map(wide);
        let (n_workers, n_spares) = (wide(self.n_workers), wide(self.n_spares));
        [
            ("rt_workers", Gauge, "Workers.", n_workers),
            (
                "rt_spare_threads",
                Gauge,
                "Threads in the place of blocked workers.",
                n_spares,
            ),
            (
                "rt_blocking_jobs",
                Gauge,
                "Blocking jobs that run or wait.",
                n_jobs,
            ),
            (
                "rt_blocking_queued",
                Gauge,
                "Blocking jobs that wait.",
                n_queued,
            ),
            (
                "rt_blocking_threads",
                Gauge,
                "Threads for blocking jobs.",
                n_threads,
            ),
        ]
    }
}

impl fmt::Display for Prometheus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runtime = Label(self.runtime);
        let numbers = self.metrics.of_tasks().into_iter();
        for (name, kind, help, value) in numbers.chain(self.metrics.of_threads()) {
            head(f, name, kind, help)?;
            writeln!(f, "{name}{{runtime=\"{runtime}\"}} {value}")?;
        }
        let name = "rt_worker_polls_total";
        head(
            f,
            name,
            Kind::Counter,
            "Polls of tasks by each worker, spare ones last.",
        )?;
        for (worker, numbers) in self.metrics.workers.iter().enumerate() {
            let n_polls = numbers.n_polls;
            writeln!(
                f,
                "{name}{{runtime=\"{runtime}\",worker=\"{worker}\"}} {n_polls}"
            )?;
        }
        let times = [
            (
                "rt_poll_seconds",
                "How long polls of tasks took, by samples.",
                &self.metrics.poll_time,
            ),
            (
                "rt_schedule_latency_seconds",
                "From wake-ups of tasks to their polls, by samples.",
                &self.metrics.schedule_latency,
            ),
        ];
        for (name, help, times) in times {
            head(f, name, Kind::Histogram, help)?;
            histogram(f, name, &runtime, times)?;
        }
        Ok(())
    }
}

fn histogram(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    runtime: &Label<'_>,
    times: &Histogram,
) -> fmt::Result {
    for power in BOUNDS.step_by(STEP) {
        let bound = Duration::from_nanos(1 << power);
        let (seconds, n_below) = (bound.as_secs_f64(), times.at_most(bound));
        writeln!(
            f,
            "{name}_bucket{{runtime=\"{runtime}\",le=\"{seconds}\"}} {n_below}"
        )?;
    }
    let (count, sum) = (times.count(), times.total().as_secs_f64());
    writeln!(
        f,
        "{name}_bucket{{runtime=\"{runtime}\",le=\"+Inf\"}} {count}"
    )?;
    writeln!(f, "{name}_sum{{runtime=\"{runtime}\"}} {sum}")?;
    writeln!(f, "{name}_count{{runtime=\"{runtime}\"}} {count}")
}

fn head(f: &mut fmt::Formatter<'_>, name: &str, kind: Kind, help: &str) -> fmt::Result {
    writeln!(f, "# HELP {name} {help}")?;
    writeln!(f, "# TYPE {name} {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_break_out_of_its_quotes() {
        let label = Label("a\"b\\c\nd").to_string();
        assert_eq!(label, "a\\\"b\\\\c\\nd");
    }

    #[test]
    fn each_worker_has_a_line_and_they_add_up() {
        let runtime = crate::Builder::new().workers(3).build().unwrap();
        runtime.block_on(async {
            for _ in 0..10 {
                crate::spawn(async {}).await.unwrap();
            }
        });
        let metrics = runtime.metrics();
        let text = metrics.prometheus("x").to_string();
        let lines = text.lines();
        let by_worker = lines.filter(|line| line.starts_with("rt_worker_polls_total{"));
        let polls = by_worker.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
        let polls: Vec<_> = polls.collect();
        assert_eq!(polls.len(), 3);
        assert_eq!(polls.iter().sum::<u64>(), metrics.n_polls);
        assert!(metrics.n_polls >= 10);
    }

    #[test]
    fn times_are_in_buckets_that_only_grow() {
        let runtime = crate::Builder::current_thread().build().unwrap();
        runtime.block_on(async {
            for _ in 0..20 {
                crate::spawn(async { std::thread::sleep(Duration::from_millis(1)) })
                    .await
                    .unwrap();
            }
        });
        let metrics = runtime.metrics();
        let text = metrics.prometheus("x").to_string();
        let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        let buckets = text
            .lines()
            .filter(|line| line.starts_with("rt_poll_seconds_bucket{runtime=\"x\",le="));
        let buckets: Vec<_> = buckets.map(value).collect();
        assert_eq!(buckets.len(), 15);
        assert!(buckets.is_sorted());
        assert_eq!(buckets[14], metrics.poll_time.count() as f64);
        // Polls of a millisecond lie between the bounds of 262 and 1,049 or 4,194 microseconds.
        assert!(buckets[5] < buckets[7], "{text}");
        let sum = text
            .lines()
            .find(|line| line.starts_with("rt_poll_seconds_sum{"));
        assert!(value(sum.unwrap()) >= 0.001 * buckets[14] / 2.0);
    }
}
