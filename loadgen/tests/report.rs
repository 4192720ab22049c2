//! The report in all its forms, as whoever runs the program gets it.

#[path = "data/example.rs"]
mod example;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chatup_loadgen::report::histogram_log::histogram_log;
use chatup_loadgen::report::schema::schema;
use chatup_loadgen::report::{FailIf, OutputFile, Report, html, read, text, write};
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use serde_json::{Value, json};

/// A folder of this test alone, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn output(path: &Path) -> OutputFile {
    OutputFile::parse(path.to_str().expect("a name")).expect("a good name")
}

fn all() -> [(&'static str, Report); 5] {
    [
        ("good", example::good()),
        ("search", example::search()),
        ("idle", example::idle()),
        ("bad", example::bad()),
        ("empty", example::empty()),
    ]
}

/// Writes the examples to look at into the folder that this variable names.
#[test]
fn every_report_is_written_in_every_form() {
    let into = std::env::var_os("CHATUP_TEST_WRITE_REPORTS").map_or_else(|| folder("forms"), PathBuf::from);
    for (name, report) in all() {
        for ending in ["json", "html", "txt", "hlog"] {
            let path = into.join(format!("{name}.{ending}"));
            write(&report, &output(&path)).unwrap_or_else(|error| panic!("{name}.{ending}: {error}"));
            assert!(fs::metadata(&path).expect("it is there").len() > 100, "{name}.{ending}");
        }
        if name != "bad" {
            // (Its figure that is no number has no form in JSON.)
            assert_eq!(read(&into.join(format!("{name}.json"))).expect("it is a report"), report, "{name}");
        }
    }
    let names = fs::read_dir(&into).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let parts: Vec<_> = names.filter(|name| name.to_string_lossy().ends_with(".part")).collect();
    assert!(parts.is_empty(), "left behind: {parts:?}");
}

#[test]
fn a_file_that_cannot_be_written_is_known_before_the_run() {
    let folder = folder("names");
    fs::create_dir(folder.join("folder.json")).expect("a folder");
    let rows = [
        ("report", ".json, .html, .txt or .hlog"),
        ("report.pdf", ".json, .html, .txt or .hlog"),
        (".json", ".json, .html, .txt or .hlog"),
        ("none/report.json", "there is no folder"),
        ("folder.json", "is not a file"),
    ];
    for (name, part) in rows {
        let path = folder.join(name);
        let error = OutputFile::parse(path.to_str().expect("a name")).expect_err(name).to_string();
        assert!(error.contains(part), "{name}: {error}");
    }
    for name in ["report.json", "REPORT.HTML", "a.b.txt"] {
        output(&folder.join(name));
    }
    assert!(OutputFile::parse("report.hlog").is_ok(), "a name without a folder is of this one");
}

#[test]
fn what_cannot_be_read_says_why() {
    let folder = folder("read");
    let good = serde_json::to_value(example::good()).expect("JSON");
    let with = |change: fn(&mut Value)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed.to_string()
    };
    let rows = [
        ("", "not a report"),
        ("[]", "not a report"),
        ("{}", "no field `format`"),
        (
            &with(|report| report["format"] = json!(2)),
            "of format 2, and this program reads format 1: use the program",
        ),
        (
            &with(|report| report["format"] = json!(0)),
            "of format 0, and this program reads format 1: make it anew",
        ),
        (&with(|report| report["format"] = json!("1")), "not a report"),
        (
            &with(|report| report["latency"]["p98_us"] = json!(1)),
            "broken report of format 1: unknown field `p98_us`",
        ),
        (&with(|report| report["clients"]["asked"] = json!(-1)), "broken report of format 1: invalid value"),
        (&good.to_string()[..500], "not a report"),
    ];
    for (content, part) in rows {
        let path = folder.join("report.json");
        fs::write(&path, content).expect("written");
        let error = read(&path).expect_err(part).to_string();
        assert!(error.contains(part) && error.contains("report.json"), "{error:?} does not say {part:?}");
    }
    let error = read(&folder.join("none.json")).expect_err("none").to_string();
    assert!(error.contains("none.json cannot be read"), "{error}");
}

