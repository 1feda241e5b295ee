//! Frames: there and back, and whatever a peer may send instead.

use super::{
    entries::{DEADLINE_MICROS, END},
    *,
};
use crate::call::{CallSettings, MAX_DEADLINE, Principal};
use proptest::prelude::*;
use std::time::Duration;

const LIMIT: usize = 64 * 1024;

fn context() -> Context {
    Context::edge(&CallSettings::default())
        .with_principal(
            Principal::user("ada")
                .with_tenant("acme")
                .with_issuer("https://issuer")
                .with_role("buyer")
                .with_role("é")
                .with_scope("orders:write")
                .with_claim("plan", "large"),
        )
        .with_idempotency_key("key")
}

fn written(message: &Message) -> BytesMut {
    let mut out = BytesMut::new();
    let long = message.clone().write(&mut out);
    out.extend(long.into_iter().flatten());
    out
}

fn call(payload: &'static [u8]) -> Message {
    Message::Call(
        7,
        Envelope {
            method: 3,
            context: context(),
            payload: Payload::Written(payload.to_vec()),
            timed: false,
        },
    )
}

/// The bytes of a call whose deadline is `micros`.
fn call_with_deadline(micros: u64) -> BytesMut {
    let mut body = BytesMut::new();
    body.put_u8(CALL);
    body.put_u64_le(1);
    body.put_u32_le(0);
    body.put_u8(DEADLINE_MICROS);
    body.put_u32_le(8);
    body.put_u64_le(micros);
    body.put_u8(END);
    let mut frame = BytesMut::new();
    frame.put_u32_le(body.len() as u32);
    frame.put(body);
    frame
}

