//! How much memory does a task take that sleeps?
//!
//! A million tasks are spawned that sleep for an hour, and the growth of the resident set is shared out over
//! them, in a process of its own for each runtime. The tasks' future is the runtime's own sleep and nothing
//! else; a task of a real program is larger by what it holds. Memory that the allocator took and did not
//! give out yet counts as well; it differs from run to run, so the median of a few is told.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use memory_stats::memory_stats;
use serde::{Deserialize, Serialize};

use crate::peer::Peer;
use crate::statistics::Spread;
use crate::workload::{AnyPeer, PeerKind, Visit};

/// Processes of which the median is told.
const CHILDREN: usize = 5;

/// What a sleeping task takes on one runtime.
#[derive(Debug, Serialize)]
pub struct Footprint {
    /// The runtime.
    pub peer: &'static str,
    /// How many tasks slept.
    pub tasks: usize,
    /// Resident bytes for each of them.
    pub bytes_per_task: f64,
}

/// What the child process tells.
#[derive(Debug, Deserialize, Serialize)]
pub struct Growth {
    /// Resident bytes that `tasks` sleeping tasks added.
    pub bytes: usize,
}

/// Measures each runtime in a child process of this program, which must know `memory-child`.
///
/// # Errors
///
/// When a child cannot be started or fails.
pub fn measure(workers: usize, tasks: usize) -> Result<Vec<Footprint>> {
    PeerKind::ALL
        .iter()
        .map(|kind| {
            eprintln!("memory of {tasks} sleeping tasks on {}", kind.name());
            let bytes = (0..CHILDREN)
                .map(|_| Ok(grow(*kind, workers, tasks)?.bytes as f64))
                .collect::<Result<Vec<_>>>()?;
            Ok(Footprint {
                peer: kind.name(),
                tasks,
                bytes_per_task: Spread::of(bytes).median / tasks as f64,
            })
        })
        .collect()
}

/// What a child process says.
fn grow(kind: PeerKind, workers: usize, tasks: usize) -> Result<Growth> {
    let output = Command::new(std::env::current_exe()?)
        .args(["memory-child", "--peer", &kind.argument()])
        .args(["--workers", &workers.to_string()])
        .args(["--tasks", &tasks.to_string()])
        .output()?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("measuring {} failed: {}", kind.name(), complaint.trim());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Puts `tasks` tasks to sleep in this process and says by how much it grew.
///
/// # Errors
///
/// When the runtime does not start, or the system does not tell the size of the process.
pub fn child(kind: PeerKind, workers: usize, tasks: usize) -> Result<Growth> {
    AnyPeer::start(kind, workers)?.visit(Sleepers { tasks })
}

/// Tasks that began to sleep. A static, so that the tasks need not carry a pointer to it.
static ASLEEP: AtomicUsize = AtomicUsize::new(0);

struct Sleepers {
    tasks: usize,
}

impl Visit for Sleepers {
    type Output = Result<Growth>;

    fn visit<P: Peer>(self, peer: &P) -> Result<Growth> {
        let tasks = self.tasks;
        peer.block_on(async {
            P::spawn(async move {
                let before = resident()?;
                for _ in 0..tasks {
                    P::spawn_detached(async {
                        ASLEEP.fetch_add(1, Ordering::Relaxed);
                        P::sleep(Duration::from_secs(3_600)).await;
                    });
                }
                while ASLEEP.load(Ordering::Relaxed) < tasks {
                    P::sleep(Duration::from_millis(10)).await;
                }
                // The last ones counted themselves just before their sleep was first polled.
                P::sleep(Duration::from_millis(200)).await;
                let bytes = resident()?.saturating_sub(before);
                Ok(Growth { bytes })
            })
            .await
        })
    }
}

pub(crate) fn resident() -> Result<usize> {
    let stats = memory_stats().context("the system does not tell the size of the process")?;
    Ok(stats.physical_mem)
}
