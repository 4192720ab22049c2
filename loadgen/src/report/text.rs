//! The report for a terminal: 80 columns, no colours, the gravest first.
//!
//! Hosts, settings, faults and codes come from outside (some from the server under test): they go
//! through [`printable`], so that none of them moves the cursor.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::derived::{
    Outcome, STATISTICS, a_second, bytes_per_connection, checks, cpu_us_per_delivery, findings, measured,
    refused, server_cpu_s,
};
use super::humane::{bytes, count, counted, number, percent, printable, share, short, time};
use super::model::Report;

/// Width of the text, in columns.
const COLUMNS: usize = 80;
/// Width of the headings on the left, in columns.
const HEADING: usize = 12;
/// Distributions that stand beside each other: more do not fit into the width.
const DISTRIBUTIONS_A_ROW: usize = 4;

/// The report as text, its last line ended.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut page = Page::default();
    what_was_run(&mut page, report);
    verdict(&mut page, report);
    clients(&mut page, report);
    messages(&mut page, report);
    deliveries(&mut page, report);
    times(&mut page, report);
    server(&mut page, report);
    generator(&mut page, report);
    steps(&mut page, report);
    for (name, value) in &report.figures {
        page.row("Figures", &format!("{}  {}", printable(name), number(*value)));
    }
    for note in &report.notes {
        page.row("Notes", note);
    }
    page.text
}

/// Lines under headings. A heading is printed once, with its first line.
#[derive(Default)]
struct Page {
    text: String,
    heading: &'static str,
}

impl Page {
    /// A row under this heading, wrapped between words.
    fn row(&mut self, heading: &'static str, content: &str) {
        for (index, line) in wrapped(&printable(content), COLUMNS - HEADING).into_iter().enumerate() {
            let indent = if index > 0 { "  " } else { "" };
            self.line(heading, &format!("{indent}{line}"));
        }
    }

