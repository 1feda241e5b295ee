//! One connection with a peer that is played by the test, frame by frame.

use super::{Calls, ClientTransport, Outbound};
use crate::{
    call::Context,
    wire::{Answer, Envelope, Message, Outcome, Payload, Socket, Transport, tarpc_context},
};
use bytes::{Bytes, BytesMut};
use futures_util::poll;
use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::{Context as Poller, Poll},
    time::Duration,
};
use tarpc::client::{RpcError, stub::Stub};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    time::{Instant, timeout},
};

const PAYLOAD_LIMIT: usize = 1 << 20;
const FAR: Duration = Duration::from_secs(3_600);

/// A connection with room for `places` calls, whose task does not run yet, and the peer's end.
fn connection(places: usize, buffer: usize) -> (Arc<Calls>, ClientTransport, Played) {
    let (ours, theirs) = duplex(buffer);
    let socket = Socket::Other(Box::new(ours));
    let transport = Transport::new(socket, BytesMut::new(), PAYLOAD_LIMIT);
    let played = Played { socket: theirs, input: BytesMut::new() };
    (Arc::new(Calls::new(places, Arc::default(), Default::default())), transport, played)
}

fn call_with(
    calls: &Calls,
    method: u32,
    payload: Payload,
    within: Duration,
) -> impl Future<Output = Result<Answer, RpcError>> {
    let context = Context::until(Instant::now() + within);
    {
        let envelope = Envelope { method, context, payload, timed: false };
        calls.call(tarpc_context(), Outbound { envelope, room: 1 << 20 })
    }
}

/// A call of method number `method`, which tells calls apart here.
fn call(calls: &Calls, method: u32) -> impl Future<Output = Result<Answer, RpcError>> {
    call_with(calls, method, Vec::new().into(), FAR)
}

/// The peer.
struct Played {
    socket: DuplexStream,
    input: BytesMut,
}

impl Played {
    async fn hear(&mut self) -> Message {
        loop {
            match Message::read(&mut self.input, PAYLOAD_LIMIT).unwrap() {
                Ok(Message::Ping(_)) => {}
                Ok(message) => return message,
                Err(_) => assert_ne!(self.socket.read_buf(&mut self.input).await.unwrap(), 0),
            }
        }
    }

    /// The next frame, which is a call: its id and its method.
    async fn called(&mut self) -> (u64, u32) {
        match self.hear().await {
            Message::Call(id, envelope) => (id, envelope.method),
            other => panic!("{other:?}"),
        }
    }
}

/// The frame of an answer with `payload`.
fn answer(id: u64, payload: &[u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    let answer = Answer { outcome: Outcome::Answer, payload: payload.to_vec().into() };
    assert!(Message::Answer(id, answer).write(&mut frame).is_none());
    frame
}

async fn soon<F: Future>(what: F) -> F::Output {
    timeout(Duration::from_secs(60), what).await.expect("this comes soon")
}

/// A caller in line may be polled for a reason of its own in the moment in which a place is free, and
/// may go away in any state. None of that may cost another caller its wake-up.
#[tokio::test(start_paused = true)]
async fn a_free_place_is_used_while_a_call_waits_for_it() {
    let (calls, transport, mut played) = connection(1, 1 << 16);
    let mut first = Box::pin(call(&calls, 1));
    let mut second = Box::pin(call(&calls, 2));
    let mut third = Box::pin(call(&calls, 3));
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut second).is_pending());
    assert!(poll!(&mut third).is_pending());
    drop(first);
    assert!(poll!(&mut third).is_pending());
    assert!(poll!(&mut second).is_pending());
    // From here on it is polled only when it is woken.
    let waiting = tokio::spawn({
        let calls = Arc::clone(&calls);
        async move { call(&calls, 4).await }
    });
    tokio::task::yield_now().await;
    drop(third);
    drop(second);
    let running = tokio::spawn(Arc::clone(&calls).run(transport));
    let answered = async {
        loop {
            if let Message::Call(id, envelope) = played.hear().await
                && envelope.method == 4
            {
                played.socket.write_all(&answer(id, b"four")).await.unwrap();
                break;
            }
        }
        waiting.await.unwrap().unwrap()
    };
    assert_eq!(&*soon(answered).await.payload, b"four");
    running.abort();
}

