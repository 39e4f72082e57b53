//! How the live view looks: from [`View`] to the cells of a terminal, and nothing else.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row as Cells, Sparkline, Table, TableState};

use crate::report::span;
use crate::view::{Head, Order, Row, State, View};

/// Runtimes that have a line; more are counted.
const MOST_HEADS: usize = 4;

/// Deadlocks that have a line; more are counted.
const MOST_DEADLOCKS: usize = 3;

/// In a terminal lower than this there is no curve.
const ROOM_FOR_CURVE: u16 = 16;

/// A task that is in one poll for so long is shown to be stuck.
const STUCK: std::time::Duration = std::time::Duration::from_millis(500);

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, view: &View) {
    let area = frame.area();
    let heads = heads(view, area.width);
    let deadlocks = deadlocks(view);
    let curve = if area.height >= ROOM_FOR_CURVE { 3 } else { 0 };
    let [title, head, middle, circles, table, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(height(&heads)),
        Constraint::Length(curve),
        Constraint::Length(height(&deadlocks)),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(title_line(view)), title);
    frame.render_widget(Paragraph::new(heads), head);
    draw_curve(frame, view, middle);
    frame.render_widget(Paragraph::new(deadlocks), circles);
    draw_table(frame, view, table);
    frame.render_widget(Paragraph::new(key_line()), keys);
}

fn height(lines: &[Line<'_>]) -> u16 {
    u16::try_from(lines.len()).unwrap_or(u16::MAX)
}

fn title_line(view: &View) -> Line<'_> {
    let mut spans = vec![
        " rt top ".reversed().bold(),
        format!(" {} ({})", view.program, view.process).bold(),
        format!(
            ", every {}, by {}",
            span(view.interval),
            view.order.as_str()
        )
        .into(),
    ];
    if view.is_paused {
        spans.push("  paused".yellow().bold());
    }
    if let Some(trouble) = &view.trouble {
        spans.push(format!("  {trouble}").red().bold());
    }
    Line::from(spans)
}

fn heads(view: &View, width: u16) -> Vec<Line<'_>> {
    let shown = view.heads.iter().take(MOST_HEADS);
    let mut lines: Vec<Line<'_>> = shown
        .flat_map(|head| [tasks_line(head), workers_line(head, width)])
        .collect();
    if view.heads.len() > MOST_HEADS {
        let n_more = view.heads.len() - MOST_HEADS;
        lines.push(format!("and {n_more} more runtimes, whose tasks are below").into());
    }
    lines
}

fn tasks_line(head: &Head) -> Line<'_> {
    let dump = &head.picture.dump;
    let n_tasks = dump.tasks.len();
    Line::from(vec![
        dump.runtime.as_str().cyan().bold(),
        format!(" up {}: {n_tasks} tasks, ", span(dump.uptime)).into(),
        format!("{} running", head.n_running).green(),
        ", ".into(),
        format!("{} ready", head.n_ready).yellow(),
        format!(
            ", {} waiting, {} block_on; {} polls/s, {} spawned/s",
            n_tasks.saturating_sub(head.n_running + head.n_ready),
            dump.callers.len(),
            number(head.polls),
            number(head.spawns)
        )
        .into(),
    ])
}

fn workers_line(head: &Head, width: u16) -> Line<'_> {
    let metrics = &head.picture.metrics;
    let mut spans = vec!["  workers ".into()];
    let most = head.workers.iter().copied().fold(1.0, f64::max);
    // As many as fit beside the rest of the line.
    let room = usize::from(width.saturating_sub(80)).max(8);
    let bars = head.workers.iter().take(room);
    spans.push(
        bars.map(|rate| bar(rate / most))
            .collect::<String>()
            .green(),
    );
    spans.push(
        format!(
            " {}; blocking jobs {} ({} queued) on {} threads",
            head.picture.dump.workers,
            metrics.n_blocking,
            metrics.n_blocking_queued,
            metrics.n_blocking_threads
        )
        .into(),
    );
    if metrics.n_spares > 0 {
        let blocked = format!("; {} spare threads for blocked workers", metrics.n_spares);
        spans.push(blocked.red().bold());
    }
    Line::from(spans)
}

/// A column for a part of the whole.
fn bar(part: f64) -> char {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    BARS[((part.clamp(0.0, 1.0) * 7.0).round()) as usize]
}

fn draw_curve(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let [label, curve] =
        Layout::horizontal([Constraint::Length(12), Constraint::Min(1)]).areas(area);
    let most = view.history.iter().max().copied().unwrap_or(0);
    let lines = vec![
        Line::from("  polls/s"),
        Line::from(format!("  max {}", number(most as f64))).dim(),
    ];
    frame.render_widget(Paragraph::new(lines), label);
    let room = usize::from(curve.width);
    let skipped = view.history.len().saturating_sub(room);
    let latest = view.history.iter().skip(skipped).copied();
    let line = Sparkline::default().data(latest).max(most.max(1));
    frame.render_widget(line.style(Style::new().fg(Color::Cyan)), curve);
}

