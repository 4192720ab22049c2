//! Which request it is: by its path, and what is served there.

use std::borrow::Cow;

use http::{Method, Request, Version};
use tungstenite::error::{Error, ProtocolError};
use tungstenite::handshake::server::{create_response, write_response};

use crate::deflate;
use crate::http_answer::Asker;
use crate::protocol;
use crate::pushstream::publisher::{self, Desk};
use crate::pushstream::request::BadRequest;
use crate::pushstream::{Framing, Mode, Want};
use crate::refusal::Refusal;
use crate::socketio;

use super::{Ask, Asking, Dialect, Get, Head, Services, Stream, Upgrade, What};

pub(super) fn decide(asking: &Asking<'_>, services: &Services) -> Result<Head, Refusal> {
    let request = &asking.request;
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or(""));
    let found = || {
        let forwarded_for = asking.forwarded_for();
        Head::Get(Get { path: path.into(), query: query.into(), forwarded_for })
    };
    let is_socket_io = services.socket_io && path == socketio::PATH;
    let location = services.pushstream.find(path);
    let desk = desk_of(path, services);
    if request.method() != Method::GET && !is_socket_io && location.is_none() && desk.is_none() {
        return Err(Refusal::MethodNotAllowed);
    }
    if path != protocol::PATH && !is_socket_io && location.is_none() && desk.is_none() {
        return Ok(found());
    }
    let origin = request.headers().get(http::header::ORIGIN);
    let origin = origin.map(|origin| origin.to_str().ok().filter(|origin| services.origins.allows(origin)));
    let origin = match origin {
        Some(None) => return Err(Refusal::ForbiddenOrigin),
        Some(Some(origin)) => Some(origin.to_owned()),
        None => None,
    };
    if is_socket_io {
        return socket_io(asking, origin);
    }
    if let Some(desk) = desk {
        return job(asking, desk, origin, services);
    }
    let Some((number, rest)) = location else {
        return upgrade(asking, Dialect::Native { call: first_call(query), deflates: services.deflate });
    };
    subscriber(asking, (number, rest), origin, services)
}

/// A request at a location of PushStream subscribers.
fn subscriber(
    asking: &Asking<'_>,
    (location, rest): (usize, &str),
    origin: Option<String>,
    services: &Services,
) -> Result<Head, Refusal> {
    let request = &asking.request;
    let socket = services.pushstream.locations.get(location).is_some_and(|one| one.mode == Mode::WebSocket);
    let asker = Asker { origin, keep_alive: asking.keeps_alive() };
    let used = asking.used;
    match *request.method() {
        Method::GET => {}
        Method::OPTIONS if !socket => {
            return Ok(Head::Ask(Ask { used, asker, what: What::Subscriber(location, true) }));
        }
        _ => {
            let asker = Asker { keep_alive: false, ..asker };
            return Ok(Head::Ask(Ask { used, asker, what: What::Subscriber(location, false) }));
        }
    }
    let query = request.uri().query().unwrap_or("");
    let mut want = Want::read(location, rest, query, request.headers(), &services.pushstream);
    if let Some(want) = want.as_mut().ok().filter(|want| want.mode.is_padded()) {
        let name = asking.header(http::header::USER_AGENT);
        want.location = services.pushstream.padded_for(location, name);
    }
    if socket {
        return match websocket_of(request) {
            Some(bad) => {
                let asker = Asker { keep_alive: false, ..asker };
                Ok(Head::Stream(Stream { used, location, want: Err(bad), framing: Framing::None, asker }))
            }
            // Version 8 has the same frames.
            None => upgrade_as_13(asking, Dialect::PushStream(want)),
        };
    }
    let framing = if request.version() == Version::HTTP_10 { Framing::None } else { Framing::Chunks };
    Ok(Head::Stream(Stream { used, location, want, framing, asker }))
}

/// What a request for a WebSocket lacks of one, in the module's words.
fn websocket_of(request: &Request<()>) -> Option<BadRequest> {
    use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
    let needed = [CONNECTION, UPGRADE, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION];
    if needed.iter().any(|name| !request.headers().contains_key(name)) {
        return Some(BadRequest::Headers);
    }
    let version = request.headers().get(SEC_WEBSOCKET_VERSION).and_then(|value| value.to_str().ok());
    (!matches!(version, Some("8" | "13"))).then_some(BadRequest::Version)
}

/// Where something is asked of channels.
fn desk_of(path: &str, services: &Services) -> Option<Desk> {
    let settings = &services.pushstream;
    if settings.statistics.iter().any(|own| own == path) {
        return Some(Desk::Statistics);
    }
    settings.publishers.iter().position(|publisher| publisher.path == path).map(Desk::Publisher)
}

