//! Requests over HTTP: what becomes of a connection that makes one, and its answer.

use crate::http_answer::{self, Asker};
use crate::http_head::{self, Ask, Bounds, Dialect, Get, Head, Upgrade, What};
use crate::refusal::Refusal;

use super::calls::Said;
use super::connection::Phase;
use super::forms::Form;
use super::slab::Key;
use super::{Outside, Shard};

impl Shard {
    /// Decides on a request; returns how many bytes it took, none while it is not whole.
    pub(super) fn process_head(&mut self, key: Key, bytes: &[u8], outside: &mut impl Outside) -> usize {
        let limits = &self.rules.limits;
        let (head, body) = (limits.handshake_bytes_max as usize, limits.message_bytes_max as usize);
        let head = http_head::read(bytes, Bounds { head, body }, &self.services);
        match head {
            Head::NeedMore => 0,
            Head::Upgrade(Upgrade { used, answer, dialect }) => {
                self.counters.handshakes += 1;
                if let Some(connection) = self.connections.get_mut(key) {
                    connection.phase = Phase::Open;
                    connection.since = self.ticks;
                    connection.control().extend_from_slice(&answer);
                }
                self.make_ready(key);
                self.schedule(key);
                match dialect {
                    Dialect::Native { call, deflates } => {
                        if let Some(connection) = self.connections.get_mut(key).filter(|_| deflates) {
                            connection.form = Form::DEFLATED;
                        }
                        if let Some(call) = call {
                            self.text(key, call.as_bytes(), Said::InUrl, outside);
                        }
                    }
                    Dialect::PushStream(want) => self.pushstream_requested(key, want, outside),
                    Dialect::SocketIo(version, session) => {
                        self.socketio_requested(key, (version, session), outside);
                    }
                }
                used
            }
            Head::Stream(stream) => {
                let used = stream.used;
                self.stream_requested(key, stream, outside);
                used
            }
            Head::Ask(Ask { used, asker, what }) => {
                self.asked(key, asker, what, outside);
                used
            }
            Head::Get(Get { path, query, forwarded_for }) => {
                let answer = match outside.http_get(key, &path, &query, forwarded_for.as_deref()) {
                    Ok(body) => http_answer::json_answer(200, "", &body),
                    Err(refusal) => http_answer::refusal_answer(refusal),
                };
                self.last_words(key, &answer);
                bytes.len()
            }
            Head::Refuse(refusal) => {
                self.refuse_head(key, refusal);
                bytes.len()
            }
        }
    }

    /// A request that is answered when its answer is there.
    fn asked(&mut self, key: Key, asker: Asker, what: What, outside: &mut impl Outside) {
        match what {
            What::Preflight => {
                let headers = format!(
                    "Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n\
                     Access-Control-Allow-Headers: Content-Type\r\nAccess-Control-Max-Age: 86400\r\n{}",
                    asker.with_credentials()
                );
                let answer = asker.answer(200, &headers, b"");
                self.answer_request(key, &answer, asker.keep_alive);
            }
            What::Subscriber(location, may_ask) => {
                let location = self.services.pushstream.locations.get(location);
                let allowed = location.and_then(|location| location.allowed_origins.clone());
                let (status, headers) = match may_ask {
                    true => (200, asker.cross_origin("GET", allowed.as_deref())),
                    false => (405, format!("Allow: GET\r\n{}", asker.pushstream("GET", allowed.as_deref()))),
                };
                let answer = asker.answer(status, &headers, b"");
                self.answer_request(key, &answer, asker.keep_alive);
            }
            What::MayPublish(desk) => {
                let headers = self.desk(desk, &asker);
                let answer = asker.answer(200, &headers, b"");
                self.answer_request(key, &answer, asker.keep_alive);
            }
            What::Job(desk, request, forwarded_for) => {
                if outside.may_publish(key, forwarded_for.as_deref()) {
                    return self.job_asked(key, (desk, request), asker, outside);
                }
                let row = Refusal::ForbiddenAddress.row();
                self.refuse_job(key, desk, &asker, (row.http.unwrap_or(403), row.message));
            }
            What::SocketIo(asked) => self.socketio_asked(key, asked, asker, outside),
        }
    }

    /// Answers a request; the next one may follow on its connection.
    pub(super) fn answer_request(&mut self, key: Key, answer: &[u8], keep_alive: bool) {
        let half_closed = self.connections.get(key).is_some_and(|one| one.half_closed);
        if !keep_alive || self.draining || half_closed {
            return self.last_words(key, answer);
        }
        let now = self.ticks;
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.control().extend_from_slice(answer);
        connection.phase = Phase::Head;
        connection.answered = true;
        connection.form = Form::PLAIN;
        connection.since = now;
        connection.talk = None;
        self.make_ready(key);
        self.schedule(key);
    }
}
