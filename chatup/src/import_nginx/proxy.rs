//! A location of the module as one that proxies to the worker: what is put into it, and what is taken out.

use crate::config::pushstream::LocationMode;

use super::ImportError;
use super::access::needs_its_path;
use super::conditions::{ends_early, is_script, is_step};
use super::files::level;
use super::parse::{Directive, written};
use super::paths::is_whole;
use super::pattern::Pattern;
use super::route::{self, Channels, Route, no_break};
use super::value::{self, Piece};
use super::walk::{PREFIX, Scope, Walk};

/// Directives that answer by themselves: the module's came after them.
pub(super) const ANSWERS: [&str; 7] =
    ["proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass", "empty_gif"];
/// Answers go out at once, and silence is the worker's to judge: it pings.
const HANDED_ON: [&str; 5] = [
    "proxy_http_version 1.1;",
    "proxy_buffering off;",
    "proxy_connect_timeout 5s;",
    "proxy_read_timeout 1h;",
    "proxy_send_timeout 1h;",
];
/// Two for each connection, one a direction.
const BUFFER: &str = "proxy_buffer_size 4k;";

/// What a subscriber has seen: the directive, the argument and the header in which a worker looks for it.
pub(super) const SEEN: [(&str, &str, &str); 3] = [
    ("last_received_message_time", "time", "If-Modified-Since"),
    ("last_received_message_tag", "tag", "If-None-Match"),
    ("last_event_id", "eventid", "Last-Event-ID"),
];

impl<'a> Walk<'a> {
    /// Carries a location over, if it is one of the module's.
    pub(super) fn location(
        &mut self,
        directive: &'a Directive,
        scope: &Scope<'a, '_>,
    ) -> Result<bool, ImportError> {
        let Some((mode, _)) = self.role(scope)? else { return Ok(false) };
        let pattern = Pattern::of(directive).map_err(|what| self.error(directive, what))?;
        let Some(channels_path) = scope.module("channels_path") else {
            return Err(self.error(directive, "push_stream_channels_path is missing"));
        };
        self.notes.first.get_or_insert(directive);
        let location = self.location_of(mode, directive, scope)?;
        let mut lines = Vec::new();
        if is_whole(mode) {
            self.guarded(directive, scope, &mut lines);
        }
        let (extra, seen) = self.seen(mode, scope)?;
        self.proxied(mode, scope, &seen, &mut lines);
        let headers = self.headers(mode, scope)?;
        if !headers.is_empty() && scope.own("add_header").is_none() {
            // Those that were inherited would not be any more.
            lines.extend(scope.nearest(&["add_header"]).iter().map(|one| self.written(one).to_owned()));
        }
        let adds = |one: &&&Directive| {
            let is_module = |inner: &Directive| inner.name().starts_with(PREFIX);
            one.name() == "if"
                && one.inside().iter().any(|inner| inner.name() == "add_header")
                && !one.inside().iter().any(is_module)
        };
        if let Some(condition) = scope.level.iter().find(adds).filter(|_| !headers.is_empty()) {
            self.remark(
                condition,
                "add_header in this if takes the location's Access-Control-Allow-Origin away: repeat it there",
            );
        }
        lines.extend(headers.iter().cloned());
        self.bodies(mode, directive, scope);
        self.others(directive, scope);
        let Some(path) = self.paths.add(&pattern.stem(), &location, self.place(directive)) else {
            self.remark(directive, "is not carried over: there are too many locations; it answers 501");
            self.refuse_all(directive, scope, lines);
            return Ok(true);
        };
        if let Some(said) =
            scope.module("padding_by_user_agent").filter(|_| !location.padding_by_user_agent.is_empty())
        {
            self.notes.padded.push((path.clone(), said));
        }
        let channels = if is_whole(mode) { Channels::InArgument } else { Channels::InPath };
        let place = Place { pattern: &pattern, path: &path, channels, extra: &extra };
        let mut own = self.route(channels_path, &place)?;
        let mut ways = self.conditions(scope, &place)?;
        let mut routes = ways.iter().filter_map(|(_, way)| way.as_ref()).chain(own.as_ref());
        if let Some(why) = needs_its_path(scope).filter(|_| routes.any(|route| route.rewrite.is_some())) {
            self.not_carried(channels_path, why);
            own = None;
            ways.clear();
        }
        if let Some(script) = scope.level.iter().copied().find(|one| is_script(one.name())) {
            self.not_carried(script, "a script answers here too, and may refuse what the worker would not");
            own = None;
            ways.clear();
        }
        if own.is_none() && (ways.is_empty() || ends_early(&scope.level)) {
            self.refuse_all(directive, scope, lines);
            return Ok(true);
        }
        let mut guards: Vec<String> = ways
            .iter()
            .filter_map(|(_, way)| way.as_ref())
            .chain(own.as_ref())
            .flat_map(|way| way.guards.clone())
            .collect();
        if self.variables.makes_arguments() {
            guards.push(no_break("args"));
        }
        for guard in guards {
            if !lines.contains(&guard) {
                lines.push(guard);
            }
        }
        // The last condition that holds counts in Nginx; here the first that is asked.
        for (condition, way) in ways.iter().rev() {
            self.edits.remove(condition);
            let inside = level(condition.inside());
            let rest = inside.iter().filter(|one| !one.name().starts_with(PREFIX));
            if rest.clone().next().is_some() {
                self.remark(condition, "this if stands at the end of its location now");
            }
            let head = condition.words.last().map_or(0, |word| word.span.end);
            lines.push(format!("{} {{", self.between(condition, condition.span.start, head)));
            lines.extend(rest.clone().map(|one| format!("    {}", self.written(one))));
            // One header that is added there takes the location's away.
            if rest.clone().any(|one| one.name() == "add_header") {
                lines.extend(
                    headers
                        .iter()
                        .filter(|line| line.starts_with("add_header"))
                        .map(|line| format!("    {line}")),
                );
            }
            lines.extend(self.way(way.as_ref(), true).into_iter().map(|line| format!("    {line}")));
            lines.push("}".to_owned());
        }
        lines.extend(self.way(own.as_ref(), false));
        self.edits.at_end(directive, lines);
        Ok(true)
    }

