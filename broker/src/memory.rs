//! The broker inside one process: the store on a thread of its own, behind the same queues as any
//! other broker.

use std::collections::HashMap;
use std::io;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chatup_core::exchange::Event;
use chatup_core::message::UnixMillis;
use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::contract::{BrokerHandle, ClientId, Command, Inbox};
use crate::store::{Recipient, Store, StoreSettings};

/// How often what has run out is forgotten.
const SWEEP: Duration = Duration::from_secs(1);
/// How many sweeps there are to one of the channels, which may be many.
const SWEEPS_PER_CHANNEL_SWEEP: u32 = 30;

/// Starts a memory broker.
///
/// # Errors
/// The thread could not be started.
pub fn start(settings: StoreSettings) -> io::Result<(BrokerHandle, JoinHandle<()>)> {
    let (handle, commands) = BrokerHandle::new();
    let store = Store::new(settings, Box::new(rand::random::<u128>));
    let thread = std::thread::Builder::new().name("broker".into()).spawn(move || run(store, &commands))?;
    Ok((handle, thread))
}

fn run(mut store: Store, commands: &Receiver<Command>) {
    let mut inboxes: HashMap<ClientId, Box<dyn Inbox>> = HashMap::new();
    let mut sweeps = 0;
    let mut next_sweep = Instant::now() + SWEEP;
    loop {
        match commands.recv_deadline(next_sweep) {
            Ok(Command::Connect(client, inbox)) => {
                inboxes.insert(client, inbox);
            }
            Ok(Command::Do(client, ticket, operation)) => {
                let answer = store.handle(client, operation, wall_clock());
                // Before the events: what is published behind an `Open` comes behind its answer.
                deliver(&mut store, &mut inboxes, Recipient::Client(client), &Event::Answer(ticket, answer));
            }
            Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if next_sweep <= Instant::now() {
            // However late: a process that was stopped heard nobody meanwhile.
            store.sweep(wall_clock(), u64::try_from(SWEEP.as_millis()).unwrap_or(u64::MAX));
            sweeps = (sweeps + 1) % SWEEPS_PER_CHANNEL_SWEEP;
            if sweeps == 0 {
                store.sweep_channels(wall_clock());
            }
            next_sweep = Instant::now() + SWEEP;
        }
        for (recipient, event) in store.take_events() {
            deliver(&mut store, &mut inboxes, recipient, &event);
        }
    }
}

fn deliver(
    store: &mut Store,
    inboxes: &mut HashMap<ClientId, Box<dyn Inbox>>,
    recipient: Recipient,
    event: &Event,
) {
    let clients = match recipient {
        Recipient::Client(client) => vec![client],
        Recipient::Everyone => inboxes.keys().copied().collect(),
    };
    for client in clients {
        let gone = inboxes.get(&client).is_some_and(|inbox| !inbox.deliver(event.clone()));
        if gone {
            inboxes.remove(&client);
            store.disconnect(client);
        }
    }
}

fn wall_clock() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