fn deadlocks(view: &View) -> Vec<Line<'_>> {
    let shown = view.deadlocks.iter().take(MOST_DEADLOCKS);
    let mut lines: Vec<Line<'_>> = shown
        .map(|circle| {
            Line::from(vec![
                " deadlock ".on_red().white().bold(),
                " ".into(),
                circle.as_str().red(),
            ])
        })
        .collect();
    if view.deadlocks.len() > MOST_DEADLOCKS {
        let n_more = view.deadlocks.len() - MOST_DEADLOCKS;
        lines.push(format!(" and {n_more} more").red().into());
    }
    lines
}

fn draw_table(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let heading = |order: Order, text: &'static str| {
        let arrow = if view.is_reversed { "▲" } else { "▼" };
        match order == view.order {
            true => Cell::from(format!("{text}{arrow}")).style(Style::new().fg(Color::Cyan)),
            false => Cell::from(text),
        }
    };
    let header = Cells::new([
        heading(Order::Id, "ID"),
        heading(Order::Name, "NAME"),
        heading(Order::State, "STATE"),
        heading(Order::Rate, "POLLS/S"),
        heading(Order::Polls, "POLLS"),
        heading(Order::Busy, "BUSY"),
        heading(Order::Age, "AGE"),
        Cell::from("WAITS FOR"),
        Cell::from("SPAWNED AT"),
    ])
    .style(Style::new().add_modifier(Modifier::BOLD));
    // Only what is seen is made into cells: there may be very many.
    let room = usize::from(area.height.saturating_sub(1)).max(1);
    let place = view.selected().unwrap_or(0);
    let first = place
        .saturating_sub(room / 2)
        .min(view.rows.len().saturating_sub(room));
    let seen = view.rows.iter().skip(first).take(room);
    let is_debug = view.is_debug();
    let places = seen.clone().map(|row| row.spawned_at.len()).max();
    let places = places.map_or(0, |longest| longest.clamp(10, 32)) as u16;
    let cells = seen.map(|row| cells(row, is_debug));
    let widths = [
        Constraint::Length(7),
        Constraint::Length(16),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(7),
        Constraint::Length(if is_debug { 7 } else { 5 }),
        Constraint::Length(7),
        Constraint::Fill(1),
        Constraint::Length(places),
    ];
    let table = Table::new(cells, widths)
        .header(header)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(view.selected().map(|place| place - first));
    frame.render_stateful_widget(table, area, &mut state);
}

fn cells(row: &Row, is_debug: bool) -> Cells<'_> {
    let is_stuck = row.stuck_for >= STUCK;
    let state = match (row.state, is_stuck) {
        (State::Running, true) => format!("in {}", span(row.stuck_for)).red().bold(),
        (State::Running, false) => row.state.as_str().green(),
        (State::Ready, _) => row.state.as_str().yellow(),
        _ => row.state.as_str().into(),
    };
    let waits_for = match is_stuck {
        true => Span::from("nothing: blocks or computes").red(),
        false => Span::from(row.waits_for.as_str()),
    };
    let busy = match is_debug {
        true => span(row.busy),
        false => "-".to_owned(),
    };
    // What is not counted is left empty.
    let counted = |text: String| Cell::from(if row.is_call { String::new() } else { text });
    let cells = Cells::new([
        Cell::from(row.id.to_string()),
        Cell::from(row.name.as_str()),
        Cell::from(state),
        counted(number(row.rate)),
        counted(number(row.polls as f64)),
        counted(busy),
        counted(span(row.age)),
        Cell::from(waits_for),
        Cell::from(row.spawned_at.as_str().dim()),
    ]);
    match row.is_deadlocked {
        true => cells.style(Style::new().fg(Color::Red)),
        false => cells,
    }
}

fn key_line() -> Line<'static> {
    let keys = [
        ("q", "quit"),
        ("p", "pause"),
        ("s", "next order"),
        ("c", "polls/s"),
        ("b", "busy"),
        ("a", "age"),
        ("t", "state"),
        ("n", "name"),
        ("i", "id"),
        ("r", "reverse"),
        ("↑↓", "move"),
    ];
    let spans = keys.into_iter().flat_map(|(key, what)| {
        [
            Span::from(format!(" {key} ")).reversed(),
            Span::from(format!("{what} ")),
        ]
    });
    Line::from_iter(spans)
}

