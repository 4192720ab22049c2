//! Reads what a channel lacks here: where it is by one script, its messages in pieces beside that, each
//! piece small enough that neither Redis nor the connection is held up by large rooms.

use std::rc::Rc;

use chatup_core::message::Publication;
use chatup_core::names::ChannelName;
use chatup_core::position::{Offset, Position};
use redis::Value;

use super::channels::{Ask, Entry, Synced};
use super::desk::{Desk, Lost};
use super::keys;
use super::people::Stopped;
use super::reply;
use crate::limits::{FETCH_BYTES_MAX, FETCHED_AT_ONCE};

/// The answer to a question about a channel. Whoever asks has subscribed before: what is published after
/// the script has run comes by itself.
pub(crate) async fn fetch(desk: Rc<Desk>, ask: &Ask) -> Result<Synced, Stopped> {
    let value = desk.answer(keys::tag(&ask.channel), desk.sync(&ask.channel, ask.from)).await?;
    let (head, known) = reply::synced(value)?;
    if let Some(own) = ask.from.filter(|own| known && *own == head) {
        return Ok(Synced { head, from: Some(own), entries: Vec::new() });
    }
    // Nobody closes it.
    let _reading = desk.readers.acquire().await.map_err(|_| Stopped::Lost)?;
    if let Some(own) = ask.from.filter(|_| known)
        && let Some(entries) = following(&desk, &ask.channel, own, head).await?
    {
        return Ok(Synced { head, from: Some(own), entries });
    }
    Ok(Synced { head, from: None, entries: last(&desk, &ask.channel, head).await? })
}

/// What follows a position up to the head, oldest first; nothing where a part of it is gone, or it is more
/// than a shard keeps.
async fn following(
    desk: &Desk,
    channel: &ChannelName,
    own: Position,
    head: Position,
) -> Result<Option<Vec<Entry>>, Stopped> {
    let (mut entries, mut bytes, mut at) = (Vec::new(), 0, own.offset);
    while at < head.offset {
        let some =
            piece(desk, channel, "XRANGE", &format!("({}-0", at.0), &format!("{}-0", head.offset.0)).await?;
        for entry in some {
            if entry.offset != at.next() {
                return Ok(None);
            }
            at = entry.offset;
            bytes += entry.payload.len();
            entries.push(entry);
        }
        let stuck = entries.last().is_none_or(|last: &Entry| last.offset != at);
        if stuck || bytes > FETCH_BYTES_MAX {
            return Ok(None);
        }
    }
    Ok(Some(entries))
}

/// The last messages up to the head, oldest first.
async fn last(desk: &Desk, channel: &ChannelName, head: Position) -> Result<Vec<Entry>, Stopped> {
    let (mut entries, mut bytes, mut upto) = (Vec::new(), 0, head.offset);
    while upto > Offset::START && entries.len() < desk.scripts.kept() && bytes < FETCH_BYTES_MAX {
        let some = piece(desk, channel, "XREVRANGE", &format!("{}-0", upto.0), "-").await?;
        let (count, before) = (some.len(), entries.len());
        for entry in some {
            // From a hole on there is nothing that could be given.
            if entry.offset != upto || bytes >= FETCH_BYTES_MAX || entries.len() >= desk.scripts.kept() {
                break;
            }
            upto = Offset(upto.0 - 1);
            bytes += entry.payload.len();
            entries.push(entry);
        }
        if entries.len() - before < count || count < FETCHED_AT_ONCE {
            break;
        }
    }
    entries.reverse();
    Ok(entries)
}

/// The last messages of a channel, the newest first.
pub(crate) async fn history(
    desk: &Desk,
    channel: &ChannelName,
    messages_max: usize,
) -> Result<Vec<Publication>, Stopped> {
    let (of, tag) = (desk.keys.channel(channel), keys::tag(channel));
    let mut epoch = redis::cmd("HGET");
    epoch.arg(of.head).arg("e");
    let mut last = redis::cmd("XREVRANGE");
    last.arg(of.stream).arg("+").arg("-").arg("COUNT").arg(messages_max);
    let (epoch, last) = (desk.begin(tag, epoch), desk.begin(tag, last));
    let epoch = epoch.await.map_err(|_| Lost)?;
    let entries = reply::entries(last.await.map_err(|_| Lost)?)?;
    if epoch == Value::Nil {
        return Ok(Vec::new());
    }
    let epoch = reply::epoch(&reply::text(epoch)?)?;
    let publication = |entry: Entry| Publication {
        channel: channel.clone(),
        epoch,
        offset: entry.offset,
        id: entry.id,
        payload: entry.payload,
    };
    Ok(entries.into_iter().map(publication).collect())
}

async fn piece(
    desk: &Desk,
    channel: &ChannelName,
    command: &str,
    first: &str,
    last: &str,
) -> Result<Vec<Entry>, Stopped> {
    let mut cmd = redis::cmd(command);
    cmd.arg(desk.keys.channel(channel).stream).arg(first).arg(last).arg("COUNT").arg(FETCHED_AT_ONCE);
    Ok(reply::entries(desk.answer(keys::tag(channel), cmd).await?)?)
}
