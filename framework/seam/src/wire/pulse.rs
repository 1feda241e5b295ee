//! Whether the other end of a connection is alive, and takes what it is sent.
//!
//! A process that was stopped, or a cable that was cut, ends no connection: nothing is heard, and that
//! is all. So the other side is pinged when nothing has been heard for a while. A peer that is alive
//! can still hold memory here, by sending half of a long message or by taking no answers; that ends the
//! connection, too.

use super::Transport;
use crate::call::planted;
use std::{future::Future, io, mem, pin::Pin, task::Context, time::Duration};
use tokio::time::{Instant, Sleep, sleep};

/// When a peer is silent, and when a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PulseThresholds {
    /// Time between two looks at a connection while calls wait, and after a ping.
    pub beat: Duration,
    /// Time between two looks while no call waits.
    pub rest: Duration,
    /// A peer is silent after this many beats without a word, each of which began with a ping.
    pub silent: u32,
    /// A connection ends after this many beats in which nothing was heard, or nothing was taken of what
    /// waits to be written.
    pub gone: u32,
    /// The longest that one long message may take to arrive.
    pub long: Duration,
}

impl Default for PulseThresholds {
    fn default() -> Self {
        Self {
            beat: Duration::from_millis(250),
            rest: Duration::from_secs(5),
            silent: 4,
            gone: 40,
            long: Duration::from_secs(30),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Pulse {
    thresholds: PulseThresholds,
    timer: Pin<Box<Sleep>>,
    resting: bool,
    reads: u64,
    /// Whether something was heard since the last beat.
    heard: bool,
    /// Beats in which nothing was heard.
    quiet: u32,
    /// Bytes that the other side had taken at the last beat.
    taken: u64,
    /// Beats in which it took nothing, although something waited to be written.
    stalled: u32,
}

impl Pulse {
    pub(crate) fn new(thresholds: PulseThresholds) -> Self {
        Self {
            thresholds,
            timer: Box::pin(sleep(thresholds.rest)),
            resting: true,
            reads: 0,
            heard: true,
            quiet: 0,
            taken: 0,
            stalled: 0,
        }
    }

    /// A call begins.
    pub(crate) fn quicken(&mut self, cx: &mut Context<'_>) {
        if self.resting {
            self.resting = false;
            self.timer.as_mut().reset(Instant::now() + self.thresholds.beat);
            // Registers the waker; the timer cannot be over yet.
            let _ = self.timer.as_mut().poll(cx);
        }
    }

    /// Says whether the other side is silent; an error if the connection has to end.
    pub(crate) fn poll<Out, In>(
        &mut self,
        transport: &mut Transport<Out, In>,
        waiting: impl Fn() -> bool,
        cx: &mut Context<'_>,
    ) -> io::Result<bool> {
        if transport.reads() != self.reads {
            self.reads = transport.reads();
            (self.heard, self.quiet) = (true, 0);
        }
        let PulseThresholds { beat, rest, silent, gone, .. } = self.thresholds;
        while self.timer.as_mut().poll(cx).is_ready() {
            if !mem::take(&mut self.heard) && !planted!("silence-is-golden") {
                self.quiet += 1;
                if self.quiet > gone {
                    return Err(timed_out(format!("nothing was heard for {:?}", beat * gone)));
                }
                transport.ping();
            }
            self.look_for_stalls(transport)?;
            let busy = waiting() || transport.unwritten() > 0 || transport.long_since().is_some();
            self.resting = self.quiet == 0 && !busy;
            if self.resting {
                transport.shrink();
            }
            let next = if self.resting { rest } else { beat };
            self.timer.as_mut().reset(Instant::now() + next);
        }
        Ok(self.quiet >= silent)
    }

    fn look_for_stalls<Out, In>(&mut self, transport: &Transport<Out, In>) -> io::Result<()> {
        let PulseThresholds { beat, gone, long, .. } = self.thresholds;
        let taken = transport.taken();
        let stalls = transport.unwritten() > 0 && taken == self.taken;
        self.stalled = if stalls { self.stalled + 1 } else { 0 };
        self.taken = taken;
        if self.stalled > gone {
            return Err(timed_out(format!("nothing was taken for {:?}", beat * gone)));
        }
        if transport.long_since().is_some_and(|since| since.elapsed() > long) {
            return Err(timed_out(format!("a message did not arrive within {long:?}")));
        }
        Ok(())
    }
}

fn timed_out(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Answer, Envelope, Message, Socket};
    use bytes::BytesMut;
    use futures_util::Sink;
    use std::{
        future::poll_fn,
        task::{Poll, ready},
    };
    use tarpc::{ClientMessage, Response};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    type Ours = Transport<ClientMessage<Envelope>, Response<Answer>>;

    // The defaults.
    const BEAT: Duration = Duration::from_millis(250);
    const REST: Duration = Duration::from_secs(5);
    const SILENT: u32 = 4;
    const GONE: u32 = 40;
    const LONG: Duration = Duration::from_secs(30);

    /// Our end, and the other.
    fn connected() -> (Ours, DuplexStream) {
        let (ours, theirs) = duplex(1 << 16);
        (Transport::new(Socket::Other(Box::new(ours)), BytesMut::new(), 1024), theirs)
    }

    /// Keeps the pulse until it says so, or the connection is given up.
    async fn until(pulse: &mut Pulse, ours: &mut Ours, wanted: bool) -> io::Result<()> {
        poll_fn(|cx| {
            let mut ours = Pin::new(&mut *ours);
            while futures_util::Stream::poll_next(ours.as_mut(), cx).is_ready() {}
            let silent = pulse.poll(&mut ours, || true, cx)?;
            if silent == wanted {
                return Poll::Ready(Ok(()));
            }
            ready!(ours.poll_flush(cx))?;
            Poll::Pending
        })
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_silent_and_then_gone() {
        let (mut ours, mut theirs) = connected();
        let mut pulse = Pulse::new(PulseThresholds::default());
        let start = Instant::now();
        poll_fn(|cx| {
            pulse.quicken(cx);
            Poll::Ready(())
        })
        .await;
        until(&mut pulse, &mut ours, true).await.unwrap();
        assert_eq!(start.elapsed(), BEAT * (SILENT + 1));
        // A word, and it is not.
        let mut asked = BytesMut::new();
        theirs.read_buf(&mut asked).await.unwrap();
        assert!(matches!(Message::read(&mut asked, 1024), Ok(Ok(Message::Ping(0)))));
        let mut pong = BytesMut::new();
        assert!(Message::Pong(0).write(&mut pong).is_none());
        theirs.write_all(&pong).await.unwrap();
        until(&mut pulse, &mut ours, false).await.unwrap();
        let start = Instant::now();
        until(&mut pulse, &mut ours, true).await.unwrap();
        let gone = until(&mut pulse, &mut ours, false).await.unwrap_err();
        assert_eq!(gone.to_string(), "nothing was heard for 10s");
        assert_eq!(start.elapsed(), BEAT * (GONE + 1) + BEAT);
    }

    #[tokio::test(start_paused = true)]
    async fn its_thresholds_can_be_others() {
        let (mut ours, _theirs) = connected();
        let (beat, rest) = (Duration::from_millis(10), Duration::from_millis(50));
        let thresholds =
            PulseThresholds { beat, rest, silent: 1, gone: 3, ..PulseThresholds::default() };
        let mut pulse = Pulse::new(thresholds);
        let start = Instant::now();
        until(&mut pulse, &mut ours, true).await.unwrap();
        // The first beat comes after a rest, and is forgiven.
        assert_eq!(start.elapsed(), rest + beat);
        let gone = until(&mut pulse, &mut ours, false).await.unwrap_err();
        assert_eq!(gone.to_string(), "nothing was heard for 30ms");
    }

    /// Polls, and reads what arrives, until the connection ends.
    async fn ends(pulse: &mut Pulse, ours: &mut Ours) -> String {
        let ended = poll_fn(|cx| {
            while let Poll::Ready(heard) = ours.poll_heard(cx) {
                assert!(heard.is_some_and(|heard| heard.is_ok()));
            }
            pulse.poll(ours, || true, cx)?;
            ready!(Pin::new(&mut *ours).poll_flush(cx))?;
            Poll::<io::Result<()>>::Pending
        });
        ended.await.unwrap_err().to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_gone_although_it_speaks() {
        let (mut ours, theirs) = connected();
        let (mut theirs_read, mut theirs_write) = tokio::io::split(theirs);
        tokio::spawn(async move {
            let mut pong = BytesMut::new();
            assert!(Message::Pong(0).write(&mut pong).is_none());
            while theirs_write.write_all(&pong).await.is_ok() {
                sleep(BEAT / 2).await;
            }
        });
        let payload = vec![0; 200_000].into();
        let envelope = Envelope {
            method: 0,
            context: crate::call::Context::edge(&Default::default()),
            payload,
            timed: false,
        };
        let request =
            tarpc::Request { context: crate::wire::tarpc_context(), id: 1, message: envelope };
        Pin::new(&mut ours).start_send(ClientMessage::Request(request)).unwrap();
        let mut pulse = Pulse::new(PulseThresholds::default());
        poll_fn(|cx| {
            pulse.quicken(cx);
            Poll::Ready(())
        })
        .await;
        // Some of it is taken at first, and the pulse begins anew.
        let mut some = [0; 1000];
        let start = Instant::now();
        let (why, taken) = tokio::join!(ends(&mut pulse, &mut ours), async {
            sleep(5 * BEAT).await;
            theirs_read.read_exact(&mut some).await
        });
        taken.unwrap();
        assert_eq!(why, "nothing was taken for 10s");
        assert!(start.elapsed() > BEAT * GONE && start.elapsed() < BEAT * (GONE + 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_message_has_to_arrive_in_time() {
        let (ours, mut theirs) = duplex(1 << 16);
        let ours = Socket::Other(Box::new(ours));
        let mut ours = Ours::new(ours, BytesMut::new(), 1 << 20);
        let trickle = tokio::spawn(async move {
            let mut frame = BytesMut::new();
            let payload = vec![0; 500_000].into();
            let answer = Answer { outcome: crate::wire::Outcome::Answer, payload };
            let long = Message::Answer(1, answer).write(&mut frame);
            frame.extend(long.into_iter().flatten());
            for bytes in frame.chunks(1_000) {
                if theirs.write_all(bytes).await.is_err() {
                    return;
                }
                sleep(BEAT).await;
            }
        });
        let mut pulse = Pulse::new(PulseThresholds::default());
        let start = Instant::now();
        assert_eq!(ends(&mut pulse, &mut ours).await, "a message did not arrive within 30s");
        assert!(start.elapsed() < LONG + 2 * REST);
        drop(ours);
        trickle.await.unwrap();
    }
}
