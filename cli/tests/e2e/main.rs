//! The command `rt` from outside: with real programs, real sockets and a real terminal.
#![cfg(unix)]

mod commands;
mod live;
mod protocol;
mod subject;
mod terminal;
mod users;
