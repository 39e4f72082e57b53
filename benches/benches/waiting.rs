//! What do timers, sockets, blocking work and other threads cost? Not shown: the tail of the distribution.

mod common;

fn main() {
    common::bench_chapters(&["Timers", "Echo", "Blocking work", "From outside"]);
}
