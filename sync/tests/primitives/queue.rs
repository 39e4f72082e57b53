//! The queue: in order, fair on both sides, with a count of unfinished work and an orderly end.

use crate::support::{self, Log, named, polled, waiting};
use futures_lite::StreamExt;
use futures_lite::future::block_on;
use rt_tasks_sync::{Queue, ShutDown, TryGetError, TryPutError};

/// Q1: a slot that becomes free belongs to the first blocked putter, even before that has run.
#[test]
fn q1_a_freed_slot_goes_to_the_first_blocked_putter() {
    let queue = Queue::bounded(1);
    queue.try_put("old").unwrap();
    let mut blocked = waiting(queue.put("blocked"));
    assert_eq!(queue.try_get(), Ok("old"));
    assert_eq!(blocked.wakes(), 1);
    assert!(queue.is_full(), "the slot is promised");
    assert!(matches!(
        queue.try_put("barger"),
        Err(TryPutError::Full("barger"))
    ));
    let mut newcomer = waiting(queue.put("newcomer"));
    blocked.ready().unwrap();
    assert_eq!(queue.try_get(), Ok("blocked"));
    newcomer.ready().unwrap();
}

/// Q1: the same on the other side.
#[test]
fn q1_an_item_goes_to_the_first_waiting_getter() {
    let queue = Queue::unbounded();
    let log = Log::default();
    let mut first = named(queue.get(), 1, &log);
    let mut second = named(queue.get(), 2, &log);
    first.pending();
    second.pending();
    queue.try_put('a').unwrap();
    assert_eq!(
        queue.try_get(),
        Err(TryGetError::Empty),
        "the item is promised"
    );
    assert_eq!(queue.len(), 1);
    queue.try_put('b').unwrap();
    assert_eq!(*log.lock().unwrap(), [1, 2]);
    assert_eq!((first.ready(), second.ready()), (Ok('a'), Ok('b')));
}

/// Q1: blocked putters put in the order in which they were blocked, and the items come out in order.
#[test]
fn q1_blocked_putters_are_served_in_order() {
    let queue = Queue::bounded(2);
    let mut putters: Vec<_> = (0..6).map(|n| polled(queue.put(n))).collect();
    let is_done = |putter: &mut support::Polled<_>| putter.poll().is_ready();
    let n_done = putters.iter_mut().map(is_done).filter(|done| *done).count();
    assert_eq!(n_done, 2);
    let mut items = vec![];
    for putter in &mut putters[2..] {
        items.push(queue.try_get().unwrap());
        putter.ready().unwrap();
        assert!(queue.len() <= 2);
    }
    items.extend(std::iter::from_fn(|| queue.try_get().ok()));
    assert_eq!(items, [0, 1, 2, 3, 4, 5]);
}

/// Q2: a getter that was promised an item and is dropped has taken nothing; the next gets it, in order.
#[test]
fn q2_a_dropped_getter_leaves_its_item_at_the_front() {
    let queue = Queue::unbounded();
    let first = waiting(queue.get());
    let second = waiting(queue.get());
    let mut third = waiting(queue.get());
    queue.try_put('a').unwrap();
    queue.try_put('b').unwrap();
    drop(first);
    assert_eq!(third.wakes(), 1);
    drop(second);
    assert_eq!(queue.try_get(), Ok('a'));
    assert_eq!(third.ready(), Ok('b'));
}

/// Q2: a putter that was promised a slot and is dropped has put nothing; the next gets the slot.
#[test]
fn q2_a_dropped_putter_has_put_nothing() {
    let queue = Queue::bounded(1);
    queue.try_put(0).unwrap();
    let first = waiting(queue.put(1));
    let mut second = waiting(queue.put(2));
    queue.try_get().unwrap();
    drop(first);
    assert_eq!(second.wakes(), 1);
    second.ready().unwrap();
    assert_eq!(queue.try_get(), Ok(2));
    assert!(queue.try_put(3).is_ok());
}

/// Q2: those who gave up are not kept in the lines.
#[test]
fn q2_a_hundred_thousand_waiters_that_gave_up_leave_nothing() {
    let queue = Queue::<u8>::bounded(1);
    for _ in 0..100_000 {
        drop(waiting(queue.get()));
    }
    queue.try_put(1).unwrap();
    drop(waiting(queue.put(2)));
    let debug = format!("{queue:?}");
    assert!(
        debug.contains("waiting_getters: 0, waiting_putters: 0"),
        "{debug}"
    );
}

