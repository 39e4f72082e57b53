//! The fetching half: crawlers that discover, a bounded queue, and fetchers that bring the files over.
//!
//! Everything runs in one group, so that an error which ends all hope ends all tasks, and nothing is left
//! running when [`fetch`] returns or is cancelled. Directories go through an unbounded queue of their own:
//! the crawlers are its only consumers and its producers, and would wait for each other on a bounded one.
//! The queue of files is bounded: crawlers wait while the fetchers are behind.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rt::sync::Queue;
use rt::{BoxError, FailureKind, GroupError, TaskGroup};

use super::arguments::Settings;
use super::client::{Address, Client};
use super::faults::mix;
use super::links::Listing;
use super::output::{Output, Unfinished};
use super::place::Place;
use super::problem::Trouble;
use super::tally::{Check, Tally};

/// Listings in hand at a time.
const CRAWLERS: usize = 4;

/// The longest listing that is read.
const LONGEST_PAGE: usize = 64 * 1024 * 1024;

/// Data that is collected before it is handed to the blocking pool, where it is written.
const BATCH: usize = 256 * 1024;

/// The pause before the second attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What all tasks share.
struct Job {
    address: Address,
    client: Client,
    output: Arc<Output>,
    tally: Arc<Tally>,
    settings: Settings,
    directories: Queue<Place>,
    files: Queue<Place>,
    seen: Mutex<HashSet<Place>>,
}

/// Mirrors everything below an address.
///
/// # Errors
///
/// What makes the rest pointless too: no server, no space. That single files could not be mirrored is noted
/// in the tally.
pub(crate) async fn fetch(
    address: Address,
    output: Arc<Output>,
    tally: Arc<Tally>,
    settings: Settings,
) -> Result<(), BoxError> {
    let result = TaskGroup::scope(|tasks| async move {
        let n = settings.connections;
        let job = Arc::new(Job {
            client: Client::new(address.clone(), n, settings.timeout, tasks.clone()),
            address,
            output,
            tally,
            directories: Queue::unbounded(),
            files: Queue::bounded(2 * settings.fetchers),
            seen: Mutex::new(HashSet::from([Place::default()])),
            settings,
        });
        job.client.try_out().await?;
        for i in 0..CRAWLERS {
            tasks.spawn_named(format!("crawler {i}"), crawl(Arc::clone(&job)));
        }
        for i in 0..job.settings.fetchers {
            tasks.spawn_named(format!("fetcher {i}"), bring_files(Arc::clone(&job)));
        }
        job.directories.put(Place::default()).await?;
        job.directories.join().await;
        job.directories.shutdown();
        job.files.join().await;
        job.files.shutdown();
        job.client.close();
        Ok(())
    })
    .await;
    result.map_err(cause)
}

/// The error that ended the group, without the group around it.
fn cause(error: GroupError) -> BoxError {
    let first = error.into_errors().into_iter().next();
    match first.map(|failure| (failure.to_string(), failure.kind)) {
        Some((_, FailureKind::Error(error))) => error,
        Some((text, _)) => text.into(),
        None => "the mirror stopped without an error".into(),
    }
}

/// Reads listings until there are no more.
async fn crawl(job: Arc<Job>) -> Result<(), BoxError> {
    while let Ok(directory) = job.directories.take().await {
        match list(&job, &directory).await {
            Ok(()) => job.tally.listed_directory(),
            Err(trouble) => job.give_up(&format!("{}/", *directory), trouble)?,
        }
    }
    Ok(())
}

/// Reads one listing and queues what it leads to.
async fn list(job: &Arc<Job>, directory: &Place) -> Result<(), Trouble> {
    let maker = (Arc::clone(job), directory.clone());
    blocking(move || maker.0.output.make_directory(&maker.1)).await?;
    let mut path = directory.url_path(&job.address.path);
    if !path.ends_with('/') {
        path.push('/');
    }
    let page = job.with_retries(&path, || read_listing(job, &path)).await?;
    let listing = Listing {
        authority: &job.address.authority,
        base: &job.address.base,
        directory,
    };
    let links = listing.links(&page);
    for name in links.refused {
        job.tally
            .failed(name, "its name would lead out of the output");
    }
    let closed = |_| Trouble::Lasting("the mirror is being stopped".to_owned());
    for place in links.directories {
        if job.is_new(&place) {
            job.directories.put(place).await.map_err(closed)?;
        }
    }
    for place in links.files {
        if job.is_new(&place) {
            job.tally.discovered_file();
            job.files.put(place).await.map_err(closed)?;
        }
    }
    Ok(())
}

