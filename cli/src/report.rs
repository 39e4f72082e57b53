//! Answers as text, for people who read it in a terminal or in a file.

use std::fmt::Write;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::find::Process;
use crate::model::{Caller, Deadlocks, Dumps, Picture, RuntimeOutline, Task, Trees, Waiting};

const HEADING: Style = Style::new().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const FAINT: Style = Style::new().dimmed();

/// As JSON, in a line.
pub(crate) fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("it has only texts and numbers");
    format!("{text}\n")
}

/// A table without lines, whose columns are as wide as what is in them.
fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(headings);
    table
}

/// The table with its headings set off, and nothing at the ends of its lines.
fn finish(table: &Table) -> String {
    let mut out = String::new();
    for (index, line) in table.lines().enumerate() {
        let line = line.trim_end();
        // The first column begins with the space between two.
        let line = line.strip_prefix(' ').unwrap_or(line);
        let _ = match index {
            0 => writeln!(out, "{HEADING}{line}{HEADING:#}"),
            _ => writeln!(out, "{line}"),
        };
    }
    out
}

/// The list of processes.
pub(crate) fn processes(found: &[Process]) -> String {
    if found.is_empty() {
        return "no process of yours can be inspected; start one with RT_INSPECT=1 in its environment\n".to_owned();
    }
    let mut table = table(&["PID", "PROGRAM", "RUNTIME", "WORKERS", "TASKS", "UP"]);
    for process in found {
        let name = (process.process.to_string(), process.program.clone());
        match &process.runtimes {
            Some(runtimes) => runtimes.iter().for_each(|runtime| {
                table.add_row(outline(&name, runtime));
            }),
            None => {
                table.add_row([name.0, name.1]);
            }
        }
    }
    let mut out = finish(&table);
    for trouble in found.iter().filter_map(|process| process.trouble.as_ref()) {
        let _ = writeln!(out, "{BAD}{trouble}{BAD:#}");
    }
    out
}

fn outline(name: &(String, String), runtime: &RuntimeOutline) -> [String; 6] {
    [
        name.0.clone(),
        name.1.clone(),
        runtime.runtime.clone(),
        runtime.workers.to_string(),
        runtime.tasks.to_string(),
        span(runtime.uptime),
    ]
}

/// Every task of a process in a line, one table for each runtime.
pub(crate) fn tasks(answer: &Dumps) -> String {
    let mut out = format!(
        "{HEADING}{} ({}){HEADING:#}\n",
        answer.program, answer.process
    );
    for picture in &answer.runtimes {
        tasks_of(&mut out, picture);
    }
    out
}

fn tasks_of(out: &mut String, picture: &Picture) {
    let dump = &picture.dump;
    let _ = writeln!(
        out,
        "\nruntime `{}`: {} tasks, {} workers, up {}",
        dump.runtime,
        dump.tasks.len(),
        dump.workers,
        span(dump.uptime)
    );
    let mut headings = vec!["ID", "NAME", "STATE", "POLLS", "AGE", "WAITS FOR", "AT"];
    if picture.debug {
        headings.insert(4, "BUSY");
    }
    let mut table = table(&headings);
    for caller in &dump.callers {
        let mut row = caller_row(caller).to_vec();
        if picture.debug {
            row.insert(4, String::new());
        }
        table.add_row(row);
    }
    for task in &dump.tasks {
        let mut row = task_row(task).to_vec();
        if picture.debug {
            row.insert(4, span(task.busy));
        }
        table.add_row(row);
    }
    if !dump.tasks.is_empty() || !dump.callers.is_empty() {
        out.push_str(&finish(&table));
    }
    for cycle in &dump.cycles {
        let _ = writeln!(out, "{BAD}deadlock:{BAD:#} {}", circle(cycle));
    }
}

fn caller_row(caller: &Caller) -> [String; 7] {
    [
        caller.id.to_string(),
        caller.name(),
        if caller.running { "running" } else { "waiting" }.to_owned(),
        String::new(),
        String::new(),
        waits_for(caller.waiting_on.as_ref()),
        caller.called_at.clone(),
    ]
}

fn task_row(task: &Task) -> [String; 7] {
    [
        task.id.to_string(),
        task.name.clone().unwrap_or_default(),
        task.state.clone(),
        task.polls.to_string(),
        span(task.age),
        waits_for(task.waiting_on.as_ref()),
        task.spawned_at.clone(),
    ]
}

/// The trees of a process, as the program itself prints them, with deadlocks set off.
pub(crate) fn trees(answer: &Trees) -> String {
    let mut out = format!(
        "{HEADING}{} ({}){HEADING:#}\n",
        answer.program, answer.process
    );
    for line in answer.runtimes.iter().flat_map(|found| found.tree.lines()) {
        let style = match line {
            line if line.starts_with("deadlock") => BAD,
            line if line.ends_with(": running") || line.contains(": running (") => GOOD,
            _ => Style::new(),
        };
        let _ = writeln!(out, "{style}{line}{style:#}");
    }
    out
}

