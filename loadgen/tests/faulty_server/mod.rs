//! A chat server that does wrong on purpose, and knows exactly how much: the measure by which the
//! load generator is checked.
//!
//! It speaks the `plain` protocol: every text that a connection sends goes, unchanged and in order,
//! to all other connections of the same path. A list of faults (`plan.rs`) says what is not to go as
//! it should. One thread does it all (`event_loop.rs`), so that there is one order of everything,
//! and writes down what it handed to whom (`record.rs`); what was wrong is counted from that, not
//! from what was planned. It ends with its handle.
//!
//! It knows nothing of the load generator: what a text means is read in `record.rs` alone, by the
//! contract that both keep.

mod event_loop;
mod plan;
mod record;
mod tests;

use std::io::Write;
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

pub(crate) use plan::Fault;
pub(crate) use record::{Channel, Record, Truth};

/// Longest wait for something that must happen; only what is broken reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Connections that may wait to be accepted, so that a generator that opens hundreds at once is not
/// slowed by lost SYNs.
const BACKLOG: i32 = 1_024;

/// What has happened so far, for those who wait for it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// Handshakes done.
    pub(crate) joined: u64,
    /// Handshakes refused.
    pub(crate) refused: u64,
    /// Messages read and handled.
    pub(crate) messages: u64,
    /// The thread is at its end.
    pub(crate) ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    progress: Mutex<Progress>,
    changed: Condvar,
}

impl Shared {
    fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().expect("no thread died with it"));
        self.changed.notify_all();
    }
}

/// A running server; it stops when this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    /// To the thread: a byte means that it shall end when its last connection has, the end of the
    /// stream that it shall end now.
    control: UnixStream,
    thread: Option<JoinHandle<Record>>,
}

impl Server {
    /// Listens on a free port of the loopback.
    pub(crate) fn start(faults: &[Fault]) -> Server {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
        for fault in faults {
            if let Fault::Narrow { receive_bytes } = fault {
                // What is accepted inherits it.
                listener.set_recv_buffer_size(*receive_bytes).expect("a socket's buffer");
            }
        }
        listener.listen(BACKLOG).expect("it listens");
        listener.set_nonblocking(true).expect("a socket's mode");
        let address = listener.local_addr().expect("an address").as_socket().expect("IPv4");
        let (control, controlled) = UnixStream::pair().expect("a pair of sockets");
        let (shared, theirs) = (Arc::new(Shared::default()), faults.to_vec());
        let progress = Arc::clone(&shared);
        let thread =
            std::thread::spawn(move || event_loop::run(listener.into(), controlled, theirs, &progress));
        Server { address, shared, control, thread: Some(thread) }
    }

    /// Where a client goes; `{channel}` stands for the channel's name.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/room/{{channel}}", self.address)
    }

    /// Waits until something has come about.
    pub(crate) fn wait_until(&self, what: &str, reached: impl Fn(&Progress) -> bool) {
        let progress = self.shared.progress.lock().expect("the thread lives");
        let waiting = |progress: &mut Progress| !reached(progress) && !progress.ended;
        let (progress, _) =
            self.shared.changed.wait_timeout_while(progress, PATIENCE, waiting).expect("the thread lives");
        assert!(reached(&progress), "the server never saw {what}: {progress:?}");
    }

    /// Waits until all connections have ended, then hands over what it did.
    pub(crate) fn finish(mut self) -> Record {
        (&self.control).write_all(b"f").expect("the thread lives");
        self.wait_until("the end of its last connection", |progress| progress.ended);
        self.thread.take().expect("it ends once").join().expect("the server's thread")
    }

    /// Closes all connections as they are, and hands over what it did.
    pub(crate) fn stop(mut self) -> Record {
        self.control.shutdown(Shutdown::Both).expect("the thread lives");
        self.thread.take().expect("it ends once").join().expect("the server's thread")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Where a test failed; what the thread then says is of no more use.
        if let Some(thread) = self.thread.take() {
            let _ = self.control.shutdown(Shutdown::Both);
            let _ = thread.join();
        }
    }
}
