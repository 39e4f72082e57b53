//! What the flight recorder keeps: polls, wake-ups, sleep, and no more than there is room for.

use std::future::{pending, poll_fn};
use std::sync::mpsc;
use std::task::Poll;
use std::time::{Duration, Instant};

use rt::Builder;

use crate::support::{each_builder, must_end};
use crate::viewer::View;

fn task<T: Send + 'static>(
    name: &'static str,
    future: impl Future<Output = T> + Send + 'static,
) -> rt::JoinHandle<T> {
    rt::task::Builder::new().name(name).spawn(future)
}

/// Each poll is a slice with the name of its task, and says what came after it.
#[test]
fn each_poll_is_a_slice() {
    each_builder(|builder| {
        let runtime = builder.flight_recorder(1024).build().unwrap();
        runtime.block_on(async {
            task("three polls", async {
                rt::yield_now().await;
                rt::sleep(Duration::from_millis(1)).await;
            })
            .await
            .unwrap();
        });
        let view = View::of(&runtime.trace().unwrap());
        let polls = view.named("three polls");
        let left: Vec<_> = polls.iter().map(|poll| poll.then.as_str()).collect();
        assert_eq!(left, ["queued again", "waits", "finished"], "{view:?}");
        assert!(polls.iter().all(|poll| poll.category == "poll"));
        assert!(polls.iter().all(|poll| poll.track.starts_with("worker ")));
        assert!(
            polls[2].begin - polls[1].begin >= 1_000_000,
            "it slept a millisecond"
        );
        assert!(!view.named("block_on").is_empty());
        assert!(view.counters.iter().any(|name| name == "queue of worker 0"));
    });
}

/// A task without a name is called by the line that spawned it.
#[test]
fn a_task_without_a_name_has_its_line() {
    let runtime = Builder::new().flight_recorder(64).build().unwrap();
    let line = line!() + 1;
    runtime.block_on(runtime.spawn(async {})).unwrap();
    let view = View::of(&runtime.trace().unwrap());
    assert_eq!(
        view.named(&format!("{}:{line}", file!())).len(),
        1,
        "{view:?}"
    );
}

/// An arrow leads from the poll that woke a task to the poll of that task.
#[test]
fn an_arrow_leads_from_a_wake_up_to_the_poll() {
    each_builder(|builder| {
        let runtime = builder.flight_recorder(1024).build().unwrap();
        runtime.block_on(async {
            let (sender, receiver) = rt::sync::oneshot::channel::<()>();
            let woken = task("woken", receiver);
            rt::test::quiescent().await;
            task("wakes", async move { sender.send(()) })
                .await
                .unwrap()
                .unwrap();
            woken.await.unwrap().unwrap();
        });
        let view = View::of(&runtime.trace().unwrap());
        let arrows = view.arrows_to("woken");
        let from: Vec<_> = arrows
            .iter()
            .map(|arrow| arrow.from.name.as_str())
            .collect();
        assert_eq!(from, ["block_on", "wakes"], "spawned, then woken: {view:?}");
        assert_eq!(arrows[1].to.then, "finished");
    });
}

/// A thread that is no worker has a track, and arrows begin there too.
#[test]
fn other_threads_have_tracks() {
    let runtime = Builder::new()
        .workers(2)
        .flight_recorder(1024)
        .build()
        .unwrap();
    let (sender, receiver) = rt::sync::oneshot::channel::<()>();
    runtime.block_on(async move {
        let woken = rt::spawn(receiver);
        rt::test::quiescent().await;
        let blocking = rt::task::Builder::new()
            .name("blocks")
            .spawn_blocking(move || sender.send(()).unwrap());
        blocking.await.unwrap();
        woken.await.unwrap().unwrap();
    });
    let view = View::of(&runtime.trace().unwrap());
    let blocks = view.named("blocks");
    assert_eq!(blocks.len(), 1);
    assert!(blocks[0].track.starts_with("thread "), "{view:?}");
    assert!(
        view.arrows.iter().any(|arrow| arrow.from.name == "blocks"),
        "{view:?}"
    );
}