    /// The directives of a way to the worker; without one nobody else shall answer.
    fn way(&self, route: Option<&Route>, conditional: bool) -> Vec<String> {
        let Some(route) = route else { return vec!["return 501;".to_owned()] };
        let mut lines: Vec<String> = route.rewrite.iter().cloned().collect();
        if conditional && lines.is_empty() {
            lines.push("break;".to_owned());
        }
        let target = format!("http://{}_worker{}", self.prefix, route.target);
        lines.push(format!("proxy_pass {};", written(&target)));
        lines
    }

    /// Has a location answer 501 to everybody, before anything in it that could pass over that.
    fn refuse_all(&mut self, directive: &Directive, scope: &Scope<'a, '_>, mut lines: Vec<String>) {
        let answer = "return 501;".to_owned();
        match scope.level.iter().copied().find(|one| is_step(one)) {
            Some(first) => self.edits.before(first, vec![answer]),
            None => lines.push(answer),
        }
        self.edits.at_end(directive, lines);
    }

    pub(super) fn route(
        &mut self,
        said: &Directive,
        place: &Place<'_>,
    ) -> Result<Option<Route>, ImportError> {
        let pieces = value::pieces(self.one(said)?).map_err(|what| self.error(said, what))?;
        match route::find(&pieces, place.pattern, place.path, place.channels, place.extra, &self.variables) {
            Ok(route) => {
                if let Some(caveat) = route.caveat {
                    self.remark(said, format!("push_stream_channels_path: {caveat}"));
                }
                Ok(Some(route))
            }
            Err(why) => {
                self.not_carried(said, why);
                Ok(None)
            }
        }
    }

    /// Arguments and headers that say what a subscriber has seen, where the worker would not find it.
    fn seen(
        &mut self,
        mode: LocationMode,
        scope: &Scope<'a, '_>,
    ) -> Result<(Vec<String>, Vec<String>), ImportError> {
        let (mut arguments, mut headers) = (Vec::new(), Vec::new());
        if is_whole(mode) {
            return Ok((arguments, headers));
        }
        for (name, argument, header) in SEEN {
            let Some(said) = scope.module(name) else { continue };
            let text = self.one(said)?;
            let pieces = value::pieces(text).map_err(|what| self.error(said, what))?;
            let own = format!("http_{}", header.to_ascii_lowercase().replace('-', "_"));
            match pieces.as_slice() {
                [piece] if self.variables.is_argument(piece) => {
                    if piece.argument() != Some(argument) {
                        arguments.push(format!("{argument}={text}"));
                    }
                }
                [piece @ Piece::Variable(name)] if *name == own && self.variables.is_sent(piece) => {}
                _ if let Some(what) = self.variables.unsafe_in_header(&pieces) => self.unsafe_header(
                    said,
                    &what,
                    &format!("the worker reads the argument {argument}, or the header {header}"),
                ),
                _ => {
                    headers.push(format!("proxy_set_header {header} {};", written(text)));
                    self.remark(
                        said,
                        format!(
                            "{} comes to the worker as the header {header}: the argument {argument} of a URL \
                     goes before it",
                            said.name()
                        ),
                    );
                }
            }
        }
        Ok((arguments, headers))
    }

    /// Says that a header is not written with what it was to hold, and what counts instead.
    fn unsafe_header(&mut self, said: &Directive, what: &str, instead: &str) {
        let text = format!(
            "{} is not carried over: {what} may hold line breaks, with which a client would write headers of \
             its own; {instead}",
            said.name()
        );
        self.remark(said, text);
    }

    /// A location's own header for the worker, if it may not stay.
    fn unsafe_own(&self, own: &Directive) -> Option<String> {
        if own.name() != "proxy_set_header" {
            return None;
        }
        // What has a nameless $ is for Nginx to refuse.
        let pieces = own.arguments().filter_map(|word| value::pieces(word).ok()).flatten();
        self.variables.unsafe_as_written(&pieces.collect::<Vec<_>>())
    }

