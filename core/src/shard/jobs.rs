//! What is asked of channels over HTTP, as the PushStream module's publishers and statistics have it. The
//! channels are opened here, what is to be published goes to the broker, and all shards are asked how many
//! subscribers they have.

use crate::exchange::{Answer, Operation, Publish};
use crate::http_answer::{Asker, NEVER_KEPT};
use crate::message::{self, Posted};
use crate::names::ChannelName;
use crate::position::{MessageId, Offset};
use crate::protocol::Subscribe;
use crate::pushstream::info::{self, Host, Info};
use crate::pushstream::publisher::{Desk, Of, Refused, Request, Verb};
use crate::pushstream::request::BadRequest;
use crate::refusal::Refusal;

use super::channels::ShardMessage;
use super::connection::{PendingChannel, PendingSubscribe, Phase};
use super::events::Happened;
use super::slab::Key;
use super::surveys::{Counted, Survey};
use super::tickets::{Kind, ticket};
use super::wires::At;
use super::{Outside, Shard};

/// A request under way.
#[derive(Debug)]
pub(super) struct Job {
    asker: Asker,
    desk: Desk,
    request: Request,
    items: Vec<PendingChannel>,
    /// How far its message has brought each channel.
    reached: Vec<Offset>,
    /// Answers that are missing: of the broker, or of shards.
    missing: usize,
    /// What is to be published is on its way, or has been.
    published: bool,
    refused: Option<Refusal>,
    survey: Survey,
}

impl Job {
    /// The channels that it holds open.
    pub(super) fn items(&self) -> &[PendingChannel] {
        &self.items
    }
}

impl Shard {
    /// Something is asked of channels.
    pub(super) fn job_asked(
        &mut self,
        key: Key,
        (desk, request): (Desk, Result<Request, Refused>),
        asker: Asker,
        outside: &mut impl Outside,
    ) {
        let request = match request {
            Ok(request) => request,
            Err(refused) => {
                let (status, explain) = refused.explain();
                return self.refuse_job(key, desk, &asker, (status, explain));
            }
        };
        let now = self.ticks;
        let names = if let Of::Named(names) = &request.of { names.clone() } else { Vec::new() };
        let open = |channel: ChannelName| Subscribe { channel, position: None, history: 0 };
        let asked: Vec<Subscribe> = names.into_iter().map(open).collect();
        if !self.make_room_for(&asked, outside) {
            let (status, explain) = BadRequest::TooMany.explain();
            return self.refuse_job(key, desk, &asker, (status, explain));
        }
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.phase = Phase::Asked;
        connection.since = now;
        let (items, reached, survey) = (Vec::new(), Vec::new(), Survey::default());
        let job =
            Job { asker, desk, request, items, reached, missing: 0, published: false, refused: None, survey };
        connection.talk().job = Some(Box::new(job));
        self.schedule(key);
        self.open_for(key, PendingSubscribe::of_job(), asked, outside);
    }

    fn job(&mut self, key: Key) -> Option<&mut Job> {
        self.connections.get_mut(key)?.talk.as_deref_mut()?.job.as_deref_mut()
    }

    /// All its channels are open.
    pub(super) fn begin_job(&mut self, key: Key, items: Vec<PendingChannel>, outside: &mut impl Outside) {
        let Some(job) = self.job(key) else { return };
        job.reached = vec![Offset::START; items.len()];
        job.items = items;
        match &job.request.verb {
            Verb::Publish(posted) => {
                let posted = posted.clone();
                self.publish_job(key, &posted, outside);
            }
            // What is to be deleted must be there, perhaps only on another shard.
            Verb::Delete(_) | Verb::Tell => self.survey_job(key, outside),
        }
    }

