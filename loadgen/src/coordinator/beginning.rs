//! The beginning of a run: the server, the processes that hold connections, their source addresses.

use std::net::IpAddr;

use crossbeam_channel::Receiver;

use super::children::Children;
use super::display::Display;
use super::target::Target;
use super::{Run, RunError};
use crate::cli::Options;
use crate::clock::duration_ns;
use crate::control::{Begin, Counted, Order, Progress, Tokens};
use crate::door::Door;
use crate::limits::CONNECT_WITHIN;
use crate::machine;
use crate::plan::Plan;
use crate::report::Report;
use crate::scenario::Shape;
use crate::server::watch::Watch;

impl<'a> Run<'a> {
    /// Finds or starts the server, and starts the processes that hold connections.
    ///
    /// # Errors
    /// Why that cannot be done.
    pub fn start(
        options: &'a Options,
        shape: &Shape,
        report: Report,
        interrupts: Receiver<()>,
    ) -> Result<Run<'a>, RunError> {
        let seed = options.seed.unwrap_or_else(rand::random);
        let mut plan = Plan {
            run: rand::random::<u32>() | 1,
            seed,
            protocol: options.protocol,
            doors: Vec::new(),
            clients: options.clients,
            sizes: shape.sizes.clone(),
            publishers: shape.publishers,
            aside: shape.aside.clone(),
            size_bytes: options.size as usize,
            comers: shape.comers,
            slow: shape.slow,
            slow_bytes_per_s: options.slow_rate,
            resumes: shape.resumes,
            deflate: options.deflate,
            poll_interval_ns: duration_ns(options.poll_interval),
        };
        let target = Target::new(options, shape)?;
        plan.doors.clone_from(&target.doors);
        let tokens = target.tokens(options, plan.publishers())?;
        let mut pids = options.pid.clone();
        pids.extend(target.servers.iter().flat_map(|servers| servers.pids()));
        let mut run = Run {
            options,
            report,
            children: Children::none(),
            display: Display::new(options.output.quiet),
            watch: Watch::new(&pids)?,
            interrupts,
            stopped: false,
            stopped_ns: u64::MAX,
            standing: Vec::new(),
            before: Counted::default(),
            plan,
            target,
        };
        run.report.settings.insert("seed".to_owned(), seed.to_string());
        run.report.settings.insert("target".to_owned(), run.target.description.clone());
        run.start_processes(&tokens)?;
        Ok(run)
    }

    fn start_processes(&mut self, tokens: &Tokens) -> Result<(), RunError> {
        let apart = u64::try_from(self.plan.publishers_apart().len()).unwrap_or(u64::MAX);
        let connections = u64::from(self.plan.clients) + apart + u64::from(self.plan.aside.passers);
        let spread = Spread::new(
            connections,
            self.plan.connections_aside(),
            self.options.processes,
            machine::connections_per_process(),
        )?;
        let processes = spread.processes;
        self.plan.aside.processes = spread.aside;
        if let Some(core) = self.options.client_cores.iter().find(|core| !machine::cores().contains(core)) {
            return Err(RunError::Impossible(format!(
                "--client-cores: this program may not use core {core}"
            )));
        }
        for process in 0..processes {
            self.children.start()?;
            let core = &self.options.client_cores;
            let begin = Begin {
                plan: self.plan.clone(),
                process,
                processes,
                sources: self.sources(process, spread.fullest, connections)?,
                core: core.get(process as usize % core.len().max(1)).copied(),
                tokens: tokens.clone(),
                connect_within_ns: duration_ns(CONNECT_WITHIN),
            };
            self.children.order(process as usize, &Order::Begin(Box::new(begin)))?;
        }
        self.standing = vec![Progress::default(); processes as usize];
        self.report.generator.processes = processes;
        self.report.clients.asked = u64::from(self.plan.clients);
        self.report.clients.publishers = apart;
        Ok(())
    }

    /// Source addresses of a process, where none has more than `fullest` of all connections.
    fn sources(&self, process: u32, fullest: u64, connections: u64) -> Result<Vec<IpAddr>, RunError> {
        let per_source = machine::ports_per_source();
        let doors = self.plan.doors.len() as u64;
        let given = &self.options.source;
        if !given.is_empty() {
            if given.len() as u64 * per_source * doors < connections {
                let needed = connections.div_ceil(per_source * doors);
                return Err(RunError::Impossible(format!(
                    "{connections} connections need {needed} source addresses, {per_source} ports each: \
                     --source names {}",
                    given.len()
                )));
            }
            return Ok(given.clone());
        }
        let mut places = self.plan.doors.iter().flat_map(Door::addresses);
        if places.all(|(_, address)| address.is_ipv4() && address.ip().is_loopback()) {
            // Twice as many as the ports ask for: a search for a free one among few is slow.
            let each = (fullest * 2).div_ceil(per_source);
            let each = u32::try_from(each).unwrap_or(1).max(1);
            return Ok((0..each).map(|number| machine::loopback_source(process * each + number)).collect());
        }
        let behind = self.plan.doors.iter().any(|door| door.dispatcher);
        if per_source * doors < connections && !behind {
            return Err(RunError::Impossible(format!(
                "{connections} connections from one source address: it has {per_source} ports for each server. \
                 Give several with --source"
            )));
        }
        Ok(Vec::new())
    }
}

