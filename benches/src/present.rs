//! A report as tables, on the terminal and in Markdown.

use std::fmt::Write;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::compare::Compared;
use crate::counts::Count;
use crate::goals;
use crate::hello::Hello;
use crate::measure::{self, Report};
use crate::memory::Footprint;
use crate::quiet::Quiet;
use crate::statistics::{Spread, Unit};
use crate::workload::PeerKind;
use crate::workloads::chapters;

/// Where a table is to be read.
#[derive(Clone, Copy, Debug)]
pub enum Medium {
    /// On a terminal.
    Terminal,
    /// On a page of the documents.
    Markdown,
}

/// The whole report for the terminal.
pub fn for_terminal(report: &Report) -> String {
    let mut text = format!("{}\n", timings(report, Medium::Terminal));
    for (peer, mean) in report.geometric_means() {
        let base = PeerKind::BASE.name();
        let _ = writeln!(text, "{peer}: {mean:.3} × {base} (geometric mean)");
    }
    for (_, table) in extras(report, Medium::Terminal) {
        let _ = writeln!(text, "{table}");
    }
    text
}

/// Memory of sleeping tasks for the terminal.
pub fn memory(footprints: &[Footprint]) -> String {
    memory_table(footprints, Medium::Terminal).to_string()
}

/// What was counted, for the terminal.
pub fn counts(counts: &[Count]) -> String {
    count_table(counts, Medium::Terminal).to_string()
}

/// Quiet runtimes for the terminal.
pub fn quiet(quiet: &[Quiet]) -> String {
    quiet_table(quiet, Medium::Terminal).to_string()
}

/// Two builds beside each other, for the terminal.
pub fn compared(compared: &[Compared]) -> String {
    let header = ["workload", "other build", "this build", "this × other"];
    let header = header.iter().chain(&["instructions", "this × other"]);
    let header = header.map(|title| (*title).to_owned()).collect();
    let mut table = table(header, Medium::Terminal);
    for row in compared {
        let [other, this] = row.nanoseconds;
        let mut cells = vec![row.workload.to_owned(), times(other), times(this)];
        cells.push(ratios(row.ratio));
        if let Some([other, this]) = row.instructions {
            cells.push(format!("{other:.0}, {this:.0}"));
            cells.push(format!("{:.3}", this / other));
        }
        table.add_row(cells);
    }
    table.to_string()
}

/// Programs that greet, for the terminal.
pub fn hello(hello: &[Hello]) -> String {
    hello_table(hello, Medium::Terminal).to_string()
}

/// What was measured besides the workloads, each with its title.
fn extras(report: &Report, medium: Medium) -> Vec<(&'static str, Table)> {
    let has_others = report.rows.iter().any(|row| !row.others.is_empty());
    let others = has_others.then(|| other_table(report, medium));
    let memory = (!report.memory.is_empty()).then(|| memory_table(&report.memory, medium));
    let quiet = (!report.quiet.is_empty()).then(|| quiet_table(&report.quiet, medium));
    let counts = (!report.counts.is_empty()).then(|| count_table(&report.counts, medium));
    let hello = (!report.hello.is_empty()).then(|| hello_table(&report.hello, medium));
    let all = [
        ("Libraries and other languages", others),
        ("Memory of a sleeping task", memory),
        ("With nothing to do", quiet),
        ("Counts per operation", counts),
        ("A program that greets", hello),
    ];
    all.into_iter()
        .filter_map(|(title, table)| Some((title, table?)))
        .collect()
}

/// The page `docs/benchmarks.md`.
pub fn for_docs(report: &Report) -> String {
    let base = PeerKind::BASE.name();
    let mut page = format!("# Benchmarks\n\n{METHOD}\n## Results\n\n");
    let _ = writeln!(
        page,
        "{}; {} workers, {} rounds.\n",
        report.machine, report.workers, report.rounds
    );
    let _ = writeln!(
        page,
        "![Time as a multiple of {base}'s, for each workload]({}.svg)\n",
        measure::PAGE
    );
    for (peer, mean) in report.geometric_means() {
        let _ = writeln!(
            page,
            "Geometric mean of all rows, {peer}: **{mean:.3} × {base}**.\n"
        );
    }
    let _ = writeln!(page, "{}\n", timings(report, Medium::Markdown));
    for (title, table) in extras(report, Medium::Markdown) {
        let _ = writeln!(page, "### {title}\n\n{table}\n");
    }
    if !cfg!(feature = "mimalloc") {
        // They were set with the system's allocator.
        page += &goals::chapter(&report.rows);
    }
    page += ELSEWHERE;
    page += "## The workloads\n";
    for chapter in chapters() {
        let _ = write!(page, "\n### {}\n\n{}\n", chapter.title, chapter.preface());
        for case in &chapter.cases {
            let _ = writeln!(page, "- `{}`: {}.", case.name, case.operation);
        }
    }
    page
}

/// What is measured by programs of their own.
const ELSEWHERE: &str = "\
## Servers

What needs processes of its own has pages of its own: [an HTTP server](benchmarks-http.md) that `wrk` asks, and the
memory of [idle connections](benchmarks-idle.md).

";

/// What the page says of how it was made.
const METHOD: &str = "\
This page is written by a program; to make it anew on your machine:

```sh
cargo run --profile bench -p rt-tasks-benches -- report --full --write
```

(`--profile bench` builds with one codegen unit and link-time optimisation; `--release` works too.
`--features mimalloc` puts mimalloc under all runtimes and writes [a page of its own](benchmarks-mimalloc.md),
`--workers` and `--rounds` do what they say, `--only` selects workloads by name, `--alone` leaves other languages out.)

## Method

