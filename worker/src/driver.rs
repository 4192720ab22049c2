//! The loop of one shard: take what came in, let core decide, send what follows, sleep.
//!
//! With io_uring it runs as a task of glommio's executor and waits on its own ring: a wake-up then
//! costs half of what it costs when parked in glommio, and is not late on a busy executor. With epoll
//! it has a plain thread. Under load the turns
//! grow and with them the batches. Decides nothing about messages.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chatup_core::message::UnixMillis;
use chatup_core::shard::{AfterSend, Now, Shard};
use socket2::{SockRef, Socket as ListenSocket};

use crate::io::{Completion, Io, ReceiveEnd};
use crate::limits::{
    ACCEPT_RETRY, BEHIND_RETRY, CATCH_UP_MAX, COMPLETIONS_PER_TURN, QUEUE_BUDGET, REPORT_EVERY,
    SENDS_PER_TURN,
};
use crate::outside::{Socket, World};
use crate::queues::{SHARD_QUEUE_BYTES, ShardReceiver, ToShard};
use crate::report::{Report, Reports, ShardMemory, ShardReport};

/// A shard and everything that it does.
pub(crate) struct Driver {
    /// First, so that it is dropped first: what it still does ends before the memory and the
    /// descriptors go that it does it with.
    io: Io,
    shard: Shard,
    world: World,
    /// Until it stops.
    listener: Option<ListenSocket>,
    inbox: ShardReceiver,
    report: ShardReport,
    /// To the control task.
    reports: Reports,
    next_report: Instant,
    start: Instant,
    /// A report waits for the control task.
    reported: bool,
    accept_again: Option<Instant>,
    /// Once stopping: when it ends at the latest.
    stop_at: Option<Instant>,
    shutdown_ms_max: u64,
    /// Since when nothing has been taken from the queue.
    catching_up_since: Option<Instant>,
}

/// What a driver is made of.
pub(crate) struct Parts {
    pub(crate) io: Io,
    pub(crate) shard: Shard,
    pub(crate) world: World,
    pub(crate) listener: ListenSocket,
    pub(crate) inbox: ShardReceiver,
    pub(crate) number: u16,
    pub(crate) core: Option<usize>,
    pub(crate) reports: Reports,
    pub(crate) shutdown_ms_max: u64,
}

impl Driver {
    /// On the thread that will run it.
    pub(crate) fn new(parts: Parts) -> Driver {
        let mut io = parts.io;
        io.accept(parts.listener.as_fd());
        io.listen_to_bell(parts.inbox.bell());
        let now = Instant::now();
        Driver {
            shard: parts.shard,
            world: parts.world,
            io,
            listener: Some(parts.listener),
            inbox: parts.inbox,
            report: ShardReport { shard: parts.number, core: parts.core, ..ShardReport::default() },
            reports: parts.reports,
            next_report: now,
            start: now,
            reported: false,
            accept_again: None,
            stop_at: None,
            shutdown_ms_max: parts.shutdown_ms_max,
            catching_up_since: None,
        }
    }

    /// Runs as a task of glommio's until told to stop and all connections are closed, or the time
    /// for that is over.
    ///
    /// # Errors
    /// Its sockets can no longer be served.
    pub(crate) async fn run(mut self) -> std::io::Result<()> {
        while !self.is_finished() {
            self.turn();
            self.sleep()?;
            // Nobody else on this executor has anything to do but to pass a report on.
            if std::mem::take(&mut self.reported) {
                glommio::executor().yield_task_queue_now().await;
            }
        }
        self.report();
        Ok(())
    }

    /// The same on a thread of its own.
    ///
    /// # Errors
    /// Its sockets can no longer be served.
    pub(crate) fn run_alone(mut self) -> std::io::Result<()> {
        while !self.is_finished() {
            self.turn();
            self.sleep()?;
        }
        self.report();
        Ok(())
    }

    fn is_finished(&self) -> bool {
        self.stop_at.is_some_and(|stop_at| self.shard.connections() == 0 || Instant::now() >= stop_at)
    }