/// Over how many processes the connections are spread.
#[derive(Debug, PartialEq, Eq)]
struct Spread {
    /// All of them.
    processes: u32,
    /// Those that hold what is kept apart, the last ones.
    aside: u32,
    /// Most connections of one.
    fullest: u64,
}

impl Spread {
    /// For so many connections, `aside` of them kept apart, where a process has `most` at most.
    fn new(connections: u64, aside: u64, asked: Option<u32>, most: u64) -> Result<Spread, String> {
        let others = connections - aside;
        let (needed, needed_aside) = (others.div_ceil(most), aside.div_ceil(most));
        let processes = asked.map_or(needed + needed_aside, u64::from);
        let Some(more) = processes.checked_sub(needed + needed_aside) else {
            let why = match needed_aside {
                0 => String::new(),
                _ => format!(", {needed_aside} of them for what is to be a burden to the others"),
            };
            return Err(format!(
                "{connections} connections need {} processes with this machine's descriptors{why}: \
                 --processes {processes} is too few",
                needed + needed_aside
            ));
        };
        let for_aside = if aside > 0 { needed_aside + more / 2 } else { 0 };
        let each = |connections: u64, processes: u64| connections.div_ceil(processes.max(1));
        let number = |processes| u32::try_from(processes).unwrap_or(u32::MAX);
        Ok(Spread {
            processes: number(processes),
            aside: number(for_aside),
            fullest: each(others, processes - for_aside).max(each(aside, for_aside)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_spread_and_those_apart_by_themselves() {
        for (connections, aside, asked, expected) in [
            (1, 0, None, Some((1, 0, 1))),
            (100, 0, None, Some((1, 0, 100))),
            (101, 0, None, Some((2, 0, 51))),
            (101, 0, Some(4), Some((4, 0, 26))),
            (101, 0, Some(1), None),
            (50, 20, None, Some((2, 1, 30))),
            (50, 20, Some(1), None),
            (50, 20, Some(4), Some((4, 2, 15))),
            (50, 20, Some(5), Some((5, 2, 10))),
            (250, 150, None, Some((3, 2, 100))),
            (250, 150, Some(2), None),
        ] {
            let spread = Spread::new(connections, aside, asked, 100);
            let seen = spread.as_ref().ok().map(|spread| (spread.processes, spread.aside, spread.fullest));
            assert_eq!(seen, expected, "{connections}, {aside} apart, {asked:?}: {spread:?}");
            if let Err(why) = spread {
                assert!(why.contains("too few") && why.contains("burden") == (aside > 0), "{why}");
            }
        }
    }
}