/// Q3.
#[test]
fn q3_task_done_beyond_the_count_is_an_error() {
    let queue = Queue::unbounded();
    assert!(queue.task_done().is_err());
    queue.try_put(()).unwrap();
    assert!(queue.task_done().is_ok());
    assert!(queue.task_done().is_err());
}

/// Q3: exactly as many calls succeed as items were put, whoever calls.
#[test]
fn q3_concurrent_task_done_does_not_underflow() {
    let queue = Queue::unbounded();
    (0..1_000).for_each(|n| queue.try_put(n).unwrap());
    let n_ok: usize = std::thread::scope(|threads| {
        let call = || (0..500).filter(|_| queue.task_done().is_ok()).count();
        let callers = [(); 4].map(|()| threads.spawn(call));
        callers.map(|caller| caller.join().unwrap()).iter().sum()
    });
    assert_eq!(n_ok, 1_000);
}

/// Q4.
#[test]
fn q4_join_waits_for_the_work_and_not_for_an_empty_queue() {
    let queue = Queue::unbounded();
    polled(queue.join()).ready();
    queue.try_put(1).unwrap();
    let mut joiners = [waiting(queue.join()), waiting(queue.join())];
    queue.try_get().unwrap();
    joiners.iter_mut().for_each(|joiner| joiner.pending());
    queue.task_done().unwrap();
    joiners.iter_mut().for_each(|joiner| joiner.ready());
}

/// Q4: an item is counted before anybody can have it.
#[test]
fn q4_work_is_counted_before_it_is_visible() {
    let queue = Queue::unbounded();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for n in 0..20_000 {
                queue.try_put(n).unwrap();
            }
            queue.shutdown();
        });
        while queue.get_blocking().is_ok() {
            queue
                .task_done()
                .expect("an item that was got is unfinished");
        }
    });
    polled(queue.join()).ready();
}

/// Q4: a job is finished when it is dropped, by a panic too.
#[test]
fn q4_a_job_is_done_when_it_is_dropped() {
    let queue = Queue::unbounded();
    queue.try_put(String::from("job")).unwrap();
    let job = block_on(queue.take()).unwrap();
    let mut join = waiting(queue.join());
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        assert_eq!(*job, "job");
        let _job = job;
        panic!("at work");
    }));
    assert!(panic.is_err());
    join.ready();
}

/// Q5.
#[test]
fn q5_shutdown_gives_blocked_putters_their_items_back() {
    let queue = Queue::bounded(1);
    queue.try_put(1).unwrap();
    let mut blocked = waiting(queue.put(2));
    let mut promised = {
        let other = queue.clone();
        waiting(async move { other.put(3).await })
    };
    queue.shutdown();
    assert_eq!(blocked.ready().unwrap_err().into_inner(), 2);
    assert_eq!(promised.ready().unwrap_err().into_inner(), 3);
    assert!(matches!(queue.try_put(4), Err(TryPutError::ShutDown(4))));
    assert_eq!(block_on(queue.get()), Ok(1));
    assert_eq!(block_on(queue.get()), Err(ShutDown::default()));
}

/// Q5: a slot promised before the end is worth nothing after it; the item comes back.
#[test]
fn q5_a_promised_slot_is_void_after_shutdown() {
    let queue = Queue::bounded(1);
    queue.try_put(1).unwrap();
    let mut blocked = waiting(queue.put(2));
    queue.try_get().unwrap();
    queue.shutdown();
    assert_eq!(blocked.ready().unwrap_err().into_inner(), 2);
    assert_eq!(queue.try_get(), Err(TryGetError::ShutDown));
}

/// Q5.
#[test]
fn q5_shutdown_wakes_getters_of_an_empty_queue() {
    let queue = Queue::<u8>::unbounded();
    let mut getters = [waiting(queue.get()), waiting(queue.get())];
    let mut items = waiting(async { queue.stream().next().await });
    queue.shutdown();
    assert!(getters.iter_mut().all(|getter| getter.ready().is_err()));
    assert_eq!(items.ready(), None);
}

