//! One call on a connection, as its caller awaits it.

use super::{Call, Calls, Course, List, cancel};
use crate::{
    call::stages::Probe,
    wire::{Answer, Envelope, TIMED},
};
use futures_util::poll;
use std::{
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    sync::MutexGuard,
    task::{Context, Poll},
};
use tarpc::{
    ClientMessage, Request,
    client::{RpcError, stub::Stub},
};
use tokio::time::{Instant, timeout_at};

impl Stub for Calls {
    type Req = Envelope;
    type Resp = Answer;

    async fn call(
        &self,
        context: tarpc::context::Context,
        message: Envelope,
    ) -> Result<Answer, RpcError> {
        let deadline = message.context.deadline();
        let request = Request { context, id: 0, message };
        let mut call =
            OneCall { calls: self, request: Some(request), deadline, id: None, in_line: None };
        match poll!(&mut call) {
            Poll::Ready(answered) => answered,
            // Until it has a place, nobody else watches its deadline.
            Poll::Pending if call.request.is_some() => {
                let entered = poll_fn(|cx| match Pin::new(&mut call).poll(cx) {
                    Poll::Pending if call.request.is_some() => Poll::Pending,
                    polled => Poll::Ready(polled),
                });
                match timeout_at(deadline, entered).await {
                    Err(_) => Err(RpcError::DeadlineExceeded),
                    Ok(Poll::Ready(answered)) => answered,
                    Ok(Poll::Pending) => call.await,
                }
            }
            Poll::Pending => call.await,
        }
    }
}

/// One call: before it is in the list it has its request, and from then on its id.
struct OneCall<'a> {
    calls: &'a Calls,
    request: Option<Request<Envelope>>,
    deadline: Instant,
    id: Option<u64>,
    /// Its number among those who wait for a place.
    in_line: Option<u64>,
}

impl Future for OneCall<'_> {
    type Output = Result<Answer, RpcError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut list = this.calls.list();
        if this.request.is_some() {
            return this.enter(list, cx);
        }
        let Some(id) = this.id else { return Poll::Ready(Err(RpcError::Shutdown)) };
        let ended = list.course == Course::Ended;
        let Some(slot) = list.slot(id) else { return Poll::Ready(Err(RpcError::Shutdown)) };
        let over = match &mut slot.call {
            Call::Waiting(waker) if !ended => {
                waker.clone_from(cx.waker());
                return Poll::Pending;
            }
            call => mem::replace(call, Call::None),
        };
        let next = list.leave(id);
        drop(list);
        this.id = None;
        if let Some(next) = next {
            next.wake();
        }
        Poll::Ready(match over {
            Call::Answered(answer) => Ok(answer),
            Call::Overdue => Err(RpcError::DeadlineExceeded),
            Call::NotSent => Err(not_sent()),
            Call::None | Call::Waiting(_) => Err(RpcError::Shutdown),
        })
    }
}

impl OneCall<'_> {
    /// Puts the call into the list, or into the line before it.
    fn enter(
        &mut self,
        mut list: MutexGuard<'_, List>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Answer, RpcError>> {
        if list.course == Course::Ended {
            return Poll::Ready(Err(not_sent()));
        }
        let newcomer = self.in_line.is_none() && !list.line.is_empty();
        if newcomer || list.count() >= self.calls.places {
            let waker = cx.waker();
            match self.in_line {
                None => {
                    let own = list.next_in_line;
                    list.next_in_line += 1;
                    list.line.push_back((own, waker.clone()));
                    self.in_line = Some(own);
                }
                Some(own) => match list.line.iter_mut().find(|(number, _)| *number == own) {
                    Some((_, known)) => known.clone_from(waker),
                    // It had its turn, and found its place taken.
                    None => list.line.push_front((own, waker.clone())),
                },
            }
            return Poll::Pending;
        }
        self.in_line = None;
        let Some(mut request) = self.request.take() else { return Poll::Pending };
        request.id = list.enter(cx.waker().clone());
        if request.message.timed {
            request.id |= TIMED;
        }
        self.id = Some(request.id);
        let sooner = list.watch(self.deadline, request.id);
        if request.message.timed {
            list.timed.get_or_insert((request.id, Probe::of(true)));
        }
        let wake = list.send(ClientMessage::Request(request)) || sooner;
        drop(list);
        if wake {
            self.calls.task.wake();
        }
        Poll::Pending
    }
}

/// The connection ended, and nothing of the call was on it.
fn not_sent() -> RpcError {
    RpcError::Send("the connection ended before the call was sent".into())
}

impl Drop for OneCall<'_> {
    /// Whoever goes away before the answer is there has the other side stop.
    fn drop(&mut self) {
        if self.id.is_none() && self.in_line.is_none() {
            return;
        }
        let mut list = self.calls.list();
        let mut wake = false;
        let next = match self.id {
            Some(id) => {
                if list.is_waiting(id) && list.course != Course::Ended {
                    wake = list.send(cancel(id));
                }
                list.leave(id)
            }
            // If its turn had come already, it is the next one's.
            None => {
                let before = list.line.len();
                list.line.retain(|(at, _)| Some(*at) != self.in_line);
                let had_its_turn = list.line.len() == before;
                had_its_turn.then(|| list.line.pop_front()).flatten().map(|(_, waker)| waker)
            }
        };
        drop(list);
        if wake {
            self.calls.task.wake();
        }
        if let Some(next) = next {
            next.wake();
        }
    }
}
