//! The tables of `docs/PEERS.md`: made from kept results, put between markers. Pure, but for one file.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::Error;
use super::doubts::{self, counted};
use super::kinds::{Column, Kind, Show};
use super::options::title;
use super::results::{Results, Run};
use super::servers::SERVERS;
use super::statistics::{Summary, ratios, summary};

/// A kind's table as Markdown, with how it was made and what is doubtful below it.
#[must_use]
pub fn markdown(kind: Kind, results: &Results) -> String {
    let columns = kind.columns();
    let mut text = String::from("| server |");
    for column in columns {
        let _ = write!(text, " {} |", column.title);
    }
    let _ = writeln!(text, "\n|---|{}", "--:|".repeat(columns.len()));
    for server in servers(&results.runs) {
        let mark = if results.runs.iter().any(|run| run.server == server && !run.doubts.is_empty()) {
            " †"
        } else {
            ""
        };
        let _ = write!(text, "| {}{mark} |", title(server));
        for column in columns {
            let _ = write!(text, " {} |", cell(kind, column, server, &results.runs));
        }
        text.push('\n');
    }
    let made = &results.made;
    let rounds = results.runs.iter().map(|run| run.round).max().unwrap_or(0) as usize;
    let date = made.started.split('T').next().unwrap_or_default();
    let _ = write!(
        text,
        "\n{date}, {}. {} of `loadgen {}`, made by `{}`",
        made.machine,
        counted(rounds, "round"),
        made.load,
        made.command
    );
    let versions: BTreeSet<&str> =
        made.versions.values().map(String::as_str).filter(|text| !text.is_empty()).collect();
    let versions: Vec<&str> = versions.into_iter().collect();
    let _ = writeln!(text, "; {}.", versions.join("; "));
    for doubt in doubts::gathered(&results.runs) {
        let _ = writeln!(text, "\n† {doubt}");
    }
    text
}

/// The servers that ran, in the tables' order; those no longer known come last.
fn servers(runs: &[Run]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for run in runs {
        if !names.contains(&run.server.as_str()) {
            names.push(&run.server);
        }
    }
    let place = |name: &str| SERVERS.iter().position(|server| server.name == name).unwrap_or(usize::MAX);
    names.sort_by_key(|name| place(name));
    names
}

fn figures(runs: &[Run], server: &str, figure: &str) -> Vec<(u32, f64)> {
    let of_server = runs.iter().filter(|run| run.server == server);
    of_server.filter_map(|run| Some((run.round, *run.figures.get(figure)?))).collect()
}

fn cell(kind: Kind, column: &Column, server: &str, runs: &[Run]) -> String {
    let of_server = figures(runs, server, column.figure);
    let rounds = of_server.iter().map(|(_, figure)| *figure);
    let shown = match column.show {
        Show::Ratio if server == kind.yardstick() && !of_server.is_empty() => Some("1".to_owned()),
        Show::Ratio => ratios(&of_server, &figures(runs, kind.yardstick(), column.figure)).map(|ratio| {
            let Summary { median, least, greatest, count } = ratio;
            if count == 1 {
                digits(median)
            } else {
                format!("{} ({}–{})", digits(median), digits(least), digits(greatest))
            }
        }),
        Show::Median(after_point) => summary(rounds).map(|figure| grouped(figure.median, after_point)),
        Show::Greatest => summary(rounds).map(|figure| grouped(figure.greatest, 0)),
        Show::Total => (!of_server.is_empty()).then(|| grouped(rounds.sum(), 0)),
    };
    shown.unwrap_or_else(|| "–".to_owned())
}

