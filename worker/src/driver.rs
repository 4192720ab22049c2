//! The loop of one shard: take what came in, let core decide, send what follows, sleep.
//!
//! It runs as a task of glommio's executor and waits on its own ring: a wake-up then costs half of
//! what it costs when parked in glommio, and is not late on a busy executor. Under load the turns
//! grow and with them the batches. Decides nothing about messages.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chatup_core::limits::TIMER_TICK_MS;
use chatup_core::message::UnixMillis;
use chatup_core::shard::{AfterSend, Now, Shard};
use glommio::channels::local_channel::LocalSender;
use glommio::{GlommioError, ResourceType};
use socket2::{SockRef, Socket as ListenSocket};

use crate::limits::{
    ACCEPT_RETRY, BEHIND_RETRY, CATCH_UP_TURNS_MAX, QUEUE_BUDGET, REPORT_EVERY, YIELD_EVERY,
};
use crate::outside::{Socket, World};
use crate::queues::{ShardReceiver, ToShard};
use crate::report::{Report, ShardReport};
use crate::ring::{Completion, ReceiveEnd, Ring};

/// A shard and everything that it does.
pub(crate) struct Driver {
    /// First, so that it is dropped first: what it still does ends before the memory and the
    /// descriptors go that it does it with.
    ring: Ring,
    shard: Shard,
    world: World,
    /// Until it stops.
    listener: Option<ListenSocket>,
    inbox: ShardReceiver,
    report: ShardReport,
    /// To the control task.
    reports: LocalSender<Report>,
    next_report: Instant,
    start: Instant,
    last_yield: Instant,
    accept_again: Option<Instant>,
    /// Once stopping: when it ends at the latest.
    stop_at: Option<Instant>,
    shutdown_ms_max: u64,
    completed: Vec<Completion>,
    /// Turns in a row that took nothing from the queue.
    catch_up_turns: u32,
}

/// What a driver is made of.
pub(crate) struct Parts {
    pub(crate) shard: Shard,
    pub(crate) world: World,
    pub(crate) listener: ListenSocket,
    pub(crate) inbox: ShardReceiver,
    pub(crate) number: u16,
    pub(crate) core: Option<usize>,
    pub(crate) reports: LocalSender<Report>,
    pub(crate) shutdown_ms_max: u64,
}

impl Driver {
    /// On the thread that will run it.
    ///
    /// # Errors
    /// The ring could not be made.
    pub(crate) fn new(parts: Parts) -> std::io::Result<Driver> {
        let mut ring = Ring::new()?;
        ring.accept(parts.listener.as_fd());
        ring.listen_to_bell(parts.inbox.bell());
        let now = Instant::now();
        Ok(Driver {
            shard: parts.shard,
            world: parts.world,
            ring,
            listener: Some(parts.listener),
            inbox: parts.inbox,
            report: ShardReport { shard: parts.number, core: parts.core, ..ShardReport::default() },
            reports: parts.reports,
            next_report: now,
            start: now,
            last_yield: now,
            accept_again: None,
            stop_at: None,
            shutdown_ms_max: parts.shutdown_ms_max,
            completed: Vec::new(),
            catch_up_turns: 0,
        })
    }

    /// Runs until told to stop and all connections are closed, or the time for that is over.
    ///
    /// # Errors
    /// The ring has become unusable.
    pub(crate) async fn run(mut self) -> std::io::Result<()> {
        while !self.is_finished() {
            self.turn();
            self.sleep()?;
            if self.last_yield.elapsed() >= YIELD_EVERY {
                glommio::executor().yield_task_queue_now().await;
                self.last_yield = Instant::now();
            }
        }
        self.report();
        Ok(())
    }

    fn is_finished(&self) -> bool {
        self.stop_at.is_some_and(|stop_at| self.shard.connections() == 0 || Instant::now() >= stop_at)
    }

