//! The transport that tarpc's messages go over: frames on a socket.
//!
//! Nearly all of what a small call costs between processes is one write and one wake-up, so a flush
//! yields once before it writes: whatever else is ready to be sent by then goes out in the same
//! write.
//!
//! It answers pings by itself, and knows whether the other side is about to go.

use super::{
    Answer, Envelope, FrameError, Introduced, Message, Socket, Statements,
    frame::{LONG, OVERHEAD},
    output::Output,
};
use crate::carry::{overloaded, refuse};
use bytes::{Buf, BytesMut};
use futures_util::{Sink, Stream};
use std::{
    future::Future,
    io,
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, ready},
    time::Duration,
};
use tarpc::{ClientMessage, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    time::Instant,
};

/// Bytes that may wait to be written before the sender has to.
const WRITE_AHEAD: usize = 256 * 1024;
/// Bytes that are worth a write of their own, so that the other side has something to do meanwhile.
const EAGER: usize = 8 * 1024;
/// The room of the first read, and of the first after a rest: an idle connection takes no more.
const FIRST_STEP: usize = LEAST_ROOM;
/// How much room further reads are given at least. A frame that is longer is given more as it arrives,
/// so that a header alone reserves nothing.
const READ_STEP: usize = 64 * 1024;
/// What they are given once so much of a long frame has arrived as fills a step: room for several.
const LONG_STEP: usize = 1024 * 1024;
/// With less room than this, a read is given a new step.
const LEAST_ROOM: usize = 8 * 1024;
/// After a long message, this many others have to follow before a connection counts as one without long messages.
const REMEMBERED: u32 = 64;
/// Reads, and messages about the connection itself, in one turn.
const AT_ONCE: usize = 128;
/// Nothing that tarpc is asked to do takes so long.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const _: () =
    assert!(LONG + OVERHEAD <= READ_STEP, "only calls with long payloads are passed over");

/// Frames on a socket, seen from one side: `Out` goes out and `In` comes in.
#[derive(Debug)]
pub struct Transport<Out, In> {
    socket: Socket,
    payload_limit: usize,
    input: BytesMut,
    /// Messages since the last one that was long.
    since_long: u32,
    output: Output,
    yielded: bool,
    /// How often something was read.
    reads: u64,
    leaving: bool,
    /// Whether nothing has been read since the buffers were given back.
    rested: bool,
    /// Since when a long message has been arriving.
    long_since: Option<Instant>,
    /// Bytes of a message that are still to arrive and are not kept.
    passing_over: usize,
    /// What the other side has shown of signers and statements.
    seen: Introduced,
    sides: PhantomData<fn(Out) -> In>,
}

/// What arrives on a connection.
#[derive(Debug)]
pub(crate) enum Heard<In> {
    /// A whole message.
    Message(In),
    /// The beginning of a message that is too long for the buffers of a connection. The rest is read,
    /// unless [`Transport::pass_over`] is called next.
    Long(Long),
}

/// A long message of which only the beginning is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Long {
    /// The call's id.
    pub(crate) id: u64,
    /// The bytes of the whole message.
    pub(crate) bytes: usize,
}

impl<Out, In> Transport<Out, In> {
    /// Frames on `socket`, from which `input` has been read already.
    pub fn new(socket: Socket, input: BytesMut, payload_limit: usize) -> Self {
        let output = Output::new(Introduced::over(&socket));
        let seen = Introduced::over(&socket);
        Self {
            socket,
            payload_limit,
            input,
            since_long: REMEMBERED,
            output,
            yielded: false,
            reads: 0,
            leaving: false,
            rested: true,
            long_since: None,
            passing_over: 0,
            seen,
            sides: PhantomData,
        }
    }

    /// The same, where what callers say of their users is verified.
    #[must_use]
    pub(crate) fn believing(mut self, statements: Option<Arc<Statements>>) -> Self {
        self.seen.believe(statements);
        self
    }

    /// The same, where statements are named by numbers if the other side understands them.
    #[must_use]
    pub(crate) fn numbering(mut self, is_understood: bool) -> Self {
        self.output.number(is_understood);
        self
    }

    /// Whether long messages go over it, lately.
    pub(crate) fn has_long_messages(&self) -> bool {
        self.since_long < REMEMBERED
    }

    /// How often something was read: who reads nothing more hears nothing.
    pub(crate) fn reads(&self) -> u64 {
        self.reads
    }

    /// Bytes that wait to be written.
    pub(crate) fn unwritten(&self) -> usize {
        self.output.len()
    }