/// A ratio, with three digits that mean something.
fn digits(ratio: f64) -> String {
    let after_point = match ratio {
        ..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    grouped(ratio, after_point)
}

/// A figure with commas between its thousands.
fn grouped(figure: f64, after_point: usize) -> String {
    let text = format!("{figure:.after_point$}");
    let whole = text.split('.').next().unwrap_or_default();
    let first = usize::from(whole.starts_with('-'));
    let mut grouped = text.clone();
    let mut at = whole.len();
    while at > first + 3 {
        at -= 3;
        grouped.insert(at, ',');
    }
    grouped
}

/// The lines around a kind's table.
fn markers(kind: Kind) -> (String, String) {
    (format!("<!-- {}:begin -->\n", kind.name()), format!("<!-- {}:end -->", kind.name()))
}

/// The page with this table in its place; `None` where it has no such place.
#[must_use]
pub fn put(page: &str, kind: Kind, table: &str) -> Option<String> {
    let (begin, end) = markers(kind);
    let (head, rest) = page.split_once(&begin)?;
    let (_, tail) = rest.split_once(&end)?;
    Some(format!("{head}{begin}{table}{end}{tail}"))
}

/// Puts a kind's table into the page, a file.
///
/// # Errors
/// The page cannot be read or written, or has no place for the table.
pub fn write(path: &Path, kind: Kind, results: &Results) -> Result<(), Error> {
    let page = fs::read_to_string(path).map_err(Error::file(path))?;
    let page = put(&page, kind, &markdown(kind, results)).ok_or_else(|| {
        let (begin, end) = markers(kind);
        Error::Place { path: path.to_owned(), begin: begin.trim().to_owned(), end }
    })?;
    fs::write(path, page).map_err(Error::file(path))
}

#[cfg(test)]
mod tests {
    use super::super::kinds::Figures;
    use super::*;

    fn run(round: u32, server: &str, figures: &[(&str, f64)]) -> Run {
        let figures: Figures = figures.iter().map(|(name, figure)| ((*name).to_owned(), *figure)).collect();
        Run { round, server: server.to_owned(), doubts: Vec::new(), figures }
    }

    #[test]
    fn a_table_shows_ratios_within_rounds_raw_medians_and_what_is_doubtful() {
        let mut results = Results {
            runs: vec![
                run(1, "floor", &[("cpu_us", 5.0), ("p99_ms", 40.0), ("lost", 0.0)]),
                run(1, "bun", &[("cpu_us", 6.0), ("p99_ms", 50.0), ("lost", 0.0)]),
                run(2, "bun", &[("cpu_us", 13.0), ("p99_ms", 90.0), ("lost", 1234.0)]),
                run(2, "floor", &[("cpu_us", 10.0), ("p99_ms", 80.0), ("lost", 0.0)]),
                run(2, "gone", &[]),
            ],
            ..Results::default()
        };
        results.runs[2].doubts.push("the clients were the limit".to_owned());
        results.made.command = "make".to_owned();
        results.made.load = "fanout".to_owned();
        results.made.started = "2031-02-03T04:05:06Z".to_owned();
        results.made.machine = "A machine".to_owned();
        results.made.versions =
            [("floor", ""), ("bun", "Bun 1")].map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let expected = "\
| server | CPU a delivery ÷ floor | CPU a delivery, µs | p50, ms | p99, ms | p99 ÷ floor | lost, at most | wire bytes a delivery |
|---|--:|--:|--:|--:|--:|--:|--:|
| floor: a send a message | 1 | 7.50 | – | 60.0 | 1 | 0 | – |
| Bun † | 1.25 (1.20–1.30) | 9.50 | – | 70.0 | 1.19 (1.12–1.25) | 1,234 | – |
| gone | – | – | – | – | – | – | – |

2031-02-03, A machine. 2 rounds of `loadgen fanout`, made by `make`; Bun 1.

† Bun, 1 run: the clients were the limit.
";
        assert_eq!(markdown(Kind::Fanout, &results), expected);
    }

    #[test]
    fn figures_have_digits_that_mean_something() {
        for (ratio, expected) in [(0.987, "0.99"), (9.994, "9.99"), (12.34, "12.3"), (1234.5, "1,234")] {
            assert_eq!(digits(ratio), expected);
        }
        for (figure, after_point, expected) in [
            (0.0, 0, "0"),
            (999.0, 0, "999"),
            (1000.0, 0, "1,000"),
            (-1234.5, 1, "-1,234.5"),
            (-123.0, 0, "-123"),
            (4_300_000.0, 0, "4,300,000"),
        ] {
            assert_eq!(grouped(figure, after_point), expected);
        }
    }

    #[test]
    fn a_table_goes_between_its_markers_and_nowhere_else() {
        let page = "# a\n<!-- idle:begin -->\nold\n<!-- idle:end -->\nb\n";
        let expected = "# a\n<!-- idle:begin -->\nnew\n<!-- idle:end -->\nb\n";
        assert_eq!(put(page, Kind::Idle, "new\n").as_deref(), Some(expected));
        assert_eq!(put(expected, Kind::Idle, "new\n").as_deref(), Some(expected));
        assert_eq!(put(page, Kind::Fanout, "new\n"), None);
    }
    #[test]
    fn the_page_has_the_tables_of_the_kept_results() {
        let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
        let page = fs::read_to_string(bench.join("../docs/PEERS.md")).unwrap();
        for kind in Kind::ALL {
            let kept = Results::read(&bench.join("peers/results"), kind).unwrap();
            let table = kept.map(|results| markdown(kind, &results)).unwrap_or_default();
            let fresh = put(&page, kind, &table);
            assert!(
                fresh.as_ref() == Some(&page),
                "docs/PEERS.md, {}: make peers ARGS=--tables",
                kind.name()
            );
        }
    }
}