    /// Publishes in all of its channels, or deletes those that there are.
    fn publish_job(&mut self, key: Key, posted: &Posted<'_>, outside: &mut impl Outside) {
        let Some(job) = self.job(key) else { return };
        let channels = job.items.clone();
        let survey = std::mem::take(&mut job.survey);
        let (mut asked, mut overloaded) = (0, false);
        for (number, item) in (0..).zip(channels) {
            let Some(channel) = self.channels.at(item.channel) else { continue };
            let name = channel.name.clone();
            let subscribers = survey.of.get(&name).map_or(0, |counted| counted.subscribers);
            if posted.deletes && self.stored_and_published(item.channel).0 + subscribers == 0 {
                continue;
            }
            let id = MessageId::from_random(outside.random());
            let payload = message::posted(posted, id, self.now.unix);
            let publish = Publish { channel: name, sender: None, key: None, id, payload };
            let ticket = ticket(Kind::Job, key, number);
            match self.try_broker(ticket, Operation::Publish(publish), outside) {
                Ok(()) => asked += 1,
                Err(_) => overloaded = true,
            }
        }
        let Some(job) = self.job(key) else { return };
        job.missing = asked;
        job.published = true;
        if overloaded {
            job.refused = Some(Refusal::Overloaded);
        }
        if asked == 0 {
            self.published_job(key, outside);
        }
    }

    /// All that was to be published has been.
    fn published_job(&mut self, key: Key, outside: &mut impl Outside) {
        let Some(job) = self.job(key) else { return };
        match job.refused {
            Some(refusal) => self.job_failed(key, refusal),
            None if matches!(job.request.verb, Verb::Delete(_)) => self.finish_job(key),
            None => self.survey_job(key, outside),
        }
    }

    /// The broker has answered for one of its channels.
    pub(super) fn job_answered(
        &mut self,
        key: Key,
        number: u64,
        answer: &Answer,
        outside: &mut impl Outside,
    ) {
        let Some(job) = self.job(key) else { return };
        match answer {
            Answer::Published { position, .. } => {
                let reached = usize::try_from(number).ok().and_then(|number| job.reached.get_mut(number));
                if let Some(reached) = reached {
                    *reached = position.offset;
                }
            }
            Answer::Refused(refused) => job.refused = Some(refused.refusal),
            _ => {}
        }
        job.missing = job.missing.saturating_sub(1);
        if job.missing == 0 {
            self.published_job(key, outside);
        }
    }

    /// Asks all shards what they have of its channels.
    fn survey_job(&mut self, key: Key, outside: &mut impl Outside) {
        let shards = self.shards;
        let Some(job) = self.job(key) else { return };
        let of = job.request.of.clone();
        job.missing = usize::from(shards);
        let at = At { shard: self.shard, key };
        for shard in (0..shards).filter(|shard| *shard != at.shard) {
            self.tell_shard(shard, ShardMessage::Survey(Box::new((of.clone(), at))), outside);
        }
        let own = self.survey(&of);
        self.surveyed(key, own, outside);
    }

    /// A shard has answered.
    pub(super) fn surveyed(&mut self, key: Key, survey: Survey, outside: &mut impl Outside) {
        let Some(job) = self.job(key) else { return };
        job.survey.add(survey);
        job.missing = job.missing.saturating_sub(1);
        if job.missing > 0 {
            return;
        }
        match &job.request.verb {
            Verb::Delete(posted) if !job.published => {
                let posted = posted.clone();
                self.publish_job(key, &posted, outside);
            }
            _ => self.finish_job(key),
        }
    }

    fn finish_job(&mut self, key: Key) {
        let talk = self.connections.get_mut(key).and_then(|connection| connection.talk.as_deref_mut());
        let Some(job) = talk.and_then(|talk| talk.job.take()) else { return };
        let infos = self.infos(&job);
        self.let_go_of(&job.items);
        let own = &self.services.pushstream;
        let host = Host {
            hostname: own.host.0.clone(),
            pid: own.host.1,
            time: self.now.unix,
            uptime_s: self.now.mono_ms / 1_000,
            channels: job.survey.channels,
            wildcard_channels: job.survey.wildcard_channels,
        };
        let format = job.request.format;
        let publisher =
            if let Desk::Publisher(number) = job.desk { own.publishers.get(number) } else { None };
        let quiet = publisher.is_some_and(|publisher| !publisher.channel_info_on_publish);
        let body = match (&job.request.verb, &job.request.of, infos.as_slice()) {
            (Verb::Delete(_), _, _) => {
                let done = job.reached.iter().any(|reached| *reached > Offset::START);
                if let Of::Named(names) = &job.request.of {
                    for (name, _) in names.iter().zip(&job.reached).filter(|(_, at)| **at > Offset::START) {
                        self.happened(Happened::Destroyed, name);
                    }
                }
                let answer = if done { (200, "Channel deleted.") } else { (404, "") };
                return self.refuse_job(key, job.desk, &job.asker, answer);
            }
            (Verb::Publish(_), _, _) if quiet => {
                return self.refuse_job(key, job.desk, &job.asker, (200, ""));
            }
            (_, Of::Summary, _) => info::summary(format, &host, &job.survey.totals),
            (_, Of::Named(_), []) => return self.refuse_job(key, job.desk, &job.asker, (404, "")),
            (_, Of::Named(_), [one]) => info::one(format, one),
            (_, _, infos) => info::list(format, &host, infos),
        };
        let headers =
            format!("Content-Type: {}\r\n{}", format.content_type(), self.desk(job.desk, &job.asker));
        let answer = job.asker.answer(200, &headers, body.as_bytes());
        self.answer_request(key, &answer, job.asker.keep_alive);
    }

