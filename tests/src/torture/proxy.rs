//! A TCP proxy that can fail: what stands between one process and Redis. Two threads a connection, each
//! copying one way; what is wrong is told to all of them at once.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// What the process sends.
    ToServer,
    /// What it gets.
    ToClient,
}

/// What is wrong with the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// Each piece is late.
    Delay(Duration),
    /// Nothing goes through these ways, and the connections stand: lost packets, to be sent again.
    Stall {
        /// What the process sends.
        to_server: bool,
        /// What it gets.
        to_client: bool,
    },
    /// Connections end, and new ones end at once.
    Cut,
    /// That way lets so many more bytes through; then it is as with [`Trouble::Cut`].
    CutAfter(Way, usize),
}

#[derive(Default)]
struct State {
    trouble: Trouble,
    /// Both ends of every connection.
    ends: Vec<TcpStream>,
    bytes: u64,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    ended: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A proxy in front of one server.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Starts one in front of a port of this machine.
    ///
    /// # Panics
    /// There is no free port.
    #[must_use]
    pub fn start(upstream: u16) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, upstream, &theirs));
        Proxy { port, shared }
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on this is wrong, and nothing else.
    pub fn trouble(&self, trouble: Trouble) {
        let mut state = self.shared.lock();
        state.trouble = trouble;
        if trouble == Trouble::Cut {
            cut(&mut state);
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// All is well again; what was held goes on.
    pub fn heal(&self) {
        self.trouble(Trouble::None);
    }

    /// Whether a cut after some bytes has happened by now.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.shared.lock().trouble == Trouble::Cut
    }

    /// Bytes that have gone through, both ways.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.lock().bytes
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.trouble(Trouble::Cut);
        // So that it notices.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn cut(state: &mut State) {
    for end in state.ends.drain(..) {
        let _ = end.shutdown(Shutdown::Both);
    }
}

fn accept(listener: &TcpListener, upstream: u16, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = stream else { continue };
        // Where nobody listens the process sees its connection end.
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)) else { continue };
        // Fails only for want of descriptors; then the connection ends here.
        let _ = join(client, server, shared);
    }
}

fn join(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let mut state = shared.lock();
    if state.trouble == Trouble::Cut {
        return Ok(());
    }
    // Those that have ended have nobody behind them.
    state.ends.retain(|end| end.peer_addr().is_ok());
    state.ends.extend([client.try_clone()?, server.try_clone()?]);
    drop(state);
    let pairs = [(Way::ToServer, client.try_clone()?, server.try_clone()?), (Way::ToClient, server, client)];
    for (way, from, to) in pairs {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || copy(way, from, to, &shared));
    }
    Ok(())
}

fn copy(way: Way, mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut piece = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        let Some(allowed) = pass(way, count, shared) else { break };
        if to.write_all(&piece[..allowed]).is_err() {
            break;
        }
        if allowed < count {
            let mut state = shared.lock();
            state.trouble = Trouble::Cut;
            cut(&mut state);
            drop(state);
            shared.changed.notify_all();
            break;
        }
    }
    for end in [from, to] {
        let _ = end.shutdown(Shutdown::Both);
    }
}

/// Waits until a piece may go on; how much of it. Nothing once all is cut.
fn pass(way: Way, count: usize, shared: &Shared) -> Option<usize> {
    let mut state = shared.lock();
    loop {
        match state.trouble {
            Trouble::Stall { to_server: true, .. } if way == Way::ToServer => {}
            Trouble::Stall { to_client: true, .. } if way == Way::ToClient => {}
            Trouble::Cut => return None,
            Trouble::Delay(time) => {
                drop(state);
                // The delay is what is wanted here.
                std::thread::sleep(time);
                shared.lock().bytes += count as u64;
                return Some(count);
            }
            Trouble::CutAfter(of, left) if of == way => {
                let allowed = left.min(count);
                state.trouble = Trouble::CutAfter(of, left - allowed);
                state.bytes += allowed as u64;
                return Some(allowed);
            }
            Trouble::None | Trouble::Stall { .. } | Trouble::CutAfter(..) => {
                state.bytes += count as u64;
                return Some(count);
            }
        }
        state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says everything back, and a connection to it through a proxy.
    fn echo() -> (Proxy, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap().port());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut back = stream.try_clone().unwrap();
                    let _ = std::io::copy(&mut stream, &mut back);
                });
            }
        });
        let client = connect(&proxy);
        (proxy, client)
    }

    fn connect(proxy: &Proxy) -> TcpStream {
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
        client.set_read_timeout(Some(crate::PATIENCE)).unwrap();
        client
    }

    fn say(client: &mut TcpStream, text: &str) -> String {
        client.write_all(text.as_bytes()).unwrap();
        let mut back = vec![0; text.len()];
        client.read_exact(&mut back).unwrap();
        String::from_utf8(back).unwrap()
    }

    #[test]
    fn whole_and_late() {
        let (proxy, mut client) = echo();
        assert_eq!(say(&mut client, "hello"), "hello");
        assert_eq!(proxy.bytes(), 10);
        proxy.trouble(Trouble::Delay(Duration::from_millis(5)));
        assert_eq!(say(&mut client, "late"), "late");
    }

    #[test]
    fn what_is_stalled_goes_on_when_healed() {
        for (to_server, to_client) in [(true, false), (false, true), (true, true)] {
            let (proxy, mut client) = echo();
            proxy.trouble(Trouble::Stall { to_server, to_client });
            client.write_all(b"held").unwrap();
            client.set_nonblocking(true).unwrap();
            assert!(client.read(&mut [0; 4]).is_err(), "nothing has come");
            client.set_nonblocking(false).unwrap();
            proxy.heal();
            let mut back = [0; 4];
            client.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"held");
        }
    }

    #[test]
    fn a_cut_ends_connections_and_refuses_new_ones() {
        let (proxy, mut client) = echo();
        assert_eq!(say(&mut client, "hello"), "hello");
        proxy.trouble(Trouble::Cut);
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest);
        assert!(rest.is_empty());
        let _ = connect(&proxy).read_to_end(&mut rest);
        assert!(rest.is_empty());
        proxy.heal();
        assert_eq!(say(&mut connect(&proxy), "again"), "again");
    }

    #[test]
    fn a_cut_in_the_middle_lets_just_so_much_through() {
        let (proxy, mut client) = echo();
        assert_eq!(say(&mut client, "hello"), "hello");
        proxy.trouble(Trouble::CutAfter(Way::ToClient, 8));
        assert_eq!(say(&mut client, "12345"), "12345");
        client.write_all(b"67890").unwrap();
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest);
        assert_eq!(rest, b"678");
        assert!(proxy.is_cut());
    }
}
