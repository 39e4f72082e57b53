//! With the feature `tracing`, tasks are spans that `tokio-console` reads, and what goes wrong unseen is an event.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rt_tasks_runtime as rt;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

type Fields = HashMap<&'static str, String>;

/// What a subscriber was told, in order.
#[derive(Clone, Debug)]
enum Told {
    New(u64, &'static Metadata<'static>, Fields),
    Enter(u64),
    Exit(u64),
    Closed(u64),
    Event(&'static Metadata<'static>, Fields),
}

#[derive(Clone, Default)]
struct Log {
    told: Arc<Mutex<Vec<Told>>>,
    n_handles: Arc<Mutex<HashMap<u64, usize>>>,
}

struct Fill<'a>(&'a mut Fields);

impl Visit for Fill<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
    // The console takes the place, and the number of a waker's task, only as values of these types.
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), format!("str {value}"));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name(), format!("u64 {value}"));
    }
}

impl Log {
    fn tell(&self, told: Told) {
        self.told.lock().unwrap().push(told);
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("rt") || metadata.target().starts_with("runtime")
    }
    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(span.is_root(), "a child would keep its parent's span open");
        let mut fields = Fields::new();
        span.record(&mut Fill(&mut fields));
        self.n_handles.lock().unwrap().insert(id, 1);
        self.tell(Told::New(id, span.metadata(), fields));
        span::Id::from_u64(id)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::new();
        event.record(&mut Fill(&mut fields));
        self.tell(Told::Event(event.metadata(), fields));
    }
    fn enter(&self, id: &span::Id) {
        self.tell(Told::Enter(id.into_u64()));
    }
    fn exit(&self, id: &span::Id) {
        self.tell(Told::Exit(id.into_u64()));
    }
    fn clone_span(&self, id: &span::Id) -> span::Id {
        *self
            .n_handles
            .lock()
            .unwrap()
            .get_mut(&id.into_u64())
            .unwrap() += 1;
        id.clone()
    }
    fn try_close(&self, id: span::Id) -> bool {
        let mut n_handles = self.n_handles.lock().unwrap();
        let n_left = n_handles.get_mut(&id.into_u64()).unwrap();
        *n_left -= 1;
        let is_last = *n_left == 0;
        drop(n_handles);
        if is_last {
            self.tell(Told::Closed(id.into_u64()));
        }
        is_last
    }
}

/// The one log of this process: a subscriber is set once.
fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        tracing::subscriber::set_global_default(log.clone()).unwrap();
        log
    })
}

fn told() -> Vec<Told> {
    log().told.lock().unwrap().clone()
}

/// The span of the task with that name, its fields, and what was told of it, one letter each; wakers by `op`.
fn of_task(name: &str) -> (Fields, Vec<String>) {
    of_span("task.name", &format!("str {name}"))
}

/// The same of the one span with that field.
fn of_span(field: &str, value: &str) -> (Fields, Vec<String>) {
    let told = told();
    let found = told.iter().find_map(|told| match told {
        Told::New(id, metadata, fields) if fields.get(field).is_some_and(|is| is == value) => {
            assert_eq!(
                (metadata.name(), metadata.target()),
                ("runtime.spawn", "runtime")
            );
            assert_eq!(*metadata.level(), tracing::Level::TRACE);
            Some((*id, fields.clone()))
        }
        _ => None,
    });
    let (id, fields) = found.unwrap_or_else(|| panic!("no span with {value} in {told:?}"));
    let number = format!("u64 {id}");
    let events = told.iter().filter_map(|told| match told {
        Told::Enter(of) if *of == id => Some("enter".to_owned()),
        Told::Exit(of) if *of == id => Some("exit".to_owned()),
        Told::Closed(of) if *of == id => Some("closed".to_owned()),
        Told::Event(metadata, fields)
            if metadata.target() == "runtime::waker" && fields["task.id"] == number =>
        {
            Some(fields["op"].trim_start_matches("str ").to_owned())
        }
        _ => None,
    });
    (fields, events.collect())
}

