//! Results that nobody looked at, and tasks that were left behind.
//!
//! Whether a value is an error is not in its type's bounds, so the usual types of results are tried one by one, as
//! groups do for their errors.

use std::any::{Any, TypeId};
use std::error::Error;
use std::fmt::Display;
use std::io;

use crate::scheduler::Shared;
use crate::unhandled::Unhandled;

/// Tasks that a shutdown names at most.
const MOST_NAMED: usize = 10;

/// Whether a task with such a value may have failed, as far as that is known. The compiler knows the answer.
#[inline(always)]
pub(crate) fn is_result<T: 'static>() -> bool {
    let of = TypeId::of::<T>();
    of == TypeId::of::<Result<(), Box<dyn Error + Send + Sync>>>()
        || of == TypeId::of::<Result<(), Box<dyn Error + Send>>>()
        || of == TypeId::of::<Result<(), io::Error>>()
        || of == TypeId::of::<Result<(), String>>()
        || of == TypeId::of::<Result<(), &'static str>>()
        || of == TypeId::of::<Result<(), std::fmt::Error>>()
}

/// The error in the result of a task, if it is one of a usual type.
pub(crate) fn error_in<T: 'static>(value: &T) -> Option<String> {
    let value: &dyn Any = value;
    error_of::<Box<dyn Error + Send + Sync>>(value)
        .or_else(|| error_of::<Box<dyn Error + Send>>(value))
        .or_else(|| error_of::<io::Error>(value))
        .or_else(|| error_of::<String>(value))
        .or_else(|| error_of::<&'static str>(value))
        .or_else(|| error_of::<std::fmt::Error>(value))
}

fn error_of<E: Display + 'static>(value: &dyn Any) -> Option<String> {
    let result = value.downcast_ref::<Result<(), E>>()?;
    result.as_ref().err().map(E::to_string)
}

/// Reports the tasks that nobody waits for and that the end of their runtime finds unfinished.
pub(crate) fn report_left_behind(shared: &Shared) {
    if shared.debug.is_none() {
        return;
    }
    let mut left = Vec::new();
    shared.walk(|task| {
        let header = task.header();
        let state = header.state.load();
        let is_alone = header.vtable().is_alone && !state.has_join_interest();
        if is_alone && !state.is_complete() && !state.is_cancelled() {
            left.push(header.info());
        }
    });
    let n_more = left.len().saturating_sub(MOST_NAMED);
    for task in left.into_iter().take(MOST_NAMED) {
        shared.report(Unhandled::left_behind(task));
    }
    if n_more > 0 {
        shared.report(Unhandled::more_left_behind(n_more));
    }
}