    /// Bytes that the socket has taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.output.taken()
    }

    /// Since when a long message has been arriving, if one is.
    pub(crate) fn long_since(&self) -> Option<Instant> {
        self.long_since
    }

    /// Gives back the buffers of a connection that is at rest.
    pub(crate) fn shrink(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
            self.rested = true;
        }
        self.output.shrink();
    }

    /// Reads past the long message that is arriving, without keeping it.
    pub(crate) fn pass_over(&mut self) {
        if let Some(frame) = Message::peek(&self.input) {
            self.passing_over = frame.whole - self.input.len();
            self.input.clear();
        }
    }

    /// Whether the other side has said that it is about to go.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Says that this side is about to go. It leaves with the next flush.
    pub(crate) fn say_leaving(&mut self) {
        self.output.put(Message::Leaving);
    }

    /// Has the other side show that it is there. It leaves with the next flush.
    pub(crate) fn ping(&mut self) {
        self.output.put(Message::Ping(0));
    }

    /// Whether a message is about the connection, and not about a call. It is seen to then.
    fn is_own(&mut self, message: &Message) -> bool {
        match message {
            Message::Leaving => self.leaving = true,
            // Who asks and never reads is not told for ever.
            Message::Ping(id) if self.output.len() < WRITE_AHEAD => {
                self.output.put(Message::Pong(*id));
            }
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Call(..) | Message::Cancel(_) | Message::Answer(..) => return false,
        }
        true
    }
}

/// What one side of a connection says or hears.
pub trait Side: Sized {
    /// As a frame, if it is one that this version of tarpc and we both know.
    fn into_message(self) -> Option<Message>;
    /// From a frame, if it is one that this side may hear.
    fn from_message(message: Message) -> Option<Self>;
    /// What it means to this side that the other says no more.
    fn at_the_end() -> io::Result<()>;
}

impl Side for ClientMessage<Envelope> {
    fn into_message(self) -> Option<Message> {
        match self {
            Self::Request(request) => Some(Message::Call(request.id, request.message)),
            Self::Cancel { request_id, .. } => Some(Message::Cancel(request_id)),
            _ => None,
        }
    }

    fn from_message(message: Message) -> Option<Self> {
        match message {
            Message::Call(id, message) => {
                Some(Self::Request(tarpc::Request { context: tarpc_context(), id, message }))
            }
            Message::Cancel(request_id) => {
                let trace_context = tarpc_context().trace_context;
                Some(Self::Cancel { trace_context, request_id })
            }
            _ => None,
        }
    }

    /// The caller is gone, and nobody waits for what is in flight. tarpc would take it for the end of
    /// the requests alone, and let that go on.
    fn at_the_end() -> io::Result<()> {
        Err(io::ErrorKind::ConnectionAborted.into())
    }
}

impl Side for Response<Answer> {
    fn into_message(self) -> Option<Message> {
        // tarpc itself answers with an error only where there are too many calls in flight.
        let answer = self.message.unwrap_or_else(|error| refuse(&overloaded(&error.detail)));
        Some(Message::Answer(self.request_id, answer))
    }

    fn from_message(message: Message) -> Option<Self> {
        match message {
            Message::Answer(request_id, answer) => Some(Self { request_id, message: Ok(answer) }),
            _ => None,
        }
    }

    fn at_the_end() -> io::Result<()> {
        Ok(())
    }
}

/// A context for tarpc, which wants one: ours travels in the envelope. Its deadline lies behind any
/// that we set, so that it never ends a call.
///
/// No dispatcher of `tracing` is set while it is made: setting one, even for a moment and only on this
/// thread, switches the `log` records of a program without a subscriber off for good.
pub(crate) fn tarpc_context() -> tarpc::context::Context {
    static TEMPLATE: LazyLock<tarpc::context::Context> = LazyLock::new(|| {
        let mut context = tarpc::context::current();
        context.trace_context = tarpc::trace::Context::default();
        context.deadline = std::time::Instant::now() + YEAR;
        context
    });
    *TEMPLATE
}

