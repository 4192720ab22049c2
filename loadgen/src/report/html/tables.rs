//! Everything that is not drawn: the report's figures in tables.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::charts::standing;
use super::course::condensed;
use super::markup::escape;
use crate::report::derived::{STATISTICS, a_second, checks, refused, server_cpu_s};
use crate::report::humane::{bytes, count, number, percent, share, short, time};
use crate::report::model::Report;

/// Most columns of a table that stands beside another; one with more has the page's whole width.
const COLUMNS_NARROW: usize = 6;

/// A table: rows of texts that are not escaped yet.
struct Table {
    title: &'static str,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    /// Rows, by their place, that ask for attention.
    marked: Vec<usize>,
}

impl Table {
    fn new(title: &'static str, head: &[&str]) -> Table {
        let head = head.iter().map(|&name| name.to_owned()).collect();
        Table { title, head, rows: Vec::new(), marked: Vec::new() }
    }

    /// A table without a head: what, and how much.
    fn of_pairs(title: &'static str, pairs: Vec<(String, String)>) -> Table {
        let rows = pairs.into_iter().map(|(name, value)| vec![name, value]).collect();
        Table { title, head: Vec::new(), rows, marked: Vec::new() }
    }

    /// The table, or nothing where it has no rows.
    fn html(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let title = escape(self.title);
        let wide = if self.head.len() > COLUMNS_NARROW { " class=\"wide\"" } else { "" };
        format!("<section{wide}>\n<h3>{title}</h3>\n{}</section>\n", self.rows_html())
    }

