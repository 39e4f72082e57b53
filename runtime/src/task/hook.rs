//! What a cell is made with beside its future: who hears of the end, and where the result is kept.

use super::JoinError;
use crate::cancel::Surroundings;

/// What is told about a task's result before it is stored, and about its end after.
///
/// A group's child uses it to pass its error on and to be counted; a plain task has [`Plain`].
#[doc(hidden)]
pub trait Hook<O> {
    /// What the join handle gives.
    type Value;

    /// Whether anybody wants to hear of the end.
    const IS_FOLLOWED: bool = true;

    /// Turns the outcome of the body into that of the handle. Runs where the body ran, after it was dropped
    /// and before its cleanup.
    fn outcome(&self, result: Result<O, JoinError>) -> Result<Self::Value, JoinError>;

    /// Whether it may be worth telling that nobody looked at the result. Quick: it is asked without debug mode too.
    #[inline(always)]
    fn may_be_lost(_result: &Result<Self::Value, JoinError>) -> bool {
        false
    }

    /// What is lost, in words, if nobody looks at the result.
    fn lost(_result: &Result<Self::Value, JoinError>) -> Option<String> {
        None
    }

    /// What is around the group that the task belongs to.
    fn surroundings(&self) -> Surroundings {
        Surroundings::default()
    }

    /// Called once the task is complete, cleanup included, and its handle resolves.
    fn finished(self);
}

/// The hook of a task that nobody follows.
#[derive(Debug)]
#[doc(hidden)]
pub struct Plain;

impl<O: 'static> Hook<O> for Plain {
    type Value = O;
    const IS_FOLLOWED: bool = false;

    #[inline]
    fn outcome(&self, result: Result<O, JoinError>) -> Result<O, JoinError> {
        result
    }

    #[inline(always)]
    fn may_be_lost(result: &Result<O, JoinError>) -> bool {
        result.is_err() || crate::debug::lost::is_result::<O>()
    }

    fn lost(result: &Result<O, JoinError>) -> Option<String> {
        match result {
            Ok(value) => {
                crate::debug::lost::error_in(value).map(|error| format!("failed: {error}"))
            }
            Err(error) => error
                .panic_message()
                .map(|text| format!("panicked: {text}")),
        }
    }

    fn finished(self) {}
}

/// How a cell keeps a result: in itself, or on the heap if it is too big or too strictly aligned for a block.
pub(crate) trait Keep {
    type Kept<T>;

    fn keep<T>(value: T) -> Self::Kept<T>;
    fn give<T>(kept: Self::Kept<T>) -> T;
    fn look<T>(kept: &Self::Kept<T>) -> &T;
}

/// Kept in the cell.
pub(crate) struct Inline;

impl Keep for Inline {
    type Kept<T> = T;

    #[inline(always)]
    fn keep<T>(value: T) -> T {
        value
    }

    #[inline(always)]
    fn give<T>(kept: T) -> T {
        kept
    }

    #[inline(always)]
    fn look<T>(kept: &T) -> &T {
        kept
    }
}

/// Kept on the heap.
pub(crate) struct Boxed;

impl Keep for Boxed {
    type Kept<T> = Box<T>;

    fn keep<T>(value: T) -> Box<T> {
        Box::new(value)
    }

    fn give<T>(kept: Box<T>) -> T {
        *kept
    }

    fn look<T>(kept: &Box<T>) -> &T {
        kept
    }
}
