//! Reads the bodies of requests: each up to its own limit and within a time, all together within a
//! bound of memory.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use chatup_core::refusal::Refusal;
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::limits::{BODIES_BYTES_MAX, BODY_DISCARDED_BYTES_MAX, BODY_MS_MAX};

/// What is counted together, in bytes: semaphores count in `u32`.
const UNIT_BYTES: usize = 1_024;

/// The memory that is left for bodies.
pub(crate) struct Bodies {
    units: Semaphore,
}

/// A body that has been read, and its share of the memory.
pub(crate) struct ReadBody<'a> {
    /// All of it.
    pub(crate) bytes: Vec<u8>,
    _share: Option<SemaphorePermit<'a>>,
}

impl Bodies {
    /// All the memory.
    pub(crate) fn new() -> Bodies {
        Bodies { units: Semaphore::new(BODIES_BYTES_MAX / UNIT_BYTES) }
    }

    /// Reads a body.
    ///
    /// # Errors
    /// `BodyTooLarge`, `HandshakeTimeout`, `Overloaded`, or `BadRequest` for a broken one.
    pub(crate) async fn read(&self, body: Body, bytes_max: usize) -> Result<ReadBody<'_>, Refusal> {
        let announced = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
        if body.is_end_stream() || announced == Some(0) {
            return Ok(ReadBody { bytes: Vec::new(), _share: None });
        }
        if announced.is_some_and(|bytes| bytes > bytes_max + BODY_DISCARDED_BYTES_MAX) {
            return Err(Refusal::BodyTooLarge);
        }
        let kept = announced.map_or(bytes_max, |bytes| bytes.min(bytes_max));
        let units = u32::try_from(kept.div_ceil(UNIT_BYTES)).map_err(|_| Refusal::Overloaded)?;
        let share = self.units.try_acquire_many(units).map_err(|_| Refusal::Overloaded)?;
        let read = tokio::time::timeout(Duration::from_millis(BODY_MS_MAX), collect(body, bytes_max));
        let bytes = read.await.map_err(|_| Refusal::HandshakeTimeout)??;
        Ok(ReadBody { bytes, _share: Some(share) })
    }
}

async fn collect(mut body: Body, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
    let (mut kept, mut seen) = (Vec::new(), 0_usize);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        // Trailers say nothing here.
        let Ok(data) = frame.map_err(|_| Refusal::BadRequest)?.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        if seen <= bytes_max {
            kept.extend_from_slice(&data);
        } else if seen <= bytes_max + BODY_DISCARDED_BYTES_MAX {
            kept = Vec::new();
        } else {
            break;
        }
    }
    if seen > bytes_max { Err(Refusal::BodyTooLarge) } else { Ok(kept) }
}

/// A JSON object. serde's derived structs would take an array as well.
pub(crate) fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    if json.trim_ascii_start().starts_with('{') { serde_json::from_str(json).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use hyper::body::Frame;

    use super::*;

    #[tokio::test]
    async fn size() {
        let table =
            [(0, true), (1, true), (100, true), (101, false), (100 + BODY_DISCARDED_BYTES_MAX + 1, false)];
        for (length, expected) in table {
            let bodies = Bodies::new();
            let read = bodies.read(Body::from(vec![b'x'; length]), 100).await;
            match read {
                Ok(body) => assert!(expected && body.bytes.len() == length, "{length}"),
                Err(refusal) => assert!(!expected && refusal == Refusal::BodyTooLarge, "{length}"),
            }
        }
    }

    #[tokio::test]
    async fn all_together() {
        let bodies = Bodies::new();
        let taken = bodies.units.try_acquire_many(65_535).unwrap();
        assert!(bodies.read(Body::from(vec![0; 1_024]), 10_000).await.is_ok());
        assert_eq!(
            bodies.read(Body::from(vec![0; 1_025]), 10_000).await.map(|_| ()),
            Err(Refusal::Overloaded)
        );
        assert!(bodies.read(Body::empty(), 10_000).await.is_ok());
        drop(taken);
        assert!(bodies.read(Body::from(vec![0; 1_025]), 10_000).await.is_ok());
    }

    /// A body that never ends: it gives so many pieces and then nothing.
    struct Stalled(usize);

    impl HttpBody for Stalled {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            if self.0 == 0 {
                return std::task::Poll::Pending;
            }
            self.0 -= 1;
            std::task::Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 1_024])))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time() {
        let bodies = Bodies::new();
        for (pieces, expected) in [
            (0, Refusal::HandshakeTimeout),
            (1, Refusal::HandshakeTimeout),
            (100, Refusal::HandshakeTimeout),
            (2_000, Refusal::BodyTooLarge),
        ] {
            let read = bodies.read(Body::new(Stalled(pieces)), 10_000).await.map(|_| ());
            assert_eq!(read, Err(expected), "{pieces} pieces");
        }
        assert_eq!(bodies.units.available_permits(), BODIES_BYTES_MAX / UNIT_BYTES);
    }
}