async fn read_listing(job: &Job, path: &str) -> Result<String, Trouble> {
    let answer = job.client.get(path).await?;
    if !answer.is_page {
        return Err(Trouble::Lasting("it is no directory listing".to_owned()));
    }
    let page = answer.read(LONGEST_PAGE).await?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// Fetches files until there are no more.
async fn bring_files(job: Arc<Job>) -> Result<(), BoxError> {
    while let Ok(file) = job.files.take().await {
        let path = file.url_path(&job.address.path);
        let result = job.with_retries(&path, || bring(&job, &file, &path)).await;
        match result {
            Ok((length, check)) => job.tally.mirrored_file(length, check),
            Err(trouble) => job.give_up(&file.to_string(), trouble)?,
        }
    }
    Ok(())
}

/// One attempt at a file. However it ends, nothing is left of it but the file in its place.
async fn bring(job: &Arc<Job>, place: &Place, path: &str) -> Result<(u64, Check), Trouble> {
    let unfinished = job.output.begin();
    let removal = unfinished.removal();
    rt::finally(download(job, place, path, unfinished), removal).await
}

async fn download(
    job: &Arc<Job>,
    place: &Place,
    path: &str,
    mut unfinished: Unfinished,
) -> Result<(u64, Check), Trouble> {
    let mut answer = job.client.get(path).await?;
    let mut batch = Vec::new();
    while let Some(data) = answer.next().await? {
        batch.extend_from_slice(&data);
        if batch.len() >= BATCH {
            (unfinished, batch) = blocking(move || {
                unfinished.write(&batch)?;
                batch.clear();
                Ok((unfinished, batch))
            })
            .await?;
        }
    }
    let (digest, length) = (answer.digest.take(), answer.length);
    let check = match (&digest, length) {
        (Some(_), _) => Check::Digest,
        (None, Some(_)) => Check::Length,
        (None, None) => Check::None,
    };
    answer.finish();
    let target = place.below(job.output.root());
    let length = blocking(move || {
        unfinished.write(&batch)?;
        unfinished.place(&target, digest.as_ref(), length)
    })
    .await?;
    Ok((length, check))
}

/// Runs something that blocks where it may.
async fn blocking<T: Send + 'static>(
    f: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    match rt::spawn_blocking(f).await {
        Ok(result) => result,
        Err(error) => Err(Trouble::Lasting(error.to_string())),
    }
}

impl Job {
    /// Makes attempts until one succeeds, fails for good, or was the last.
    ///
    /// The pauses lie outside the attempt, so that no connection is held meanwhile.
    async fn with_retries<T, A: Future<Output = Result<T, Trouble>>>(
        &self,
        path: &str,
        mut attempt: impl FnMut() -> A,
    ) -> Result<T, Trouble> {
        let mut n = 0;
        loop {
            match attempt().await {
                Err(Trouble::Passing(_)) if n < self.settings.retries => {
                    self.tally.tries_again();
                    rt::sleep(self.pause(path, n)).await;
                    n += 1;
                }
                Err(Trouble::Passing(why)) => {
                    return Err(Trouble::Lasting(format!(
                        "{why} (after {} attempts)",
                        n + 1
                    )));
                }
                result => return result,
            }
        }
    }

    /// The pause after attempt `n`: doubled each time, with up to a half off so that not all come at once.
    fn pause(&self, path: &str, n: u32) -> Duration {
        let full = FIRST_PAUSE
            .saturating_mul(1 << n.min(10))
            .min(LONGEST_PAUSE);
        let part = mix((self.settings.seed, path, n)) % 1000;
        full.mul_f64(1.0 - part as f64 / 2000.0)
    }

    /// Whether a place was not seen before.
    fn is_new(&self, place: &Place) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(place.clone())
    }

    /// Notes a failure, or passes on one that ends everything.
    fn give_up(&self, what: &str, trouble: Trouble) -> Result<(), BoxError> {
        match trouble {
            Trouble::Passing(why) | Trouble::Lasting(why) => {
                self.tally.failed(what, why);
                Ok(())
            }
            Trouble::Fatal(problem) => Err(problem.into()),
        }
    }
}