/// The deadlocks of a process.
pub(crate) fn deadlocks(id: u32, answer: &Deadlocks) -> String {
    if answer.is_none() {
        return format!(
            "{GOOD}no deadlock{GOOD:#} among the tasks of {} ({id})\n",
            answer.program
        );
    }
    let mut out = String::new();
    let found = answer.runtimes.iter();
    for deadlock in found.flat_map(|runtime| &runtime.deadlocks) {
        let mut lines = deadlock.text.lines();
        let first = lines.next().unwrap_or_default();
        let _ = writeln!(out, "{BAD}{first}{BAD:#}");
        lines.for_each(|line| out.extend([line, "\n"]));
    }
    let _ = writeln!(out, "{FAINT}`rt tree {id}` shows what hangs on it{FAINT:#}");
    out
}

/// Those who wait for one another, each for the next.
pub(crate) fn circle(cycle: &[u64]) -> String {
    let first = cycle.first();
    let steps: Vec<String> = cycle
        .iter()
        .chain(first)
        .map(|id| format!("#{id}"))
        .collect();
    steps.join(" → ")
}

/// What somebody waits for, as in a sentence; nothing if that is not known.
pub(crate) fn waits_for(waiting: Option<&Waiting>) -> String {
    let Some(waiting) = waiting else {
        return String::new();
    };
    let mut out = match (waiting.kind.as_str(), waiting.on) {
        ("a task to finish", Some(task)) => format!("task #{task} to finish"),
        ("a lock", Some(holder)) if waiting.holders.is_empty() => {
            format!("a lock that #{holder} has")
        }
        (kind, _) => format!("{kind}{}", whose(kind, &waiting.holders)),
    };
    if let Some(front) = waiting.behind {
        out.push_str(&format!(", behind #{front}"));
    }
    if waiting.others > 0 {
        out.push_str(" and more");
    }
    match (waiting.for_long, waiting.due_in) {
        (Some(long), _) => out.extend([", for ", &span(long)]),
        (None, Some(due)) => out.extend([", due in ", &span(due)]),
        (None, None) => {}
    }
    out
}

/// Who has what is waited for, as the end of a sentence; nothing if nobody is known.
fn whose(kind: &str, holders: &[u64]) -> String {
    // Who took a job of a queue may have handed it on.
    let (that, has, have) = match kind {
        "the items of a queue to be done" | "a free slot in a queue" => {
            (", with jobs that", "took", "took")
        }
        _ => (" that", "has", "have"),
    };
    match holders {
        [] => String::new(),
        [one] => format!("{that} #{one} {has}"),
        [one, other] => format!("{that} #{one} and #{other} {have}"),
        [one, more @ ..] => format!("{that} #{one} and {} more {have}", more.len()),
    }
}

/// A duration, short: three digits are enough.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.as_millis() >= 10 => format!("{}ms", duration.as_millis()),
        0 if duration.as_micros() >= 100 => format!("{:.1}ms", duration.as_secs_f64() * 1e3),
        0 => format!("{}µs", duration.as_micros()),
        1..=99 => format!("{:.1}s", duration.as_secs_f64()),
        100..=5999 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        6000..=172_799 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short_and_round_down_to_their_unit() {
        let spans = [
            (0, "0µs"),
            (99, "99µs"),
            (1_500, "1.5ms"),
            (10_999, "10ms"),
            (999_999, "999ms"),
            (12_345_678, "12.3s"),
            (125_000_000, "2m05s"),
            (7_384_000_000, "2h03m"),
            (200_000_000_000, "2d07h"),
        ];
        for (micros, text) in spans {
            assert_eq!(span(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn a_circle_ends_where_it_began() {
        assert_eq!(circle(&[7, 9]), "#7 → #9 → #7");
        assert_eq!(circle(&[]), "");
    }

    #[test]
    fn a_wait_is_told_with_its_holder_and_its_time() {
        let read = |text: &str| serde_json::from_str::<Waiting>(text).unwrap();
        let lock =
            read(r#"{"kind":"a lock","resource":1,"for":0.5,"due_in":null,"on":7,"others":0}"#);
        assert_eq!(waits_for(Some(&lock)), "a lock that #7 has, for 500ms");
        let permit = |holders: &str| {
            let begins = r#"{"kind":"a permit","for":null,"due_in":null,"on":null,"others":0,"#;
            waits_for(Some(&read(&format!("{begins}{holders}}}"))))
        };
        for (holders, text) in [
            (r#""holders":[],"behind":null"#, "a permit"),
            (r#""holders":[7]"#, "a permit that #7 has"),
            (r#""holders":[7,9]"#, "a permit that #7 and #9 have"),
            (
                r#""holders":[7,9,8],"behind":2"#,
                "a permit that #7 and 2 more have, behind #2",
            ),
        ] {
            assert_eq!(permit(holders), text);
        }
        let slot = r#"{"kind":"a free slot in a queue","for":null,"due_in":null,"on":null,"holders":[7,9],"others":0}"#;
        assert_eq!(
            waits_for(Some(&read(slot))),
            "a free slot in a queue, with jobs that #7 and #9 took"
        );
        let timer =
            read(r#"{"kind":"a timer","resource":1,"for":null,"due_in":2,"on":null,"others":1}"#);
        assert_eq!(waits_for(Some(&timer)), "a timer and more, due in 2.0s");
        assert_eq!(waits_for(None), "");
    }
}
