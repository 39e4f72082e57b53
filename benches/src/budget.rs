//! What an operation may take: a change that makes it dearer fails, however noisy the machine is.
//!
//! Counts of the release profile. Most repeat within one in a hundred; those of spawning in bulk and of system calls
//! vary by one in ten, with the run into which new memory falls and with the timing of threads. A budget is the
//! highest count that was seen when it was last set, and a tenth more, for what another compiler makes of it. Lower
//! it when the count has gone down for good; raise it only with a reason, told where the change is told.

use anyhow::{Result, bail};

use crate::counts::Count;

/// Workload, what is counted, and how much of it one operation may take.
const BUDGETS: [(&str, &str, f64); 10] = [
    ("spawn_join_seq", "instructions", 1_050.0),
    ("spawn_many_local", "instructions", 750.0),
    ("yield_many", "instructions", 360.0),
    ("chained_spawn", "instructions", 850.0),
    ("ping_pong_one", "instructions", 2_300.0),
    ("group_1000", "instructions", 1_000.0),
    ("queue_1_to_1", "instructions", 340.0),
    ("echo_1", "system calls", 6.4),
    ("echo_64", "system calls", 5.3),
    ("blocking_20000", "system calls", 0.1),
];

fn budget_of(count: &Count) -> Option<f64> {
    let mut budgets = BUDGETS.iter();
    let found =
        budgets.find(|(workload, what, _)| (*workload, *what) == (count.workload, count.what));
    found.map(|(_, _, budget)| *budget)
}

/// The counts beside their budgets, for someone who watches.
#[must_use]
pub fn table(counted: &[Count]) -> String {
    let lines = counted.iter().map(|count| {
        let budget = budget_of(count).map_or("none".to_owned(), |budget| budget.to_string());
        let [taken] = count.per_operation[..] else {
            return format!("{}: counted for several runtimes\n", count.workload);
        };
        format!(
            "{:20} {:14} {taken:8.2} of {budget}\n",
            count.workload, count.what
        )
    });
    lines.collect()
}

/// Compares what was counted for one runtime with the budgets.
///
/// # Errors
///
/// When something takes more than its budget, has none, or nothing was counted.
pub fn check(counted: &[Count]) -> Result<()> {
    if counted.is_empty() {
        bail!("nothing was counted: neither valgrind nor strace is installed");
    }
    let mut faults = Vec::new();
    for count in counted {
        let taken = count.per_operation.iter().copied().fold(0.0, f64::max);
        match budget_of(count) {
            Some(budget) if taken <= budget => {}
            Some(budget) => faults.push(format!(
                "{}: {taken:.2} {}, the budget is {budget}",
                count.workload, count.what
            )),
            None => faults.push(format!(
                "{}: no budget for its {}",
                count.workload, count.what
            )),
        }
    }
    if !faults.is_empty() {
        bail!("over budget:\n{}", faults.join("\n"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{check, table};
    use crate::counts::Count;

    fn count(workload: &'static str, taken: f64) -> Count {
        Count {
            workload,
            what: "instructions",
            per_operation: vec![taken],
        }
    }

    #[test]
    fn what_costs_more_than_its_budget_is_named() {
        let counted = [count("yield_many", 300.0), count("spawn_join_seq", 5_000.0)];
        let error = check(&counted).expect_err("one is over").to_string();
        assert!(
            error.contains("spawn_join_seq: 5000.00 instructions"),
            "{error}"
        );
        assert!(!error.contains("yield_many"), "{error}");
        assert!(table(&counted).contains("300.00 of 360"));
        assert!(check(&counted[..1]).is_ok());
    }

    #[test]
    fn without_a_budget_or_a_count_it_is_no_success() {
        let error = check(&[count("something_new", 1.0)]).expect_err("no budget");
        assert!(error.to_string().contains("something_new"), "{error}");
        assert!(check(&[]).is_err());
    }
}
