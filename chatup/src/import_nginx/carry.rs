//! A location of the module as one of ours: its mode, and what its directives, and those of the blocks around
//! it, say.

use chatup_core::pushstream::padding::Agents;

use crate::config::pushstream::{Location, LocationMode, PAGE_BYTES_MAX, TEMPLATE_BYTES_MAX};

use super::ImportError;
use super::parse::Directive;
use super::paths::is_whole;
use super::value::{self, Piece};
use super::walk::{PREFIX, Scope, Walk};

/// The module's default for `message_template`, and ours for a location.
const TEMPLATE: &str = "~text~";

/// Whether a browser runs scripts in what has this content type.
fn is_markup(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "text/html" || kind == "text/xml" || kind.ends_with("/xml") || kind.ends_with("+xml")
}

/// What is wrong with a name for a mode.
fn modes(known: &[(&str, LocationMode)]) -> String {
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    format!("takes one of {}", names.join(", "))
}

impl<'a> Walk<'a> {
    /// What a location is for, if it is for something; and the directive that says so.
    pub(super) fn role(
        &self,
        scope: &Scope<'a, '_>,
    ) -> Result<Option<(LocationMode, &'a Directive)>, ImportError> {
        const SUBSCRIBERS: [(&str, LocationMode); 5] = [
            ("streaming", LocationMode::Streaming),
            ("polling", LocationMode::Polling),
            ("long-polling", LocationMode::LongPolling),
            ("eventsource", LocationMode::EventSource),
            ("websocket", LocationMode::WebSocket),
        ];
        const PUBLISHERS: [(&str, LocationMode); 2] =
            [("normal", LocationMode::Publisher), ("admin", LocationMode::PublisherAdmin)];
        let mut found: Option<(LocationMode, &'a Directive)> = None;
        for directive in &scope.level {
            // The first of these is what it is without an argument.
            let modes_here: &[(&str, LocationMode)] = match directive.name().strip_prefix(PREFIX) {
                Some("subscriber") => &SUBSCRIBERS,
                Some("publisher") => &PUBLISHERS,
                Some("channels_statistics") => &[("", LocationMode::Statistics)],
                _ => continue,
            };
            if found.is_some() {
                return Err(self.error(directive, "the location is for something already"));
            }
            let mode = match directive.word(1) {
                None => modes_here.first(),
                Some(word) => modes_here.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)),
            };
            let mode = mode.ok_or_else(|| self.error(directive, modes(modes_here)))?;
            found = Some((mode.1, directive));
        }
        Ok(found)
    }

    /// The location's settings, but for its path.
    pub(super) fn location_of(
        &mut self,
        mode: LocationMode,
        directive: &'a Directive,
        scope: &Scope<'a, '_>,
    ) -> Result<Location, ImportError> {
        let mut location = Location::new(mode);
        if mode == LocationMode::Statistics {
            return Ok(location);
        }
        location.allowed_origins = self.allowed_origins(scope)?;
        if is_whole(mode) {
            location.channel_info_on_publish = self.switch(scope.module("channel_info_on_publish"), true)?;
            location.store_messages = self.switch(scope.module("store_messages"), false)?;
            return Ok(location);
        }
        self.notes.any_origin |= location.allowed_origins.as_deref() == Some("*");
        location.authorized_channels_only = self.switch(scope.module("authorized_channels_only"), false)?;
        if mode == LocationMode::WebSocket {
            location.websocket_allow_publish = self.switch(scope.module("websocket_allow_publish"), false)?;
            if location.websocket_allow_publish {
                location.store_messages = self.switch(scope.module("store_messages"), false)?;
            }
        }
        self.templates(&mut location, directive, scope)?;
        self.times(&mut location, directive, scope)?;
        let events = scope.module("allow_connections_to_events_channel");
        location.allow_connections_to_events_channel = self.switch(events, false)?;
        let wildcards = scope
            .module("wildcard_channel_max_qtd")
            .or_else(|| scope.module("max_number_of_wildcard_channels"));
        let wildcards = match wildcards {
            Some(said) => (usize::try_from(self.number(said)?).unwrap_or(usize::MAX), said),
            None => (0, directive),
        };
        self.notes.wildcards.push(wildcards);
        Ok(location)
    }

    fn templates(
        &mut self,
        location: &mut Location,
        directive: &'a Directive,
        scope: &Scope<'a, '_>,
    ) -> Result<(), ImportError> {
        if let Some(said) = scope.module("message_template") {
            let text = self.one(said)?;
            match text.len() {
                0 if location.mode != LocationMode::EventSource => {
                    return Err(self.error(said, "must not be empty"));
                }
                0 => {}
                length if length > TEMPLATE_BYTES_MAX => self.remark(
                    said,
                    format!(
                        "push_stream_message_template is not carried over: it has {length} bytes, and may \
                     have {TEMPLATE_BYTES_MAX}"
                    ),
                ),
                _ if text == TEMPLATE => {}
                _ => location.message_template = Some(text.to_owned()),
            }
        }
        // One of the two counts: the nearer.
        let names = ["header_template", "header_template_file"].map(|name| format!("{PREFIX}{name}"));
        let header = scope.nearest(&[&names[0], &names[1]]).last().copied();
        if let Some(said) = header {
            let text = if said.name() == names[0] {
                Some(self.one(said)?.to_owned())
            } else {
                let path = self.one(said)?;
                match self.files.read(path) {
                    Ok(text) => {
                        if !path.starts_with('/') {
                            self.remark(
                                said,
                                format!(
                                    "{path} was read from the directory of Nginx's configuration; the module \
                                     reads it from the one that Nginx was started in: see that it is the same"
                                ),
                            );
                        }
                        Some(text)
                    }
                    Err(error) => {
                        self.remark(
                            said,
                            format!("push_stream_header_template_file is not carried over: {path}: {error}"),
                        );
                        None
                    }
                }
            };
            location.header_template = self.page(said, text.unwrap_or_default());
        }
        if let Some(said) = scope.module("footer_template") {
            let text = self.one(said)?.to_owned();
            location.footer_template = self.page(said, text);
        }
        self.content_type(location, directive, scope);
        self.padding(location, scope)
    }

    fn content_type(&mut self, location: &mut Location, directive: &'a Directive, scope: &Scope<'a, '_>) {
        use LocationMode::{LongPolling, Polling, Streaming};
        if !matches!(location.mode, LongPolling | Polling | Streaming) {
            return;
        }
        self.notes.by_ending.get_or_insert(directive);
        let said = scope.nearest(&["default_type"]).last().copied();
        if let Some(kind) = said.and_then(|said| said.word(1)) {
            let is_type = kind.contains('/') && kind.bytes().all(|byte| (0x20..0x7f).contains(&byte));
            match said.filter(|_| !is_type) {
                Some(said) => self.remark(said, "default_type is not carried over: it is no content type"),
                None => kind.clone_into(&mut location.default_type),
            }
            if let Some(said) = said.filter(|_| is_markup(&location.default_type)) {
                self.remark(
                    said,
                    "what users write is shown as a page of this site here, scripts included: see that \
                     nobody publishes < and & unescaped, or take another default_type",
                );
            }
        }
    }

    fn padding(&mut self, location: &mut Location, scope: &Scope<'a, '_>) -> Result<(), ImportError> {
        let Some(said) = scope.module("padding_by_user_agent") else { return Ok(()) };
        let text = self.one(said)?;
        // Of the others, the module pads none either.
        if !matches!(location.mode, LocationMode::Streaming | LocationMode::EventSource) || text.is_empty() {
            return Ok(());
        }
        if Agents::read(text).is_some() {
            text.clone_into(&mut location.padding_by_user_agent);
        } else {
            let text = "push_stream_padding_by_user_agent is not carried over: it is not made of regular \
                        expressions without look-around and of numbers up to 65536";
            self.remark(said, text);
        }
        Ok(())
    }

    fn page(&mut self, said: &Directive, text: String) -> String {
        if text.len() <= PAGE_BYTES_MAX {
            return text;
        }
        let length = text.len();
        self.remark(
            said,
            format!(
                "{} is not carried over: it has {length} bytes, and may have {PAGE_BYTES_MAX}",
                said.name()
            ),
        );
        String::new()
    }

    fn times(
        &mut self,
        location: &mut Location,
        directive: &'a Directive,
        scope: &Scope<'a, '_>,
    ) -> Result<(), ImportError> {
        let mut seconds = |name: &str| -> Result<Option<u64>, ImportError> {
            let Some(said) = scope.module(name) else { return Ok(None) };
            let time_ms = self.time(said)?;
            Ok(Some(self.whole_seconds(said, time_ms)))
        };
        let ping = seconds("ping_message_interval")?;
        location.subscriber_connection_ttl_s = seconds("subscriber_connection_ttl")?;
        let longpolling = seconds("longpolling_connection_ttl")?;
        // A stream can be turned into a long poll, a WebSocket cannot.
        location.longpolling_connection_ttl_s =
            longpolling.filter(|_| location.mode != LocationMode::WebSocket);
        match location.mode {
            LocationMode::WebSocket | LocationMode::EventSource | LocationMode::Streaming => {
                location.ping_message_interval_s = ping;
                if ping.is_none() {
                    self.notes.without_ping.get_or_insert(directive);
                }
            }
            LocationMode::LongPolling if longpolling.or(location.subscriber_connection_ttl_s).is_none() => {
                self.notes.without_end.get_or_insert(directive);
            }
            _ => {}
        }
        Ok(())
    }

    /// As a setting, if it has no variable; Nginx adds the header otherwise.
    fn allowed_origins(&mut self, scope: &Scope<'a, '_>) -> Result<Option<String>, ImportError> {
        let Some(said) = scope.module("allowed_origins") else { return Ok(None) };
        let text = self.one(said)?;
        let pieces = value::pieces(text).map_err(|what| self.error(said, what))?;
        let is_literal = pieces.iter().all(|piece| matches!(piece, Piece::Literal(_)));
        if !is_literal || text.is_empty() {
            return Ok(None);
        }
        if !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            self.remark(
                said,
                "push_stream_allowed_origins is not carried over: it holds more than a header may",
            );
            return Ok(None);
        }
        Ok(Some(text.to_owned()))
    }
}
