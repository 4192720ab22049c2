//! What the Nginx PushStream module documents, row by row, against the real program: directly, and through a
//! stock Nginx with the project's own configuration. The rows are in `conformance/pushstream.rows`; what is
//! deliberately different stands there with its reason, as it does here.

#[path = "conformance/conversation.rs"]
mod conversation;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use chatup_tests::nginx::{self, Nginx};
use chatup_tests::{Server, server};
use conversation::Conversation;

const ROWS: &str = include_str!("conformance/pushstream.rows");

/// A behaviour.
struct Row {
    /// Its number and its name.
    name: String,
    /// Under which settings.
    settings: String,
    steps: Vec<String>,
}

/// What stands in the file: settings by name, and rows.
fn read() -> (BTreeMap<String, String>, Vec<Row>) {
    let (mut settings, mut rows) = (BTreeMap::<String, String>::new(), Vec::<Row>::new());
    let (mut current, mut defining) = ("plain".to_owned(), None::<String>);
    for line in ROWS.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("settings ") {
            defining = Some(name.to_owned());
            current = name.to_owned();
            settings.insert(name.to_owned(), String::new());
        } else if let Some(name) = line.strip_prefix("== ") {
            defining = None;
            rows.push(Row { name: name.to_owned(), settings: current.clone(), steps: Vec::new() });
        } else if let Some(name) = &defining {
            let text = settings.entry(name.clone()).or_default();
            text.push_str(line);
            text.push('\n');
        } else if let Some(row) = rows.last_mut().filter(|_| !line.trim().is_empty()) {
            row.steps.push(line.to_owned());
        }
    }
    (settings, rows)
}

/// The locations that all rows know, each with what a set of settings adds to it: a line `/sub/: key = value`
/// adds to a location, `*: key = value` to all subscribers', any other stands in the table itself.
fn configuration(settings: &str) -> String {
    let locations = [
        ("/sub/", "streaming"),
        ("/ev/", "eventsource"),
        ("/lp/", "long-polling"),
        ("/jsonp/", "long-polling"),
        ("/poll/", "polling"),
        ("/ws/", "websocket"),
        ("/pub", "publisher-admin"),
        ("/channels-stats", "statistics"),
    ];
    let of = |place: &str| -> String {
        let lines = settings.lines().filter_map(|line| line.strip_prefix(place)?.strip_prefix(": "));
        lines.map(|line| format!("{line}\n")).collect()
    };
    let mut text = String::from("[pushstream]\nenabled = true\n");
    let plain = |line: &&str| line.contains(" = ") && !line.starts_with(['/', '*']);
    settings.lines().filter(plain).for_each(|line| text.push_str(&format!("{line}\n")));
    for (path, mode) in locations {
        let mode = if of(path).contains("mode = ") { String::new() } else { format!("mode = \"{mode}\"\n") };
        let all = if path.ends_with('/') { of("*") } else { String::new() };
        text.push_str(&format!("[[pushstream.locations]]\npath = \"{path}\"\n{mode}{all}{}", of(path)));
    }
    text
}

/// Runs the rows whose settings are these; what went wrong, one line a row.
fn run(rows: &[&Row], base: &str, way: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in rows {
        let number = row.name.split(' ').next().unwrap_or("");
        let mut conversation = Conversation::new(base, format!("{way}{number}_"));
        for step in &row.steps {
            let step_passed = catch_unwind(AssertUnwindSafe(|| conversation.step(step)));
            if let Err(panic) = step_passed {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                wrong.push(format!("{way} {}\n  {step}\n  {}", row.name, text.unwrap_or_default()));
                break;
            }
        }
    }
    wrong
}

#[test]
fn rows() {
    let (settings, rows) = read();
    assert!(nginx::is_there(), "this needs Nginx: apt-get install nginx");
    let mut wrong = Vec::new();
    let mut count = 0;
    for (name, text) in &settings {
        let these: Vec<&Row> = rows.iter().filter(|row| row.settings == *name).collect();
        count += these.len();
        let folder = server::scratch("conformance");
        let file = folder.join("settings.toml");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(&file, configuration(text)).expect("it is written");
        let shards = text.lines().find_map(|line| line.strip_prefix("shards: ")).unwrap_or("0");
        let shards = format!("--set=worker.shards={shards}");
        let server = Server::start(&["--config", &file.display().to_string(), &shards]);
        wrong.extend(run(&these, &server.worker, "w"));
        let port = nginx::free_port();
        let changes = [
            ("127.0.0.1:42633", server.worker.as_str()),
            ("listen 80 reuseport backlog=4096", &format!("listen 127.0.0.1:{port}")),
            ("server_name chat1.example.org", "server_name _"),
        ];
        let checked = Nginx::checked(&nginx::file("pushstream.conf"), &changes);
        let _nginx = Nginx::start(&checked, port);
        wrong.extend(run(&these, &format!("127.0.0.1:{port}"), "n"));
        let _ = std::fs::remove_dir_all(folder);
    }
    assert_eq!(count, rows.len(), "rows whose settings are not there");
    println!("{count} rows, directly and through Nginx");
    assert!(wrong.is_empty(), "{} rows went wrong:\n{}", wrong.len(), wrong.join("\n"));
}
