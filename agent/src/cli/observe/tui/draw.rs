//! Drawing. Made for 80 columns and 24 lines; what is larger shows more ports, threads and rates.

use std::borrow::Cow;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style, Stylize};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, Paragraph, Row, Sparkline, Table};
use upspan::api::view::{self, short};
use upspan_proto::v1;

use super::view::View;

/// Lines of a waterfall with all phases, and its heading.
const WATERFALL: u16 = 9;

/// Heading, upcalls, and five phases.
const LATENCIES: u16 = 7;

pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let [title, counts, rates, latencies, groups, slowest] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(LATENCIES),
        Constraint::Min(3),
        Constraint::Length(WATERFALL),
    ])
    .areas(frame.area());
    draw_title(frame, title, view);
    draw_counts(frame, counts, view);
    draw_rates(frame, rates, view);
    draw_latencies(frame, latencies, view);
    let [ports, threads] =
        Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)])
            .spacing(2)
            .areas(groups);
    draw_ports(frame, ports, view);
    draw_threads(frame, threads, view);
    draw_slowest(frame, slowest, view);
}

fn heading() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let status = &view.answers().status;
    let state = if view.is_paused() { "  paused" } else { "" };
    let left = format!(
        " upspan {} on {}, {}{state}",
        plain(&status.version),
        plain(&status.node_name),
        view.window()
    );
    let right = "q quit  w window  p pause  ↑↓ slowest ";
    let bar = Style::new().add_modifier(Modifier::REVERSED);
    frame.render_widget(Paragraph::new(left).style(bar), area);
    let width = (right.chars().count() as u16).min(area.width);
    let area = Rect { x: area.right() - width, width, ..area };
    frame.render_widget(Paragraph::new(right).style(bar), area);
}

fn draw_counts(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let v1::GetStatisticsResponse { upcalls, incomplete, failed, .. } = view.answers().statistics;
    let status = &view.answers().status;
    let lost: u64 = status.lost_events.iter().map(|lost| lost.count).sum();
    let mut line = Line::from(format!(
        " {upcalls} upcalls, {incomplete} incomplete, {failed} not delivered; in all {} seen",
        status.seen_upcalls
    ));
    if lost > 0 {
        line.push_span(format!(", {lost} events lost").bold());
    }
    frame.render_widget(line, area);
}

fn draw_rates(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let [text, bars] = Layout::horizontal([Constraint::Length(20), Constraint::Min(1)]).areas(area);
    let now = view.rates().back().map_or_else(|| "-".to_owned(), u64::to_string);
    frame.render_widget(Paragraph::new(format!(" {now} upcalls/s")), text);
    let shown = view.rates().len().min(usize::from(bars.width));
    let rates = view.rates().iter().skip(view.rates().len() - shown).copied();
    frame.render_widget(Sparkline::default().data(rates), bars);
}

/// Columns of a distribution.
const FIGURES: [&str; 5] = ["count", "median", "90 %", "99 %", "max"];

fn figures(distribution: Option<&v1::Distribution>) -> [String; 5] {
    let Some(figures) = distribution.filter(|distribution| distribution.count > 0) else {
        return ["0", "-", "-", "-", "-"].map(str::to_owned);
    };
    let ns = |ns: i64| short(u64::try_from(ns).unwrap_or_default());
    let median = short(figures.median as u64);
    [figures.count.to_string(), median, ns(figures.p90), ns(figures.p99), ns(figures.max)]
}

fn right(text: impl Into<Cow<'static, str>>) -> Cell<'static> {
    Cell::from(Text::from(text.into()).right_aligned())
}

fn draw_latencies(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let statistics = &view.answers().statistics;
    let row = |name: String, distribution| {
        let cells = figures(distribution).map(right);
        Row::new([Cell::from(name)].into_iter().chain(cells))
    };
    let upcall = row(" upcall".to_owned(), statistics.duration.as_ref());
    let phases = statistics.phases.iter().map(|phase| {
        let indent = if matches!(&*phase.name, "translate" | "batch_wait") { 5 } else { 3 };
        let name = format!("{:indent$}{}", "", plain(&phase.name));
        row(name, phase.duration.as_ref())
    });
    let head = Row::new([Cell::from(" LATENCY")].into_iter().chain(FIGURES.map(right)));
    let widths = [Constraint::Min(24)].into_iter().chain([Constraint::Length(10); 5]);
    let table = Table::new([upcall].into_iter().chain(phases), widths);
    frame.render_widget(table.header(head.style(heading())), area);
}

fn draw_ports(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let rows = view.answers().statistics.ports.iter().map(|port| {
        let name = match (&*port.port_name, port.port_number) {
            ("", Some(number)) => number.to_string(),
            ("", None) => "any port".to_owned(),
            (name, _) => name.to_owned(),
        };
        let name = format!(" {}/{}", plain(&port.datapath), plain(&name));
        group(name, port.upcalls, port.duration.as_ref())
    });
    frame.render_widget(groups(" PORT", rows), area);
}

fn draw_threads(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let rows = view.answers().statistics.threads.iter().map(|thread| {
        let name = format!(" {} ({})", plain(&thread.thread_name), thread.thread_id);
        group(name, thread.upcalls, thread.duration.as_ref())
    });
    frame.render_widget(groups(" THREAD", rows), area);
}

fn group(name: String, upcalls: u64, distribution: Option<&v1::Distribution>) -> Row<'static> {
    let [_, median, _, p99, _] = figures(distribution);
    Row::new([Cell::from(name), right(upcalls.to_string()), right(median), right(p99)])
}

fn groups(name: &'static str, rows: impl Iterator<Item = Row<'static>>) -> Table<'static> {
    let head = Row::new([Cell::from(name), right("count"), right("median"), right("99 %")]);
    let widths =
        [Constraint::Min(10), Constraint::Length(6), Constraint::Length(7), Constraint::Length(7)];
    Table::new(rows, widths).header(head.style(heading()))
}

fn draw_slowest(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let Some((place, upcall)) = view.selected() else {
        let text = Text::from(vec![
            Line::styled(" SLOWEST", heading()),
            Line::from("   no upcall yet: they come with the first packet of a connection"),
        ]);
        frame.render_widget(text, area);
        return;
    };
    let number = view.answers().statistics.slowest.len();
    let mut lines = vec![Line::styled(format!(" SLOWEST {} of {number}", place + 1), heading())];
    let width = usize::from(area.width).saturating_sub(2);
    let waterfall = view::waterfall(upcall, width).to_string();
    lines.extend(waterfall.lines().map(|line| Line::from(format!(" {line}"))));
    frame.render_widget(Text::from(lines), area);
}

/// Names come from outside: control characters must not reach the terminal. ratatui leaves them
/// out, too; here they stay visible.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests;