    fn rows_html(&self) -> String {
        let title = escape(self.title);
        // Pairs of a name and a value: values may be long.
        let class = if self.head.is_empty() { " class=\"pairs\"" } else { "" };
        let mut html = format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><table{class}>\n"
        );
        if !self.head.is_empty() {
            let cells: String =
                self.head.iter().map(|name| format!("<th scope=\"col\">{}</th>", escape(name))).collect();
            let _ = writeln!(html, "<thead><tr>{cells}</tr></thead>");
        }
        html.push_str("<tbody>\n");
        for (index, row) in self.rows.iter().enumerate() {
            let marked = if self.marked.contains(&index) { " class=\"marked\"" } else { "" };
            let _ = write!(html, "<tr{marked}>");
            for (column, cell) in row.iter().enumerate() {
                let (open, close) =
                    if column == 0 { ("<th scope=\"row\">", "</th>") } else { ("<td>", "</td>") };
                let _ = write!(html, "{open}{}{close}", escape(cell));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table></div>\n");
        html
    }
}

/// The checks of the deliveries; nothing where none were expected.
pub(super) fn checks_section(report: &Report) -> String {
    checks_table(report).html()
}

/// All other tables of a report; the section of the checks has its place among them.
pub(super) fn tables(report: &Report, checks: &str) -> String {
    let first = [times_table(report), clients_table(report), messages_table(report)];
    let then = [
        names_table("Faults of connections", &report.clients.faults),
        names_table("Refusals by code", &report.messages.refused),
        server_table(report),
        generator_table(report),
        Table::of_pairs(
            "Figures of the scenario",
            report.figures.iter().map(|(name, value)| (name.clone(), number(*value))).collect(),
        ),
        Table::of_pairs(
            "Settings",
            report.settings.iter().map(|(name, value)| (format!("--{name}"), value.clone())).collect(),
        ),
        machines_table(report),
    ];
    let rest: String = first.iter().chain(&then).map(Table::html).collect();
    format!("{}{checks}{rest}", steps_table(report).html())
}

fn checks_table(report: &Report) -> Table {
    let deliveries = &report.deliveries;
    let mut table = Table::new("Deliveries", &["", "count", "share"]);
    if deliveries.expected == 0 && deliveries.received == 0 {
        return table;
    }
    let of = |part: u64| share(part, deliveries.expected).unwrap_or_default();
    table.rows.push(vec!["expected".into(), count(deliveries.expected), String::new()]);
    table.rows.push(vec!["received".into(), count(deliveries.received), of(deliveries.received)]);
    for check in checks(report) {
        if check.fault {
            table.marked.push(table.rows.len());
        }
        let name = check.name.replace('_', " ");
        table.rows.push(vec![
            format!("{name}: {} {}", check.counts.1, check.means),
            count(check.found),
            of(check.found),
        ]);
    }
    table
}

fn times_table(report: &Report) -> Table {
    let others = report.times.iter().map(|(name, times)| (name.as_str(), times));
    let all = std::iter::once(("latency", &report.latency)).chain(others);
    let measured: Vec<_> = all.filter(|(_, times)| times.count > 0).collect();
    let mut table = Table::new("Times", &[""]);
    if measured.is_empty() {
        return table;
    }
    table.head.extend(measured.iter().map(|(name, _)| (*name).to_owned()));
    for (name, shown) in STATISTICS {
        let cells = measured.iter().map(|(_, times)| shown(times));
        table.rows.push(std::iter::once(name.to_owned()).chain(cells).collect());
    }
    table
}

fn clients_table(report: &Report) -> Table {
    let clients = &report.clients;
    let mut table = Table::of_pairs(
        "Clients",
        vec![
            ("asked for".into(), count(clients.asked)),
            ("in when the load began".into(), count(clients.connected)),
            ("time until all were in".into(), time(clients.connect_s * 1e6)),
            ("publishers besides".into(), count(clients.publishers)),
            ("tries that failed".into(), count(clients.failed_tries)),
            ("ended without being asked to".into(), count(clients.disconnected)),
        ],
    );
    if clients.connected < clients.asked {
        table.marked.push(1);
    }
    if clients.disconnected > 0 {
        table.marked.push(5);
    }
    table
}

fn messages_table(report: &Report) -> Table {
    let messages = &report.messages;
    if messages.due == 0 && messages.sent == 0 {
        return Table::of_pairs("Messages", Vec::new());
    }
    let of = |part: u64| share(part, messages.due).unwrap_or_default();
    let mut table = Table::new("Messages", &["", "count", "share"]);
    let rows = [
        ("due", messages.due),
        ("sent", messages.sent),
        ("sent more than 10 ms late", messages.late),
        ("never sent", messages.unsent),
        ("acknowledged", messages.acknowledged),
        ("refused", refused(report)),
    ];
    for (name, number) in rows {
        let share = if name == "due" { String::new() } else { of(number) };
        if number > 0 && ["never sent", "refused"].contains(&name) {
            table.marked.push(table.rows.len());
        }
        table.rows.push(vec![name.to_owned(), count(number), share]);
    }
    table
}

fn names_table(title: &'static str, counts: &BTreeMap<String, u64>) -> Table {
    Table::of_pairs(title, counts.iter().map(|(name, times)| (name.clone(), count(*times))).collect())
}

fn steps_table(report: &Report) -> Table {
    let head = [
        "messages a second",
        "",
        "p50",
        "p99",
        "max",
        "deliveries a second",
        "lost",
        "server CPU a delivery",
    ];
    let mut table = Table::new("Steps of the search, in the order tried", &head);
    for step in &report.steps {
        let cpu = step.server_cpu_us_per_delivery;
        table.rows.push(vec![
            number(step.rate),
            standing(step).to_owned(),
            time(step.p50_us as f64),
            time(step.p99_us as f64),
            time(step.max_us as f64),
            short(step.deliveries_per_s),
            count(step.lost),
            if cpu > 0.0 { time(cpu) } else { String::new() },
        ]);
    }
    table
}

fn server_table(report: &Report) -> Table {
    let head = ["process", "CPU", "cores", "memory before", "all connected", "at the end"];
    let mut table = Table::new("Server processes", &head);
    let memory = |number: u64| bytes(number as f64);
    for process in &report.server {
        table.rows.push(vec![
            format!("{} ({})", process.name, process.pid),
            time(process.cpu_s * 1e6),
            format!("{:.2}", a_second(report, process.cpu_s)),
            memory(process.resident_before_bytes),
            memory(process.resident_connected_bytes),
            memory(process.resident_end_bytes),
        ]);
    }
    if report.server.len() > 1 {
        let sum = |of: fn(&crate::report::model::ServerProcess) -> u64| {
            memory(report.server.iter().fold(0, |sum, process| of(process).saturating_add(sum)))
        };
        let cpu_s = server_cpu_s(report);
        table.rows.push(vec![
            "all".into(),
            time(cpu_s * 1e6),
            format!("{:.2}", a_second(report, cpu_s)),
            sum(|process| process.resident_before_bytes),
            sum(|process| process.resident_connected_bytes),
            sum(|process| process.resident_end_bytes),
        ]);
    }
    table
}

fn generator_table(report: &Report) -> Table {
    let own = &report.generator;
    Table::of_pairs(
        "Generator",
        vec![
            ("processes".into(), count(own.processes.into())),
            ("CPU".into(), time(own.cpu_s * 1e6)),
            ("busiest process, of a core".into(), percent(own.busy_max)),
            ("worst-off process waited for a core".into(), percent(own.run_queue_wait_max)),
        ],
    )
}

fn machines_table(report: &Report) -> Table {
    let mut table =
        Table::new("Machines that made the load", &["host", "processor", "cores", "memory", "kernel"]);
    for machine in &report.machines {
        table.rows.push(vec![
            machine.host.clone(),
            machine.processor.clone(),
            machine.cores.to_string(),
            bytes(machine.memory_bytes as f64),
            machine.kernel.clone(),
        ]);
    }
    table
}

/// The timeline in numbers: for who cannot see the plots, folded up for who can.
pub(super) fn timeline(report: &Report) -> String {
    let head = ["until, s", "", "connected", "sent", "received", "p50", "p99", "max"];
    let mut table = Table::new("Timeline", &head);
    for moment in condensed(&report.timeline) {
        table.rows.push(vec![
            number(moment.at_s),
            if moment.warmup { "warm-up" } else { "" }.to_owned(),
            count(moment.connected),
            count(moment.sent),
            count(moment.received),
            time(moment.p50_us as f64),
            time(moment.p99_us as f64),
            time(moment.max_us as f64),
        ]);
    }
    if table.rows.is_empty() {
        return String::new();
    }
    format!(
        "<details class=\"panel\">\n<summary>The timeline in numbers</summary>\n{}</details>\n",
        table.rows_html()
    )
}
