//! The processes that hold connections, as the leading process sees them.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::control::{News, Order};
use crate::limits::PROCESS_WITHIN;

/// What a process tells, with its number; nothing more if it is gone.
pub(super) type Told = (usize, Option<News>);

/// The processes.
pub(super) struct Children {
    children: Vec<(Child, Option<ChildStdin>)>,
    /// What they tell.
    pub(super) news: Receiver<Told>,
    tell: Sender<Told>,
}

impl Children {
    pub(super) fn none() -> Children {
        let (tell, news) = unbounded();
        Children { children: Vec::new(), news, tell }
    }

    /// Starts another one.
    pub(super) fn start(&mut self) -> Result<(), String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        // Its own group: Ctrl-C is for the leading process.
        command.arg("generate").process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        // A setting of the run, which this process has no use for.
        command.env_remove("CHATUP_BIN");
        let mut child = command.spawn().map_err(|error| format!("cannot start another process: {error}"))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let number = self.children.len();
        let tell = self.tell.clone();
        std::thread::spawn(move || {
            for line in output.into_iter().flat_map(|output| BufReader::new(output).lines()) {
                let Ok(news) = line.map_err(drop).and_then(|line| serde_json::from_str(&line).map_err(drop))
                else {
                    break;
                };
                if tell.send((number, Some(news))).is_err() {
                    return;
                }
            }
            let _ = tell.send((number, None));
        });
        self.children.push((child, input));
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.children.len()
    }

    /// Tells one what to do.
    pub(super) fn order(&mut self, number: usize, order: &Order) -> Result<(), String> {
        let Some((_, Some(input))) = self.children.get_mut(number) else { return Ok(()) };
        let mut line = serde_json::to_vec(order).map_err(|error| error.to_string())?;
        line.push(b'\n');
        // A process that is gone is told of by its output's end.
        let _ = input.write_all(&line);
        Ok(())
    }

    /// Tells all of them.
    pub(super) fn order_all(&mut self, order: &Order) -> Result<(), String> {
        (0..self.len()).try_for_each(|number| self.order(number, order))
    }

    /// Why one has ended, in words.
    pub(super) fn why_gone(&mut self, number: usize) -> String {
        let status = self.children.get_mut(number).and_then(|(child, _)| child.wait().ok());
        let how = match status {
            Some(status) => match (status.signal(), status.code()) {
                (Some(signal), _) => format!("by signal {signal}"),
                (None, Some(code)) => format!("with status {code}"),
                (None, None) => "somehow".to_owned(),
            },
            None => "somehow".to_owned(),
        };
        format!("process {number} of the generator ended {how} in the middle of the run")
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for (_, input) in &mut self.children {
            drop(input.take());
        }
        let until = Instant::now() + PROCESS_WITHIN;
        for (child, _) in &mut self.children {
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
