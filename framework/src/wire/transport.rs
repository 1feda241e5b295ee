//! The transport that tarpc's messages go over: frames on a socket.
//!
//! Nearly all of what a small call costs between processes is one write and one wake-up, so a flush
//! yields once before it writes: whatever else is ready to be sent by then goes out in the same
//! write.
//!
//! It answers pings by itself, and knows whether the other side is about to go.

use super::{Answer, Envelope, Message, Socket, output::Output};
use crate::call::{CallError, CallErrorKind};
use bytes::BytesMut;
use futures_util::{Sink, Stream};
use std::{
    future::Future,
    io,
    marker::PhantomData,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll, ready},
    time::Duration,
};
use tarpc::{ClientMessage, Response};
use tokio::io::{AsyncReadExt, AsyncWrite};

/// Bytes that may wait to be written before the sender has to.
const WRITE_AHEAD: usize = 256 * 1024;
/// Bytes that are worth a write of their own, so that the other side has something to do meanwhile.
const EAGER: usize = 8 * 1024;
/// How much room reads are given at least. A frame that is longer is given more as it arrives, so that
/// a header alone reserves nothing.
const READ_STEP: usize = 64 * 1024;
/// What they are given once so much of a long frame has arrived as fills a step: room for several.
const LONG_STEP: usize = 1024 * 1024;
/// With less room than this, a read is given a new step.
const LEAST_ROOM: usize = 8 * 1024;
/// A message of so many bytes is long: others should not wait behind it.
const LONG: usize = 32 * 1024;
/// For so many messages after one.
const REMEMBERED: u32 = 64;
/// Nothing that tarpc is asked to do takes so long.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

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
    sides: PhantomData<fn(Out) -> In>,
}

impl<Out, In> Transport<Out, In> {
    /// Frames on `socket`, from which `input` has been read already.
    pub fn new(socket: Socket, input: BytesMut, payload_limit: usize) -> Self {
        let output = Output::new();
        Self {
            socket,
            payload_limit,
            input,
            since_long: REMEMBERED,
            output,
            yielded: false,
            reads: 0,
            leaving: false,
            sides: PhantomData,
        }
    }

    /// Whether long messages go over it, lately.
    pub(crate) fn has_long_messages(&self) -> bool {
        self.since_long < REMEMBERED
    }

    /// How often something was read: who reads nothing more hears nothing.
    pub(crate) fn reads(&self) -> u64 {
        self.reads
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
        let answer = self.message.unwrap_or_else(|error| super::refuse(&overloaded(&error.detail)));
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

/// What is said to a call that is too many.
pub(crate) fn overloaded(why: &str) -> CallError {
    CallError::new(CallErrorKind::Overloaded, why)
}

/// A context for tarpc, which wants one: ours travels in the envelope. Its deadline lies behind any
/// that we set, so that it never ends a call.
pub(crate) fn tarpc_context() -> tarpc::context::Context {
    static TEMPLATE: LazyLock<tarpc::context::Context> = LazyLock::new(|| {
        let mut context =
            tracing::dispatcher::with_default(&tracing::Dispatch::none(), tarpc::context::current);
        context.deadline = std::time::Instant::now() + YEAR;
        context
    });
    *TEMPLATE
}

impl<Out, In: Side> Stream for Transport<Out, In> {
    type Item = io::Result<In>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match Message::read(&mut this.input, this.payload_limit) {
                Ok(Ok(message)) if this.is_own(&message) => {}
                Ok(Ok(message)) => {
                    this.since_long = this.since_long.saturating_add(1);
                    let heard = In::from_message(message)
                        .ok_or_else(|| broken("a frame that only the other side may send"));
                    return Poll::Ready(Some(heard));
                }
                Ok(Err(missing)) => {
                    if missing >= LONG {
                        this.since_long = 0;
                    }
                    make_room(&mut this.input, missing);
                    let read = ready!(poll_read(&mut this.socket, &mut this.input, cx))?;
                    this.reads += 1;
                    if read == 0 {
                        let whole = this.input.is_empty();
                        let end = if whole {
                            In::at_the_end()
                        } else {
                            Err(io::ErrorKind::UnexpectedEof.into())
                        };
                        return Poll::Ready(end.err().map(Err));
                    }
                }
                Err(error) => return Poll::Ready(Some(Err(broken(error)))),
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
fn make_room(input: &mut BytesMut, missing: usize) {
    let room = input.capacity() - input.len();
    let step = if input.len() < READ_STEP { READ_STEP } else { LONG_STEP };
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
