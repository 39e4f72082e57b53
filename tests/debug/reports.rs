//! What debug mode reports: programs that are wrong in one way, and the task, the place and the reason that are named.

use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Flag, builder, ms, must_end};
use crate::trouble;

/// One report.
#[derive(Clone, Debug)]
struct Report {
    text: String,
    task: Option<String>,
    file: String,
    line: u32,
    came: Instant,
}

/// What a runtime in debug mode reports.
///
/// On a busy machine any poll may take long, because its thread has to wait for a core. So whoever asks for slow polls
/// asks for those of one task, which goes on until it was reported; in the other tests no poll is slow.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<Report>>>);

/// So long no poll takes.
const NEVER_SLOW: Duration = Duration::from_secs(60);

impl Reports {
    fn builder(&self, n_workers: usize) -> rt::Builder {
        let reports = self.clone();
        let builder = builder(n_workers).debug(true).slow_poll(NEVER_SLOW);
        builder.on_unhandled(move |report| {
            let task = report.task();
            let place = task.map(|task| task.spawned_at);
            reports.0.lock().unwrap().push(Report {
                text: report.to_string(),
                task: task.and_then(|task| task.name.as_deref().map(str::to_owned)),
                file: place.map_or("", |place| place.file()).to_owned(),
                line: place.map_or(0, |place| place.line()),
                came: Instant::now(),
            });
        })
    }

    fn all(&self) -> Vec<Report> {
        self.0.lock().unwrap().clone()
    }

    /// Those whose text has `part` in it.
    fn with(&self, part: &str) -> Vec<Report> {
        let mut all = self.all();
        all.retain(|report| report.text.contains(part));
        all
    }

    /// The one report whose text has `part` in it, as soon as it is there.
    fn one_with(&self, part: &str) -> Report {
        self.one(part, || self.with(part))
    }

    /// The one report of the task with that name whose text has `part` in it, as soon as it is there.
    fn one_of(&self, task: &str, part: &str) -> Report {
        self.one(part, || self.of(task, part))
    }

    /// Those of the task with that name whose text has `part` in it.
    fn of(&self, task: &str, part: &str) -> Vec<Report> {
        let mut found = self.with(part);
        found.retain(|report| report.task.as_deref() == Some(task));
        found
    }

    /// Waits until one is found.
    fn one(&self, what: &str, find: impl Fn() -> Vec<Report>) -> Report {
        let began = Instant::now();
        loop {
            let found = find();
            if let [one] = &found[..] {
                return one.clone();
            }
            let all = self.all();
            assert!(
                began.elapsed() < Duration::from_secs(20) && found.is_empty(),
                "{what}: {all:?}"
            );
            thread::sleep(ms(1));
        }
    }
}

/// The line of a program that is marked as the one that spawns the task.
fn marked(source: &str) -> u32 {
    let mut lines = (1..).zip(source.lines());
    let (line, _) = lines.find(|(_, line)| line.ends_with("// here")).unwrap();
    line
}

/// Runs a program in debug mode on a runtime of each size, and has its reports checked.
fn each_report<F: Future<Output = ()>>(
    program: impl Fn() -> F + Send + Sync + 'static,
    check: impl Fn(&Reports) + Send + Sync + 'static,
) {
    let both = Arc::new((program, check));
    for n_workers in crate::support::SIZES {
        let both = both.clone();
        must_end(&format!("with {n_workers} workers"), move || {
            let reports = Reports::default();
            let runtime = reports.builder(n_workers).build().unwrap();
            runtime.block_on(both.0());
            drop(runtime);
            both.1(&reports);
        });
    }
}

#[track_caller]
fn assert_names(report: &Report, task: &str, file: &str, source: &str) {
    assert_eq!(report.task.as_deref(), Some(task), "{report:?}");
    assert!(report.file.ends_with(file), "{report:?}");
    assert_eq!(report.line, marked(source), "{report:?}");
}

/// The stack of a thread can be had here.
const HAS_STACKS: bool = cfg!(all(target_os = "linux", target_env = "gnu"));

/// S1-33, S1-35: a call that blocks is named while it blocks, with its stack, and once more when it is over.
#[test]
fn s1_33_a_blocking_call_is_reported_with_task_place_and_stack() {
    for n_workers in crate::support::SIZES {
        must_end(&format!("with {n_workers} workers"), move || {
            let reports = Reports::default();
            let builder = reports.builder(n_workers).slow_poll(ms(100));
            let runtime = builder.build().unwrap();
            let told = reports.clone();
            runtime.block_on(trouble::blocking_call::program(move || {
                let is_told = !told.of("sensor", "its thread, since").is_empty();
                // In a report of its own, the first time.
                is_told && (!HAS_STACKS || !told.with("read_sensor").is_empty())
            }));
            drop(runtime);
            assert_blocking_call(&reports);
        });
    }
}

