//! Connections: takes them, bounds what each may cost, ends them when told to stop. Knows nothing
//! of the routes.
//!
//! hyper directly, since axum's own `serve` sets no time-outs.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use chatup_core::limits::HTTP_HEADERS_MAX;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::limits::{
    ACCEPT_PAUSE_MS, CONNECTION_MS_MAX, CONNECTIONS_MAX, DRAIN_MS_MAX, HEAD_BYTES_MAX, HEAD_MS_MAX,
    KEPT_ALIVE_MAX,
};

/// What connections may cost: the limits, or a test's own.
#[derive(Clone, Copy)]
struct Bounds {
    connections_max: usize,
    kept_alive_max: usize,
    head: Duration,
    connection: Duration,
    drain: Duration,
}

const LIMITS: Bounds = Bounds {
    connections_max: CONNECTIONS_MAX,
    kept_alive_max: KEPT_ALIVE_MAX,
    head: Duration::from_millis(HEAD_MS_MAX),
    connection: Duration::from_millis(CONNECTION_MS_MAX),
    drain: Duration::from_millis(DRAIN_MS_MAX),
};

/// Serves until `stop` comes; then takes no more connections, lets requests under way be answered,
/// for five seconds at most, and returns.
///
/// # Errors
/// The listener is no longer one. Single failed accepts are none: they are tried again.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve_within(LIMITS, listener, router, stop).await
}

async fn serve_within(
    bounds: Bounds,
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(bounds.connections_max));
    let (stopping, stopped) = watch::channel(());
    let mut stop = pin!(stop);
    let result = loop {
        let (place, stream) = tokio::select! {
            () = &mut stop => break Ok(()),
            next = next_connection(&listener, &places) => match next {
                Ok(next) => next,
                Err(error) => break Err(error),
            },
        };
        let taken = bounds.connections_max - places.available_permits();
        let keep_alive = taken <= bounds.kept_alive_max;
        let connection = run(bounds, stream, router.clone(), stopped.clone(), keep_alive);
        tokio::spawn(async move {
            connection.await;
            drop(place);
        });
    };
    drop(listener);
    drop(stopping);
    // Each connection ends within `drain` by itself; this is for the scheduler's slack.
    let all = u32::try_from(bounds.connections_max).unwrap_or(u32::MAX);
    if timeout(bounds.drain * 2, places.acquire_many(all)).await.is_err() {
        tracing::warn!("connections outlive the dispatcher");
    }
    result
}

/// The next one, when there is a place for it.
async fn next_connection(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(OwnedSemaphorePermit, TcpStream)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok((place, stream)),
            Err(error) if is_the_peers(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection");
                sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            }
        }
    }
}

/// It went before it was taken: the next may be there already.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn run(
    bounds: Bounds,
    stream: TcpStream,
    router: Router,
    mut stopped: watch::Receiver<()>,
    keep_alive: bool,
) {
    // Answers are whole when they are written: waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HTTP_HEADERS_MAX)
        .keep_alive(keep_alive);
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        // The sender is never used, only dropped.
        _ = stopped.changed() => None,
        () = sleep(bounds.connection) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            timeout(bounds.drain, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Instant;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::{Notify, oneshot};
    use tokio::task::JoinHandle;

    use super::*;

    const SMALL: Bounds = Bounds {
        connections_max: 4,
        kept_alive_max: 2,
        head: Duration::from_millis(300),
        connection: Duration::from_millis(1_500),
        drain: Duration::from_millis(300),
    };

    struct Server {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        ended: JoinHandle<io::Result<()>>,
        /// Lets one request to `/slow` be answered.
        go: Arc<Notify>,
        /// One request to `/slow` has come.
        came: Arc<Notify>,
    }

    async fn start(bounds: Bounds) -> Server {
        let (go, came) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let notify = (Arc::clone(&go), Arc::clone(&came));
        let slow = move || {
            let (go, came) = notify.clone();
            async move {
                came.notify_one();
                go.notified().await;
                "slow"
            }
        };
        let router = Router::new()
            .route("/", get(|| async { "fast" }))
            .route("/large", get(|| async { vec![0_u8; 64 << 20] }))
            .route("/slow", get(slow));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(serve_within(bounds, listener, router, async move {
            let _ = stopped.await;
        }));
        Server { address, stop, ended, go, came }
    }

    async fn send(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// Everything until the server closes.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        // A reset ends it as well.
        let _ = timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await.unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    #[tokio::test]
    async fn slow_requests_do_not_pile_up() {
        let server = start(SMALL).await;
        let began = Instant::now();
        let heads = ["", "G", "GET / HTTP/1.1\r\nHost: x\r\n", GET];
        let mut slow = Vec::new();
        for head in heads {
            slow.push(send(server.address, head).await);
        }
        // All places are taken; who comes now waits, and is answered when the slow ones are gone.
        let mut next = send(server.address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(rest(&mut next).await.ends_with("fast"));
        for stream in &mut slow {
            rest(stream).await;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn heads_are_bounded() {
        let server = start(SMALL).await;
        let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "y".repeat(HEAD_BYTES_MAX));
        let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(HTTP_HEADERS_MAX + 1));
        for (head, expected) in
            [(long, "HTTP/1.1 431 "), (many, "HTTP/1.1 431 "), ("\0\r\n\r\n".into(), "HTTP/1.1 400 ")]
        {
            let answer = rest(&mut send(server.address, &head).await).await;
            assert!(answer.starts_with(expected), "{head:.60}: {answer}");
        }
    }

    #[tokio::test]
    async fn connections_are_kept_while_there_are_few() {
        let server = start(SMALL).await;
        let mut kept = send(server.address, &GET.repeat(2)).await;
        assert_eq!(rest(&mut kept).await.matches("fast").count(), 2);

        let _busy = [send(server.address, "").await, send(server.address, "").await];
        let mut third = send(server.address, &GET.repeat(2)).await;
        let answer = rest(&mut third).await;
        assert_eq!(answer.matches("fast").count(), 1, "{answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    }

    #[tokio::test]
    async fn who_never_reads_is_ended() {
        let bounds = Bounds { connections_max: 1, connection: Duration::from_millis(300), ..SMALL };
        let server = start(bounds).await;
        let deaf = send(server.address, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let mut next = send(server.address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(rest(&mut next).await.ends_with("fast"));
        drop(deaf);
    }

    #[tokio::test]
    async fn stopping_lets_requests_be_answered() {
        let server = start(SMALL).await;
        let mut slow = send(server.address, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let mut idle = send(server.address, "").await;
        server.came.notified().await;
        server.stop.send(()).unwrap();
        assert_eq!(rest(&mut idle).await, "");
        server.go.notify_one();
        assert!(rest(&mut slow).await.ends_with("slow"));
        server.ended.await.unwrap().unwrap();
        assert!(TcpStream::connect(server.address).await.is_err());
    }

    #[tokio::test]
    async fn stopping_takes_a_bounded_time() {
        let server = start(SMALL).await;
        let mut never = send(server.address, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
        server.came.notified().await;
        let began = Instant::now();
        server.stop.send(()).unwrap();
        server.ended.await.unwrap().unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(rest(&mut never).await, "");
    }
}
