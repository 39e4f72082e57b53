//! What was measured between processes, as tables and as pages of their own.

use comfy_table::Table;

use crate::measure::Machine;
use crate::present::{Medium, ratios, table, times};
use crate::statistics::Spread;
use crate::workload::PeerKind;
use crate::{http, idle};

/// The requests of [`http`] as a table.
#[must_use]
pub fn http_table(rows: &[http::Row], medium: Medium) -> Table {
    let (ours, base) = (PeerKind::Rt.name(), PeerKind::BASE.name());
    let header = [
        "connections".to_owned(),
        format!("{ours}, requests/s"),
        format!("{base}, requests/s"),
        format!("{ours} × {base}"),
        format!("{ours}, p99"),
        format!("{base}, p99"),
        format!("{ours} × {base}"),
    ];
    let mut table = table(header.to_vec(), medium);
    for row in rows {
        let [ours, theirs] = row.requests_per_second.map(whole);
        let [our_p99, their_p99] = row.p99.map(times);
        table.add_row([
            row.connections.to_string(),
            ours,
            theirs,
            ratios(row.requests_ratio),
            our_p99,
            their_p99,
            ratios(row.p99_ratio),
        ]);
    }
    table
}

/// The page `docs/benchmarks-http.md`.
#[must_use]
pub fn http_page(rows: &[http::Row], plan: &http::Plan) -> String {
    format!(
        "# An HTTP server\n\n\
         This page is written by a program; to make it anew on your machine, with `wrk` installed:\n\n\
         ```sh\ncargo run --profile bench -p rt-tasks-benches -- http --write\n```\n\n\
         {}\n\n{}\n\n{}\n\n\
         Medians, with the quartiles in brackets. More requests are better, and a lower p99: the time within which \
         99 of 100 requests were answered.\n",
        preface(include_str!("http.rs")),
        conditions(
            plan.workers,
            &format!(
                "{} rounds of {} s for each server",
                plan.rounds, plan.seconds
            )
        ),
        http_table(rows, Medium::Markdown),
    )
}

/// The memory of [`idle`] connections as a table.
#[must_use]
pub fn idle_table(footprints: &[idle::Footprint], medium: Medium) -> Table {
    let base = PeerKind::BASE.name();
    let header = [
        "runtime".to_owned(),
        "idle connections".to_owned(),
        "resident bytes for each".to_owned(),
        format!("× {base}"),
    ];
    let mut table = table(header.to_vec(), medium);
    for footprint in footprints {
        table.add_row([
            footprint.peer.to_owned(),
            footprint.connections.to_string(),
            whole(footprint.bytes),
            ratios(footprint.ratio),
        ]);
    }
    table
}

/// The page `docs/benchmarks-idle.md`.
#[must_use]
pub fn idle_page(footprints: &[idle::Footprint], workers: usize, rounds: usize) -> String {
    format!(
        "# Idle connections\n\n\
         This page is written by a program; to make it anew on your machine:\n\n\
         ```sh\ncargo run --profile bench -p rt-tasks-benches -- idle --write\n```\n\n\
         {}\n\n{}\n\n{}\n\nMedians, with the quartiles in brackets.\n",
        preface(include_str!("idle.rs")),
        conditions(workers, &format!("{rounds} rounds")),
        idle_table(footprints, Medium::Markdown),
    )
}

/// The module's own words on its question, and on what the answer does not show.
fn preface(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(str::trim).collect::<Vec<_>>().join("\n")
}

fn conditions(workers: usize, rounds: &str) -> String {
    format!("{}; {workers} workers, {rounds}.", Machine::this())
}

/// The median and the quartiles of what is counted in whole numbers.
fn whole(spread: Spread) -> String {
    format!(
        "{:.0} [{:.0}–{:.0}]",
        spread.median, spread.lower, spread.upper
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_say_what_was_asked_and_what_came_out() {
        let spread = Spread::of([1.0, 2.0, 3.0]);
        let row = http::Row {
            connections: 64,
            requests_per_second: [Spread::of([99_783.0]); 2],
            requests_ratio: spread,
            p99: [Spread::of([1_850_000.0]); 2],
            p99_ratio: spread,
        };
        let plan = http::Plan {
            workers: 2,
            rounds: 3,
            seconds: 1,
            connections: vec![64],
        };
        let page = http_page(&[row], &plan);
        for part in [
            "How many requests",
            "3 rounds of 1 s",
            "99783 [99783–99783]",
            "1850",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        let footprint = idle::Footprint {
            peer: "rt",
            connections: 10_000,
            bytes: Spread::of([700.0]),
            ratio: spread,
        };
        let page = idle_page(&[footprint], 2, 3);
        for part in ["How much memory", "700 [700–700]", "2.00 [1.50–2.50]"] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }
}
