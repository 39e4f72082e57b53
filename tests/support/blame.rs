//! What a panic says, and whom it blames.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, mpsc};
use std::thread;

/// One thread at a time puts its hook before the others. Between taking the hook and setting one, another thread would find
/// none to call after its own.
static HOOK: Mutex<()> = Mutex::new(());

/// What a panic says, and the place that it blames.
///
/// Other threads may panic meanwhile.
pub(crate) fn blamed(f: impl FnOnce() + Send + 'static) -> (String, String) {
    let (send, seen) = mpsc::channel();
    let send = Mutex::new(send);
    let panic = thread::spawn(move || {
        let taking = HOOK.lock().unwrap();
        let before = std::panic::take_hook();
        let here = thread::current().id();
        std::panic::set_hook(Box::new(move |info| {
            if thread::current().id() == here {
                let _ = send
                    .lock()
                    .unwrap()
                    .send(info.location().unwrap().to_string());
            } else {
                before(info);
            }
        }));
        drop(taking);
        let panic = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
        message(&*panic)
    });
    (panic.join().unwrap(), seen.try_recv().unwrap())
}

/// What a panic says.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (None, text) => text.copied().unwrap_or_default().to_owned(),
    }
}