    fn turn(&mut self) {
        self.report.turns += 1;
        let now = Instant::now();
        self.shard.set_time(self.time(now));
        self.settle_sends();
        for _ in 0..COMPLETIONS_PER_TURN {
            if self.shard.has_inflated_enough() {
                break;
            }
            let Some(completion) = self.io.take_completed() else { break };
            self.complete(completion);
        }
        // Those that keep up get everything before there is more; others do not count.
        let wait =
            self.shard.is_catching_up() && *self.catching_up_since.get_or_insert(now) + CATCH_UP_MAX > now;
        if !wait {
            self.catching_up_since = None;
            self.take_messages();
        }
        self.shard.tick(&mut self.world);
        if self.accept_again.is_some_and(|at| at <= now) {
            self.accept_again = None;
            self.accept_on();
        }
        if self.next_report <= now {
            self.next_report = now + REPORT_EVERY;
            self.report();
        }
        self.shard.end_turn(&mut self.world);
        self.send_all();
        self.bury_dead();
    }

    fn take_messages(&mut self) {
        for _ in 0..QUEUE_BUDGET {
            match self.inbox.take() {
                Some(ToShard::Shard(message)) => self.shard.shard_message(message, &mut self.world),
                Some(ToShard::Broker(event)) => self.shard.broker_event(event, &mut self.world),
                Some(ToShard::Drain) => self.drain(),
                None => break,
            }
            if self.shard.turn_is_full() {
                break;
            }
        }
    }

