//! What do timers cost, and how late are they?
//!
//! Lateness is measured on an idle machine with one sleeper; under load it is the scheduler's queues that
//! count. A timer wheel of coarse ticks buys cheap timers with lateness: read the rows together. The wall
//! time of `timers_firing` cannot fall below 500 ns, its longest sleep shared out over all sleepers; the
//! processor time beside it can. Of a `timeout` that does not elapse a sixth is one reading of the clock, and as much
//! is moving the future into its place: a scope that can be cancelled, and awaits its cleanup, is in it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::Countdown;
use crate::peer::{Answer, Peer};
use crate::workload::{Case, Sample, Scale, Workload, timed_in_task};

pub(super) fn cases() -> Vec<Case> {
    let lateness = |duration, sleeps| SleepLateness { duration, sleeps };
    vec![
        Case::new(
            "sleep_lateness_1ms",
            "lateness of a sleep of 1 ms, otherwise idle",
            lateness(Duration::from_millis(1), 100),
        ),
        Case::new(
            "sleep_lateness_100us",
            "lateness of a sleep of 100 µs, otherwise idle",
            lateness(Duration::from_micros(100), 100),
        ),
        Case::new(
            "timers_firing",
            "one of 100,000 tasks that sleep 1 to 50 ms, wall time",
            TimersFiring(Clock::Wall),
        ),
        Case::new(
            "timers_firing_cpu",
            "the same, processor time",
            TimersFiring(Clock::Processor),
        ),
        Case::new(
            "timeout_unused",
            "a timeout around what is ready on its second poll",
            TimeoutUnused,
        ),
    ]
}

struct SleepLateness {
    duration: Duration,
    sleeps: u64,
}

impl Workload for SleepLateness {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let duration = self.duration;
        let sleeps = scale.of(self.sleeps);
        let late = async move {
            let mut late = Duration::ZERO;
            for _ in 0..sleeps {
                let begin = Instant::now();
                P::sleep(duration).await;
                let slept = begin.elapsed();
                assert!(slept >= duration, "{duration:?} took {slept:?} only");
                late += slept - duration;
            }
            late
        };
        Sample {
            elapsed: peer.block_on(async { P::spawn(late).await }),
            operations: sleeps,
        }
    }
}

enum Clock {
    Wall,
    Processor,
}

struct TimersFiring(Clock);

impl Workload for TimersFiring {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const LONGEST: u64 = 50;
        let sleepers = scale.of(100_000);
        let processor_before = processor_time();
        let wall = timed_in_task(peer, sleepers, async move {
            let begin = Instant::now();
            let (report, all_through) = P::oneshot();
            let countdown = Arc::new(Countdown::<P>::new(sleepers as usize, report));
            for i in 0..sleepers {
                let countdown = countdown.clone();
                P::spawn_detached(async move {
                    P::sleep(Duration::from_millis(1 + i % LONGEST)).await;
                    countdown.arrive();
                });
            }
            all_through.receive().await;
            assert!(begin.elapsed() >= Duration::from_millis(LONGEST));
        });
        match self.0 {
            Clock::Wall => wall,
            Clock::Processor => Sample {
                elapsed: processor_time() - processor_before,
                operations: sleepers,
            },
        }
    }
}

/// The time all threads of the process have computed; the runtimes not being measured are asleep.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

struct TimeoutUnused;

impl Workload for TimeoutUnused {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let timeouts = scale.of(100_000);
        timed_in_task(peer, timeouts, async move {
            for i in 0..timeouts {
                let second_poll = SecondPoll {
                    value: i,
                    polled: false,
                };
                let result = P::timeout(Duration::from_secs(60), second_poll).await;
                assert_eq!(result, Some(i));
            }
        })
    }
}

/// Wakes itself and is ready the next time, so that the timeout around it really is set.
struct SecondPoll {
    value: u64,
    polled: bool,
}

impl Future for SecondPoll {
    type Output = u64;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u64> {
        if std::mem::replace(&mut self.polled, true) {
            return Poll::Ready(self.value);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
