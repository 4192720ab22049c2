//! Starts worker and dispatcher as the settings say, and stops them in order when told to.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use chatup_broker::contract::BrokerGone;
use chatup_broker::redis::settings::{Credentials, RedisSettings, UrlError};
use chatup_broker::store::StoreSettings;
use chatup_broker::{BrokerHandle, memory, redis};
use chatup_core::http_head::Services;
use chatup_core::origins::{OriginError, Origins};
use chatup_core::pushstream::Settings as PushStreamSettings;
use chatup_core::shard::SlowSubscriberPolicy;
use chatup_core::token::Verifier;
use chatup_dispatcher::Dispatcher;
use chatup_relay::settings::EndpointError;
use chatup_relay::{Relay, RelayError};
use chatup_worker::settings::{IoChoice, StatsFrom};
use chatup_worker::{Worker, WorkerError};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::config::{self, Config};
use crate::printed::Printed;

/// Makes a token for a name.
pub type DemoTokens = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Why it could not start, or what ended it.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The worker.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A shard failed while running.
    #[error("shard {0} failed: {1}")]
    ShardFailed(u16, String),
    /// An origin of the settings.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The dispatcher's address.
    #[error("the dispatcher cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// Where Nginx is.
    #[error("relay: the address {0}")]
    Nginx(#[from] EndpointError),
    /// It would post to itself.
    #[error("relay.publisher_url is this worker itself: what it posts would come back without end")]
    RelayToItself,
    /// The relay.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// Where Redis is.
    #[error("redis.url {0}")]
    Redis(#[from] UrlError),
    /// The broker has ended.
    #[error(transparent)]
    Broker(#[from] BrokerGone),
    /// Threads, signals, standard output.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs worker and dispatcher in this process, until told to stop.
///
/// # Errors
/// Why it could not start, or what ended it.
pub fn all_in_one(
    config: &Config,
    verifier: &Arc<Verifier>,
    demo_tokens: Option<DemoTokens>,
    printed: &Printed,
) -> Result<(), RunError> {
    in_order(config, |broker| async move {
        // First the dispatcher's address: the worker lets the pages of that origin in.
        let (listener, url) = listen(config).await?;
        let (running, failures) = start_worker(config, verifier, &broker, Some(&url))?;
        let host = running.worker.host().to_owned();
        let router = dispatcher_router(config, verifier, demo_tokens, &broker, &listener, &[&url, &host]);
        match router.and_then(|router| printed.print(&url, &host).map(|()| router).map_err(RunError::Io)) {
            Ok(router) => serve(listener, router, failures, || running.stop()).await,
            Err(error) => {
                running.stop();
                Err(error)
            }
        }
    })
}

/// Runs a worker, until told to stop.
///
/// # Errors
/// Why it could not start, or what ended it.
pub fn worker(config: &Config, verifier: &Arc<Verifier>) -> Result<(), RunError> {
    in_order(config, |broker| async move {
        let (running, failures) = start_worker(config, verifier, &broker, None)?;
        let worker = &running.worker;
        println!("ChatUp worker: {}/ ({} shards)", worker.host(), worker.shards());
        let result = until_told(failures).await;
        running.stop();
        result
    })
}

/// Runs a dispatcher, until told to stop.
///
/// # Errors
/// Why it could not start, or what ended it.
pub fn dispatcher(
    config: &Config,
    verifier: &Arc<Verifier>,
    demo_tokens: Option<DemoTokens>,
) -> Result<(), RunError> {
    in_order(config, |broker| async move {
        let (_keep, failures) = mpsc::unbounded_channel();
        let (listener, url) = listen(config).await?;
        let router = dispatcher_router(config, verifier, demo_tokens, &broker, &listener, &[&url])?;
        println!("ChatUp dispatcher: {url}/");
        serve(listener, router, failures, || {}).await
    })
}

/// Starts the broker, runs `body` on a runtime of this thread, and ends the broker behind it.
fn in_order<F: Future<Output = Result<(), RunError>>>(
    config: &Config,
    body: impl FnOnce(BrokerHandle) -> F,
) -> Result<(), RunError> {
    let messages_max = config.history.size.max(config.limits.log_messages_max) as usize;
    let expire_ms = config.history.expire_s.saturating_mul(1_000);
    let announced_members_max = config.limits.announced_members_max;
    let (broker, thread) = if config.redis.url.is_empty() {
        memory::start(StoreSettings { messages_max, expire_ms, announced_members_max })?
    } else {
        redis::start(RedisSettings {
            server: redis_server(&config.redis)?,
            key_prefix: config.redis.key_prefix.clone(),
            messages_max,
            expire_ms,
            announced_members_max,
        })?
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(body(broker.clone()));
    broker.stop();
    if thread.join().is_err() {
        tracing::error!("the broker did not end in order");
    }
    result
}

fn redis_server(redis: &config::Redis) -> Result<redis::settings::Server, UrlError> {
    let credentials = Credentials {
        username: redis.username.clone(),
        password: redis.password.expose().to_owned(),
        sentinel_password: redis.sentinel_password.expose().to_owned(),
        ca_file: redis.ca_file.clone(),
    };
    redis::settings::Server::parse(&redis.url, &credentials)
}

type Failures = mpsc::UnboundedReceiver<(u16, String)>;

fn start_worker(
    config: &Config,
    verifier: &Arc<Verifier>,
    broker: &BrokerHandle,
    page: Option<&str>,
) -> Result<(Running, Failures), RunError> {
    let own = &config.worker;
    let announced = Some(own.announce_url.as_str()).filter(|url| !url.is_empty());
    let known: Vec<&str> = page.into_iter().chain(announced).collect();
    let host = (rustix::system::uname().nodename().to_string_lossy().into_owned(), std::process::id());
    let settings = chatup_worker::Settings {
        listen: own.listen,
        port: own.port,
        announce_url: (!own.announce_url.is_empty())
            .then(|| own.announce_url.trim_end_matches('/').to_owned()),
        io: match own.io {
            config::Io::Auto => IoChoice::Auto,
            config::Io::IoUring => IoChoice::IoUring,
            config::Io::Epoll => IoChoice::Epoll,
        },
        shards: own.shards,
        cores: own.cores.clone(),
        services: Services {
            origins: origins(&own.origins, &known)?,
            deflate: own.deflate,
            pushstream: Arc::new(PushStreamSettings {
                // Another worker of the same store may be the one that relays.
                refuses_relays: !config.relay.publisher_url.is_empty() || !config.redis.url.is_empty(),
                // Where the locations are the original's, so are the pages.
                newcomers_max: match config.pushstream.locations.as_slice() {
                    [] => config.history.size,
                    _ => u32::MAX,
                },
                ..config.pushstream.settings(&config.limits, host)
            }),
            socket_io: config.socket_io.enabled,
        },
        verifier: Arc::clone(verifier),
        limits: config.limits.clone(),
        anonymous_subscribe: own.anonymous_subscribe,
        slow_subscribers: match own.slow_subscriber {
            config::SlowSubscriber::Tell => SlowSubscriberPolicy::Tell,
            config::SlowSubscriber::Close => SlowSubscriberPolicy::Close,
        },
        flush_interval_ms: own.flush_interval_ms.into(),
        stats_from: who(own.stats_from),
        publish_from: who(config.pushstream.publish_from),
        descriptors_reserved: if page.is_some() { chatup_dispatcher::CONNECTIONS_MAX as u64 } else { 0 },
    };
    let relay = config.relay.settings(own.flush_interval_ms, &config.pushstream.events_channel_id)?;
    let (failed, failures) = mpsc::unbounded_channel();
    let on_failure = Arc::new(move |shard, error: &str| drop(failed.send((shard, error.to_owned()))));
    let worker = Worker::start(&settings, broker, &(on_failure as chatup_worker::worker::OnFailure))?;
    tracing::info!(address = %worker.address(), shards = worker.shards(), "the worker takes connections");
    let mut running = Running { worker, relay: None };
    if let Some(settings) = relay
        && let Err(error) = running.start_relay(settings, broker)
    {
        running.stop();
        return Err(error);
    }
    Ok((running, failures))
}

/// A worker, and what posts its messages to an Nginx.
struct Running {
    worker: Worker,
    relay: Option<Relay>,
}

impl Running {
    fn start_relay(
        &mut self,
        settings: chatup_relay::Settings,
        broker: &BrokerHandle,
    ) -> Result<(), RunError> {
        if settings.publisher.leads_to(self.worker.address()) {
            return Err(RunError::RelayToItself);
        }
        let shards = u16::try_from(self.worker.shards()).unwrap_or(u16::MAX);
        tracing::info!(to = %settings.publisher, "what is said here is posted to Nginx");
        let relay = Relay::start(settings, broker, self.worker.id(), shards)?;
        let figures = relay.figures();
        let shown = move || serde_json::to_value(figures()).unwrap_or_default();
        self.worker.show_beside("relay", Box::new(shown));
        self.relay = Some(relay);
        Ok(())
    }

    /// Stops the worker, and the relay when the last message has been said.
    fn stop(self) {
        if let Some(relay) = &self.relay {
            relay.leave();
        }
        self.worker.stop();
        if let Some(relay) = self.relay {
            relay.stop();
        }
    }
}

fn who(who: config::StatsFrom) -> StatsFrom {
    match who {
        config::StatsFrom::Loopback => StatsFrom::Loopback,
        config::StatsFrom::Anyone => StatsFrom::Anyone,
        config::StatsFrom::Nobody => StatsFrom::Nobody,
    }
}

/// The configured origins; without any, this machine's own names and the hosts of these URLs, on
/// any port.
fn origins(patterns: &[String], known: &[&str]) -> Result<Origins, OriginError> {
    if !patterns.is_empty() {
        return Origins::parse(patterns.iter().map(String::as_str));
    }
    known.iter().try_fold(Origins::loopback(), |origins, url| {
        let authority = url.split_once("://").map_or(*url, |(_, rest)| rest).trim_end_matches('/');
        // What is behind the last colon is a port, unless it is inside an IPv6 address.
        let host =
            authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or(authority, |(h, _)| h);
        origins.and(&format!("http://{host}:*"))?.and(&format!("https://{host}:*"))
    })
}

/// The dispatcher's listener, and the URL under which this machine reaches it.
async fn listen(config: &Config) -> Result<(TcpListener, String), RunError> {
    let wanted = SocketAddr::new(config.dispatcher.listen, config.dispatcher.port);
    let listener = TcpListener::bind(wanted).await.map_err(|error| RunError::Listen(wanted, error))?;
    let mut address = listener.local_addr()?;
    if address.ip().is_unspecified() {
        // Listening on all addresses is no address to open.
        address.set_ip(if address.is_ipv6() {
            Ipv6Addr::LOCALHOST.into()
        } else {
            Ipv4Addr::LOCALHOST.into()
        });
    }
    Ok((listener, format!("http://{address}")))
}

fn dispatcher_router(
    config: &Config,
    verifier: &Arc<Verifier>,
    demo_tokens: Option<DemoTokens>,
    broker: &BrokerHandle,
    listener: &TcpListener,
    known: &[&str],
) -> Result<axum::Router, RunError> {
    let own = &config.dispatcher;
    let loopback = listener.local_addr()?.ip().is_loopback();
    if demo_tokens.is_some() && !loopback {
        tracing::warn!("the dispatcher is not on a loopback address: the page hands out no demo tokens");
    }
    let settings = chatup_dispatcher::Settings {
        origins: origins(&own.origins, known)?,
        demo_page: own.demo_page,
        history_messages_max: config.history.size as usize,
        demo_tokens: demo_tokens.filter(|_| loopback),
        connect_sources: "*".into(),
    };
    Ok(Dispatcher::new(settings, broker, Arc::clone(verifier))?.router())
}

/// Serves until told to stop; then stops the dispatcher and the rest at the same time.
async fn serve(
    listener: TcpListener,
    router: axum::Router,
    failures: Failures,
    stop_rest: impl FnOnce() + Send + 'static,
) -> Result<(), RunError> {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = chatup_dispatcher::serve(listener, router, async move {
        let _ = stopped.await;
    });
    let told = async move {
        let result = until_told(failures).await;
        // The server has ended already if nobody listens.
        let _ = stop.send(());
        let rest = tokio::task::spawn_blocking(stop_rest).await;
        result.and(rest.map_err(|error| RunError::Io(io::Error::other(error))))
    };
    let (served, told) = tokio::join!(server, told);
    told.and(served.map_err(RunError::Io))
}

/// Waits for a signal to stop, or for a shard to fail.
async fn until_told(mut failures: Failures) -> Result<(), RunError> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let failed = async {
        match failures.recv().await {
            Some(failure) => failure,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        (shard, error) = failed => return Err(RunError::ShardFailed(shard, error)),
    }
    tracing::info!("stopping");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_configured_origins_the_known_hosts_pages_are_let_in() {
        let known = ["http://192.0.2.2:8000", "https://chat.example.org", "http://[2001:db8::1]:42633"];
        let table = [
            ("http://localhost:1", true),
            ("http://192.0.2.2:8000", true),
            ("http://192.0.2.2", true),
            ("https://chat.example.org", true),
            ("https://chat.example.org:8443", true),
            ("http://[2001:db8::1]:80", true),
            ("http://192.0.2.3", false),
            ("https://chat.example.org.evil.example", false),
        ];
        let origins = origins(&[], &known).unwrap();
        for (origin, allowed) in table {
            assert_eq!(origins.allows(origin), allowed, "{origin}");
        }
        let configured = super::origins(&["https://a.example".into()], &known).unwrap();
        assert!(!configured.allows("http://localhost:1"));
    }
}