    fn turn(&mut self) {
        self.report.turns += 1;
        self.shard.set_time(self.now());
        let mut completed = self.ring.take_completed(std::mem::take(&mut self.completed));
        for completion in completed.drain(..) {
            self.complete(completion);
        }
        self.completed = completed;
        // Those that keep up get everything before there is more; others do not count.
        let wait = self.shard.is_catching_up() && self.catch_up_turns < CATCH_UP_TURNS_MAX;
        self.catch_up_turns = if wait { self.catch_up_turns + 1 } else { 0 };
        for _ in 0..if wait { 0 } else { QUEUE_BUDGET } {
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
        self.shard.tick(&mut self.world);
        if self.accept_again.is_some_and(|at| at <= Instant::now()) {
            self.accept_again = None;
            self.accept_on();
        }
        if self.next_report <= Instant::now() {
            self.next_report = Instant::now() + REPORT_EVERY;
            self.report();
        }
        self.shard.end_turn(&mut self.world);
        self.send_all();
        self.bury_dead();
    }

    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Now { mono_ms: millis(self.start.elapsed()), unix: UnixMillis(millis(unix)) }
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
                        let bytes = self.ring.bytes(&received);
                        self.shard.received(key, bytes, &mut self.world);
                    }
                    self.receive_again(packed);
                }
                self.ring.give_back(&received);
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
            Completion::Sent(packed, result) => self.sent(packed, &result),
            Completion::Writable(packed) => {
                let Some(socket) = self.world.sockets.by_packed(packed) else { return };
                socket.awaiting_room = false;
                let key = socket.key;
                if !self.release_if_free(packed) {
                    self.shard.writable(key);
                }
            }
            Completion::Woken => self.ring.listen_to_bell(self.inbox.bell()),
            // Whoever comes from now on is refused by the kernel instead of being kept waiting.
            Completion::AcceptEnded(_) => self.listener = None,
        }
    }

    fn accept_on(&mut self) {
        match &self.listener {
            Some(listener) if self.stop_at.is_none() => self.ring.accept(listener.as_fd()),
            _ => self.listener = None,
        }
    }

    fn accepted(&mut self, descriptor: OwnedFd) {
        match self.shard.accept() {
            Ok(key) => {
                self.ring.receive(key.packed(), descriptor.as_fd());
                self.world.sockets.insert(Socket {
                    key,
                    descriptor,
                    receiving: true,
                    sending: false,
                    awaiting_room: false,
                    ended: false,
                    dead: false,
                });
            }
            Err(answer) => {
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
            self.ring.receive(packed, socket.descriptor.as_fd());
        }
    }

    fn sent(&mut self, packed: u64, result: &std::io::Result<usize>) {
        let Some(socket) = self.world.sockets.by_packed(packed) else { return };
        socket.sending = false;
        let key = socket.key;
        if self.release_if_free(packed) {
            return;
        }
        match result {
            Ok(bytes) => {
                if self.shard.sent(key, *bytes, &mut self.world) == AfterSend::WaitWritable
                    && let Some(socket) = self.world.sockets.by_packed(packed)
                    && !socket.dead
                {
                    socket.awaiting_room = true;
                    self.ring.wait_writable(packed, socket.descriptor.as_fd());
                }
            }
            Err(_) => self.shard.ended(key, &mut self.world),
        }
    }

    fn send_all(&mut self) {
        while let Some(key) = self.shard.take_ready() {
            let Some(outgoing) = self.shard.begin_send(key, &mut self.world) else { continue };
            if let Some(socket) = self.world.sockets.get_mut(key) {
                socket.sending = true;
                self.ring.send(key.packed(), socket.descriptor.as_fd(), outgoing);
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
            self.ring.stop_accepting();
            self.shard.drain(&mut self.world);
        }
    }

    /// Hands everything to the kernel and waits for something to do.
    fn sleep(&mut self) -> std::io::Result<()> {
        let busy = !self.inbox.is_empty() || self.shard.has_ready();
        let at_most = if busy || !self.inbox.fall_asleep() {
            Duration::ZERO
        } else if self.shard.is_behind() {
            BEHIND_RETRY
        } else {
            self.report.sleeps += 1;
            Duration::from_millis(TIMER_TICK_MS)
        };
        let waited = self.ring.wait(at_most);
        self.inbox.wake_up();
        waited
    }

    fn report(&mut self) {
        self.report.take(self.shard.counters());
        self.report.connections = self.shard.connections();
        (self.report.channels_open, self.report.channels_owned) = self.shard.channel_counts();
        let viewers = self.shard.take_viewer_counts();
        let report = Report { figures: self.report.clone(), viewers };
        // The control task holds one report at most; a busy executor makes it late, never more.
        if let Err(GlommioError::WouldBlock(ResourceType::Channel(report))) = self.reports.try_send(report) {
            self.shard.put_back_viewer_counts(report.viewers);
        }
    }
}
