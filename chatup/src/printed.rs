//! What the all-in-one prints when it is ready: for people, or one line for programs.

use std::io::{self, Write};

use serde::Serialize;

/// How to print it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A few lines for people.
    #[default]
    Text,
    /// One line of JSON: {"url":…,"worker":…,"token":…}.
    Json,
}

/// What is to be printed, but for the addresses, which are known once the ports are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// How.
    pub format: Format,
    /// A token for the name [`DEMO_NAME`], where the demo keys are in use.
    pub token: Option<String>,
    /// Whether there is a page at the address to open.
    pub demo_page: bool,
}

/// The user of the ready-made token.
pub const DEMO_NAME: &str = "Ada";
/// Time to live of the ready-made token, in seconds: an evening of trying out.
pub const DEMO_TOKEN_LIFETIME_S: u64 = 12 * 60 * 60;

#[derive(Serialize)]
struct Line<'a> {
    url: &'a str,
    worker: &'a str,
    token: Option<&'a str>,
}

impl Printed {
    /// Prints it to standard output. `url` is where the dispatcher is, `worker` where the worker
    /// is, both as origins, such as `http://127.0.0.1:8000`.
    ///
    /// # Errors
    /// Standard output is closed or full.
    pub fn print(&self, url: &str, worker: &str) -> io::Result<()> {
        self.write(&mut io::stdout().lock(), url, worker)
    }

    /// Writes it and flushes: whoever waits for it is waiting at a pipe.
    ///
    /// # Errors
    /// What the writer fails with.
    pub fn write(&self, out: &mut impl Write, url: &str, worker: &str) -> io::Result<()> {
        let url = format!("{url}/");
        let token = self.token.as_deref();
        match self.format {
            Format::Json => {
                let line = serde_json::to_string(&Line { url: &url, worker, token })?;
                writeln!(out, "{line}")?;
            }
            Format::Text => {
                writeln!(out, "ChatUp is ready: dispatcher {url}, worker {worker}/")?;
                if self.demo_page {
                    writeln!(out, "Open {url} in two windows and chat.")?;
                }
                if let Some(token) = token {
                    let hours = DEMO_TOKEN_LIFETIME_S / (60 * 60);
                    writeln!(out, "\nA ready-made token ({hours} h) for the name {DEMO_NAME}:\n{token}\n")?;
                }
                writeln!(out, "Stop it with Ctrl+C.")?;
            }
        }
        out.flush()
    }
}
