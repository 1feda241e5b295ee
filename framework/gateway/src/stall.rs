//! A socket whose other end must take what is written to it.
//!
//! A client that asks for much and then reads nothing would otherwise hold its connection, and all
//! that stands in its answer, for ever. Bytes that move, however slowly, start the time anew.

use super::listen::ClientPlace;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// A socket that ends when nothing that is written moves for a while.
#[derive(Debug)]
pub(super) struct Stall<S> {
    socket: S,
    /// Who is to know that a write waits.
    place: Option<Arc<ClientPlace>>,
    within: Duration,
    /// Armed while a write waits.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl<S> Stall<S> {
    pub(super) fn after(within: Duration, socket: S) -> Self {
        Self { socket, place: None, within, timer: None, waiting: false }
    }

    /// The same, in that place.
    pub(super) fn of(self, place: Option<Arc<ClientPlace>>) -> Self {
        Self { place, ..self }
    }
}

impl<S> Stall<S> {
    fn tell(&self, waits: bool) {
        if let Some(place) = &self.place {
            place.wait_for_write(waits);
        }
    }
}

impl<S: Unpin> Stall<S> {
    /// Lets a write that waits wait no longer than it may.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(written) = write(Pin::new(&mut self.socket), cx) {
            if std::mem::take(&mut self.waiting) {
                self.tell(false);
            }
            return Poll::Ready(written);
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.within)));
        if !self.waiting {
            self.waiting = true;
            timer.as_mut().reset(Instant::now() + self.within);
            self.tell(true);
        }
        let Some(timer) = &mut self.timer else { return Poll::Pending };
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other end takes nothing")))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stall<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().watch(cx, |socket, cx| socket.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().watch(cx, |socket, cx| socket.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().watch(cx, |socket, cx| socket.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().watch(cx, |socket, cx| socket.poll_shutdown(cx))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stall<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_read(cx, into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(start_paused = true)]
    async fn a_write_that_moves_goes_on_and_one_that_does_not_ends() {
        let within = Duration::from_secs(30);
        let (ours, mut theirs) = tokio::io::duplex(1);
        let mut ours = Stall::after(within, ours);
        let slow_reader = tokio::spawn(async move {
            for _ in 0..3 {
                sleep(within - Duration::from_secs(1)).await;
                theirs.read_u8().await.unwrap();
            }
            theirs
        });
        let began = Instant::now();
        ours.write_all(b"abcd").await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 87);
        let _theirs = slow_reader.await.unwrap();
        let began = Instant::now();
        let error = ours.write_all(b"e").await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, within));
    }
}