/// A number, short: three digits are enough.
fn number(n: f64) -> String {
    match n {
        n if n < 9.95 && n.fract() >= 0.05 => format!("{n:.1}"),
        n if n < 9_999.5 => format!("{n:.0}"),
        n if n < 999_950.0 => format!("{:.1}k", n / 1e3),
        n if n < 999_950_000.0 => format!("{:.1}M", n / 1e6),
        n => format!("{:.1}G", n / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::view::Action;
    use crate::view::tests::{dumps, task};

    /// The lines of a terminal, without what is empty at their ends.
    fn screen(view: &View, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view)).unwrap();
        let buffer = terminal.backend().buffer();
        let lines = buffer.content().chunks(usize::from(width));
        lines
            .map(|cells| {
                let line: String = cells.iter().map(|cell| cell.symbol()).collect();
                line.trim_end().to_owned()
            })
            .collect()
    }

    /// A view after two looks, a second apart.
    fn after_two_looks(first: &str, second: &str) -> View {
        let mut view = View::new(7, Duration::from_secs(1));
        let start = Instant::now();
        view.take(dumps(first), start);
        view.take(dumps(second), start + Duration::from_secs(1));
        view
    }

    #[test]
    fn everything_has_its_place() {
        let before = [
            task(1025, "slow", "running", 3),
            task(1026, "fast", "waiting", 10),
        ];
        let now = [
            task(1025, "slow", "running", 3),
            task(1026, "fast", "waiting", 60),
        ];
        let view = after_two_looks(&before.join(","), &now.join(","));
        let expected = [
            " rt top  svc (7), every 1.0s, by polls/s",
            "rt up 5.0s: 2 tasks, 1 running, 0 ready, 1 waiting, 0 block_on; 50 polls/s, 0 spawned/s",
            "  workers █▁ 2; blocking jobs 0 (0 queued) on 0 threads",
            "  polls/s   █",
            "  max 50    █",
            "            █",
            "ID      NAME             STATE    POLLS/S▼ POLLS   BUSY  AGE     WAITS FOR                                SPAWNED AT",
            "1026    fast             waiting  50       60      -     4.0s    a timer, due in 100ms                    src/main.rs:26",
            "1025    slow             in 1.0s  0        3       -     4.0s    nothing: blocks or computes              src/main.rs:25",
        ];
        let lines = screen(&view, 120, 18);
        assert_eq!(lines[..9], expected, "{lines:#?}");
        assert!(
            lines[17].starts_with(" q quit  p pause  s next order"),
            "{}",
            lines[17]
        );
    }

    #[test]
    fn a_low_terminal_has_no_curve() {
        let now = task(1025, "slow", "ready", 3);
        let lines = screen(&after_two_looks(&now, &now), 80, 10);
        assert!(lines[3].starts_with("ID"), "{lines:#?}");
    }

    #[test]
    fn a_terminal_with_hardly_any_room_is_no_trouble() {
        let now = task(1025, "slow", "running", 3);
        let view = after_two_looks(&now, &now);
        for (width, height) in [(1, 1), (5, 3), (300, 2), (20, 40)] {
            screen(&view, width, height);
        }
    }

    #[test]
    fn the_marked_row_is_seen_wherever_it_is() {
        let tasks: Vec<String> = (1..=500).map(|id| task(id, "some", "waiting", 1)).collect();
        let mut view = after_two_looks(&tasks.join(","), &tasks.join(","));
        view.act(Action::Last);
        let lines = screen(&view, 100, 20);
        assert!(lines[18].starts_with("500 "), "{lines:#?}");
        view.act(Action::Move(-250));
        let lines = screen(&view, 100, 20);
        assert!(
            lines.iter().any(|line| line.starts_with("250 ")),
            "{lines:#?}"
        );
    }

    #[test]
    fn a_deadlock_and_what_went_wrong_are_said() {
        let now = task(1025, "stuck", "waiting", 3);
        let mut view = after_two_looks(&now, &now);
        view.deadlocks = vec!["#1 → #2 → #1".to_owned(); 5];
        view.trouble = Some("there is no process 7".to_owned());
        view.act(Action::Pause);
        let lines = screen(&view, 120, 20);
        assert!(
            lines[0].ends_with("paused  there is no process 7"),
            "{lines:#?}"
        );
        assert_eq!(lines[6], " deadlock  #1 → #2 → #1");
        assert_eq!(lines[9], " and 2 more");
    }

    #[test]
    fn numbers_have_three_digits_or_a_unit() {
        for (n, text) in [
            (0.0, "0"),
            (0.4, "0.4"),
            (9.96, "10"),
            (9_999.0, "9999"),
            (12_345.0, "12.3k"),
            (1_234_567.0, "1.2M"),
            (2e9, "2.0G"),
        ] {
            assert_eq!(number(n), text);
        }
    }
}
