//! The report as one HTML page that needs nothing else: no network, no script, no other file.
//!
//! Its head forbids a browser to load anything at all, so that "nothing else" is not only a promise.

mod charts;
mod course;
mod markup;
mod percentiles;
mod plot;
mod scale;
mod tables;

use std::fmt::Write;

use self::charts::charts;
use self::markup::escape;
use self::tables::{checks_section, tables, timeline};
use super::derived::{
    Outcome, a_second, bytes_per_connection, cpu_us_per_delivery, findings, highest_held, measured,
    server_cpu_s,
};
use super::humane::{bytes, count, number, share, short, time};
use super::model::Report;

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// The page.
#[must_use]
pub fn html(report: &Report) -> String {
    let (headline, scenario) = (escape(&headline(report)), escape(&report.scenario));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <!-- The report of a load test, made by loadgen: nothing is loaded from elsewhere. -->\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{scenario}: {headline}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
    let _ = writeln!(
        page,
        "<header>\n<p class=\"run\"><b>{scenario}</b> {} measured, begun {}, by {}</p>\n<h1>{headline}</h1>",
        measured(report),
        escape(&report.started.replacen('T', " ", 1)),
        escape(&report.tool)
    );
    page.push_str(&verdict(report));
    page.push_str("</header>\n<div class=\"tiles\">\n");
    page.extend(tiles(report).iter().map(Tile::html));
    let (plots, checks) = (charts(report), checks_section(report));
    // Plots stand in two columns: where one is left over, the checks stand beside it.
    let (beside, below) =
        if plots.len() % 2 == 1 { (checks, String::new()) } else { (String::new(), checks) };
    page.push_str("</div>\n");
    if !plots.is_empty() {
        let _ = writeln!(page, "<div class=\"plots\">\n{}{beside}</div>", plots.concat());
    }
    page.push_str(&notes(report));
    let _ = writeln!(page, "<div class=\"tables\">\n{}</div>", tables(report, &below));
    page.push_str(&timeline(report));
    let _ = write!(page, "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n");
    page
}

/// The run in one line.
fn headline(report: &Report) -> String {
    let clients = count(report.clients.connected);
    if let Some(step) = highest_held(report) {
        let (rate, p99) = (number(step.rate), time(step.p99_us as f64));
        return format!("Up to {rate} messages a second to {clients} clients, 99 % within {p99}");
    }
    if !report.steps.is_empty() {
        return format!("No rate was kept with {clients} clients");
    }
    if report.latency.count > 0 {
        let (rate, p99) = (short(report.deliveries.per_s), time(report.latency.p99_us as f64));
        return format!("{clients} clients, {rate} deliveries a second, 99 % within {p99}");
    }
    format!("{clients} of {} clients connected", count(report.clients.asked))
}

fn list(items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    let items: String = items.iter().map(|item| format!("<li>{}</li>\n", escape(item))).collect();
    format!("<ul>\n{items}</ul>\n")
}

fn verdict(report: &Report) -> String {
    let outcome = Outcome::of(report);
    // Shapes differ as well as colours: a cross, a mark and a tick.
    let (class, icon, sentence) = match outcome {
        Outcome::Invalid => ("bad", "M8 8l8 8m0-8l-8 8", "These figures cannot be believed."),
        Outcome::Findings => {
            ("warn", "M12 6.5v7m0 3.2v.3", "These figures can be believed, and show what went wrong:")
        }
        Outcome::Clean => {
            ("good", "M7 12.5l3.5 3.5l6.5-7.5", "These figures can be believed, and nothing went wrong.")
        }
    };
    let interrupted = if report.verdict.interrupted { "<p>Ended by hand before its time.</p>\n" } else { "" };
    let findings = findings(report);
    let besides =
        if outcome == Outcome::Invalid && !findings.is_empty() { "<p>Seen besides:</p>\n" } else { "" };
    format!(
        "<div class=\"verdict {class}\">\n<svg viewBox=\"0 0 24 24\" aria-hidden=\"true\">\
         <circle cx=\"12\" cy=\"12\" r=\"10.5\"/><path d=\"{icon}\"/></svg>\n<div>\n\
         <p><b>{}.</b> {sentence}</p>\n{}{besides}{}{interrupted}</div>\n</div>\n",
        outcome.word(),
        list(&report.verdict.reasons),
        list(&findings),
    )
}