    fn time(&self, now: Instant) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Now { mono_ms: millis(now.duration_since(self.start)), unix: UnixMillis(millis(unix)) }
    }

    fn complete(&mut self, completion: Completion) {
        match completion {
            Completion::Accepted(descriptor, goes_on) => {
                self.accepted(descriptor);
                if !goes_on {
                    self.accept_on();
                }
            }
            Completion::AcceptEnded(error) if self.stop_at.is_none() => {
                tracing::warn!(shard = self.report.shard, %error, "accepting failed; trying again");
                self.accept_again = Some(Instant::now() + ACCEPT_RETRY);
            }
            Completion::Received(packed, received) => {
                if let Some(socket) = self.world.sockets.by_packed(packed) {
                    let (key, dead) = (socket.key, socket.dead);
                    socket.receiving = received.goes_on;
                    if !dead {
                        let bytes = self.io.bytes(&received);
                        self.shard.received(key, bytes, &mut self.world);
                    }
                    self.receive_again(packed);
                }
                self.io.give_back(&received);
            }
            Completion::ReceiveEnded(packed, end) => {
                let Some(socket) = self.world.sockets.by_packed(packed) else { return };
                let key = socket.key;
                socket.receiving = false;
                match end {
                    ReceiveEnd::Failed => self.shard.ended(key, &mut self.world),
                    ReceiveEnd::Ended => {
                        socket.ended = true;
                        self.shard.input_ended(key, &mut self.world);
                    }
                    ReceiveEnd::NoBuffer => {}
                }
                self.receive_again(packed);
            }
            Completion::Writable(packed) => {
                let Some(socket) = self.world.sockets.by_packed(packed) else { return };
                socket.awaiting_room = false;
                let key = socket.key;
                if !self.release_if_free(packed) {
                    self.shard.writable(key);
                }
            }
            Completion::Ready(packed, room) => {
                let Some(socket) = self.world.sockets.by_packed(packed) else { return };
                if let Some(completion) = self.io.ready(packed, room, socket.descriptor.as_fd()) {
                    self.complete(completion);
                }
            }
            Completion::Woken => self.io.listen_to_bell(self.inbox.bell()),
            // Whoever comes from now on is refused by the kernel instead of being kept waiting.
            Completion::AcceptEnded(_) => self.listener = None,
        }
    }

    fn accept_on(&mut self) {
        match &self.listener {
            Some(listener) if self.stop_at.is_none() => self.io.accept(listener.as_fd()),
            _ => self.listener = None,
        }
    }

    fn accepted(&mut self, descriptor: OwnedFd) {
        let reserved = self.world.sockets.reserve();
        let accepted = if reserved { self.shard.accept() } else { Err(self.shard.turn_away()) };
        match accepted {
            Ok(key) => {
                self.io.receive(key.packed(), descriptor.as_fd());
                self.world.sockets.insert(Socket {
                    key,
                    descriptor,
                    receiving: true,
                    awaiting_room: false,
                    ended: false,
                    dead: false,
                });
            }
            Err(answer) => {
                if reserved {
                    self.world.sockets.give_back();
                }
                // A new socket's buffer is empty: the answer fits, or nobody is there to read it.
                let socket = ListenSocket::from(descriptor);
                let _ = socket.set_nonblocking(true);
                let _ = socket.send(&answer);
                let _ = socket.shutdown(std::net::Shutdown::Write);
            }
        }
    }

    /// Begins to receive again where receiving has ended without the connection having ended.
    fn receive_again(&mut self, packed: u64) {
        if self.release_if_free(packed) {
            return;
        }
        if let Some(socket) = self.world.sockets.by_packed(packed)
            && !socket.receiving
            && !socket.ended
            && !socket.dead
            && !self.shard.is_dead(socket.key)
        {
            socket.receiving = true;
            self.io.receive(packed, socket.descriptor.as_fd());
        }
    }

    /// Tells core which sends of the last turn were not taken whole.
    fn settle_sends(&mut self) {
        for (flight, taken) in self.io.take_unsent() {
            let Some(key) = self.shard.flight_key(flight) else { continue };
            match taken {
                Ok(bytes) => {
                    if self.shard.taken_short(flight, bytes, &mut self.world) == AfterSend::WaitWritable
                        && let Some(socket) = self.world.sockets.get_mut(key)
                        && !socket.dead
                    {
                        socket.awaiting_room = true;
                        self.io.wait_writable(key.packed(), socket.descriptor.as_fd());
                    }
                }
                Err(_) => self.shard.ended(key, &mut self.world),
            }
        }
        self.shard.settle();
    }

    fn send_all(&mut self) {
        for _ in 0..SENDS_PER_TURN {
            let Some(begun) = self.shard.next_send(&mut self.world) else { return };
            if let Some(socket) = self.world.sockets.get_mut(begun.key) {
                self.io.send(&self.shard, &begun, socket.descriptor.as_fd());
            }
        }
    }

    /// Ends the sockets of connections that core has given up. Their operations in the ring end
    /// by that; only then is the place in core's table given free.
    fn bury_dead(&mut self) {
        while let Some(key) = self.shard.take_dead() {
            let Some(socket) = self.world.sockets.get_mut(key) else { continue };
            socket.dead = true;
            let _ = SockRef::from(&socket.descriptor).shutdown(std::net::Shutdown::Both);
            self.release_if_free(key.packed());
        }
    }

    fn release_if_free(&mut self, packed: u64) -> bool {
        let Some(socket) = self.world.sockets.by_packed(packed) else { return true };
        if !socket.dead || !socket.is_free() {
            return socket.dead;
        }
        let key = socket.key;
        self.world.sockets.remove(key);
        self.shard.release(key);
        true
    }

    fn drain(&mut self) {
        if self.stop_at.is_none() {
            self.stop_at = Some(Instant::now() + Duration::from_millis(self.shutdown_ms_max));
            self.io.stop_accepting();
            self.shard.drain(&mut self.world);
        }
    }

    /// Hands everything to the kernel and waits for something to do.
    fn sleep(&mut self) -> std::io::Result<()> {
        let busy = self.shard.has_ready() || self.io.has_completed();
        let at_most = if busy || !self.inbox.fall_asleep() {
            Some(Duration::ZERO)
        } else if self.shard.is_behind() {
            Some(BEHIND_RETRY)
        } else {
            self.report.sleeps += 1;
            self.shard.next_flush_ms().map(|ms| Duration::from_millis(ms.max(1)))
        };
        let waited = self.io.wait(at_most);
        self.inbox.wake_up();
        waited
    }

    fn report(&mut self) {
        self.report.take(self.shard.counters());
        self.report.connections = self.shard.connections();
        (self.report.channels_open, self.report.channels_owned) = self.shard.channel_counts();
        self.report.memory = ShardMemory {
            core: self.shard.memory(),
            sockets: self.world.sockets.memory(),
            io: self.io.memory(),
            queue: SHARD_QUEUE_BYTES,
        };
        let viewers = self.shard.take_viewer_counts();
        let report = Report { figures: self.report.clone(), viewers };
        if let Some(report) = self.reports.hand_over(report) {
            self.shard.put_back_viewer_counts(report.viewers);
        }
        self.reported = true;
    }
}
