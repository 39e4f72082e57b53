//! `select!`: the macro itself is a procedural one; what stands here tells it the path of this crate, whatever name
//! the user gave it.

/// Waits for several futures in the same task, and runs the handler of the first one that is ready.
///
/// ```text
/// rt::select! {
///     biased;                                     // optional
///     pattern = future => handler,
///     pattern = future, if condition => handler,  // a condition, if wanted
///     else => handler                             // optional
/// }
/// ```
///
/// - The futures may borrow what is around them. All of them are dropped before the handler runs, which so may
///   use again what they borrowed, and which may `break`, `continue`, `return` and `?`. Cleanup that a loser
///   registered is awaited by the scope around.
/// - A branch whose condition is false is disabled: its future is not even made. A branch whose output does not
///   fit its pattern is disabled from then on.
/// - `else` runs when every branch is disabled.
/// - Each poll begins with a branch that chance picks, so that no branch can starve another. After `biased;` the
///   branches are asked in their order.
/// - It counts against the budget of the poll, so that a loop of branches that are always ready lets others run.
///
/// # Cancel safety
///
/// The futures of the other branches are dropped half-way, each time. Whether that loses anything is said in the
/// section `Cancel safety` of what they are made by; a future that must go on is made before the loop, pinned, and
/// given as `&mut future`.
///
/// # Panics
///
/// If every branch is disabled and there is no `else`.
///
/// # Examples
///
/// ```
/// # use rt::sync::{Event, Queue};
/// # rt::block_on(async {
/// let (jobs, stop) = (Queue::unbounded(), Event::new());
/// jobs.try_put(1).unwrap();
/// jobs.try_put(2).unwrap();
/// let mut sum = 0;
/// loop {
///     rt::select! {
///         biased;
///         Ok(job) = jobs.get() => {
///             sum += job;
///             if jobs.is_empty() {
///                 stop.set();
///             }
///         }
///         _ = stop.wait(), if sum > 2 => break,
///     }
/// }
/// assert_eq!(sum, 3);
/// # });
/// ```
#[macro_export]
macro_rules! select {
    ($($branches:tt)*) => {
        $crate::__private::select!(($crate) $($branches)*)
    };
}
