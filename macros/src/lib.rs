//! The macros of `rt`: the attributes [`main`](macro@main) and [`test`](macro@test), and [`join!`],
//! [`try_join!`] and `select!`, which wait for several futures in one task.
//!
//! The attributes turn an `async fn` without parameters into a plain one that builds a runtime, blocks on the body
//! and drops the runtime, which cancels and awaits whatever the body left behind. They are here because a
//! procedural macro needs a crate of its own; users name them `rt::main` and `rt::test`.
//!
//! `args` reads what stands in the attribute's parentheses, `expand` checks the function and writes the
//! new one. A mistake is reported at the tokens that make it, and the function is still expanded as far as
//! it goes, so that one mistake gives one message.

#![forbid(unsafe_code)]

mod args;
mod expand;
mod join;
mod select;

use proc_macro::TokenStream;

use args::Entry;
use join::Outputs;

/// Runs an `async fn main` on a runtime of its own.
///
/// The function may return anything that implements [`std::process::Termination`], so `?` works and an
/// error becomes a non-zero exit status. When the body is done, tasks it left running are cancelled, their
/// cleanup is awaited, and only then does `main` return.
///
/// # Arguments
///
/// - `workers = N`: the number of worker threads; one per core when left out.
/// - `current_thread`: everything runs on the thread that calls `main`.
/// - `debug = true`: reports slow polls, unobserved errors and the like while the program runs.
/// - `cancel_on_ctrl_c`: Ctrl-C drops the function where it waits and awaits the cleanup of everything before the process
///   ends; a second one ends it at once. See `rt::Builder::cancel_on_ctrl_c`.
/// - `crate = "path"`: where `rt` is found when the package was renamed or is re-exported.
///
/// # Panics
///
/// The function panics when the system refuses what the runtime needs, for example threads.
///
/// # Examples
///
/// ```
/// #[rt::main(workers = 2)]
/// async fn main() -> std::io::Result<()> {
///     let answer = rt::spawn(async { 6 * 7 }).await.unwrap();
///     assert_eq!(answer, 42);
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Entry::Main, arguments.into(), item.into()).into()
}

/// Runs an `async fn` as a test, on a runtime of its own.
///
/// Other attributes of a test, such as `#[should_panic]`, work as they do on a plain one. Each test has
/// its own runtime, so that tests do not see each other's tasks or time.
///
/// # Arguments
///
/// Those of [`main`](macro@main), and:
///
/// - `virtual_time`: the clock stands still while there is work, and jumps to the next timer when all
///   tasks wait. A test that sleeps for an hour is over at once.
///
/// # Panics
///
/// The test fails when the system refuses what the runtime needs, for example threads.
///
/// # Examples
///
/// ```
/// #[rt::test(workers = 1)]
/// async fn a_task_returns_its_value() -> Result<(), rt::JoinError> {
///     assert_eq!(rt::spawn(async { 1 }).await?, 1);
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Entry::Test, arguments.into(), item.into()).into()
}

/// Awaits futures side by side in the same task, and gives all outputs as a tuple.
///
/// The futures may borrow what is around them; they take turns, on one thread at a time. For parallel work spawn
/// tasks, or use `rt::join_all`. Each future is dropped as soon as it is through.
///
/// # Cancel safety
///
/// Dropping it drops the futures that are not through, and the outputs of those that are.
///
/// # Examples
///
/// ```
/// # rt::block_on(async {
/// let text = String::from("borrowed");
/// let (length, number) = rt::join!(async { text.len() }, async { 7 });
/// assert_eq!((length, number), (8, 7));
/// # });
/// ```
#[proc_macro]
pub fn join(futures: TokenStream) -> TokenStream {
    join::expand(Outputs::Any, futures.into()).into()
}

/// Awaits futures side by side in the same task until all succeed, or one fails.
///
/// Each returns a `Result`, all with the same type of error. Gives `Ok` with a tuple of the values, or the first
/// error; the futures that are not through by then are dropped, and the scope around awaits the cleanup that they
/// registered.
///
/// # Cancel safety
///
/// Dropping it drops the futures that are not through, and the values of those that are.
///
/// # Examples
///
/// ```
/// # rt::block_on(async {
/// let parse = async |text: &str| text.parse::<u32>();
/// assert_eq!(rt::try_join!(parse("1"), parse("2")), Ok((1, 2)));
/// assert!(rt::try_join!(parse("x"), std::future::pending::<Result<(), _>>()).is_err());
/// # });
/// ```
#[proc_macro]
pub fn try_join(futures: TokenStream) -> TokenStream {
    join::expand(Outputs::Results, futures.into()).into()
}

/// What `rt::select!` calls, with the path of `rt` before the branches: see there.
#[doc(hidden)]
#[proc_macro]
pub fn select(branches: TokenStream) -> TokenStream {
    select::expand(branches.into()).into()
}
