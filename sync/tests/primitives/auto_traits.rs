//! The table of what is `Send`, `Sync` and `Unpin`, checked when this compiles.

use std::cell::Cell;
use std::error::Error;
use std::marker::PhantomPinned;
use std::rc::Rc;

use rt_tasks_sync::queue::{self, Items, Lifo, Ranked};
use rt_tasks_sync::{
    Abandoned, Barrier, Broken, Closed, Condvar, Event, Job, LifoQueue, Mutex, MutexGuard, Notify,
    OnceCell, OwnedMutexGuard, OwnedPermit, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, Permit,
    PriorityQueue, Promise, PromiseFuture, Queue, RwLock, RwLockReadGuard, RwLockWriteGuard,
    Semaphore, ShutDown, TaskDoneError, TooManyPermits, TryAcquireError, TryGetError, TryPutError,
    barrier, broadcast, condvar, event, mpsc, mutex, notify, once_cell, oneshot, rw_lock,
    semaphore, watch,
};

/// `Send` and not `Sync`.
type SendOnly = Cell<u8>;
/// `Sync` and not `Send`.
type SyncOnly = std::sync::MutexGuard<'static, u8>;
type Neither = Rc<u8>;
/// A value of the first type, made by a future of the second.
type Get<T, M> = once_cell::GetOrInit<'static, T, fn() -> M, M>;

/// Says whether a type implements a trait: an inherent constant hides the trait's where its bound holds.
macro_rules! implements {
    ($type:ty: $($bound:tt)+) => {{
        #[allow(dead_code)] // Used where the bound does not hold.
        trait Otherwise {
            const YES: bool = false;
        }
        impl<T: ?Sized> Otherwise for T {}
        struct Probe<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code)] // Used where the bound holds.
        impl<T: ?Sized + $($bound)+> Probe<T> {
            const YES: bool = true;
        }
        <Probe<$type>>::YES
    }};
}

macro_rules! table {
    ($($type:ty: $send:literal $sync:literal $unpin:literal;)+) => {$(
        assert!(implements!($type: Send) == $send, concat!(stringify!($type), ": Send"));
        assert!(implements!($type: Sync) == $sync, concat!(stringify!($type), ": Sync"));
        assert!(implements!($type: Unpin) == $unpin, concat!(stringify!($type), ": Unpin"));
    )+};
}