    /// How its channels are doing: those that there are, in the order in which they were named.
    fn infos(&self, job: &Job) -> Vec<Info> {
        let Of::Named(names) = &job.request.of else {
            let info = |(channel, counted): (&ChannelName, &Counted)| Info {
                channel: channel.clone(),
                published: counted.published,
                stored: counted.stored,
                subscribers: counted.subscribers,
            };
            return job.survey.of.iter().map(info).collect();
        };
        let mut infos = Vec::new();
        for ((channel, item), reached) in names.iter().zip(&job.items).zip(&job.reached) {
            let subscribers = job.survey.of.get(channel).map_or(0, |counted| counted.subscribers);
            let log = self.channels.at(item.channel).and_then(|one| one.log.as_ref());
            // What was just published may still be on its way here.
            let coming = log.map_or(0, |log| reached.0.saturating_sub(log.head_offset().0));
            let (stored, published) = self.stored_and_published(item.channel);
            let unstored = matches!(&job.request.verb, Verb::Publish(posted) if posted.unstored);
            let stored = if unstored { stored } else { stored + coming };
            let stored = stored.min(u64::from(self.services.pushstream.stored_max));
            if stored + subscribers > 0 || reached.0 > 0 || self.is_events(channel) {
                infos.push(Info {
                    channel: channel.clone(),
                    published: published + coming,
                    stored,
                    subscribers,
                });
            }
        }
        infos
    }

    /// It cannot be done, or could not be done everywhere.
    pub(super) fn job_failed(&mut self, key: Key, refusal: Refusal) {
        let talk = self.connections.get_mut(key).and_then(|connection| connection.talk.as_deref_mut());
        let Some(job) = talk.and_then(|talk| talk.job.take()) else { return };
        self.let_go_of(&job.items);
        let (status, explain) = match refusal {
            Refusal::ChannelsFull => BadRequest::TooMany.explain(),
            other => (other.row().http.unwrap_or(503), other.row().message),
        };
        self.refuse_job(key, job.desk, &job.asker, (status, explain));
    }

    /// An answer without a body.
    pub(super) fn refuse_job(&mut self, key: Key, desk: Desk, asker: &Asker, (status, explain): (u16, &str)) {
        let mut headers = self.desk(desk, asker);
        if status == 405 {
            let methods = self.publisher_methods(desk);
            headers.push_str(&format!("Allow: {methods}\r\n"));
        }
        let answer = match explain {
            "" => asker.answer(status, &headers, b""),
            explain => asker.explained(status, explain, &headers),
        };
        self.answer_request(key, &answer, asker.keep_alive);
    }

    fn publisher_methods(&self, desk: Desk) -> &'static str {
        let Desk::Publisher(number) = desk else { return "GET" };
        self.services.pushstream.publishers.get(number).map_or("GET", |publisher| publisher.methods())
    }

    /// The headers of all answers at a location.
    pub(super) fn desk(&self, desk: Desk, asker: &Asker) -> String {
        let Desk::Publisher(number) = desk else { return NEVER_KEPT.to_owned() };
        let publisher = self.services.pushstream.publishers.get(number);
        let allowed = publisher.and_then(|publisher| publisher.allowed_origins.as_deref());
        asker.pushstream(self.publisher_methods(desk), allowed)
    }
}