/// A decisive number.
struct Tile {
    label: &'static str,
    value: String,
    detail: String,
    /// Class of the style sheet: what the number says of the server.
    tone: &'static str,
}

impl Tile {
    fn html(&self) -> String {
        // The unit stands smaller than its number.
        let (number, unit) = self.value.split_once(' ').unwrap_or((&self.value, ""));
        let unit = if unit.is_empty() { String::new() } else { format!(" <small>{}</small>", escape(unit)) };
        format!(
            "<div class=\"tile {}\">\n<p class=\"label\">{}</p>\n<p class=\"value\">{}{unit}</p>\n<p>{}</p>\n</div>\n",
            self.tone,
            self.label,
            escape(number),
            escape(&self.detail)
        )
    }
}

fn tiles(report: &Report) -> Vec<Tile> {
    let (clients, deliveries) = (&report.clients, &report.deliveries);
    let mut tiles = Vec::new();
    let mut tile = |label, value, detail, tone| tiles.push(Tile { label, value, detail, tone });
    if let Some(step) = highest_held(report) {
        let detail = format!("messages a second, p99 {}", time(step.p99_us as f64));
        tile("Highest rate kept", short(step.rate), detail, "");
    }
    let (asked, after) = (count(clients.asked), time(clients.connect_s * 1e6));
    let all_in = clients.connected >= clients.asked;
    let detail = if all_in { format!("all in after {after}") } else { format!("of {asked}, after {after}") };
    tile("Clients", count(clients.connected), detail, if all_in { "" } else { "bad" });
    if deliveries.expected > 0 || deliveries.received > 0 {
        let volume = bytes(a_second(report, deliveries.bytes as f64));
        let messages = short(a_second(report, report.messages.sent as f64));
        tile("Deliveries a second", short(deliveries.per_s), format!("{messages} messages, {volume}"), "");
    }
    let connect = report.times.get("connect").map(|times| ("Time to connect, p99", times));
    let times = Some(("Latency, p99", &report.latency)).filter(|(_, times)| times.count > 0).or(connect);
    if let Some((label, times)) = times.filter(|(_, times)| times.count > 0) {
        let detail = format!("median {}, max {}", time(times.p50_us as f64), time(times.max_us as f64));
        tile(label, time(times.p99_us as f64), detail, "");
    }
    if deliveries.expected > 0 {
        let of = format!("of {} deliveries", short(deliveries.expected as f64));
        let detail = match share(deliveries.lost, deliveries.expected) {
            Some(share) if deliveries.lost > 0 => format!("{share} {of}"),
            _ => of,
        };
        tile("Lost", count(deliveries.lost), detail, if deliveries.lost > 0 { "bad" } else { "good" });
    }
    if let Some(cpu) = cpu_us_per_delivery(report) {
        let cores = a_second(report, server_cpu_s(report));
        tile("Server CPU a delivery", time(cpu), format!("{cores:.2} cores in all"), "");
    }
    if let Some(memory) = bytes_per_connection(report) {
        let all: f64 = report.server.iter().map(|process| process.resident_connected_bytes as f64).sum();
        tile("Memory a connection", bytes(memory), format!("{} in all", bytes(all)), "");
    }
    tiles
}

fn notes(report: &Report) -> String {
    if report.notes.is_empty() {
        return String::new();
    }
    format!("<section class=\"panel notes\">\n<h3>Notes</h3>\n{}</section>\n", list(&report.notes))
}
