//! Over a real socket: what only whole HTTP messages show.

use chatup_dispatcher::serve;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::support::house;

#[tokio::test]
async fn whole_messages() {
    let house = house();
    house.beat(1, 0, false);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, house.router.clone(), async move {
        let _ = stopped.await;
    }));

    let post = |length: usize, body: usize| {
        format!(
            "POST /post HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\n\
             Content-Length: {length}\r\n\r\n{}",
            "x".repeat(body)
        )
    };
    let close = "Host: x\r\nConnection: close\r\n";
    let table = [
        // As ChatUp's library asks first: no body, no content type, no encoding.
        (format!("POST /join/lobby HTTP/1.1\r\n{close}\r\n"), "HTTP/1.1 200 OK", "\"messages\":[]}"),
        (
            format!("POST /join/lobby HTTP/1.1\r\n{close}Content-Length: 0\r\n\r\n"),
            "HTTP/1.1 200 OK",
            "\"messages\":[]}",
        ),
        (
            format!(
                "POST /join/lobby HTTP/1.1\r\n{close}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
            ),
            "HTTP/1.1 200 OK",
            "\"messages\":[]}",
        ),
        (format!("GET /health HTTP/1.1\r\n{close}\r\n"), "HTTP/1.1 200 OK", "\"workers\":1}"),
        // Whoever sends too much gets to read that it was too much.
        (post(400_000, 400_000), "HTTP/1.1 413 Payload Too Large", "\"retry\":false}}"),
        // Whoever says so beforehand need not send it.
        (post(1 << 40, 0), "HTTP/1.1 413 Payload Too Large", "\"retry\":false}}"),
        (format!("BREW /join/lobby HTTP/1.1\r\n{close}\r\n"), "HTTP/1.1 405 ", "\"retry\":false}}"),
        ("GET /health HTTP/3\r\n\r\n".into(), "HTTP/1.1 400 ", "\r\n"),
    ];
    for (request, status, end) in table {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(status) && answer.ends_with(end), "{request:.80}\n{answer}");
    }
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
}