const _: () = {
    table! {
        // Type                                Send  Sync  Unpin
        Mutex<SendOnly>:                       true  true  true;
        Mutex<SyncOnly>:                       false false true;
        Mutex<Neither>:                        false false true;
        MutexGuard<'static, SendOnly>:         true  false true;
        MutexGuard<'static, u8>:               true  true  true;
        MutexGuard<'static, SyncOnly>:         false false true;
        MutexGuard<'static, Neither>:          false false true;
        OwnedMutexGuard<SendOnly>:             true  false true;
        OwnedMutexGuard<u8>:                   true  true  true;
        OwnedMutexGuard<SyncOnly>:             false false true;
        OwnedMutexGuard<Neither>:              false false true;
        mutex::Lock<'static, SendOnly>:        true  true  false;
        mutex::Lock<'static, Neither>:         false false false;
        mutex::LockOwned<SendOnly>:            true  true  false;
        RwLock<u8>:                            true  true  true;
        RwLock<SendOnly>:                      true  false true;
        RwLock<SyncOnly>:                      false false true;
        RwLock<Neither>:                       false false true;
        RwLockReadGuard<'static, u8>:          true  true  true;
        RwLockReadGuard<'static, SendOnly>:    false false true;
        RwLockReadGuard<'static, SyncOnly>:    false false true;
        RwLockWriteGuard<'static, u8>:         true  true  true;
        RwLockWriteGuard<'static, SendOnly>:   false false true;
        RwLockWriteGuard<'static, SyncOnly>:   false false true;
        OwnedRwLockReadGuard<u8>:              true  true  true;
        OwnedRwLockReadGuard<SendOnly>:        false false true;
        OwnedRwLockWriteGuard<u8>:             true  true  true;
        OwnedRwLockWriteGuard<SyncOnly>:       false false true;
        rw_lock::Read<'static, u8>:            true  true  false;
        rw_lock::Read<'static, SendOnly>:      false false false;
        rw_lock::Write<'static, u8>:           true  true  false;
        rw_lock::ReadOwned<u8>:                true  true  false;
        rw_lock::WriteOwned<u8>:               true  true  false;
        rw_lock::WriteOwned<SendOnly>:         false false false;
        Notify:                                true  true  true;
        notify::Notified<'static>:             true  true  false;
        Semaphore:                             true  true  true;
        Permit<'static>:                       true  true  true;
        OwnedPermit:                           true  true  true;
        semaphore::Acquire<'static>:           true  true  false;
        semaphore::AcquireOwned:               true  true  false;
        Event:                                 true  true  true;
        event::Wait<'static>:                  true  true  false;
        Condvar:                               true  true  true;
        condvar::Wait<'static, MutexGuard<'static, SendOnly>>: true false false;
        condvar::Wait<'static, MutexGuard<'static, u8>>: true true false;
        condvar::Wait<'static, MutexGuard<'static, Neither>>: false false false;
        condvar::Wait<'static, OwnedMutexGuard<SendOnly>>: true false false;
        Barrier:                               true  true  true;
        barrier::Wait<'static>:                true  true  false;
        Queue<SendOnly>:                       true  true  true;
        Queue<Neither>:                        false false true;
        Job<SendOnly>:                         true  false true;
        Job<u8>:                               true  true  true;
        Items<SendOnly>:                       true  true  true;
        queue::Get<'static, SendOnly>:         true  true  false;
        queue::Get<'static, Neither>:          false false false;
        queue::Put<'static, SendOnly>:         true  false false;
        queue::Put<'static, u8>:               true  true  false;
        queue::Take<'static, SendOnly>:        true  true  false;
        queue::Join<'static, SendOnly>:        true  true  false;
        LifoQueue<SendOnly>:                   true  true  true;
        LifoQueue<Neither>:                    false false true;
        PriorityQueue<SendOnly>:               true  true  true;
        PriorityQueue<Neither>:                false false true;
        Job<Neither>:                          false false true;
        Items<SendOnly, Ranked<SendOnly>>:     true  true  true;
        queue::Get<'static, SendOnly, Ranked<SendOnly>>: true true false;
        queue::Get<'static, Neither, Lifo<Neither>>: false false false;
        queue::Put<'static, SendOnly, Lifo<SendOnly>>: true false false;
        oneshot::Sender<SendOnly>:             true  true  true;
        oneshot::Sender<Neither>:              false false true;
        oneshot::Receiver<SendOnly>:           true  true  true;
        oneshot::Receiver<Neither>:            false false true;
        oneshot::Closed<'static, SendOnly>:    true  true  true;
        mpsc::Sender<SendOnly>:                true  true  true;
        mpsc::Sender<Neither>:                 false false true;
        mpsc::Receiver<SendOnly>:              true  true  true;
        mpsc::Receiver<Neither>:               false false true;
        mpsc::Sending<'static, SendOnly>:      true  false false;
        mpsc::Sending<'static, u8>:            true  true  false;
        mpsc::Recv<'static, SendOnly>:         true  true  false;
        mpsc::RecvMany<'static, SendOnly>:     true  false false;
        mpsc::Permit<'static, SendOnly>:       true  true  true;
        mpsc::Permit<'static, Neither>:        false false true;
        mpsc::Reserving<'static, SendOnly>:    true  true  false;
        mpsc::SendError<SendOnly>:             true  true  true;
        mpsc::SendError<Neither>:              false false true;
        broadcast::Sender<u8>:                 true  true  true;
        broadcast::Sender<SendOnly>:           false false true;
        broadcast::Sender<SyncOnly>:           false false true;
        broadcast::Receiver<u8>:               true  true  true;
        broadcast::Receiver<SendOnly>:         false false true;
        broadcast::Recv<'static, u8>:          true  true  false;
        broadcast::SendError<SendOnly>:        true  true  true;
        watch::Sender<u8>:                     true  true  true;
        watch::Sender<SendOnly>:               false false true;
        watch::Sender<SyncOnly>:               false false true;
        watch::Receiver<u8>:                   true  true  true;
        watch::Receiver<SendOnly>:             false false true;
        watch::Changed<'static, u8>:           true  true  false;
        watch::WaitFor<'static, u8, fn(&u8) -> bool>: true true false;
        watch::Closed<'static, u8>:            true  true  false;
        watch::Ref<'static, u8>:               false true  true;
        watch::SendError<SendOnly>:            true  true  true;
        OnceCell<u8>:                          true  true  true;
        OnceCell<SendOnly>:                    true  false true;
        OnceCell<SyncOnly>:                    false false true;
        Get<u8, u8>:                           true  true  false;
        Get<SendOnly, u8>:                     false false false;
        Get<u8, SendOnly>:                     true  false false;
        Get<u8, Neither>:                      false false false;
        Promise<u8>:                           true  true  true;
        Promise<SendOnly>:                     false false true;
        PromiseFuture<u8>:                     true  true  true;
        PromiseFuture<SendOnly>:               false false true;
        PromiseFuture<SyncOnly>:               false false true;
        PromiseFuture<PhantomPinned>:          true  true  true;
        ShutDown<SendOnly>:                    true  true  true;
        ShutDown<Neither>:                     false false true;
        ShutDown:                              true  true  true;
        TryPutError<u8>:                       true  true  true;
    }
};

/// Every error is an `Error` that a box with `Send + Sync` takes.
#[test]
fn errors_go_into_a_box() {
    fn boxed<E: Error + Send + Sync + 'static>() {}
    boxed::<Closed>();
    boxed::<TryAcquireError>();
    boxed::<TooManyPermits>();
    boxed::<Broken>();
    boxed::<ShutDown>();
    boxed::<ShutDown<Box<dyn FnOnce() + Send>>>();
    boxed::<TryPutError<u8>>();
    boxed::<TryGetError>();
    boxed::<TaskDoneError>();
    boxed::<Abandoned>();
    boxed::<mpsc::SendError<Box<dyn FnOnce() + Send>>>();
    boxed::<mpsc::TrySendError<u8>>();
    boxed::<mpsc::TryRecvError>();
    boxed::<broadcast::SendError<Box<dyn FnOnce() + Send>>>();
    boxed::<broadcast::RecvError>();
    boxed::<broadcast::TryRecvError>();
    boxed::<watch::SendError<Box<dyn FnOnce() + Send>>>();
    boxed::<watch::RecvError>();
    boxed::<oneshot::RecvError>();
    boxed::<oneshot::TryRecvError>();
}