#[test]
fn the_schema_is_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/report.schema.json");
    if std::env::var_os("CHATUP_TEST_WRITE_SCHEMA").is_some() {
        fs::write(&path, schema()).expect("it is written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == schema(),
        "{}: run this test with CHATUP_TEST_WRITE_SCHEMA=1 and commit",
        path.display()
    );
}

#[test]
fn the_schema_takes_reports_and_nothing_else() {
    let schema: Value = serde_json::from_str(&schema()).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for (name, report) in all().into_iter().filter(|(name, _)| *name != "bad") {
        let report = serde_json::to_value(report).expect("JSON");
        assert!(validator.is_valid(&report), "{name}: {:?}", validator.iter_errors(&report).next());
    }
    type Break = (&'static str, fn(&mut Value));
    const BREAKS: [Break; 7] = [
        ("a field is missing", |report| drop(report.as_object_mut().expect("an object").remove("latency"))),
        ("an unknown field", |report| report["more"] = json!(1)),
        ("an unknown field within", |report| report["clients"]["more"] = json!(1)),
        ("a number is a text", |report| report["measured_s"] = json!("30")),
        ("a count below 0", |report| report["deliveries"]["lost"] = json!(-1)),
        ("a count with a fraction", |report| report["messages"]["sent"] = json!(0.5)),
        ("what serde makes of NaN", |report| report["figures"]["spread_ms"] = Value::Null),
    ];
    for (name, change) in BREAKS {
        let mut report = serde_json::to_value(example::good()).expect("JSON");
        change(&mut report);
        assert!(!validator.is_valid(&report), "{name}");
    }
}

#[test]
fn the_histogram_log_is_read_by_its_own_reader() {
    let report = example::good();
    let log = histogram_log(&report).expect("all histograms are good");
    let mut tags = Vec::new();
    for entry in IntervalLogIterator::new(log.as_bytes()) {
        let LogEntry::Interval(interval) = entry.expect("an entry") else { continue };
        let tag = interval.tag().expect("a tag").as_str().to_owned();
        let expected = report.times.get(&tag).unwrap_or(&report.latency);
        assert_eq!(interval.duration(), Duration::from_secs(30), "{tag}");
        assert_eq!(interval.encoded_histogram(), expected.histogram, "{tag}");
        let bytes =
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, interval.encoded_histogram());
        let found = Deserializer::new().deserialize::<u64, _>(&mut bytes.expect("base64").as_slice());
        assert_eq!(found.expect("a histogram").len(), expected.count, "{tag}");
        tags.push(tag);
    }
    assert_eq!(tags, ["latency", "acknowledged", "connect", "lateness"]);
    assert!(histogram_log(&example::bad()).is_ok(), "no name breaks a line");
    let mut broken = report;
    broken.latency.histogram = "?".into();
    let error = histogram_log(&broken).expect_err("broken").to_string();
    assert!(error.contains("latency"), "{error}");
}