Each workload is written once, over a trait, and does the same work on every runtime, in one process, with
the same number of workers and the same allocator. It checks its result. A round runs each runtime once,
one directly after the other, beginning with another one each time; a first round warms up and does not
count. Times are medians, with the quartiles in brackets. A ratio is taken within a round, so that both of
its sides saw the same machine; the table has the median of these ratios and their quartiles. Below 1, the
runtime is faster than Tokio.

## Bias

- The authors of `rt` chose the workloads. Most are small: they show what the runtime itself costs, which is
  a small part of what a real program does.
- Tokio and smol run with their defaults and the idioms their users write: Tokio's own channels and
  `JoinSet`, async-channel and async-lock on smol. smol has no worker threads of its own choosing; its
  executor runs on as many threads as the others have workers.
- All runtimes stay started while one is measured. Sleeping threads cost nothing, but each runtime's memory
  is in the same process, and in the same allocator.
- Go, asyncio and the libraries for threads are measured in the same rounds, after the runtimes; Go and asyncio take
  the time in a process of their own, with Go's processors limited to the number of workers. They do the same
  work in their own idiom, so a row compares what programs pay, not how well the same steps are done.
- Both ends of every connection share the processors with each other.
- How the runtimes scale to more processors than the results name is not measured.
- What goes through the kernel to wake a thread comes in two modes on a virtual machine; the quartiles show
  it, a median hides it.
";

fn timings(report: &Report, medium: Medium) -> Table {
    let base = PeerKind::BASE.name();
    let mut header = vec!["workload".to_owned()];
    header.extend(PeerKind::ALL.iter().map(|kind| kind.name().to_owned()));
    let others = || PeerKind::ALL.iter().filter(|kind| **kind != PeerKind::BASE);
    header.extend(others().map(|kind| format!("{} × {base}", kind.name())));
    let mut table = table(header, medium);
    for row in &report.rows {
        let mut cells = vec![row.name.to_owned()];
        cells.extend(row.cells.iter().map(|cell| times(cell.nanoseconds)));
        cells.extend(row.cells.iter().filter_map(|cell| cell.ratio.map(ratios)));
        table.add_row(cells);
    }
    table
}

fn other_table(report: &Report, medium: Medium) -> Table {
    let ours = PeerKind::Rt.name();
    let ratio = format!("{ours} × it");
    let header = ["workload", ours, "beside it", "its time", &ratio];
    let mut table = table(header.map(str::to_owned).to_vec(), medium);
    for row in &report.rows {
        let own = row.cells.iter().find(|cell| cell.peer == ours);
        for other in &row.others {
            table.add_row([
                row.name.to_owned(),
                own.map_or(String::new(), |cell| times(cell.nanoseconds)),
                other.name.to_owned(),
                times(other.nanoseconds),
                ratios(other.ratio),
            ]);
        }
    }
    table
}

fn quiet_table(quiet: &[Quiet], medium: Medium) -> Table {
    let header = [
        "runtime",
        "threads",
        "context switches a second",
        "µs of processor time a second",
    ];
    let mut table = table(header.map(str::to_owned).to_vec(), medium);
    for quiet in quiet {
        table.add_row([
            quiet.peer.to_owned(),
            quiet.threads.to_string(),
            format!("{:.1}", quiet.switches_per_second),
            format!("{:.1}", quiet.micros_per_second),
        ]);
    }
    table
}

fn hello_table(hello: &[Hello], medium: Medium) -> Table {
    let header = [
        "runtime",
        "crates",
        "seconds to compile",
        "KiB",
        "KiB without symbols",
    ];
    let mut table = table(header.map(str::to_owned).to_vec(), medium);
    let kib = |bytes: u64| (bytes / 1024).to_string();
    for hello in hello {
        table.add_row([
            hello.peer.to_owned(),
            hello.crates.to_string(),
            format!("{:.1}", hello.seconds),
            kib(hello.bytes),
            hello.stripped.map_or("unknown".to_owned(), kib),
        ]);
    }
    table
}

fn memory_table(footprints: &[Footprint], medium: Medium) -> Table {
    let header = ["runtime", "sleeping tasks", "resident bytes for each"];
    let mut table = table(header.map(str::to_owned).to_vec(), medium);
    for footprint in footprints {
        table.add_row([
            footprint.peer.to_owned(),
            footprint.tasks.to_string(),
            format!("{:.0}", footprint.bytes_per_task),
        ]);
    }
    table
}

fn count_table(counts: &[Count], medium: Medium) -> Table {
    let mut header = vec!["workload".to_owned(), "counted".to_owned()];
    header.extend(PeerKind::ALL.iter().map(|kind| kind.name().to_owned()));
    let mut table = table(header, medium);
    for count in counts {
        let mut cells = vec![count.workload.to_owned(), count.what.to_owned()];
        cells.extend(count.per_operation.iter().map(|n| match n {
            n if *n < 100.0 => format!("{n:.2}"),
            n => format!("{n:.0}"),
        }));
        table.add_row(cells);
    }
    table
}

/// An empty table: names to the left, numbers to the right.
pub(crate) fn table(header: Vec<String>, medium: Medium) -> Table {
    let mut table = Table::new();
    table
        .load_preset(match medium {
            Medium::Terminal => presets::UTF8_BORDERS_ONLY,
            Medium::Markdown => presets::ASCII_MARKDOWN,
        })
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The median and the quartiles, in the median's unit.
pub(crate) fn times(spread: Spread) -> String {
    let unit = Unit::for_time(spread.median);
    let [median, lower, upper] =
        [spread.median, spread.lower, spread.upper].map(|n| unit.number(n));
    format!("{median} [{lower}–{upper}] {}", unit.name)
}

pub(crate) fn ratios(spread: Spread) -> String {
    format!(
        "{:.2} [{:.2}–{:.2}]",
        spread.median, spread.lower, spread.upper
    )
}
