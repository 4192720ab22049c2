//! The module's directives of the whole server, and what is said of those that have no place here.

use crate::config::pushstream::LOCATIONS_MAX;
use crate::config::tables::StatsFrom;
use chatup_core::limits::CHANNEL_NAME_BYTES_MAX;
use chatup_core::names::ChannelName;

use super::ImportError;
use super::parse::Directive;
use super::value;
use super::walk::{Scope, Walk};

/// What a location is for.
pub(super) const ROLES: [&str; 3] = ["subscriber", "publisher", "channels_statistics"];

/// Those of the http block only.
pub(super) const MAIN: [&str; 13] = [
    "shared_memory_size",
    "channel_deleted_message_text",
    "channel_inactivity_time",
    "ping_message_text",
    "timeout_with_body",
    "message_ttl",
    "max_subscribers_per_channel",
    "max_messages_stored_per_channel",
    "max_channel_id_length",
    "max_number_of_channels",
    "max_number_of_wildcard_channels",
    "wildcard_channel_prefix",
    "events_channel_id",
];

/// Those that may stand in an `if`.
pub(super) const IN_IF: [&str; 6] = [
    "channels_path",
    "store_messages",
    "last_received_message_time",
    "last_received_message_tag",
    "last_event_id",
    "allow_connections_to_events_channel",
];

/// Those of http, server and location.
const INHERITED: [&str; 14] = [
    "channel_info_on_publish",
    "authorized_channels_only",
    "header_template_file",
    "header_template",
    "message_template",
    "footer_template",
    "wildcard_channel_max_qtd",
    "ping_message_interval",
    "subscriber_connection_ttl",
    "longpolling_connection_ttl",
    "websocket_allow_publish",
    "user_agent",
    "padding_by_user_agent",
    "allowed_origins",
];

/// All that the module knows (0.6.0).
pub(super) const KNOWN: [&[&str]; 4] = [&ROLES, &MAIN, &IN_IF, &INHERITED];

/// Directives that have no place here, and why.
const LOST: [(&str, &str); 1] =
    [("shared_memory_size", "is not needed: [limits] and [history] bound memory here")];

/// The module's default for `message_ttl`, in seconds.
const MESSAGE_TTL_S: u64 = 1_800;
/// The default of `history.size`.
const HISTORY_SIZE: u64 = 100;

/// Whether some channels are wildcard channels.
fn has_wildcards(http: &Scope<'_, '_>) -> bool {
    let prefix = http.module("wildcard_channel_prefix").and_then(|directive| directive.word(1));
    prefix.is_some_and(|prefix| !prefix.is_empty())
}

