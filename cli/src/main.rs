//! The command `rt`: what a program that runs on `rt` is doing, seen from outside.
//!
//! It speaks to the socket that a program opens with `RT_INSPECT=1` or `Builder::inspect`, see the chapter on inspecting in the
//! book. It uses no crate of ours: what both sides have in common is the text that goes over the socket. So one
//! command serves programs of several releases.
//!
//! - [`find`]: which processes have such a socket;
//! - [`client`]: one question, one answer, and what can go wrong;
//! - [`model`]: what is in the answers;
//! - [`report`]: answers as text;
//! - [`top`]: the live view, whose state is in [`view`] and whose look is in [`draw`].

#![forbid(unsafe_code)]

#[cfg(unix)]
mod client;
#[cfg(unix)]
mod command;
#[cfg(unix)]
mod draw;
#[cfg(unix)]
mod find;
#[cfg(unix)]
mod model;
#[cfg(unix)]
mod report;
#[cfg(unix)]
mod top;
#[cfg(unix)]
mod view;

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    command::run()
}

#[cfg(not(unix))]
fn main() -> std::process::ExitCode {
    eprintln!("rt: programs can be inspected on Unix systems only");
    std::process::ExitCode::from(2)
}
