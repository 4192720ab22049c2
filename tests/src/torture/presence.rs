//! Who is there, as any dispatcher says, when all is healed: no more and no fewer than are there.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use serde_json::Value;

use super::board::Board;
use super::faults::RECOVERY;
use super::wire::exchange;

/// How often it is asked.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until each room has so many viewers and members; what is wrong if some never has.
pub fn wait_for_counts(
    board: &Board,
    rooms: &[String],
    (viewers, members): (usize, usize),
    random: &mut StdRng,
) -> Vec<String> {
    let since = Instant::now();
    let mut wrong = Vec::new();
    for room in rooms {
        loop {
            let told = counts(&board.dispatcher(random), room);
            if told == Ok((viewers as u64, members as u64)) {
                break;
            }
            if since.elapsed() > RECOVERY {
                wrong.push(format!(
                    "room {room} has {viewers} viewers and {members} members, and is told {told:?}"
                ));
                break;
            }
            std::thread::sleep(PAUSE);
        }
    }
    wrong
}

fn counts(dispatcher: &str, room: &str) -> Result<(u64, u64), String> {
    let (status, body) = exchange(dispatcher, &format!("GET /stats/{room}"), "")?;
    let value: Value = serde_json::from_str(&body).map_err(|_| status.clone())?;
    let counts = value["subCount"].as_u64().zip(value["pubCount"].as_u64());
    counts.ok_or(status)
}
