//! The longer pieces of work on who is where: telling Redis again after a cut, and removing the people of
//! a worker that is gone. They run beside the broker's loop, ask through the same desk, and end when an
//! answer is lost: then the next one begins them anew.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use chatup_core::exchange::{MemberKey, WorkerId};
use chatup_core::names::{RoomName, UserName};
use redis::Value;
use serde_json::value::RawValue;

use super::asked::Asked;
use super::desk::{Desk, Lost, REGISTRY};
use super::keys::Lease;
use super::presence::{Member, Presence, connection_of, member_text};
use super::reply::{self, Misread};
use super::scripts::Script;
use crate::limits::{REMOVED_AT_ONCE, UNDERTAKER_MS};

/// Who has been banned, and until when.
type BannedHere = (RoomName, UserName, reply::Banned);

/// Why a piece of work ended early.
#[derive(Debug)]
pub(crate) enum Stopped {
    Lost,
    Misread,
}

impl From<Lost> for Stopped {
    fn from(_: Lost) -> Stopped {
        Stopped::Lost
    }
}

impl From<Misread> for Stopped {
    fn from(_: Misread) -> Stopped {
        Stopped::Misread
    }
}

/// What came of making Redis say what is so.
pub(crate) struct Reconciled {
    /// Members that are here and banned.
    pub(crate) banned: Vec<BannedHere>,
    /// Rooms that could not be looked at.
    pub(crate) left: Vec<RoomName>,
}

/// Makes Redis say of a worker what is so, in these rooms or in all: members and viewers that it does not
/// know are told again, those that are gone are removed.
///
/// # Errors
/// Nothing could be done.
pub(crate) async fn reconcile(
    desk: Rc<Desk>,
    presence: Rc<RefCell<Presence>>,
    worker: WorkerId,
    only: Option<HashSet<RoomName>>,
) -> Result<Reconciled, Stopped> {
    let own = presence.borrow().get(worker).map(|own| (own.lease, own.rooms.keys().cloned().collect()));
    let Some((lease, mut rooms)): Option<(Lease, HashSet<RoomName>)> = own else {
        return Ok(Reconciled { banned: Vec::new(), left: Vec::new() });
    };
    let mut whole = true;
    match only {
        Some(only) => {
            // Those where nobody is any more too: perhaps Redis says otherwise.
            has_rooms(&desk, lease, only.iter()).await?;
            rooms = only;
        }
        None => {
            let former = presence.borrow_mut().take_former(worker);
            whole = bury_former(&desk, &presence, worker, former).await;
            has_rooms(&desk, lease, rooms.iter()).await?;
            rooms.extend(rooms_of(&desk, lease).await?);
        }
    }
    let (mut banned, mut left) = (Vec::new(), Vec::new());
    for room in rooms {
        match reconcile_room(&desk, &presence, worker, lease, &room).await {
            Ok(some) => banned.extend(some),
            // The others can be told all the same.
            Err(_) => left.push(room),
        }
    }
    if whole { Ok(Reconciled { banned, left }) } else { Err(Stopped::Lost) }
}

/// Remembers that a worker has people in these rooms, before they are told: who buries it must find them.
async fn has_rooms(desk: &Desk, lease: Lease, rooms: impl Iterator<Item = &RoomName>) -> Result<(), Stopped> {
    let key = desk.keys.rooms(lease);
    let names: Vec<&str> = rooms.map(RoomName::as_str).collect();
    for some in names.chunks(REMOVED_AT_ONCE) {
        let mut cmd = redis::cmd("SADD");
        cmd.arg(&key).arg(some);
        desk.answer(&key, cmd).await?;
    }
    Ok(())
}

/// Removes what was said under leases that had been given up already, as by a worker that stood still and
/// does not know it yet. It was said through this process's own connections, and so before what is asked
/// here; whoever else buries the lease may have been there before it. Returns whether that was all.
pub(crate) async fn bury_former(
    desk: &Desk,
    presence: &RefCell<Presence>,
    worker: WorkerId,
    former: Vec<(Lease, Vec<RoomName>)>,
) -> bool {
    let mut whole = true;
    for (lease, rooms) in former {
        let mut left = Vec::new();
        for room in rooms {
            if bury_in(desk, presence, lease, &room).await.is_err() {
                left.push(room);
            }
        }
        if !left.is_empty() {
            whole = false;
            presence.borrow_mut().keep_former(worker, lease, left);
        }
    }
    whole
}

async fn rooms_of(desk: &Desk, lease: Lease) -> Result<Vec<RoomName>, Stopped> {
    let key = desk.keys.rooms(lease);
    let mut cmd = redis::cmd("SMEMBERS");
    cmd.arg(&key);
    let names = reply::array(desk.answer(&key, cmd).await?)?;
    Ok(names.into_iter().filter_map(|name| RoomName::new(&reply::text(name).ok()?).ok()).collect())
}