fn assert_blocking_call(reports: &Reports) {
    let source = include_str!("../../examples/trouble/blocking_call.rs");
    let during = reports.one_of("sensor", "its thread, since");
    assert_names(&during, "sensor", "blocking_call.rs", source);
    let after = reports.one_of("sensor", "kept its thread for");
    assert_names(&after, "sensor", "blocking_call.rs", source);
    assert!(during.came < after.came);
    if cfg!(target_os = "linux") {
        assert!(during.text.contains("blocks its thread"), "{during:?}");
    }
    if HAS_STACKS {
        let stack = reports.one_with("read_sensor");
        // An async function has no name of its own where a build keeps only the lines.
        let mut lines = (1..).zip(source.lines());
        let (line, _) = lines
            .find(|(_, line)| line.trim() == "read_sensor(is_warm)")
            .unwrap();
        let measure = format!("blocking_call.rs:{line}");
        for part in ["sleep", "read_sensor", &measure] {
            assert!(stack.text.contains(part), "{part}: {stack:?}");
        }
        assert!(!stack.text.contains("on_signal"), "{stack:?}");
        assert!(!stack.text.contains("harness"), "{stack:?}");
    }
}

/// S0-18: the report comes while the task still blocks.
#[test]
fn s0_18_the_report_of_a_slow_poll_comes_while_it_lasts() {
    for n_workers in crate::support::SIZES {
        must_end("while a poll lasts", move || {
            let reports = Reports::default();
            let runtime = reports
                .builder(n_workers)
                .slow_poll(ms(20))
                .build()
                .unwrap();
            let seen = reports.clone();
            runtime.block_on(async move {
                let task = rt::task::Builder::new().name("blocks");
                let task =
                    task.spawn(async move { seen.one_of("blocks", "its thread, since").text });
                task.await.unwrap();
            });
        });
    }
}

/// S1-33: who computes is told from who waits in the system.
#[cfg(target_os = "linux")]
#[test]
fn s1_33_a_task_that_computes_is_told_from_one_that_waits() {
    must_end("with a computing task", || {
        let reports = Reports::default();
        let runtime = reports.builder(2).slow_poll(ms(30)).build().unwrap();
        let told = reports.clone();
        let entered = runtime.handle().enter();
        let task = rt::task::Builder::new().name("computes");
        let task = task.spawn(async move {
            while told.of("computes", "its thread, since").is_empty() {
                (0..100_000).for_each(|_| std::hint::spin_loop());
            }
        });
        drop(entered);
        task.join_blocking().unwrap();
        let report = reports.one_of("computes", "its thread, since");
        assert!(report.text.contains("computes on"), "{report:?}");
    });
}

/// S1-33: the future of `block_on` is watched too.
#[test]
fn s1_33_a_block_on_that_blocks_is_reported_with_its_place() {
    for n_workers in crate::support::SIZES {
        must_end("with a blocking main future", move || {
            let reports = Reports::default();
            let runtime = reports
                .builder(n_workers)
                .slow_poll(ms(20))
                .build()
                .unwrap();
            let line = line!() + 1;
            runtime.block_on(async { thread::sleep(ms(120)) });
            let report = reports.one_with("kept its thread for");
            let place = format!("the future of block_on at {}:{line}", file!());
            assert!(report.text.contains(&place), "{report:?}");
        });
    }
}

/// What waits by the means of the runtime is no slow poll, however long it takes: until one that is was reported, which
/// began later.
#[test]
fn waiting_in_block_on_and_in_block_in_place_is_no_slow_poll() {
    for n_workers in [1, 2, 8] {
        must_end("with waiting polls", move || {
            let reports = Reports::default();
            let builder = reports.builder(n_workers).slow_poll(ms(300));
            let runtime = builder.build().unwrap();
            let told = reports.clone();
            let block = move |name: &'static str| {
                let told = told.clone();
                let blocks = move || told.one_of(name, "its thread, since");
                rt::task::Builder::new()
                    .name(name)
                    .spawn(async move { drop(blocks()) })
            };
            let waits = rt::task::Builder::new().name("waits");
            let entered = runtime.handle().enter();
            let task = waits.spawn(async move {
                rt::block_on(block("first")).unwrap();
                rt::yield_now().await;
                let second = block("second");
                rt::block_in_place(|| second.join_blocking()).unwrap();
                rt::spawn(async { 7 }).await.unwrap()
            });
            drop(entered);
            assert_eq!(task.join_blocking().unwrap(), 7);
            let told = reports.of("waits", "");
            assert!(told.is_empty(), "{:?}", reports.all());
        });
    }
}

