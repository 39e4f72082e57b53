//! Which reactor the current thread belongs to.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use crate::reactor::Reactor;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Reactor>>> = const { RefCell::new(None) };
}

/// The reactor of the runtime this thread is in.
///
/// # Errors
///
/// There is no runtime here.
pub fn current_reactor() -> io::Result<Arc<Reactor>> {
    CURRENT.with_borrow(Clone::clone).ok_or_else(|| {
        io::Error::other(
            "there is no runtime here: call this inside rt::block_on, #[rt::main] or with Handle::enter",
        )
    })
}

/// Makes `reactor` the one of this thread.
pub fn enter(reactor: Option<Arc<Reactor>>) {
    CURRENT.set(reactor);
}