async fn reconcile_room(
    desk: &Desk,
    presence: &RefCell<Presence>,
    worker: WorkerId,
    lease: Lease,
    room: &RoomName,
) -> Result<Vec<BannedHere>, Stopped> {
    let tag = room.as_str();
    let mut list = redis::cmd("SMEMBERS");
    list.arg(desk.keys.brought(room, lease));
    let kept = reply::array(desk.answer(tag, list).await?)?;
    let mut kept: HashSet<u64> =
        kept.into_iter().filter_map(|member| connection_of(&reply::text(member).ok()?)).collect();
    let bans: HashMap<String, Option<u64>> =
        reply::bans(desk.answer(tag, desk.script(Script::Bans, &[&desk.keys.bans(room)])).await?)?
            .into_iter()
            .collect();
    // Nothing is awaited from here on: what is compared is as it is now.
    let mut banned = Vec::new();
    let (viewers, missing) = {
        let presence = presence.borrow();
        let own = presence.get(worker).filter(|own| own.lease == lease).and_then(|own| own.rooms.get(room));
        let mut missing: Vec<(u64, Member)> = Vec::new();
        for (connection, member) in own.iter().flat_map(|own| &own.members) {
            // Whoever is about to come is in the queue behind this already.
            if !kept.remove(connection) && !member.asking {
                missing.push((*connection, member.clone()));
            }
            if let Some(until) = bans.get(member.name.as_str()) {
                let now = super::desk::wall_clock().0;
                banned.push((room.clone(), member.name.clone(), reply::Banned { until: *until, now }));
            }
        }
        (own.map_or(0, super::presence::OwnRoom::viewers), missing)
    };
    let told = desk.begin(tag, desk.viewers(room, lease, viewers));
    for (connection, member) in missing {
        let join = desk.join(room, lease, connection, &member.name, &member.public);
        desk.ask(tag, join, Asked::Join(None, room.clone(), MemberKey { worker, connection }));
    }
    told.await.map_err(|_| Lost)?;
    let gone: Vec<String> = kept.into_iter().map(|connection| member_text(lease, connection)).collect();
    if remove(desk, room, lease, &gone).await? {
        presence.borrow_mut().changed.insert(room.clone());
    }
    if presence.borrow_mut().forget_if_empty(worker, room)
        || presence.borrow().get(worker).is_none_or(|own| !own.rooms.contains_key(room))
    {
        desk.unlist_room(room, worker, lease);
    }
    Ok(banned)
}

/// Removes members, with their going told. Returns whether some of that was only counted.
async fn remove(desk: &Desk, room: &RoomName, lease: Lease, members: &[String]) -> Result<bool, Stopped> {
    let mut counted = false;
    for some in members.chunks(REMOVED_AT_ONCE) {
        let mut cmd = redis::cmd("HMGET");
        cmd.arg(desk.keys.people(room).public).arg(some);
        let publics = reply::array(desk.answer(room.as_str(), cmd).await?)?;
        let leaves = some.iter().zip(publics).map(|(member, public)| {
            let public = reply::text(public).ok().and_then(|text| RawValue::from_string(text).ok());
            // What was not put there by us has to go, too.
            let public = public.unwrap_or_else(|| RawValue::NULL.to_owned());
            desk.begin(room.as_str(), desk.leave(room, lease, member, &public))
        });
        for leave in leaves.collect::<Vec<_>>() {
            counted |= reply::truth(leave.await.map_err(|_| Lost)?)?;
        }
    }
    Ok(counted)
}

/// Removes a lease's people, if nobody else is at it, and then the lease.
pub(crate) async fn bury(
    desk: Rc<Desk>,
    presence: Rc<RefCell<Presence>>,
    lease: Lease,
) -> Result<(), Stopped> {
    loop {
        // Held while it goes on; whoever finds it free begins where the last one stopped.
        let key = desk.keys.undertaker(lease);
        let mut lock = redis::cmd("SET");
        lock.arg(&key).arg(1).arg("NX").arg("PX").arg(UNDERTAKER_MS);
        if desk.answer(&key, lock).await? == Value::Nil {
            return Ok(());
        }
        let rooms = rooms_of(&desk, lease).await?;
        if rooms.is_empty() {
            let mut gone = redis::cmd("ZREM");
            gone.arg(desk.keys.registry().dying).arg(format!("{lease:016x}"));
            desk.answer(REGISTRY, gone).await?;
            free(&desk, &key);
            return Ok(());
        }
        let mut whole = true;
        for room in rooms {
            let mut hold = redis::cmd("PEXPIRE");
            hold.arg(&key).arg(UNDERTAKER_MS);
            desk.ask(&key, hold, Asked::Nothing);
            whole &= bury_in(&desk, &presence, lease, &room).await.is_ok();
        }
        if !whole {
            // Somebody goes on with it when the lock has run out.
            return Err(Stopped::Lost);
        }
        free(&desk, &key);
    }
}

/// Nobody is at it any more.
fn free(desk: &Desk, undertaker: &str) {
    let mut cmd = redis::cmd("DEL");
    cmd.arg(undertaker);
    desk.ask(undertaker, cmd, Asked::Nothing);
}

async fn bury_in(
    desk: &Desk,
    presence: &RefCell<Presence>,
    lease: Lease,
    room: &RoomName,
) -> Result<(), Stopped> {
    desk.answer(room.as_str(), desk.viewers(room, lease, 0)).await?;
    loop {
        let mut some = redis::cmd("SRANDMEMBER");
        some.arg(desk.keys.brought(room, lease)).arg(REMOVED_AT_ONCE);
        let members = reply::array(desk.answer(room.as_str(), some).await?)?;
        let members: Vec<String> =
            members.into_iter().filter_map(|member| reply::text(member).ok()).collect();
        if members.is_empty() {
            break;
        }
        if remove(desk, room, lease, &members).await? {
            presence.borrow_mut().changed.insert(room.clone());
        }
    }
    let key = desk.keys.rooms(lease);
    let mut cmd = redis::cmd("SREM");
    cmd.arg(&key).arg(room.as_str());
    desk.answer(&key, cmd).await?;
    Ok(())
}
