//! The picture as JSON, for other programs.

use super::{CallerInfo, Cycle, Dump, Step};
use crate::json::{list, object, option, put, text};
use crate::task::TaskInfo;
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
        out.field("holders", |out| {
            list(out, waiting.holders(), |out, id| put(out, id))
        });
        out.id("behind", waiting.behind);
        out.plain("others", waiting.n_others);
    });
}

fn cycle(out: &mut String, cycle: &Cycle) {
    list(out, cycle.steps(), |out, step| put(out, step.id));
}

/// A circle with what is known about each who waits in it.
#[cfg_attr(not(unix), allow(dead_code))]
pub(crate) fn whole_cycle(out: &mut String, cycle: &Cycle) {
    object(out, |out| {
        out.plain("certain", cycle.is_certain());
        out.text("text", cycle);
        out.field("steps", |out| list(out, cycle.steps(), step));
    });
}

fn step(out: &mut String, step: &Step) {
    object(out, |out| {
        out.plain("id", step.id);
        out.field("name", |out| option(out, step.name.as_deref(), text));
        out.text("at", step.at);
        out.plain("block_on", step.is_block_on);
        out.field("waiting_on", |out| {
            option(out, step.waiting_on.as_ref(), waiting)
        });
    });
}
