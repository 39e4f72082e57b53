//! Task-locals that are not inherited: they stay with their task, and go with it from thread to thread.

use std::cell::{Cell, RefCell};

use crate::support::{Flag, each_size, each_size_virtual, ms};

rt::task_local! {
    #[no_inherit]
    static TRACE: RefCell<Vec<u8>>;
    #[no_inherit]
    static LEVEL: Cell<u32>;
}

/// N8: a key that opted out is not passed on, by any way.
#[test]
fn n8_no_inherit_is_not_passed_on() {
    fn sees() -> bool {
        LEVEL.try_with(|_| ()).is_some()
    }
    each_size_virtual(|runtime| {
        runtime.block_on(LEVEL.scope(Cell::new(1), async {
            assert!(sees());
            assert!(!rt::spawn(async { sees() }).await.unwrap());
            let eager = rt::task::Builder::new().eager();
            assert!(!eager.spawn(async { sees() }).await.unwrap());
            assert!(!rt::spawn_blocking(sees).await.unwrap());
            assert!(!rt::spawn_compute(sees).await.unwrap());
            assert!(!rt::block_on(async { sees() }));
            let called = Flag::default();
            let theirs = called.clone();
            rt::time::call_later(ms(1), move || {
                assert!(!sees());
                theirs.raise();
            });
            while !called.is_up() {
                rt::sleep(ms(1)).await;
            }
            let _reset = LEVEL.set(Cell::new(2));
            assert!(!rt::spawn(async { sees() }).await.unwrap());
            assert!(rt::block_in_place(sees), "that is still this task");
        }));
        assert!(!sees());
    });
}

/// N8: a value of a key that opted out moves with its task from thread to thread, and is the task's alone.
#[test]
fn n8_no_inherit_follows_its_task() {
    each_size(|runtime| {
        runtime.block_on(async {
            let tasks: Vec<_> = (0..50u8)
                .map(|number| {
                    rt::spawn(TRACE.scope(RefCell::default(), async move {
                        for _ in 0..20 {
                            TRACE.with(|trace| trace.borrow_mut().push(number));
                            rt::yield_now().await;
                        }
                        TRACE.with(|trace| trace.take())
                    }))
                })
                .collect();
            for (number, task) in (0..).zip(tasks) {
                assert_eq!(task.await.unwrap(), [number; 20]);
            }
        });
    });
}

/// N8: a value of a key that opted out can be set inside its scope and outside, and goes back.
#[test]
fn n8_no_inherit_is_set_and_reset() {
    let level = || LEVEL.try_with(Cell::get);
    each_size(move |runtime| {
        runtime.block_on(async move {
            let task = rt::spawn(async move {
                let outside = LEVEL.set(Cell::new(1));
                rt::yield_now().await;
                assert_eq!(level(), Some(1));
                let scope = LEVEL.scope(Cell::new(2), async move {
                    assert_eq!(level(), Some(2));
                    let inside = LEVEL.set(Cell::new(3));
                    rt::yield_now().await;
                    assert_eq!(level(), Some(3));
                    drop(inside);
                    assert_eq!(level(), Some(2));
                    LEVEL.with(|level| {
                        std::mem::forget(LEVEL.set(Cell::new(4)));
                        assert_eq!(level.get(), 2, "who looks keeps what it looks at");
                    });
                });
                scope.await;
                assert_eq!(level(), Some(1));
                drop(outside);
                assert_eq!(level(), None);
            });
            task.await.unwrap();
        });
    });
}