impl<Out, In: Side> Transport<Out, In> {
    /// What arrives next. After a [`Heard::Long`] its receiver may have the message passed over.
    pub(crate) fn poll_heard(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Heard<In>>>> {
        for _ in 0..AT_ONCE {
            let missing = if self.passing_over > 0 {
                let passed = self.passing_over.min(self.input.len());
                self.input.advance(passed);
                self.passing_over -= passed;
                self.passing_over.min(READ_STEP)
            } else {
                match Message::read_after(&mut self.seen, &mut self.input, self.payload_limit) {
                    Ok(Ok(message)) if self.is_own(&message) => 0,
                    Ok(Ok(message)) => {
                        self.since_long = self.since_long.saturating_add(1);
                        self.long_since = None;
                        let heard = In::from_message(message)
                            .ok_or_else(|| broken("a frame that only the other side may send"));
                        return Poll::Ready(Some(heard.map(Heard::Message)));
                    }
                    Ok(Err(missing)) => {
                        if let Some(long) = self.begins_long(missing) {
                            return Poll::Ready(Some(long.map(Heard::Long)));
                        }
                        missing
                    }
                    Err(error) => return Poll::Ready(Some(Err(broken(error)))),
                }
            };
            if missing == 0 {
                self.long_since = None;
                continue;
            }
            make_room(&mut self.input, missing, self.rested);
            let read = ready!(poll_read(&mut self.socket, &mut self.input, cx))?;
            self.rested = false;
            self.reads += 1;
            if read == 0 {
                let whole = self.input.is_empty() && self.passing_over == 0;
                let end =
                    if whole { In::at_the_end() } else { Err(io::ErrorKind::UnexpectedEof.into()) };
                return Poll::Ready(end.err().map(Err));
            }
        }
        // Pings alone must not keep the thread.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The long message that begins to arrive, the first time that it is looked at.
    fn begins_long(&mut self, missing: usize) -> Option<io::Result<Long>> {
        if missing >= LONG {
            self.since_long = 0;
        }
        if missing + self.input.len() <= READ_STEP || self.long_since.is_some() {
            return None;
        }
        let frame = Message::peek(&self.input)?;
        self.long_since = Some(Instant::now());
        if !frame.has_payload {
            let error = FrameError::Malformed("a long frame of a kind that has no payload");
            return Some(Err(broken(error)));
        }
        Some(Ok(Long { id: frame.id, bytes: frame.whole }))
    }
}

impl<Out, In: Side> Stream for Transport<Out, In> {
    type Item = io::Result<In>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match ready!(this.poll_heard(cx)) {
                Some(Ok(Heard::Long(_))) => {}
                Some(Ok(Heard::Message(message))) => return Poll::Ready(Some(Ok(message))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<Out: Side, In> Sink<Out> for Transport<Out, In> {
    type Error = io::Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.output.len() < EAGER {
            return Poll::Ready(Ok(()));
        }
        match this.poll_write(cx) {
            Poll::Pending if this.output.len() < WRITE_AHEAD => Poll::Ready(Ok(())),
            written => written,
        }
    }

    fn start_send(self: Pin<&mut Self>, message: Out) -> io::Result<()> {
        if let Some(message) = message.into_message() {
            let this = self.get_mut();
            let before = this.output.len();
            this.output.put(message);
            if this.output.len() - before >= LONG {
                this.since_long = 0;
            }
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.output.has_left() {
            return Poll::Ready(Ok(()));
        }
        if !this.yielded {
            this.yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.poll_write(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_write(cx))?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}

impl<Out, In> Transport<Out, In> {
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.output.poll_write(&mut self.socket, cx))?;
        self.yielded = false;
        Poll::Ready(Ok(()))
    }
}

/// Gives `input` room for the frame that is arriving, of which so much is missing.
fn make_room(input: &mut BytesMut, missing: usize, rested: bool) {
    let room = input.capacity() - input.len();
    let step = match input.len() {
        _ if rested => FIRST_STEP,
        ..READ_STEP => READ_STEP,
        _ => LONG_STEP,
    };
    // With little room left, much of what is there would take a read for itself.
    if room < missing.clamp(LEAST_ROOM, step) {
        input.reserve(step);
    }
}

/// Reads what is there into the room that `input` has.
fn poll_read(
    socket: &mut Socket,
    input: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let reading = std::pin::pin!(socket.read_buf(input));
    reading.poll(cx)
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;
    use tokio::io::AsyncWriteExt;

    /// A flood of pings is heard in turns, between which other tasks run.
    #[tokio::test]
    async fn pings_alone_do_not_keep_the_thread() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let mut pings = BytesMut::new();
        (0..10_000).for_each(|id| assert!(Message::Ping(id).write(&mut pings).is_none()));
        theirs.write_all(&pings).await.unwrap();
        let ours = Socket::Other(Box::new(ours));
        let mut ours = Transport::<Response<Answer>, ClientMessage<Envelope>>::new(
            ours,
            BytesMut::new(),
            1024,
        );
        let mut cx = Context::from_waker(Waker::noop());
        let mut turns = 0;
        while ours.output.len() < pings.len() {
            assert!(ours.poll_heard(&mut cx).is_pending());
            turns += 1;
        }
        assert!(turns >= 10_000 / AT_ONCE, "{turns}");
    }

    #[test]
    fn a_context_for_tarpc_sets_no_dispatcher() {
        let before = tracing::dispatcher::has_been_set();
        assert_eq!(tarpc_context().trace_context, tarpc::trace::Context::default());
        assert_eq!(tracing::dispatcher::has_been_set(), before);
    }
}