#[test]
fn a_task_is_a_span_that_each_poll_enters() {
    log();
    let line = line!() + 3;
    let id = rt::block_on(async {
        let named = rt::task::Builder::new().name("polled twice");
        let task = named.spawn(rt::yield_now());
        let id = task.id();
        task.await.unwrap();
        id
    });
    let (fields, events) = of_task("polled twice");
    assert_eq!(fields["kind"], "str task");
    assert_eq!(fields["task.id"], format!("u64 {id}"));
    assert_eq!(fields["loc.file"], format!("str {}", file!()));
    assert_eq!(fields["loc.line"], format!("u64 {line}"));
    assert!(fields["loc.col"].starts_with("u64 "));
    assert_eq!(events, ["enter", "exit", "enter", "exit", "closed"]);
}

#[test]
fn the_span_of_a_task_ends_with_it_though_its_handle_is_kept() {
    log();
    let runtime = rt::Builder::current_thread().build().unwrap();
    let task = rt::task::Builder::new().name("kept");
    let mut kept = None;
    runtime.block_on(async {
        kept = Some(task.spawn(async {}));
        rt::yield_now().await;
    });
    assert!(kept.as_ref().is_some_and(rt::JoinHandle::is_finished));
    assert_eq!(of_task("kept").1.last().unwrap(), "closed");
    drop(kept);
}

#[test]
fn what_is_done_with_a_waker_is_an_event() {
    log();
    rt::block_on(async {
        let task = rt::task::Builder::new().name("woken");
        let mut polls = 0;
        let body = std::future::poll_fn(move |cx| {
            polls += 1;
            if polls == 3 {
                return std::task::Poll::Ready(());
            }
            if polls == 1 {
                cx.waker().wake_by_ref();
            } else {
                let kept = cx.waker().clone();
                drop(kept.clone());
                kept.wake();
            }
            std::task::Poll::Pending
        });
        task.spawn(body).await.unwrap();
    });
    let (_, events) = of_task("woken");
    let of_wakers: Vec<_> = events.iter().filter(|event| event.contains('.')).collect();
    assert_eq!(
        of_wakers,
        [
            "waker.wake_by_ref",
            "waker.clone",
            "waker.clone",
            "waker.drop",
            "waker.wake"
        ]
    );
}

#[test]
fn what_block_on_runs_is_a_span_that_each_poll_enters() {
    log();
    let line = line!() + 1;
    rt::block_on(rt::yield_now());
    let (fields, events) = of_span("loc.line", &format!("u64 {line}"));
    assert_eq!(fields["kind"], "str block_on");
    assert_eq!(fields["loc.file"], format!("str {}", file!()));
    assert!(fields["task.id"].starts_with("u64 ") && fields["loc.col"].starts_with("u64 "));
    assert!(!fields.contains_key("task.name"));
    let expected = [
        "enter",
        "waker.wake_by_ref",
        "exit",
        "enter",
        "exit",
        "closed",
    ];
    assert_eq!(events, expected);
}

#[test]
fn what_a_block_on_runs_meanwhile_is_not_in_its_span() {
    log();
    let runtime = rt::Builder::current_thread().build().unwrap();
    let line = line!() + 1;
    runtime.block_on(async {
        let task = rt::task::Builder::new().name("beside block_on");
        task.spawn(async { tracing::info!(target: "rt", "in the task") })
            .await
            .unwrap();
    });
    let told = told();
    let id_of = |field: &str, value: &str| {
        let found = told.iter().find_map(|told| match told {
            Told::New(id, _, fields) if fields.get(field).is_some_and(|is| is == value) => {
                Some(*id)
            }
            _ => None,
        });
        found.unwrap()
    };
    let call = id_of("loc.line", &format!("u64 {line}"));
    let task = id_of("task.name", "str beside block_on");
    let at = |wanted: &str, id: u64| {
        let is_it = |told: &Told| match told {
            Told::Enter(of) => wanted == "enter" && *of == id,
            Told::Exit(of) => wanted == "exit" && *of == id,
            _ => false,
        };
        told.iter().position(is_it).unwrap()
    };
    assert!(at("exit", call) < at("enter", task), "{told:?}");
}

#[test]
fn unseen_errors_are_events() {
    log();
    rt::block_on(async {
        rt::spawn(async { rt::defer(async { Err::<(), _>("not closed") }) })
            .await
            .unwrap();
    });
    let is_told = told().iter().any(|told| {
        matches!(told, Told::Event(metadata, fields)
            if metadata.target() == "rt"
                && *metadata.level() == tracing::Level::ERROR
                && fields["message"] == "cleanup failed: not closed")
    });
    assert!(is_told, "{:?}", told());
}
