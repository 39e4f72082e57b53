//! Writing JSON.
//!
//! By hand: with `serde_json` among the dependencies, `assert_eq!(sum, numbers.sum())` does not compile any more in
//! programs that use the runtime, because its `impl PartialEq<Value> for u64` makes the type ambiguous.

use std::fmt::{Display, Write};
use std::time::Duration;

use crate::task::TaskId;

/// Writes what is its own notation.
pub(crate) fn put(out: &mut String, value: impl Display) {
    write!(out, "{value}").expect("a string takes everything");
}

/// Writes a string, with what must be escaped.
pub(crate) fn text(out: &mut String, value: &str) {
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

pub(crate) fn option<T>(out: &mut String, value: Option<T>, write: impl FnOnce(&mut String, T)) {
    match value {
        Some(value) => write(out, value),
        None => out.push_str("null"),
    }
}

pub(crate) fn list<T>(out: &mut String, items: &[T], write: impl Fn(&mut String, &T)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

pub(crate) fn object(out: &mut String, fields: impl FnOnce(&mut Object<'_>)) {
    out.push('{');
    fields(&mut Object {
        out,
        is_first: true,
    });
    out.push('}');
}

/// An object whose fields are being written.
pub(crate) struct Object<'a> {
    out: &'a mut String,
    is_first: bool,
}

impl Object<'_> {
    pub(crate) fn field(&mut self, name: &str, write: impl FnOnce(&mut String)) {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(',');
        }
        text(self.out, name);
        self.out.push(':');
        write(self.out);
    }

    /// A number or a truth value.
    pub(crate) fn plain(&mut self, name: &str, value: impl Display) {
        self.field(name, |out| put(out, value));
    }

    pub(crate) fn text(&mut self, name: &str, value: impl Display) {
        self.field(name, |out| text(out, &value.to_string()));
    }

    pub(crate) fn id(&mut self, name: &str, id: Option<TaskId>) {
        self.field(name, |out| option(out, id, put));
    }

    pub(crate) fn seconds(&mut self, name: &str, duration: Option<Duration>) {
        let seconds = duration.map(|duration| duration.as_secs_f64());
        self.field(name, |out| option(out, seconds, put));
    }
}