/// What is known of all locations together.
#[derive(Default)]
pub(super) struct Notes<'a> {
    /// `wildcard_channel_max_qtd` of the subscribers, 0 where there is none.
    pub(super) wildcards: Vec<(usize, &'a Directive)>,
    /// The first location without each of these.
    pub(super) without_ping: Option<&'a Directive>,
    pub(super) without_end: Option<&'a Directive>,
    /// Any location.
    pub(super) first: Option<&'a Directive>,
    /// A subscribers' location that pages of any site may read.
    pub(super) any_origin: bool,
    /// A location that is guarded, but not only for this machine.
    pub(super) guarded: Option<&'a Directive>,
    /// The first location whose content type the module takes from a path's ending.
    pub(super) by_ending: Option<&'a Directive>,
    /// The worker's paths whose user agents are padded for, and what says so.
    pub(super) padded: Vec<(String, &'a Directive)>,
}

impl<'a> Walk<'a> {
    /// A number of a directive, at least 1.
    pub(super) fn number(&self, directive: &Directive) -> Result<u64, ImportError> {
        let number = value::count(self.one(directive)?);
        number.filter(|number| *number > 0).ok_or_else(|| self.error(directive, "takes a number from 1 on"))
    }

    /// A switch.
    pub(super) fn switch(&self, directive: Option<&Directive>, default: bool) -> Result<bool, ImportError> {
        let Some(directive) = directive else { return Ok(default) };
        value::switch(self.one(directive)?).ok_or_else(|| self.error(directive, "takes on or off"))
    }

    /// A time in milliseconds, at least 1.
    pub(super) fn time(&self, directive: &Directive) -> Result<u64, ImportError> {
        let time = value::milliseconds(self.one(directive)?);
        time.filter(|time| *time > 0)
            .ok_or_else(|| self.error(directive, "takes a time above 0, such as 30s"))
    }

    /// Says what is lost of a directive, wherever it stands.
    pub(super) fn lost(&mut self, directive: &Directive, name: &str) -> Result<(), ImportError> {
        let is_known = KNOWN.iter().any(|known| known.contains(&name));
        let arguments = directive.words.len().saturating_sub(1);
        let takes = match name {
            "channels_statistics" => 0..=0,
            "publisher" | "subscriber" => 0..=1,
            "shared_memory_size" => 1..=2,
            _ => 1..=1,
        };
        if directive.block.is_some() || (is_known && !takes.contains(&arguments)) {
            return Err(self.error(directive, "has too many arguments, or too few"));
        }
        let says_nothing = directive.word(1).is_none_or(str::is_empty);
        if let Some((_, why)) = LOST.iter().find(|(lost, _)| *lost == name) {
            if !says_nothing {
                self.remark(directive, format!("{} {why}", directive.name()));
            }
        } else if name == "user_agent" && directive.word(1) != Some("$http_user_agent") && !says_nothing {
            self.remark(
                directive,
                format!(
                    "{} is not carried over: the header User-Agent says who is padded for",
                    directive.name()
                ),
            );
        } else if !is_known {
            self.remark(
                directive,
                format!(
                    "{} is not carried over: version 0.6.0 of the module does not know it",
                    directive.name()
                ),
            );
        }
        Ok(())
    }

    /// What is said for the whole server.
    pub(super) fn main(&mut self, http: &Scope<'a, '_>) -> Result<(), ImportError> {
        let mut counted = Vec::new();
        if let Some(directive) = http.module("message_ttl") {
            let time_ms = self.time(directive)?;
            self.settings.message_ttl_s = self.whole_seconds(directive, time_ms);
        } else {
            self.settings.message_ttl_s = MESSAGE_TTL_S;
        }
        if let Some(directive) = http.module("max_messages_stored_per_channel") {
            let number = self.number(directive)?;
            self.settings.max_messages_stored_per_channel = u32::try_from(number).unwrap_or(u32::MAX);
            if number > HISTORY_SIZE {
                self.remark(
                    directive,
                    format!(
                        "of a room history.size messages are kept, {HISTORY_SIZE} by default: set it to \
                     {number}"
                    ),
                );
            }
        }
        if let Some(directive) = http.module("max_subscribers_per_channel") {
            let number = self.number(directive)?;
            self.settings.max_subscribers_per_channel = u32::try_from(number).unwrap_or(u32::MAX);
            self.remark(directive, "max_subscribers_per_channel is counted on each shard by itself here");
        }
        for (name, kept) in [
            ("max_number_of_channels", &mut self.settings.max_number_of_channels),
            ("max_number_of_wildcard_channels", &mut self.settings.max_number_of_wildcard_channels),
        ] {
            if let Some(directive) = http.module(name) {
                counted.push((directive, name));
                let number = directive.word(1).and_then(value::count);
                *kept = number.map_or(0, |number| u32::try_from(number).unwrap_or(u32::MAX));
            }
        }
        for (directive, name) in counted {
            self.number(directive)?;
            if name == "max_number_of_wildcard_channels" && !has_wildcards(http) {
                self.settings.max_number_of_wildcard_channels = 0;
                let text = "max_number_of_wildcard_channels is not carried over: without \
                            push_stream_wildcard_channel_prefix there are no such channels";
                self.remark(directive, text);
                continue;
            }
            self.remark(directive, format!("{name} counts what is open, on each shard by itself, here"));
        }
        if let Some(directive) = http.module("channel_inactivity_time") {
            let time_ms = self.time(directive)?;
            self.settings.channel_inactivity_time_s = self.whole_seconds(directive, time_ms);
        }
        if let Some(directive) = http.module("max_channel_id_length") {
            let number = self.number(directive)?;
            let most = usize::try_from(number).unwrap_or(usize::MAX);
            self.settings.max_channel_id_length = most.min(CHANNEL_NAME_BYTES_MAX);
            if most > CHANNEL_NAME_BYTES_MAX {
                self.remark(
                    directive,
                    format!("names of channels have up to {CHANNEL_NAME_BYTES_MAX} bytes here, not {number}"),
                );
            }
        }
        if let Some(directive) = http.module("events_channel_id") {
            let name = self.one(directive)?;
            if name.is_empty() || ChannelName::new(name).is_ok() {
                name.clone_into(&mut self.settings.events_channel_id);
            } else {
                let text =
                    "push_stream_events_channel_id is not carried over: it is no name of a channel here";
                self.remark(directive, text);
            }
        }
        self.settings.timeout_with_body = self.switch(http.module("timeout_with_body"), false)?;
        for (name, kept) in [
            ("ping_message_text", &mut self.settings.ping_message_text),
            ("channel_deleted_message_text", &mut self.settings.channel_deleted_message_text),
            ("wildcard_channel_prefix", &mut self.settings.wildcard_channel_prefix),
        ] {
            if let Some(word) = http.module(name).and_then(|directive| directive.word(1)) {
                word.clone_into(kept);
            }
        }
        Ok(())
    }

    /// In seconds, rounded up: more is harmless, 0 would mean something else.
    pub(super) fn whole_seconds(&mut self, directive: &Directive, time_ms: u64) -> u64 {
        let seconds = time_ms.div_ceil(1_000);
        if !time_ms.is_multiple_of(1_000) {
            self.remark(directive, format!("{} is of whole seconds here: {seconds} s", directive.name()));
        }
        seconds
    }

    /// What can only be said when all locations are known.
    pub(super) fn finish(&mut self, http: &Scope<'a, '_>) -> Result<(), ImportError> {
        let Some(first) = self.notes.first else { return Ok(()) };
        self.wildcards(http);
        self.paddings();
        let origins = match self.notes.any_origin {
            true => " (\"*\" for those of any site, as push_stream_allowed_origins has it here)",
            false => "",
        };
        self.remark(first, format!("pages are let in by worker.origins: name their origins there{origins}"));
        if http.module("max_messages_stored_per_channel").is_none() {
            let text = format!(
                "of a room history.size messages are kept, {HISTORY_SIZE} by default; the module \
                     has no such bound here"
            );
            self.remark(first, text);
        }
        if http.module("max_channel_id_length").is_none() {
            let text = format!(
                "names of channels have up to {CHANNEL_NAME_BYTES_MAX} bytes; the module has no such \
                     bound here"
            );
            self.remark(first, text);
        }
        if let Some(location) = self.notes.without_ping {
            self.remark(
                location,
                "there is no push_stream_ping_message_interval: after limits.ping_after_ms (25 s) of silence \
                     something is sent all the same",
            );
        }
        if let Some(location) = self.notes.without_end {
            self.remark(location, "a long poll without a time to live ends after 30 s here, not never");
        }
        if let Some(location) = self.notes.by_ending {
            self.remark(
                location,
                "a path's ending goes over the content type in the module, here only with types_by_ending",
            );
        }
        if let Some(location) = self.notes.guarded {
            self.settings.publish_from = StatsFrom::Anyone;
            self.remark(
                location,
                "who may publish is asked by Nginx (pushstream.publish_from is \"anyone\"): let nobody \
                     else reach the worker's port",
            );
        }
        Ok(())
    }

    /// Groups of user agents count like locations: those that are too many are not padded for.
    fn paddings(&mut self) {
        let padded = std::mem::take(&mut self.notes.padded);
        for path in self.paths.without_padding() {
            for (_, said) in padded.iter().filter(|(own, _)| *own == path) {
                let text = format!(
                    "push_stream_padding_by_user_agent is not carried over for {path}: locations and their \
                     groups of user agents are {LOCATIONS_MAX} together, at most"
                );
                self.remark(said, text);
            }
        }
    }

    /// One number for all locations.
    fn wildcards(&mut self, http: &Scope<'a, '_>) {
        let numbers = std::mem::take(&mut self.notes.wildcards);
        let unbounded = numbers.iter().any(|(number, _)| *number == 0);
        let most = numbers.iter().map(|(number, _)| *number).max().unwrap_or(0);
        let chosen = if unbounded { 0 } else { most };
        for (number, directive) in numbers {
            if number != chosen {
                let bound = if chosen == 0 { "no bound".to_owned() } else { chosen.to_string() };
                self.remark(
                    directive,
                    format!(
                        "wildcard_channel_max_qtd is one for all locations here: {bound}, the widest of them"
                    ),
                );
            }
        }
        if has_wildcards(http) {
            self.settings.wildcard_channel_max_qtd = chosen;
        }
    }
}