#[tokio::test(start_paused = true)]
async fn a_call_arrives_as_it_left() {
    let mut bytes = written(&call(b"arguments"));
    let Ok(Ok(Message::Call(7, envelope))) = Message::read(&mut bytes, LIMIT) else {
        panic!("no call")
    };
    let sent = context();
    assert_eq!(envelope.method, 3);
    assert_eq!(&envelope.payload[..], b"arguments");
    assert_eq!(envelope.context.principal(), sent.principal());
    assert_eq!(envelope.context.idempotency_key(), Some("key"));
    assert_eq!(envelope.context.deadline(), sent.deadline());
    assert!(bytes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_deadline_is_too_long_to_be_read() {
    let three_years_us = 3 * 365 * 24 * 60 * 60 * 1_000_000;
    for micros in [three_years_us, u64::MAX, u64::MAX - 1, i64::MAX as u64] {
        let Ok(Ok(Message::Call(_, envelope))) =
            Message::read(&mut call_with_deadline(micros), LIMIT)
        else {
            panic!("no call for {micros}")
        };
        assert_eq!(envelope.context.remaining(), MAX_DEADLINE);
    }
    let Ok(Ok(Message::Call(_, over))) = Message::read(&mut call_with_deadline(0), LIMIT) else {
        panic!("no call")
    };
    assert_eq!(over.context.remaining(), Duration::ZERO);
}

#[test]
fn what_is_about_the_connection_arrives_as_it_left() {
    for message in [Message::Leaving, Message::Ping(3), Message::Pong(u64::MAX)] {
        let read = Message::read(&mut written(&message), LIMIT).unwrap().unwrap();
        assert_eq!(format!("{read:?}"), format!("{message:?}"));
    }
}

#[test]
fn a_call_that_is_made_again_says_so() {
    for again in [false, true] {
        let mut envelope = match call(b"arguments") {
            Message::Call(_, envelope) => envelope,
            other => panic!("{other:?}"),
        };
        if again {
            envelope.context = envelope.context.made_again();
        }
        let read = Message::read(&mut written(&Message::Call(7, envelope)), LIMIT);
        let Ok(Ok(Message::Call(7, envelope))) = read else { panic!("{read:?}") };
        assert_eq!(envelope.context.is_again(), again);
    }
}

#[test]
fn a_call_without_a_deadline_is_refused() {
    let mut frame = BytesMut::new();
    frame.put_u32_le(14);
    frame.put_u8(CALL);
    frame.put_u64_le(1);
    frame.put_u32_le(0);
    frame.put_u8(END);
    assert_eq!(Message::read(&mut frame, LIMIT).unwrap_err(), FrameError::Malformed("no deadline"));
}

/// Long keys and many roles would be kept in memory beside the payload, where no limit sees them.
#[tokio::test]
async fn a_context_is_no_longer_than_a_frames_overhead() {
    let of = |roles: Vec<String>, key: &str| {
        let principal = roles.into_iter().fold(Principal::user("ada"), Principal::with_role);
        let context = context().with_principal(principal).with_idempotency_key(key);
        let payload = Payload::Written(vec![0; 40_000]);
        written(&Message::Call(1, Envelope { method: 0, context, payload, timed: false }))
    };
    let malformed = FrameError::Malformed("its context is longer than any may be");
    let long = "x".repeat(OVERHEAD);
    for mut frame in [of(Vec::new(), &long), of(vec![long], ""), of(vec![String::new(); 4_000], "")]
    {
        assert_eq!(Message::read(&mut frame, LIMIT).unwrap_err(), malformed);
    }
    let mut fits = of(vec!["x".repeat(OVERHEAD / 2)], "key");
    assert!(matches!(Message::read(&mut fits, LIMIT), Ok(Ok(Message::Call(..)))));
}

#[test]
fn an_entry_of_a_newer_peer_is_passed_over() {
    let mut frame = call_with_deadline(1_000_000);
    frame.truncate(frame.len() - 1);
    frame.put_u8(200);
    frame.put_u32_le(3);
    frame.put_slice(b"new");
    frame.put_u8(END);
    let length = (frame.len() - LENGTH) as u32;
    frame[..LENGTH].copy_from_slice(&length.to_le_bytes());
    assert!(matches!(Message::read(&mut frame, LIMIT), Ok(Ok(Message::Call(..)))));
}

#[test]
fn a_header_alone_reserves_nothing() {
    let mut frame = BytesMut::from(&(LIMIT as u32).to_le_bytes()[..]);
    let wanted = Message::read(&mut frame, LIMIT).unwrap().unwrap_err();
    assert_eq!(wanted, LIMIT);
    assert!(frame.capacity() < 1024);
    let mut long = BytesMut::from(&u32::MAX.to_le_bytes()[..]);
    assert!(matches!(Message::read(&mut long, LIMIT), Err(FrameError::TooLong { .. })));
}

/// Reads all that can be read; what is read came from the input, so it is no longer than that.
fn read_all(bytes: &[u8]) {
    let mut input = BytesMut::from(bytes);
    while let Ok(Ok(message)) = Message::read(&mut input, LIMIT) {
        let payload = match message {
            Message::Call(_, envelope) => {
                assert!(envelope.context.remaining() <= MAX_DEADLINE);
                let texts = envelope.context.principal().map_or(0, |principal| principal.size(0));
                assert!(texts <= bytes.len());
                envelope.payload.len()
            }
            Message::Answer(_, answer) => answer.payload.len(),
            Message::Cancel(_) | Message::Leaving | Message::Ping(_) | Message::Pong(_) => 0,
        };
        assert!(payload <= bytes.len());
    }
}

/// How many cases each property is tried with, unless `MONOLIFT_CASES` says otherwise: a long run tries 40,000.
fn cases() -> u32 {
    std::env::var("MONOLIFT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(4_000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn whatever_arrives_ends_in_a_frame_or_an_error(
        bytes in proptest::collection::vec(any::<u8>(), 0..200)
    ) {
        read_all(&bytes);
    }

    /// Noise behind a plausible header reaches further than noise alone.
    #[test]
    fn whatever_a_frame_holds_ends_in_a_frame_or_an_error(
        kind in 0u8..8,
        body in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..6], 8..120)
    ) {
        let mut frame = BytesMut::new();
        frame.put_u32_le(body.len() as u32 + 1);
        frame.put_u8(kind);
        frame.put_slice(&body);
        read_all(&frame);
    }

    #[test]
    fn a_frame_that_is_cut_or_damaged_ends_in_a_frame_or_an_error(
        cut in 0usize..160,
        at in 0usize..160,
        to in any::<u8>()
    ) {
        let mut bytes = written(&call(b"some arguments")).to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = to;
        }
        bytes.truncate(cut);
        read_all(&bytes);
    }
}
