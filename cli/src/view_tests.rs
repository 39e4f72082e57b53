//! What changes between two looks, and the order of the rows.

use std::time::{Duration, Instant};

use super::*;

/// A task as a program tells of it.
pub(crate) fn task(id: u64, name: &str, state: &str, polls: u64) -> String {
    let waiting_on = match state {
        "waiting" => {
            r#"{"kind":"a timer","resource":0,"for":null,"due_in":0.1,"on":null,"others":0}"#
        }
        _ => "null",
    };
    format!(
        r#"{{"id":{id},"name":"{name}","spawned_at":"a/src/main.rs:{line}:5","parent":null,"state":"{state}",
        "waiting_on":{waiting_on},"polls":{polls},"busy":0,"age":4}}"#,
        line = id % 100
    )
}

/// The answer of a program with these tasks, all of whose polls were on the first of two workers.
pub(crate) fn dumps(tasks: &str) -> Dumps {
    let tasks: Vec<serde_json::Value> = serde_json::from_str(&format!("[{tasks}]")).unwrap();
    let n_polls: u64 = tasks
        .iter()
        .map(|task| task["polls"].as_u64().unwrap())
        .sum();
    let answer = serde_json::json!({
        "version": 1,
        "process": 7,
        "program": "svc",
        "runtimes": [{
            "debug": false,
            "dump": {
                "runtime": "rt",
                "workers": 2,
                "uptime": 5,
                "tasks": tasks,
                "callers": [],
                "cycles": []
            },
            "metrics": {
                "n_spawned": 2,
                "n_polls": n_polls,
                "workers": [{ "n_polls": n_polls }, { "n_polls": 0 }],
                "something_new": [1, 2]
            }
        }]
    });
    serde_json::from_value(answer).unwrap()
}

fn names(view: &View) -> Vec<&str> {
    view.rows.iter().map(|row| row.name.as_str()).collect()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn rates_are_what_came_since_the_last_look() {
    let mut view = View::new(7, SECOND);
    let start = Instant::now();
    view.take(dumps(&task(1, "a", "waiting", 1_000)), start);
    assert_eq!(view.rows[0].rate, 0.0, "nothing to compare with");
    let two = [task(1, "a", "waiting", 1_500), task(2, "new", "waiting", 8)].join(",");
    view.take(dumps(&two), start + 2 * SECOND);
    assert_eq!(view.rows[0].rate, 250.0);
    assert_eq!(view.rows[1].rate, 4.0, "it did all of it since");
    assert_eq!(view.heads[0].polls, 254.0);
    assert_eq!(view.heads[0].workers, [254.0, 0.0]);
    assert_eq!(view.history, [254]);
}

#[test]
fn a_task_in_the_same_poll_is_stuck_for_as_long_as_that_was_seen() {
    let mut view = View::new(7, SECOND);
    let start = Instant::now();
    for (seconds, polls, stuck) in [(0, 5, 0), (1, 5, 1), (3, 5, 3), (4, 6, 0)] {
        view.take(
            dumps(&task(1, "a", "running", polls)),
            start + seconds * SECOND,
        );
        assert_eq!(view.rows[0].stuck_for, stuck * SECOND);
    }
    view.take(dumps(&task(1, "a", "waiting", 6)), start + 5 * SECOND);
    assert_eq!(view.rows[0].stuck_for, Duration::ZERO);
}

#[test]
fn a_pause_keeps_the_picture_and_the_rates_after_it_are_right() {
    let mut view = View::new(7, SECOND);
    let start = Instant::now();
    view.take(dumps(&task(1, "a", "waiting", 0)), start);
    view.act(Action::Pause);
    view.take(dumps(&task(1, "b", "waiting", 60)), start + SECOND);
    assert_eq!(names(&view), ["a"]);
    view.act(Action::Pause);
    view.take(dumps(&task(1, "c", "waiting", 100)), start + 10 * SECOND);
    assert_eq!(view.rows[0].rate, 10.0);
}

#[test]
fn rows_are_in_the_order_that_was_asked_for() {
    let mut view = View::new(7, SECOND);
    let start = Instant::now();
    let looks = [(0, 0, 0), (10, 30, 20)];
    for (seconds, (b, a, c)) in (0..).zip(looks) {
        let tasks = [
            task(1, "b", "waiting", b),
            task(2, "a", "ready", a),
            task(3, "c", "running", c),
        ];
        view.take(dumps(&tasks.join(",")), start + seconds * SECOND);
    }
    assert_eq!(names(&view), ["a", "c", "b"], "most polls first");
    for (order, expected) in [
        (Order::Name, ["a", "b", "c"]),
        (Order::State, ["c", "a", "b"]),
        (Order::Id, ["b", "a", "c"]),
        (Order::Polls, ["a", "c", "b"]),
    ] {
        view.act(Action::Order(order));
        assert_eq!(names(&view), expected, "{order:?}");
        view.act(Action::Reverse);
        let mut reversed = expected;
        reversed.reverse();
        assert_eq!(names(&view), reversed, "{order:?}");
    }
    view.act(Action::Order(Order::Polls));
    assert_eq!(
        names(&view),
        ["a", "c", "b"],
        "the same key again turns it round"
    );
}

#[test]
fn every_order_comes_round() {
    let mut view = View::new(7, SECOND);
    let first = view.order;
    for _ in 1..Order::ALL.len() {
        view.act(Action::NextOrder);
        assert_ne!(view.order, first);
    }
    view.act(Action::NextOrder);
    assert_eq!(view.order, first);
}

#[test]
fn the_mark_stays_with_its_task() {
    let mut view = View::new(7, SECOND);
    let tasks = [task(1, "a", "waiting", 1), task(2, "b", "waiting", 1)].join(",");
    view.take(dumps(&tasks), Instant::now());
    assert_eq!(view.selected(), Some(0));
    view.act(Action::Order(Order::Id));
    view.act(Action::Reverse);
    assert_eq!(view.selected(), Some(1), "that of `a`");
    view.act(Action::Move(-5));
    assert_eq!(view.selected(), Some(0));
    view.take(dumps(&task(1, "a", "waiting", 1)), Instant::now());
    assert_eq!(view.selected(), Some(0), "its task is gone: the first");
    view.take(dumps(""), Instant::now());
    view.act(Action::Last);
    assert_eq!(view.selected(), None);
}
