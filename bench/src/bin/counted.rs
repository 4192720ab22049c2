//! Runs one case so many times, for callgrind: `counted CASE ITERATIONS`.
//!
//! Preparing costs instructions too, so an iteration's are those of many iterations less those of
//! few, divided by the difference. `--time` prints the processor time of the iterations instead,
//! as JSON; it is read only before the first and after the last.

use std::process::ExitCode;

use chatup_bench::cases::{CASES, case};
use clap::Parser;
use rustix::time::{ClockId, clock_gettime};

/// Repeats one hot path of the product.
#[derive(Parser)]
#[command(name = "counted", version)]
struct Arguments {
    /// Which; `--list` names them.
    #[arg(required_unless_present = "list")]
    case: Option<String>,
    /// How often.
    #[arg(required_unless_present = "list")]
    iterations: Option<u64>,
    /// Name all cases, a line each.
    #[arg(long, conflicts_with = "time")]
    list: bool,
    /// Print the processor time as JSON.
    #[arg(long)]
    time: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (Some(name), Some(iterations)) = (arguments.case, arguments.iterations) else {
        for case in CASES {
            println!("{}", case.name);
        }
        return ExitCode::SUCCESS;
    };
    let Some(case) = case(&name) else {
        eprintln!("counted: there is no case {name:?}; --list names them");
        return ExitCode::from(2);
    };
    let mut run = (case.prepare)();
    // No clock without need: rustix looks for it in the vDSO, which valgrind hides.
    let before = arguments.time.then(processor_seconds);
    for _ in 0..iterations {
        run();
    }
    if let Some(before) = before {
        let seconds = processor_seconds() - before;
        println!(r#"{{"case":"{name}","iterations":{iterations},"cpu_s":{seconds}}}"#);
    }
    ExitCode::SUCCESS
}

/// Time for which this thread has had a processor.
fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    #[allow(clippy::cast_precision_loss, reason = "seconds since the program began")]
    let whole = time.tv_sec as f64;
    // Less than 10^9: exact.
    whole + f64::from(i32::try_from(time.tv_nsec).unwrap_or(0)) / 1e9
}
