//! What waits to be written: short frames together in one piece, and long payloads between such
//! pieces, as they are.

use super::{Introduced, Message, Socket};
use bytes::{Buf, Bytes, BytesMut};
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::AsyncWrite;

/// The room that short frames are given.
const ROOM: usize = 64 * 1024;
/// Room beyond this is given back, once all is written.
const MOST_ROOM: usize = 256 * 1024;
/// Pieces that are written at a time.
const PIECES: usize = 16;

/// What waits to be written.
#[derive(Debug)]
pub(super) struct Output {
    /// To be written before `end`.
    pieces: VecDeque<Bytes>,
    /// Grows with each short frame.
    end: BytesMut,
    /// Bytes in `pieces`.
    before_end: usize,
    /// Whether the socket may keep some of what was written.
    kept: bool,
    /// Bytes that the socket has taken so far.
    taken: u64,
    /// What was shown in it of signers and statements.
    shown: Introduced,
}

impl Output {
    /// Nothing yet, on a connection where `shown` has been shown.
    pub(super) fn new(shown: Introduced) -> Self {
        let (pieces, end) = (VecDeque::new(), BytesMut::new());
        Self { pieces, end, before_end: 0, kept: false, taken: 0, shown }
    }

    /// Has statements named by numbers, if the other side understands them.
    pub(super) fn number(&mut self, is_understood: bool) {
        self.shown.number(is_understood);
    }

    /// Bytes that the socket has taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Gives the room for short frames back, if nothing is in it.
    pub(super) fn shrink(&mut self) {
        if self.end.is_empty() {
            self.end = BytesMut::new();
        }
    }

    /// Whether all of it has left.
    pub(super) fn has_left(&self) -> bool {
        self.len() == 0 && !self.kept
    }

    pub(super) fn len(&self) -> usize {
        self.before_end + self.end.len()
    }

    pub(super) fn put(&mut self, message: Message) {
        if self.end.capacity() == 0 {
            self.end.reserve(ROOM);
        }
        if let Some(long) = message.write_after(&mut self.shown, &mut self.end) {
            self.before_end += self.end.len() + long.len();
            self.pieces.extend([self.end.split().freeze(), long]);
        }
    }

    /// Writes all of it.
    pub(super) fn poll_write(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.len() > 0 {
            let mut socket = Pin::new(&mut *socket);
            let written = if self.pieces.is_empty() {
                ready!(socket.poll_write(cx, &self.end))?
            } else {
                let mut slices = [IoSlice::new(&[]); PIECES];
                let pieces = self.pieces.iter().map(|piece| &piece[..]).chain([&self.end[..]]);
                let count = slices.iter_mut().zip(pieces).fold(0, |count, (slice, piece)| {
                    *slice = IoSlice::new(piece);
                    count + 1
                });
                ready!(socket.as_mut().poll_write_vectored(cx, &slices[..count]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
            self.taken += written as u64;
            self.kept = true;
        }
        // TLS keeps what the socket did not take.
        ready!(Pin::new(socket).poll_flush(cx))?;
        self.kept = false;
        if self.end.capacity() > MOST_ROOM {
            self.end = BytesMut::with_capacity(ROOM);
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.pieces.front_mut() {
            let of_first = written.min(first.len());
            first.advance(of_first);
            written -= of_first;
            self.before_end -= of_first;
            if !first.is_empty() {
                return;
            }
            self.pieces.pop_front();
        }
        self.end.advance(written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Answer, Outcome};

    fn answer(id: u64, length: usize) -> Message {
        let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        Message::Answer(id, Answer { outcome: Outcome::Answer, payload: payload.into() })
    }

    /// Frames of all lengths, in a stream that is taken in bites of another size than any of them.
    #[test]
    fn frames_leave_in_their_order_and_whole() {
        let lengths = [10, 0, 70_000, 33_000, 5, 32 * 1024, 32 * 1024 - 1, 200_000, 9];
        let mut output = Output::new(Introduced::default());
        let mut plain = BytesMut::new();
        for (id, &length) in (0..).zip(&lengths) {
            output.put(answer(id, length));
            if let Some(long) = answer(id, length).write(&mut plain) {
                plain.extend_from_slice(&long);
            }
        }
        assert_eq!(output.len(), plain.len());
        let mut left = BytesMut::new();
        while output.len() > 0 {
            let pieces = output.pieces.iter().map(|piece| &piece[..]).chain([&output.end[..]]);
            let all: Vec<u8> = pieces.flatten().copied().collect();
            let bite = all.len().min(7_001);
            left.extend_from_slice(&all[..bite]);
            output.advance(bite);
        }
        assert_eq!(left, plain);
        for (id, &length) in (0..).zip(&lengths) {
            let read = Message::read(&mut left, 1 << 20).expect("a frame").expect("all of it");
            let Message::Answer(of, Answer { payload, .. }) = read else { panic!("{read:?}") };
            assert_eq!((of, payload.len()), (id, length));
        }
    }
}
