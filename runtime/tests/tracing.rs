//! With the feature `tracing`, tasks and what goes wrong unseen are events.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use rt_tasks_runtime as rt;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("rt")
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut log = self.0.lock().unwrap();
        write!(
            log,
            "{} {}",
            event.metadata().level(),
            event.metadata().target()
        )
        .unwrap();
        event.record(&mut Line(&mut log));
        log.push('\n');
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[test]
fn tasks_and_unseen_errors_are_events() {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let line = line!() + 2;
    rt::block_on(async {
        rt::spawn(async { rt::defer(async { Err::<(), _>("not closed") }) })
            .await
            .unwrap();
    });
    let log = log.0.lock().unwrap();
    let place = format!("{}:{line}", file!());
    for wanted in ["message=spawned", "message=ended"] {
        let found = log.lines().any(|event| {
            event.starts_with("TRACE rt::task") && event.contains(wanted) && event.contains(&place)
        });
        assert!(found, "no event with {wanted} and {place} in\n{log}");
    }
    let error = "ERROR rt message=cleanup failed: not closed";
    assert!(log.lines().any(|event| event == error), "{log}");
}