/// Timers are slices, and arrows lead from them to those who slept.
#[test]
fn timers_wake() {
    let runtime = Builder::current_thread()
        .flight_recorder(1024)
        .build()
        .unwrap();
    let sleeper = rt::task::Builder::new().name("sleeper");
    runtime.block_on(async {
        // Made where it is first polled, or a busy machine may be late for it, and it never sleeps.
        let sleep = async { rt::sleep(Duration::from_millis(20)).await };
        sleeper.spawn(sleep).await.unwrap();
    });
    let view = View::of(&runtime.trace().unwrap());
    let last = view
        .arrows_to("sleeper")
        .last()
        .map(|arrow| arrow.from.name.clone());
    assert_eq!(last.as_deref(), Some("timers"), "{view:?}");
    assert!(!view.named("sleeps").is_empty());
}

/// Sockets are slices, and arrows lead from them to those who waited.
#[test]
fn sockets_wake() {
    let runtime = Builder::current_thread()
        .flight_recorder(1024)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (mut ours, theirs) = rt::net::UnixStream::pair().unwrap();
        let reader = task("reader", async move {
            use rt::io::AsyncReadExt;
            let mut theirs = theirs;
            theirs.read_exact(&mut [0]).await
        });
        rt::test::quiescent().await;
        use rt::io::AsyncWriteExt;
        ours.write_all(b"x").await.unwrap();
        reader.await.unwrap().unwrap();
    });
    let view = View::of(&runtime.trace().unwrap());
    let last = view
        .arrows_to("reader")
        .last()
        .map(|arrow| arrow.from.name.clone());
    assert_eq!(last.as_deref(), Some("sockets"), "{view:?}");
}

/// The recorder holds so many events for each worker and no more; the oldest go.
#[test]
fn it_keeps_the_last_events() {
    let runtime = Builder::current_thread()
        .flight_recorder(100)
        .build()
        .unwrap();
    runtime.block_on(async {
        for _ in 0..1000 {
            rt::yield_now().await;
        }
        for _ in 0..1000 {
            task("early", async {}).await.unwrap();
        }
        task("late", async {}).await.unwrap();
    });
    let trace = runtime.trace().unwrap();
    assert_eq!(trace.n_events(), 128, "rounded up to a power of two");
    assert!(trace.n_lost() > 4000, "{}", trace.n_lost());
    let view = View::of(&trace);
    assert_eq!(view.named("late").len(), 1);
    assert!(view.named("early").len() < 64);
}

/// It is read while every worker is blocked, and shows what blocks them.
#[test]
fn a_poll_that_is_not_over_is_there() {
    must_end("while its workers are blocked", || {
        let runtime = Builder::new()
            .workers(2)
            .flight_recorder(1024)
            .build()
            .unwrap();
        let (is_in, inside) = mpsc::channel();
        let (go_on, gate) = mpsc::channel::<()>();
        let blocked = runtime.spawn(async move {
            is_in.send(()).unwrap();
            let _ = gate.recv();
        });
        inside.recv().unwrap();
        let view = View::of(&runtime.trace().unwrap());
        let open = view
            .slices
            .iter()
            .filter(|slice| slice.then == "is not over");
        let open: Vec<_> = open.map(|slice| slice.id.to_string()).collect();
        assert_eq!(open, [blocked.id().to_string()], "{view:?}");
        drop(go_on);
        blocked.join_blocking().unwrap();
    });
}

