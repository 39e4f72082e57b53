//! What did my program do? A pipeline with the flight recorder on, which writes a trace for <https://ui.perfetto.dev>.
//!
//! `cargo run --example recorded -- trace.json`; without an argument the file goes to the folder for temporary files.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rt::sync::{Queue, ShutDown};

/// Computes for so long.
fn compute(duration: Duration) {
    let began = Instant::now();
    while began.elapsed() < duration {
        std::hint::spin_loop();
    }
}

async fn fetch(pages: Queue<u64>, first: u64) -> Result<(), ShutDown<u64>> {
    for page in (first..12).step_by(3) {
        rt::sleep(Duration::from_micros(2000 + 300 * page)).await;
        pages.put(page).await?;
    }
    Ok(())
}

async fn parse(pages: Queue<u64>, records: Queue<u64>) {
    while let Ok(page) = pages.get().await {
        compute(Duration::from_micros(600 + 60 * page));
        if records.put(page).await.is_err() {
            return;
        }
    }
}

async fn store(records: Queue<u64>) -> u64 {
    let mut sum = 0;
    while let Ok(record) = records.get().await {
        let written = rt::task::Builder::new()
            .name("write")
            .spawn_blocking(move || std::thread::sleep(Duration::from_micros(500)));
        written.await.expect("a write does not panic");
        sum += record;
    }
    sum
}

async fn run() -> u64 {
    let (pages, records) = (Queue::bounded(2), Queue::bounded(2));
    let named = |name: &'static str| rt::task::Builder::new().name(name);
    let fetchers = ["fetch 0", "fetch 1", "fetch 2"].into_iter().zip(0..);
    let fetchers: Vec<_> = fetchers
        .map(|(name, first)| named(name).spawn(fetch(pages.clone(), first)))
        .collect();
    let parser = named("parse").spawn(parse(pages.clone(), records.clone()));
    let store = named("store").spawn(store(records.clone()));
    for fetcher in rt::join_all(fetchers).await {
        fetcher
            .expect("a fetcher does not panic")
            .expect("nobody shuts the queue down");
    }
    pages.shutdown();
    parser.await.expect("the parser does not panic");
    records.shutdown();
    store.await.expect("the store does not panic")
}

fn main() -> std::io::Result<()> {
    let path = std::env::args_os().nth(1).map(PathBuf::from);
    let path = path.unwrap_or_else(|| std::env::temp_dir().join("rt-recorded.json"));
    let runtime = rt::Builder::new()
        .workers(2)
        .flight_recorder(4096)
        .build()?;
    assert_eq!(runtime.block_on(run()), 66);
    let trace = runtime.trace().expect("the recorder is on");
    trace.save(&path)?;
    println!("{} events are in {}", trace.n_events(), path.display());
    Ok(())
}