#[test]
fn the_text_keeps_its_width_and_moves_no_cursor() {
    for (name, report) in all() {
        let text = text(&report);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{name}: {text:?}");
        if name != "bad" {
            let wide: Vec<_> = text.lines().filter(|line| line.chars().count() > 80).collect();
            assert!(wide.is_empty(), "{name}: {wide:#?}");
        }
        assert!(!text.contains("NaN µs") && !text.contains("inf"), "{name}: {text}");
    }
    let rows = [
        (example::good(), "Verdict     Valid\n"),
        (example::good(), "0.803 µs of CPU a delivery, 4.63 KiB a connection"),
        (
            example::bad(),
            "!!  INVALID: these figures cannot be believed\n!!  A process of the generator used",
        ),
        (example::bad(), "lost                           3  0.00001 %  <--"),
        (example::search(), "p99"),
    ];
    for (report, part) in rows {
        let text = text(&report);
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn the_page_needs_nothing_else_and_runs_nothing_of_others() {
    for (name, report) in all() {
        let page = html(&report);
        for outside in ["http://", "https://", "src=", "url(", "@import", "<link rel=\"stylesheet"] {
            assert!(!page.contains(outside), "{name}: {outside}");
        }
        assert_eq!(page.matches("<script").count(), 1, "{name}");
        assert!(!page.contains("onload='") && !page.contains('\u{202e}'), "{name}");
        for tag in ["main", "header", "figure", "svg", "section", "table", "tr", "div", "p", "ul", "script"] {
            let opened =
                page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{name}: {tag}");
        }
        assert!(!page.contains("NaN\"") && !page.contains("inf\""), "{name}: a coordinate is not a number");
    }
    let rows = [
        (example::good(), "<b>Valid.</b>"),
        (example::good(), "10,000 clients, 1M deliveries a second, 99 % within"),
        (example::bad(), "<b>Invalid.</b>"),
        (example::bad(), "&lt;script&gt;alert(1)&lt;/script&gt;"),
        (example::search(), "Up to 250 messages a second to 10,000 clients"),
        (example::idle(), "Time to connect, p99"),
        (example::empty(), "0 of 10 clients connected"),
    ];
    for (report, part) in rows {
        assert!(html(&report).contains(part), "{part:?} is not in the page");
    }
}

#[test]
fn limits_are_held_against_the_report() {
    // The bad run: 3 of 30,000,000 lost, 12 of 10,000 not in, p99 about 11 ms.
    let rows = [
        ("lost>0", "lost>0: it was 3"),
        ("lost>3", ""),
        ("lost>=3", "lost>=3: it was 3"),
        ("lost>0.001%", ""),
        ("lost > 0.000001%", "lost > 0.000001%: it was 0.00001 % (3 of 30,000,000)"),
        ("connected<100%", "connected<100%: it was 99.88 % (9,988 of 10,000)"),
        ("p99>5ms", "p99>5ms: it was 11.223 ms"),
        ("p99>1s", ""),
        ("connect.max<1us", ""),
        ("resume.p99>1s", "resume.p99>1s: not measured"),
        ("sessions_total<1", "sessions_total<1: not measured"),
        ("messages_total!=3k", ""),
        ("messages_total==3k", "messages_total==3k: it was 3,000"),
        ("invalid", "invalid: it was 1"),
        ("invalid==0", ""),
        ("refused>0.05%,unsent>10", "refused>0.05%: it was 0.1 % (3 of 3,000)"),
        ("busy_max>50%", "busy_max>50%: it was 51.2 %"),
        ("cpu_us_per_delivery>0.8", "cpu_us_per_delivery>0.8: it was 0.803"),
        ("bytes_per_connection<1k", ""),
        ("per_s<2m", "per_s<2m: it was 1,000,000"),
        ("duplicated>0,failed>0", "duplicated>0: it was 1; failed>0: it was 40"),
    ];
    for (limits, expected) in rows {
        let crossed = FailIf::parse(limits).expect(limits).crossed(&example::bad());
        let told: Vec<String> = crossed.iter().map(ToString::to_string).collect();
        assert_eq!(told.join("; "), expected, "{limits}");
    }
    // A run that measured nothing has kept nothing.
    for unmeasured in ["p99>1s", "lost>1%", "cpu_us_per_delivery>1", "bytes_per_connection>1"] {
        let limits = FailIf::parse(unmeasured).expect(unmeasured);
        let told: Vec<String> = limits.crossed(&example::empty()).iter().map(ToString::to_string).collect();
        assert_eq!(told, [format!("{unmeasured}: not measured")]);
    }
}