/// S1-33, P2: an error that nobody looks at.
#[test]
fn s1_33_an_error_that_nobody_looks_at_is_reported() {
    each_report(trouble::lost_error::program, |reports| {
        let source = include_str!("../../examples/trouble/lost_error.rs");
        let report = reports.one_with("nobody looked at its result");
        assert_names(&report, "upload", "lost_error.rs", source);
        assert!(
            report.text.contains("failed: the disk is full"),
            "{report:?}"
        );
    });
}

/// S1-33: a panic that nobody looks at.
#[test]
fn s1_33_a_panic_that_nobody_looks_at_is_reported() {
    each_report(trouble::lost_panic::program, |reports| {
        let source = include_str!("../../examples/trouble/lost_panic.rs");
        let report = reports.one_with("nobody looked at its result");
        assert_names(&report, "parser", "lost_panic.rs", source);
        assert!(
            report.text.contains("panicked: it is a number"),
            "{report:?}"
        );
    });
}

/// Who awaits, asks or listens has looked, and a success needs no look.
#[test]
fn results_that_somebody_looked_at_are_not_reported() {
    each_report(
        || async {
            let fails = || rt::spawn(async { Err::<(), _>(std::io::Error::other("no")) });
            assert!(fails().await.unwrap().is_err());
            let (send, looked) = rt::sync::oneshot::channel();
            fails().on_result(move |result| send.send(result.unwrap().is_err()).unwrap());
            assert!(looked.await.unwrap());
            drop(rt::spawn(async { Ok::<(), String>(()) }));
            drop(rt::spawn(async { 7 }));
            let cancelled = rt::spawn(std::future::pending::<()>());
            cancelled.cancel();
            drop(cancelled);
            rt::test::quiescent().await;
        },
        |reports| assert!(reports.all().is_empty(), "{:?}", reports.all()),
    );
}

/// S1-33: a task that the end of its runtime finds unfinished, and that nobody waits for.
#[test]
fn s1_33_a_task_that_is_left_behind_is_reported() {
    each_report(trouble::leaked_task::program, |reports| {
        let source = include_str!("../../examples/trouble/leaked_task.rs");
        let report = reports.one_with("not through when its runtime ended");
        assert_names(&report, "saver", "leaked_task.rs", source);
        assert_eq!(reports.all().len(), 1, "{:?}", reports.all());
    });
}

/// Children of a group that is cancelled with the runtime are not left behind: their group waits for them.
#[test]
fn children_of_a_group_are_not_taken_for_left_behind() {
    must_end("with a group", || {
        let reports = Reports::default();
        let runtime = reports.builder(2).build().unwrap();
        let is_open = Flag::default();
        let opened = is_open.clone();
        let scope = runtime.spawn(async move {
            rt::TaskGroup::scope(async |g| {
                g.spawn(std::future::pending::<()>());
                opened.raise();
                std::future::pending::<Result<(), rt::BoxError>>().await
            })
            .await
        });
        is_open.wait();
        drop(runtime);
        drop(scope);
        assert!(reports.all().is_empty(), "{:?}", reports.all());
    });
}

/// S1-33: a task that was cancelled and goes on.
#[test]
fn s1_33_a_task_that_ignores_its_cancellation_is_reported() {
    must_end("with an ignored request", || {
        let reports = Reports::default();
        let runtime = reports.builder(2).build().unwrap();
        let told = reports.clone();
        let is_told = move || !told.with("was cancelled over a second ago").is_empty();
        runtime
            .spawn(trouble::ignored_cancel::program(is_told))
            .join_blocking()
            .unwrap();
        let source = include_str!("../../examples/trouble/ignored_cancel.rs");
        let report = reports.one_with("was cancelled over a second ago");
        assert_names(&report, "search", "ignored_cancel.rs", source);
        assert!(report.text.contains("without an .await"), "{report:?}");
    });
}

