//! The floor of the comparison with other servers: `floor --port 0` listens on the loopback address, and
//! says where on one line. What it does and leaves out: `chatup_bench::peers::floor`.

use std::io::{self, Write};

use chatup_bench::peers::floor::Floor;
use clap::Parser;

/// Hands each text frame to all other sockets of its path, and does nothing else.
#[derive(Parser)]
#[command(name = "floor")]
struct Options {
    /// Port to listen on; 0 for any free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Lay all messages of a turn end to end and send them at once, instead of one send a message
    #[arg(long)]
    send_batch: bool,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let floor = Floor::listen(options.port, options.send_batch)?;
    let line = serde_json::json!({
        "url": format!("ws://{}/{{channel}}", floor.address()?),
        "pid": std::process::id(),
    });
    writeln!(io::stdout().lock(), "{line}")?;
    floor.run()
}
