//! The programs of the book in `docs/src`, compiled and run as documentation tests, so that they cannot rot.

/// Names the chapters: the files in `docs/src` without their ending.
macro_rules! chapters {
    ($($name:ident)*) => {$(
        #[doc = include_str!(concat!("../docs/src/", stringify!($name), ".md"))]
        mod $name {}
    )*};
}

chapters! {
    introduction
    groups
    cancellation
    timeouts
    context
    sockets
    servers
    files
    queues
    processes
    debugging
    inspecting
    primitives
}