/// Each place is used again as soon as an answer is there, whether or not the caller that was answered has
/// been polled since.
#[tokio::test(start_paused = true)]
async fn an_answered_call_holds_no_place() {
    let (calls, transport, mut played) = connection(1, 1 << 16);
    let mut answered = Box::pin(call(&calls, 1));
    assert!(poll!(&mut answered).is_pending());
    let mut next = Box::pin(call(&calls, 2));
    assert!(poll!(&mut next).is_pending());
    let running = tokio::spawn(Arc::clone(&calls).run(transport));
    let (id, _) = soon(played.called()).await;
    played.socket.write_all(&answer(id, b"one")).await.unwrap();
    assert_eq!(soon(played.called()).await.1, 2);
    assert_eq!(&*soon(answered).await.unwrap().payload, b"one");
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn of_a_call_that_goes_before_it_is_sent_nothing_is_sent() {
    let (calls, transport, mut played) = connection(2, 1 << 16);
    let mut gone = Box::pin(call(&calls, 1));
    assert!(poll!(&mut gone).is_pending());
    let mut overdue = Box::pin(call_with(&calls, 2, Vec::new().into(), Duration::from_millis(5)));
    assert!(poll!(&mut overdue).is_pending());
    let mut in_line = Box::pin(call_with(&calls, 3, Vec::new().into(), Duration::from_millis(7)));
    assert!(poll!(&mut in_line).is_pending());
    drop(gone);
    tokio::time::advance(Duration::from_millis(10)).await;
    let running = tokio::spawn(Arc::clone(&calls).run(transport));
    assert!(matches!(soon(overdue).await, Err(RpcError::DeadlineExceeded)));
    assert!(matches!(soon(in_line).await, Err(RpcError::DeadlineExceeded)));
    let mut well = Box::pin(call(&calls, 4));
    assert!(poll!(&mut well).is_pending());
    assert_eq!(soon(played.called()).await.1, 4);
    running.abort();
}

/// The peer reads nothing, so that only a little is ever sent.
#[tokio::test(start_paused = true)]
async fn a_call_that_goes_frees_its_payload_at_once() {
    const CALLS: usize = 64;
    const LENGTH: usize = 256 * 1024;
    struct Owned {
        _held: Arc<()>,
        bytes: Vec<u8>,
    }
    impl AsRef<[u8]> for Owned {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    let (calls, transport, _played) = connection(CALLS / 2, 1024);
    let running = tokio::spawn(Arc::clone(&calls).run(transport));
    let mut payloads: Vec<Weak<()>> = Vec::new();
    let mut under_way = Vec::new();
    for _ in 0..CALLS {
        let held = Arc::new(());
        payloads.push(Arc::downgrade(&held));
        let payload =
            Payload::Read(Bytes::from_owner(Owned { _held: held, bytes: vec![0; LENGTH] }));
        under_way.push(Box::pin(call_with(&calls, 1, payload, FAR)));
    }
    for call in &mut under_way {
        assert!(poll!(call).is_pending());
    }
    for _ in 0..CALLS {
        tokio::task::yield_now().await;
    }
    let held = || payloads.iter().filter(|payload| payload.strong_count() > 0).count();
    assert_eq!(held(), CALLS);
    drop(under_way);
    // Those that are being written: two are more than the transport takes before it writes.
    assert!(held() <= 2, "{}", held());
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn answers_that_have_arrived_are_handed_out_before_a_connection_ends() {
    const CALLS: u32 = 40;
    let endings: [&[u8]; 3] = [&0_u32.to_le_bytes(), &u32::MAX.to_le_bytes(), &[1, 2]];
    for ending in endings {
        let (calls, transport, mut played) = connection(64, 1 << 16);
        let mut under_way: Vec<_> =
            (0..CALLS).map(|method| Box::pin(call(&calls, method))).collect();
        for call in &mut under_way {
            assert!(poll!(call).is_pending());
        }
        let mut unanswered = Box::pin(call(&calls, CALLS));
        assert!(poll!(&mut unanswered).is_pending());
        let running = tokio::spawn(Arc::clone(&calls).run(transport));
        let mut said = BytesMut::new();
        for _ in 0..CALLS {
            let (id, method) = soon(played.called()).await;
            said.extend_from_slice(&answer(id, &method.to_le_bytes()));
        }
        said.extend_from_slice(ending);
        played.socket.write_all(&said).await.unwrap();
        drop(played);
        assert!(soon(running).await.unwrap().is_err());
        for (method, call) in (0..CALLS).zip(under_way) {
            assert_eq!(&*soon(call).await.unwrap().payload, method.to_le_bytes());
        }
        assert!(matches!(soon(unanswered).await, Err(RpcError::Shutdown)));
    }
}

/// A socket that turns out to be closed when it is written to, in the moment in which an answer arrives.
#[derive(Debug, Default)]
struct Reset {
    /// What was written before it broke.
    written: BytesMut,
    unread: BytesMut,
}

impl AsyncRead for Reset {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Poller<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Poll::Pending;
        }
        let length = self.unread.len().min(into.remaining());
        into.put_slice(&self.unread.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Reset {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Poller<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.written.is_empty() {
            self.written.extend_from_slice(bytes);
            cx.waker().wake_by_ref();
            return Poll::Ready(Ok(bytes.len()));
        }
        let Ok(Ok(Message::Call(id, _))) = Message::read(&mut self.written, PAYLOAD_LIMIT) else {
            panic!("no call was written");
        };
        self.unread = answer(id, b"done");
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Poller<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Poller<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_there_when_a_write_fails_is_handed_out() {
    let socket = Socket::Other(Box::new(Reset::default()));
    let transport = Transport::new(socket, BytesMut::new(), PAYLOAD_LIMIT);
    let calls = Arc::new(Calls::new(4, Arc::default(), Default::default()));
    let mut answered = Box::pin(call(&calls, 1));
    assert!(poll!(&mut answered).is_pending());
    let mut running = pin!(Arc::clone(&calls).run(transport));
    // Its flush yields once before it writes.
    assert!(poll!(&mut running).is_pending());
    assert!(poll!(&mut running).is_pending());
    let mut lost = Box::pin(call(&calls, 2));
    assert!(poll!(&mut lost).is_pending());
    assert!(soon(running).await.is_err());
    assert_eq!(&*soon(answered).await.unwrap().payload, b"done");
    assert!(soon(lost).await.is_err());
}

/// Callers that came first go first, and all of them go.
#[tokio::test(start_paused = true)]
async fn calls_in_line_go_in_the_order_in_which_they_came() {
    const CALLS: u32 = 100;
    let (calls, transport, mut played) = connection(3, 1 << 16);
    let running = tokio::spawn(Arc::clone(&calls).run(transport));
    let mut under_way: Vec<_> = (0..CALLS).map(|method| Box::pin(call(&calls, method))).collect();
    for call in &mut under_way {
        assert!(poll!(call).is_pending());
    }
    // Each fourth goes away, most of them in line.
    let mut left: Vec<_> = under_way.into_iter().map(Some).collect();
    left.iter_mut().skip(3).step_by(4).for_each(|call| drop(call.take()));
    let expected: Vec<u32> = (0..CALLS).filter(|method| method % 4 != 3).collect();
    for wanted in expected {
        let (id, method) = soon(played.called()).await;
        assert_eq!(method, wanted);
        played.socket.write_all(&answer(id, &method.to_le_bytes())).await.unwrap();
        let call = left[method as usize].take().unwrap();
        assert_eq!(&*soon(call).await.unwrap().payload, method.to_le_bytes());
    }
    running.abort();
}