/// Something is asked of channels.
fn job(
    asking: &Asking<'_>,
    desk: Desk,
    origin: Option<String>,
    services: &Services,
) -> Result<Head, Refusal> {
    let (request, settings) = (&asking.request, &services.pushstream);
    let (method, headers) = (request.method(), request.headers());
    let query = request.uri().query().unwrap_or("");
    let body = match asking.has_body() {
        true => match asking.body()? {
            Some(body) => Some(body),
            None => return Ok(Head::NeedMore),
        },
        false => None,
    };
    let (body, used) = body.unwrap_or((Cow::Borrowed(b""), asking.used));
    let asker = Asker { origin, keep_alive: asking.keeps_alive() };
    let request = match desk {
        Desk::Publisher(number) if method == Method::OPTIONS => {
            return Ok(Head::Ask(Ask { used, asker, what: What::MayPublish(Desk::Publisher(number)) }));
        }
        Desk::Publisher(number) => {
            let Some(own) = settings.publishers.get(number) else { return Err(Refusal::NotFound) };
            publisher::read(method, query, headers, &body, own, settings)
        }
        Desk::Statistics => publisher::read_statistics(method, query, headers, settings),
    };
    let what = What::Job(desk, request, asking.forwarded_for());
    Ok(Head::Ask(Ask { used, asker, what }))
}

/// A request under Socket.IO's path.
fn socket_io(asking: &Asking<'_>, origin: Option<String>) -> Result<Head, Refusal> {
    let method = asking.request.method();
    let body = match method {
        &Method::POST => match asking.body()? {
            Some(body) => Some(body),
            None => return Ok(Head::NeedMore),
        },
        &Method::GET | &Method::OPTIONS => None,
        _ => return Err(Refusal::MethodNotAllowed),
    };
    let used = body.as_ref().map_or(asking.used, |(_, end)| *end);
    let asker = Asker { origin, keep_alive: asking.keeps_alive() };
    if method == Method::OPTIONS {
        return Ok(Head::Ask(Ask { used, asker, what: What::Preflight }));
    }
    let query = asking.request.uri().query().unwrap_or("");
    match socketio::request::read(query, body.as_ref().map(|(body, _)| &**body)) {
        Ok(socketio::request::Asked::Socket(version, session)) => {
            upgrade(asking, Dialect::SocketIo(version, session))
        }
        asked => Ok(Head::Ask(Ask { used, asker, what: What::SocketIo(asked) })),
    }
}

/// Grants a WebSocket of an older version, too.
fn upgrade_as_13(asking: &Asking<'_>, dialect: Dialect) -> Result<Head, Refusal> {
    if asking.has_body() {
        return Err(Refusal::BadRequest);
    }
    let mut request = asking.request.clone();
    request.headers_mut().insert(http::header::SEC_WEBSOCKET_VERSION, http::HeaderValue::from_static("13"));
    upgrade_of(&request, asking.used, dialect)
}

/// Grants a WebSocket, if that is what is asked for.
fn upgrade(asking: &Asking<'_>, dialect: Dialect) -> Result<Head, Refusal> {
    // Frames follow, and nothing else.
    if asking.has_body() {
        return Err(Refusal::BadRequest);
    }
    upgrade_of(&asking.request, asking.used, dialect)
}

fn upgrade_of(request: &Request<()>, used: usize, dialect: Dialect) -> Result<Head, Refusal> {
    let mut response = create_response(request).map_err(|error| match error {
        Error::Protocol(ProtocolError::InvalidSecWebSocketKey | ProtocolError::MissingSecWebSocketKey) => {
            Refusal::BadRequest
        }
        _ => Refusal::UpgradeRequired,
    })?;
    let offered = request.headers().get_all("sec-websocket-protocol").iter();
    let mut offered = offered.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    if offered.any(|name| name.trim() == protocol::SUBPROTOCOL) {
        let confirmed = http::HeaderValue::from_static(protocol::SUBPROTOCOL);
        response.headers_mut().insert("sec-websocket-protocol", confirmed);
    }
    let dialect = match dialect {
        Dialect::Native { call, deflates: true } => {
            let mut extensions = request.headers().get_all("sec-websocket-extensions").iter();
            let agreement = extensions.find_map(|value| deflate::agreement(value.to_str().ok()?));
            if let Some(agreement) = agreement {
                let agreement = http::HeaderValue::from_static(agreement);
                response.headers_mut().insert("sec-websocket-extensions", agreement);
            }
            Dialect::Native { call, deflates: agreement.is_some() }
        }
        other => other,
    };
    let mut answer = Vec::with_capacity(192);
    write_response(&mut answer, &response).map_err(|_| Refusal::BadRequest)?;
    Ok(Head::Upgrade(Upgrade { used, answer, dialect }))
}

fn first_call(query: &str) -> Option<String> {
    let mut fields = form_urlencoded::parse(query.as_bytes());
    fields.find(|(name, _)| name == "call").map(|(_, call)| call.into_owned())
}