    /// What is said to the worker, and how its answers are handed on. What the location says itself stays.
    fn proxied(
        &mut self,
        mode: LocationMode,
        scope: &Scope<'a, '_>,
        seen: &[String],
        lines: &mut Vec<String>,
    ) {
        use LocationMode::{EventSource, Streaming, WebSocket};
        if matches!(mode, EventSource | Streaming | WebSocket) && scope.own("gzip").is_none() {
            lines.push("gzip off;".to_owned());
            let outside = scope.get("gzip").filter(|said| said.word(1) == Some("on"));
            if let Some(said) = outside.filter(|_| mode != WebSocket) {
                self.remark(
                    said,
                    "streams and event sources are not compressed here: their locations have gzip off",
                );
            }
        }
        let has = |name: &str| scope.own(name).is_some();
        let mut plain = |line: &str| {
            if !has(line.split(' ').next().unwrap_or_default()) {
                lines.push(line.to_owned());
            }
        };
        if !self.shared {
            HANDED_ON.into_iter().for_each(&mut plain);
            // These go together: one that is smaller than another is an error.
            let buffers = ["proxy_buffer_size", "proxy_buffers", "proxy_busy_buffers_size"];
            if buffers.iter().all(|name| scope.get(name).is_none()) {
                plain(BUFFER);
            }
            for name in ["proxy_cache", "proxy_intercept_errors"] {
                if scope.get(name).is_some() {
                    plain(&format!("{name} off;"));
                }
            }
        }
        // One header that is set here takes all of the server's away.
        if !self.shared || !seen.is_empty() {
            let sets = |header: &str| {
                let mut own = scope
                    .level
                    .iter()
                    .filter(|one| one.name() == "proxy_set_header" && self.unsafe_own(one).is_none());
                own.any(|one| one.word(1).is_some_and(|name| name.eq_ignore_ascii_case(header)))
            };
            lines.extend(
                self.set_headers().into_iter().filter(|(header, _)| !sets(header)).map(|(_, line)| line),
            );
        }
        lines.extend(seen.iter().cloned());
    }

    /// The same for all locations of a server.
    pub(super) fn shared_lines(&self) -> Vec<String> {
        let mut lines =
            vec!["# For what is proxied to the ChatUp worker; nothing else here is proxied.".to_owned()];
        lines.extend(HANDED_ON.into_iter().chain([BUFFER]).map(str::to_owned));
        lines.extend(self.set_headers().into_iter().map(|(_, line)| line));
        lines.push(String::new());
        lines
    }

    fn set_headers(&self) -> Vec<(&'static str, String)> {
        let prefix = &self.prefix;
        let headers = [
            ("Upgrade", format!("${prefix}_upgrade")),
            ("Connection", format!("${prefix}_connection")),
            ("Host", "$host".to_owned()),
            // Set, not added to: what a client says of itself is not passed on.
            ("X-Forwarded-For", "$remote_addr".to_owned()),
            ("X-Forwarded-Proto", "$scheme".to_owned()),
            ("Forwarded", "\"\"".to_owned()),
            // A site's cookies could fill what a worker reads of a head.
            ("Cookie", "\"\"".to_owned()),
        ];
        headers.map(|(header, text)| (header, format!("proxy_set_header {header} {text};"))).into()
    }

    /// Headers of answers that the worker cannot make.
    fn headers(&mut self, mode: LocationMode, scope: &Scope<'a, '_>) -> Result<Vec<String>, ImportError> {
        let Some(said) = scope.module("allowed_origins") else { return Ok(Vec::new()) };
        let origins = self.one(said)?;
        if !origins.contains('$') || matches!(mode, LocationMode::WebSocket | LocationMode::Statistics) {
            return Ok(Vec::new());
        }
        let pieces = value::pieces(origins).map_err(|what| self.error(said, what))?;
        if let Some(what) = self.variables.unsafe_in_header(&pieces) {
            self.unsafe_header(said, &what, "pages may read that worker.origins names");
            return Ok(Vec::new());
        }
        Ok(vec![
            "proxy_hide_header Access-Control-Allow-Origin;".to_owned(),
            format!("add_header Access-Control-Allow-Origin {} always;", written(origins)),
        ])
    }

    /// What of the location's other directives has another meaning now.
    fn others(&mut self, directive: &'a Directive, scope: &Scope<'a, '_>) {
        for own in scope.level.iter().copied() {
            if ANSWERS.contains(&own.name()) {
                self.edits.remove(own);
                self.remark(own, format!("{} is taken out: the worker answers here", own.name()));
            } else if let Some(what) = self.unsafe_own(own) {
                self.edits.remove(own);
                self.unsafe_header(own, &what, "it goes to the worker without");
            } else if own.name() == "rewrite" {
                self.remark(
                    own,
                    "a rewrite in a location of the module stays: see that it leads to the worker's path \
                     still",
                );
            }
        }
        if scope.own("try_files").is_some() {
            self.remark(directive, "try_files stays: see that it leads here still");
        }
    }
}

/// What a way to the worker depends on.
pub(super) struct Place<'p> {
    pattern: &'p Pattern,
    path: &'p str,
    channels: Channels,
    extra: &'p [String],
}