/// The same for one whose cleanup takes long.
#[test]
fn a_cancelled_task_whose_cleanup_takes_long_is_reported() {
    must_end("with long cleanup", || {
        let reports = Reports::default();
        let runtime = reports.builder(2).build().unwrap();
        let (send, begun) = mpsc::channel();
        let (finish, finished) = rt::sync::oneshot::channel::<()>();
        let task = runtime.spawn(async move {
            rt::defer(async move { finished.await.unwrap() });
            send.send(()).unwrap();
            std::future::pending::<()>().await;
        });
        begun.recv().unwrap();
        task.cancel();
        let report = reports.one_with("was cancelled over a second ago");
        assert!(report.text.contains("cleanup waits"), "{report:?}");
        finish.send(()).unwrap();
        task.join_blocking().unwrap_err();
    });
}

/// S1-35: where one thread is all there is, everybody freezes, and the report says who did it.
#[test]
fn s1_35_on_one_thread_the_task_that_freezes_it_is_named() {
    must_end("on one thread", || {
        let reports = Reports::default();
        let runtime = reports.builder(0).slow_poll(ms(100)).build().unwrap();
        let told = reports.clone();
        let order = runtime.block_on(async move {
            let order = Arc::new(Mutex::new(Vec::new()));
            let (first, second) = (order.clone(), order.clone());
            let bad = rt::task::Builder::new().name("bad").spawn(async move {
                told.one_of("bad", "its thread, since");
                first.lock().unwrap().push("…unblocked");
            });
            let other = rt::spawn(async move { second.lock().unwrap().push("I want to run!") });
            rt::join_all([bad, other]).await;
            Arc::into_inner(order).unwrap().into_inner().unwrap()
        });
        assert_eq!(order, ["…unblocked", "I want to run!"]);
    });
}

/// S3-12: the three detectors: what nobody awaited, a callback that takes long, and what was not closed.
#[test]
fn s3_12_what_nobody_awaited_what_takes_long_and_what_is_open_is_reported() {
    for n_workers in crate::support::SIZES {
        must_end("with three mistakes", move || {
            let reports = Reports::default();
            let builder = reports.builder(n_workers).slow_poll(ms(30));
            let runtime = builder.build().unwrap();
            let is_over = Arc::new(rt::sync::Event::new());
            let theirs = is_over.clone();
            let called = format!("{}:{}:", file!(), line!() + 3);
            let socket = runtime.block_on(async {
                drop(rt::spawn(async { Err::<(), _>("nobody hears of it") }));
                rt::time::call_later(ms(1), move || {
                    thread::sleep(ms(150));
                    theirs.set();
                });
                is_over.wait().await;
                rt::net::TcpListener::bind("127.0.0.1:0").await.unwrap()
            });
            reports.one(&called, || {
                let mut found = reports.with("kept its thread for");
                found.retain(|report| report.text.contains(&called));
                found
            });
            drop(runtime);
            reports.one_with("failed: nobody hears of it");
            reports.one_with("1 socket(s) or pipe(s) are still open");
            drop(socket);
        });
    }
}

/// A resource that is released in time is not taken for open.
#[test]
fn sockets_that_were_closed_in_time_are_not_reported() {
    each_report(
        || async {
            let listener = rt::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let accept = rt::spawn(async move { listener.accept().await.map(drop) });
            drop(rt::net::TcpStream::connect(address).await.unwrap());
            accept.await.unwrap().unwrap();
        },
        |reports| assert!(reports.all().is_empty(), "{:?}", reports.all()),
    );
}

/// A guard that is dropped where nothing waits for its release.
#[test]
fn a_guard_that_is_dropped_outside_any_task_is_reported() {
    must_end("with a guard outside", || {
        let reports = Reports::default();
        let runtime = reports.builder(2).build().unwrap();
        let entered = runtime.handle().enter();
        drop(rt::guard(7, |_| async {}));
        drop(entered);
        assert!(reports.one_with("dropped outside any task").task.is_none());
    });
}

/// Without debug mode there are no reports, and the default is to have none.
#[test]
fn without_debug_mode_nothing_is_reported() {
    must_end("without debug mode", || {
        let reports = Reports::default();
        let builder = reports.builder(2).slow_poll(ms(100));
        let runtime = builder.debug(false).build().unwrap();
        runtime.block_on(async {
            trouble::blocking_call::program(|| true).await;
            trouble::lost_error::program().await;
            trouble::leaked_task::program().await;
        });
        drop(runtime);
        assert!(reports.all().is_empty(), "{:?}", reports.all());
    });
}