    /// A line as it is: part of a table.
    fn line(&mut self, heading: &'static str, line: &str) {
        let new = self.heading != heading;
        if new && !self.text.is_empty() {
            self.text.push('\n');
        }
        self.heading = heading;
        let heading = if new { heading } else { "" };
        let line = format!("{heading:HEADING$}{line}");
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

/// Lines of at most so many characters, broken between words; a longer word stands alone. All but
/// the first leave two columns for their indent.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let indent = if lines.len() > 1 { 2 } else { 0 };
        let line = lines.last_mut().expect("there is one");
        if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > columns {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

fn what_was_run(page: &mut Page, report: &Report) {
    page.row("Run", &format!("{}, {} measured, begun {}", report.scenario, measured(report), report.started));
    page.row("Run", &format!("by {}", report.tool));
    let flags: Vec<String> =
        report.settings.iter().map(|(name, value)| format!("--{name} {value}")).collect();
    if !flags.is_empty() {
        page.row("Run", &flags.join(" "));
    }
    for machine in &report.machines {
        let memory = bytes(machine.memory_bytes as f64);
        let cores = counted(machine.cores.into(), ("core", "cores"));
        page.row(
            "Run",
            &format!(
                "on {}: {}, {cores}, {memory}, Linux {}",
                machine.host, machine.processor, machine.kernel
            ),
        );
    }
}

fn verdict(page: &mut Page, report: &Report) {
    let outcome = Outcome::of(report);
    if outcome == Outcome::Invalid {
        let frame = "!".repeat(COLUMNS);
        let _ = writeln!(page.text, "\n{frame}\n!!  INVALID: these figures cannot be believed");
        for reason in &report.verdict.reasons {
            for line in wrapped(&printable(reason), COLUMNS - 6) {
                let _ = writeln!(page.text, "!!  {line}");
            }
        }
        page.text.push_str(&frame);
        page.text.push('\n');
    } else {
        page.row("Verdict", outcome.word());
        for reason in &report.verdict.reasons {
            page.row("Verdict", reason);
        }
    }
    for finding in findings(report) {
        page.row("Verdict", &format!("- {finding}"));
    }
    if report.verdict.interrupted {
        page.row("Verdict", "Ended by hand before its time.");
    }
}

fn clients(page: &mut Page, report: &Report) {
    let clients = &report.clients;
    let publishers = match clients.publishers {
        0 => String::new(),
        some => format!("; {} besides", counted(some, ("publisher", "publishers"))),
    };
    let after = time(clients.connect_s * 1e6);
    page.row(
        "Clients",
        &format!("{} of {} in, after {after}{publishers}", count(clients.connected), count(clients.asked)),
    );
    let failed = counted(clients.failed_tries, ("try", "tries"));
    let ended = counted(clients.disconnected, ("connection", "connections"));
    page.row("Clients", &format!("{failed} failed, {ended} ended without being asked to"));
    by_name(page, "Clients", "faults", &clients.faults);
}

fn by_name(page: &mut Page, heading: &'static str, what: &str, counts: &BTreeMap<String, u64>) {
    if !counts.is_empty() {
        let all: Vec<String> =
            counts.iter().map(|(name, times)| format!("{name} {}", count(*times))).collect();
        page.row(heading, &format!("{what}: {}", all.join(", ")));
    }
}

fn messages(page: &mut Page, report: &Report) {
    let messages = &report.messages;
    if messages.due == 0 && messages.sent == 0 {
        return;
    }
    let rate = short(a_second(report, messages.sent as f64));
    page.row(
        "Messages",
        &format!("{} due, {} sent, {rate} a second", count(messages.due), count(messages.sent)),
    );
    let (late, unsent) = (count(messages.late), count(messages.unsent));
    page.row("Messages", &format!("{late} sent more than 10 ms late, {unsent} never sent"));
    if messages.acknowledged > 0 || refused(report) > 0 {
        let (yes, no) = (count(messages.acknowledged), count(refused(report)));
        page.row("Messages", &format!("{yes} acknowledged, {no} refused"));
    }
    by_name(page, "Messages", "refused", &messages.refused);
}

fn deliveries(page: &mut Page, report: &Report) {
    const HEAD: &str = "Deliveries";
    let deliveries = &report.deliveries;
    if deliveries.expected == 0 && deliveries.received == 0 {
        return;
    }
    let volume = bytes(a_second(report, deliveries.bytes as f64));
    page.row(HEAD, &format!("{} a second, {volume} a second", short(deliveries.per_s)));
    let line = |name: &str, number: u64, rest: &str| format!("{name:<16}{:>16}  {rest}", count(number));
    page.line(HEAD, &line("expected", deliveries.expected, ""));
    let received = share(deliveries.received, deliveries.expected).unwrap_or_default();
    page.line(HEAD, &line("received", deliveries.received, &received));
    for check in checks(report) {
        let of = share(check.found, deliveries.expected).filter(|_| check.found > 0).unwrap_or_default();
        let mark = if check.fault { "  <--" } else { "" };
        page.line(HEAD, &line(check.name, check.found, &format!("{of}{mark}")));
    }
}

fn times(page: &mut Page, report: &Report) {
    let others = report.times.iter().map(|(name, times)| (name.as_str(), times));
    let all = std::iter::once(("latency", &report.latency)).chain(others);
    let measured: Vec<_> = all.filter(|(_, times)| times.count > 0).collect();
    for (index, row) in measured.chunks(DISTRIBUTIONS_A_ROW).enumerate() {
        if index > 0 {
            page.line("Times", "");
        }
        let mut head = " ".repeat(8);
        for (name, _) in row {
            let name: String = printable(name).chars().take(13).collect();
            let _ = write!(head, "{name:>14}");
        }
        page.line("Times", &head);
        for (name, shown) in STATISTICS {
            let values: String = row.iter().map(|(_, times)| format!("{:>14}", shown(times))).collect();
            page.line("Times", &format!("{name:<8}{values}"));
        }
    }
}

fn server(page: &mut Page, report: &Report) {
    let mut costs = Vec::new();
    if let Some(cpu) = cpu_us_per_delivery(report) {
        costs.push(format!("{} of CPU a delivery", time(cpu)));
    }
    if let Some(memory) = bytes_per_connection(report) {
        costs.push(format!("{} a connection", bytes(memory)));
    }
    if report.server.is_empty() {
        return;
    }
    if !costs.is_empty() {
        page.row("Server", &costs.join(", "));
    }
    let cores = a_second(report, server_cpu_s(report));
    page.row("Server", &format!("{} of CPU: {cores:.2} cores", time(server_cpu_s(report) * 1e6)));
    for process in &report.server {
        let memory = |number: u64| bytes(number as f64);
        page.row(
            "Server",
            &format!(
                "{} ({}): {} of CPU; memory {} before, {} connected, {} at the end",
                process.name,
                process.pid,
                time(process.cpu_s * 1e6),
                memory(process.resident_before_bytes),
                memory(process.resident_connected_bytes),
                memory(process.resident_end_bytes)
            ),
        );
    }
}

fn generator(page: &mut Page, report: &Report) {
    let own = &report.generator;
    let processes = counted(own.processes.into(), ("process", "processes"));
    page.row("Generator", &format!("{processes}, {} of CPU", time(own.cpu_s * 1e6)));
    let (busy, waited) = (percent(own.busy_max), percent(own.run_queue_wait_max));
    page.row(
        "Generator",
        &format!("the busiest used {busy} of a core; the worst-off waited {waited} of the time"),
    );
}

fn steps(page: &mut Page, report: &Report) {
    if report.steps.is_empty() {
        return;
    }
    page.line("Steps", &in_columns(&["rate", "p50", "p99", "max", "deliveries", "lost"].map(str::to_owned)));
    for step in &report.steps {
        let columns = [
            short(step.rate),
            time(step.p50_us as f64),
            time(step.p99_us as f64),
            time(step.max_us as f64),
            format!("{}/s", short(step.deliveries_per_s)),
            short(step.lost as f64),
        ];
        let held = match (step.held, step.generator_limited) {
            (true, true) => "held*",
            (true, false) => "held",
            (false, true) => "no*",
            (false, false) => "no",
        };
        page.line("Steps", &format!("{}  {held}", in_columns(&columns)));
    }
    page.row("Steps", "held: kept the goal, nothing lost; *: the generator was short of CPU itself");
}

/// Columns of the steps' table: ten wide, and two between the deliveries and the others.
fn in_columns(columns: &[String; 6]) -> String {
    let [rate, p50, p99, max, deliveries, lost] = columns;
    format!("{rate:>10}{p50:>10}{p99:>10}{max:>10}{deliveries:>12}{lost:>10}")
}