/// It is read while the workers go on, and each copy makes sense.
#[test]
fn it_is_read_while_workers_write() {
    must_end("while it is read", || {
        let runtime = Builder::new()
            .workers(2)
            .flight_recorder(256)
            .build()
            .unwrap();
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                runtime.spawn(async {
                    loop {
                        rt::spawn(rt::yield_now()).await.unwrap();
                    }
                })
            })
            .collect();
        let began = Instant::now();
        let mut n_polls = 0;
        while began.elapsed() < Duration::from_millis(300) || n_polls < 100 {
            let view = View::of(&runtime.trace().unwrap());
            n_polls += view
                .slices
                .iter()
                .filter(|slice| slice.category == "poll")
                .count();
        }
        for task in tasks {
            task.cancel();
        }
    });
}

/// A poll that gives its seat away ends there on the track of its worker; others go on beside it, not inside.
#[test]
fn a_seat_that_is_given_away_ends_the_poll() {
    must_end("while one blocks in place", || {
        let runtime = Builder::new()
            .workers(1)
            .flight_recorder(1024)
            .build()
            .unwrap();
        let (is_done, done) = mpsc::channel();
        let blocks = runtime.spawn(async move {
            rt::block_in_place(|| done.recv().unwrap());
        });
        let other = runtime.spawn(async move {
            rt::yield_now().await;
            is_done.send(()).unwrap();
        });
        let (blocking, beside) = (blocks.id(), other.id());
        blocks.join_blocking().unwrap();
        other.join_blocking().unwrap();
        let view = View::of(&runtime.trace().unwrap());
        let number = |task: &rt::TaskId| task.to_string().parse::<u64>().unwrap();
        let polls = view
            .slices
            .iter()
            .filter(|slice| slice.id == number(&beside));
        for poll in polls {
            let outer = view.slices.iter().find(|slice| {
                slice.id == number(&blocking)
                    && slice.track == poll.track
                    && slice.begin <= poll.begin
                    && poll.begin < slice.end
            });
            assert!(outer.is_none(), "{poll:?} inside {outer:?}");
        }
    });
}

/// A task that is woken during its own poll has an arrow to the next.
#[test]
fn a_task_that_wakes_itself_is_woken() {
    let runtime = Builder::current_thread()
        .flight_recorder(1024)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut is_second = false;
        let twice = poll_fn(move |cx| {
            cx.waker().wake_by_ref();
            match std::mem::replace(&mut is_second, true) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        });
        task("twice", twice).await.unwrap();
    });
    let view = View::of(&runtime.trace().unwrap());
    let from: Vec<_> = view
        .arrows_to("twice")
        .iter()
        .map(|arrow| arrow.from.name.clone())
        .collect();
    assert_eq!(from, ["block_on", "twice"], "{view:?}");
}

/// Runs in an order drawn from a seed are recorded too.
#[test]
fn chaos_is_recorded() {
    let runtime = Builder::new()
        .workers(2)
        .chaos(7)
        .flight_recorder(1024)
        .build()
        .unwrap();
    runtime.block_on(async {
        task("sleeps an hour", rt::sleep(Duration::from_secs(3600)))
            .await
            .unwrap();
    });
    let view = View::of(&runtime.trace().unwrap());
    assert!(view.named("sleeps an hour").len() >= 2, "{view:?}");
}

/// Debug mode and the recorder go together.
#[test]
fn debug_mode_is_recorded() {
    let runtime = Builder::new()
        .debug(true)
        .flight_recorder(64)
        .build()
        .unwrap();
    runtime.block_on(runtime.spawn(rt::yield_now())).unwrap();
    let trace = runtime.trace().unwrap();
    let polls = View::of(&trace)
        .slices
        .into_iter()
        .filter(|slice| slice.category == "poll");
    assert_eq!(polls.count(), 2);
}

/// Without the recorder there is nothing to give.
#[test]
fn nothing_is_recorded_unless_it_was_asked_for() {
    let runtime = Builder::new().build().unwrap();
    assert!(runtime.trace().is_none());
    let task = runtime.spawn(pending::<()>());
    assert!(runtime.handle().trace().is_none());
    task.cancel();
}