/// Q5: with the last item promised to one getter, the others wait until it is certain that it is gone.
#[test]
fn q5_getters_behind_a_promised_item_end_when_it_is_taken_or_get_it() {
    for give_up in [false, true] {
        let queue = Queue::unbounded();
        let mut first = waiting(queue.get());
        let mut second = waiting(queue.get());
        queue.try_put(1).unwrap();
        queue.shutdown();
        second.pending();
        let mut third = waiting(queue.get());
        if give_up {
            drop(first);
            assert_eq!(second.ready(), Ok(1));
        } else {
            assert_eq!(first.ready(), Ok(1));
            assert!(second.ready().is_err());
        }
        assert!(third.ready().is_err());
    }
}

/// Q2: also a stream that goes on later does not keep what a call of it was promised, and loses nothing.
#[test]
fn q2_a_call_of_a_stream_that_is_given_up_passes_its_item_on() {
    let queue = Queue::unbounded();
    let mut items = queue.stream();
    let given_up = waiting(items.next());
    let mut getter = waiting(queue.get());
    queue.try_put(1).unwrap();
    getter.pending();
    drop(given_up);
    assert_eq!(getter.ready(), Ok(1));
    // It begins anew, at the end of the line.
    let mut getter = waiting(queue.get());
    let mut next = waiting(items.next());
    queue.try_put(2).unwrap();
    assert_eq!(getter.ready(), Ok(2));
    queue.try_put(3).unwrap();
    assert_eq!(next.ready(), Some(3));
    drop(next);
    // One that waits as any stream does keeps its item, until it is dropped.
    let polled = waiting(StreamExt::next(&mut items));
    let mut getter = waiting(queue.get());
    queue.try_put(4).unwrap();
    drop(polled);
    getter.pending();
    drop(items);
    assert_eq!(getter.ready(), Ok(4));
}

/// Q6.
#[test]
fn q6_shutdown_now_returns_what_was_in_the_queue() {
    let queue = Queue::unbounded();
    (1..=3).for_each(|n| queue.try_put(n).unwrap());
    let taken = queue.try_get().unwrap();
    let mut join = waiting(queue.join());
    assert_eq!((taken, queue.shutdown_now()), (1, vec![2, 3]));
    join.pending();
    queue.task_done().unwrap();
    join.ready();
    assert!(queue.task_done().is_err());
}

/// Q6: an item promised to a getter that has not run is still in the queue.
#[test]
fn q6_shutdown_now_takes_promised_items_too() {
    let queue = Queue::unbounded();
    let mut getter = waiting(queue.get());
    let dropped = waiting(queue.get());
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    assert_eq!(queue.shutdown_now(), [1, 2]);
    assert!(getter.ready().is_err());
    drop(dropped);
    polled(queue.join()).ready();
}

/// Q7.
#[test]
fn q7_shutting_down_twice_changes_nothing_and_now_is_more() {
    let queue = Queue::unbounded();
    queue.try_put(1).unwrap();
    queue.shutdown();
    queue.shutdown();
    assert_eq!(queue.len(), 1);
    assert_eq!(queue.shutdown_now(), [1]);
    assert_eq!(queue.shutdown_now(), []);
    queue.shutdown();
    assert!(queue.is_shut_down());
}

/// Q8.
#[test]
fn q8_the_constructors_say_what_the_bound_is() {
    assert_eq!(Queue::<u8>::bounded(3).capacity(), Some(3));
    assert_eq!(Queue::<u8>::unbounded().capacity(), None);
}

/// Q8.
#[test]
#[should_panic(expected = "at least one item")]
fn q8_a_queue_without_room_is_a_mistake() {
    Queue::<u8>::bounded(0);
}

/// Q5: what carries an item that is not `Sync` still is an error that goes through `?`.
#[test]
fn q5_errors_box_whatever_the_item_is() {
    fn put() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let queue = Queue::<Box<dyn FnOnce() + Send>>::unbounded();
        queue.shutdown();
        queue.put_blocking(Box::new(|| ()))?;
        Ok(())
    }
    assert_eq!(put().unwrap_err().to_string(), "the queue is shut down");
}
