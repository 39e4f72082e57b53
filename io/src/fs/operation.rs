//! A call for the pool, as a future that carries nothing of the caller's.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use rt_tasks_runtime::{JoinHandle, spawn_mandatory};

use crate::error::cannot;

/// A call to the file system; made by the functions of [`fs`](crate::fs).
///
/// It goes to the pool when it is first polled.
///
/// # Cancel safety
///
/// Dropped before the first poll it does nothing; dropped later the call is made all the same.
#[must_use = "futures do nothing unless polled"]
pub struct Operation<T>(Stage<T>);

type Call<T> = Box<dyn FnOnce() -> io::Result<T> + Send>;

enum Stage<T> {
    /// Empty after a panic of `spawn_mandatory` alone.
    New(Option<Call<T>>),
    Running(JoinHandle<io::Result<T>>),
}

impl<T> Operation<T> {
    /// A call about one path, which errors name: `cannot <what> <path>: …`.
    pub(super) fn on(
        what: &'static str,
        path: impl AsRef<Path>,
        call: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Self {
        let path = path.as_ref().to_owned();
        Self::new(move || {
            call(&path).map_err(|error| cannot(format_args!("{what} {}", path.display()), error))
        })
    }

    /// A call about two paths, which errors name: `cannot <what> <from> to <to>: …`.
    pub(super) fn on_two(
        what: &'static str,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        call: impl FnOnce(&Path, &Path) -> io::Result<T> + Send + 'static,
    ) -> Self {
        let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
        Self::new(move || {
            call(&from, &to).map_err(|error| {
                let what = format_args!("{what} {} to {}", from.display(), to.display());
                cannot(what, error)
            })
        })
    }

    pub(crate) fn new(call: impl FnOnce() -> io::Result<T> + Send + 'static) -> Self {
        Self(Stage::New(Some(Box::new(call))))
    }
}

impl<T: Send + 'static> Future for Operation<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if let Stage::New(call) = &mut self.0 {
            let call = call.take().expect("polled after a panic");
            self.0 = Stage::Running(spawn_mandatory(call));
        }
        let Stage::Running(running) = &mut self.0 else {
            unreachable!("it has just been started")
        };
        let joined = Pin::new(running).poll(cx);
        joined.map(|joined| joined.unwrap_or_else(|error| Err(io::Error::other(error))))
    }
}

impl<T> fmt::Debug for Operation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("started", &matches!(self.0, Stage::Running(_)))
            .finish()
    }
}
