//! The picture as JSON, for other programs.
//!
//! Written by hand: with `serde_json` among the dependencies, `assert_eq!(sum, numbers.sum())` does not compile any
//! more in programs that use the runtime, because its `impl PartialEq<Value> for u64` makes the type ambiguous.

use std::fmt::{Display, Write};
use std::time::Duration;

use super::{CallerInfo, Cycle, Dump};
use crate::task::{TaskId, TaskInfo};
use crate::wait::Waiting;

impl Dump {
    /// The picture as JSON: an object with `runtime`, `workers`, `uptime`, `tasks`, `callers` and `cycles`, the last a
    /// list of lists of numbers. What is not known is `null`; durations are in seconds.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// let json = rt::block_on(async { rt::dump().to_json() });
    /// assert!(json.starts_with(r#"{"runtime":"rt","#));
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        object(&mut out, |out| {
            out.field("runtime", |out| text(out, &self.name));
            out.plain("workers", self.n_workers);
            out.plain("uptime", self.uptime.as_secs_f64());
            out.field("tasks", |out| list(out, &self.tasks, task));
            out.field("callers", |out| list(out, &self.callers, caller));
            out.field("cycles", |out| list(out, &self.cycles(), cycle));
        });
        out
    }
}

fn task(out: &mut String, task: &TaskInfo) {
    object(out, |out| {
        out.plain("id", task.id);
        out.field("name", |out| option(out, task.name.as_deref(), text));
        out.text("spawned_at", task.spawned_at);
        out.id("parent", task.parent);
        out.text("state", task.state.as_str());
        out.field("waiting_on", |out| {
            option(out, task.waiting_on.as_ref(), waiting)
        });
        out.plain("polls", task.polls);
        out.plain("busy", task.busy.as_secs_f64());
        out.plain("age", task.age.as_secs_f64());
    });
}

fn caller(out: &mut String, caller: &CallerInfo) {
    object(out, |out| {
        out.plain("id", caller.id);
        out.text("called_at", caller.called_at);
        out.field("thread", |out| option(out, caller.thread.as_deref(), text));
        out.id("inside", caller.inside);
        out.plain("running", caller.is_running);
        out.field("waiting_on", |out| {
            option(out, caller.waiting_on.as_ref(), waiting)
        });
    });
}

fn waiting(out: &mut String, waiting: &Waiting) {
    object(out, |out| {
        out.text("kind", waiting.kind);
        out.plain("resource", waiting.resource);
        out.seconds("for", waiting.for_long);
        out.seconds("due_in", waiting.due_in);
        out.id("on", waiting.on);
        out.plain("others", waiting.n_others);
    });
}

fn cycle(out: &mut String, cycle: &Cycle) {
    list(out, cycle.steps(), |out, step| put(out, step.id));
}

/// Writes what is its own notation.
fn put(out: &mut String, value: impl Display) {
    write!(out, "{value}").expect("a string takes everything");
}

/// Writes a string, with what must be escaped.
fn text(out: &mut String, value: &str) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' => put(out, format_args!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn option<T>(out: &mut String, value: Option<T>, write: impl FnOnce(&mut String, T)) {
    match value {
        Some(value) => write(out, value),
        None => out.push_str("null"),
    }
}

fn list<T>(out: &mut String, items: &[T], write: impl Fn(&mut String, &T)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

fn object(out: &mut String, fields: impl FnOnce(&mut Object<'_>)) {
    out.push('{');
    fields(&mut Object {
        out,
        is_first: true,
    });
    out.push('}');
}

/// An object whose fields are being written.
struct Object<'a> {
    out: &'a mut String,
    is_first: bool,
}

impl Object<'_> {
    fn field(&mut self, name: &str, write: impl FnOnce(&mut String)) {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(',');
        }
        text(self.out, name);
        self.out.push(':');
        write(self.out);
    }

    /// A number or a truth value.
    fn plain(&mut self, name: &str, value: impl Display) {
        self.field(name, |out| put(out, value));
    }

    fn text(&mut self, name: &str, value: impl Display) {
        self.field(name, |out| text(out, &value.to_string()));
    }

    fn id(&mut self, name: &str, id: Option<TaskId>) {
        self.field(name, |out| option(out, id, put));
    }

    fn seconds(&mut self, name: &str, duration: Option<Duration>) {
        let seconds = duration.map(|duration| duration.as_secs_f64());
        self.field(name, |out| option(out, seconds, put));
    }
}
