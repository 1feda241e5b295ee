//! What the release before this one says on a connection, replayed: its calls to a server of today, and its answers
//! to a client of today.
//!
//! The transcript is a real conversation, recorded byte for byte between a client and a server of that release. It is
//! recorded anew for each release that changes what is said: CONTRIBUTING.md says how.

use crate::{
    peers::{client, serve, unix},
    support::{How, Obedient, WorkerClient, WorkerError, call_error, soon},
};
use bytes::{Buf, BytesMut};
use monolift::{CallErrorKind, Context, Principal};
use monolift_manifest::Address;
use monolift_seam::wire::{Listener, Message, Outcome, Socket, connect};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// Where the hello of a caller begins.
const MAGIC: usize = b"monolift".len();
const PAYLOAD: usize = 4 * 1024 * 1024;

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts/protocol-2.txt")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Caller,
    Server,
}

/// A hello or a frame, with the length before it, and the side that sent it.
type Said = (By, Vec<u8>);

/// Splits the bytes that one side sent into its hello and its frames.
fn split(by: By, bytes: &[u8]) -> Vec<Said> {
    let mut rest = bytes;
    let mut all = Vec::new();
    let mut before = if by == By::Caller { MAGIC } else { 0 };
    while rest.len() >= before + 4 {
        let length = (&rest[before..]).get_u32_le() as usize;
        let (one, behind) = rest.split_at(before + 4 + length);
        all.push((by, one.to_vec()));
        (rest, before) = (behind, 0);
    }
    assert!(rest.is_empty(), "half a message of {by:?}");
    all
}

fn written(said: &[Said]) -> String {
    let mut text = String::new();
    for (by, bytes) in said {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let by = if *by == By::Caller { "caller" } else { "server" };
        writeln!(text, "{by} {hex}").unwrap();
    }
    text
}

fn read(text: &str) -> Vec<Said> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (by, hex) = line.split_once(' ').unwrap();
            let by = if by == "caller" { By::Caller } else { By::Server };
            let digits = hex.as_bytes().chunks(2);
            let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16);
            (by, digits.map(|two| byte(two).unwrap()).collect())
        })
        .collect()
}

fn frame(bytes: &[u8]) -> Message {
    Message::read(&mut BytesMut::from(bytes), PAYLOAD).unwrap().unwrap()
}

fn of(by: By, transcript: &[Said]) -> Vec<Vec<u8>> {
    let said = transcript.iter().filter(|(one, _)| *one == by);
    said.map(|(_, bytes)| bytes.clone()).collect()
}

/// Calls of every kind, one after the other; each is answered before the next is made. What came of them, in words.
async fn calls(worker: &WorkerClient) -> Vec<String> {
    let principal = Principal::user("ada").with_role("admin");
    let context = Context::until(tokio::time::Instant::now() + Duration::from_secs(60))
        .with_principal(principal)
        .with_idempotency_key("once");
    let mut came = vec![format!("{:?}", worker.echo("hello".into()).await)];
    came.push(format!("{:?}", worker.echo_after("later".into(), 1).await));
    came.push(format!("{:?}", worker.fail(How::Named).await));
    came.push(format!("{:?}", call_error(worker.fail(How::Refuse).await).kind()));
    came.push(format!("{:?}", call_error(worker.fail(How::Io).await).kind()));
    came.push(format!("{:?}", context.scope(worker.echo("in a context".into())).await));
    came.push(format!("{:?}", worker.long(100).await.map(|text| text.len())));
    came
}

fn expected() -> Vec<String> {
    let named = WorkerError::Named { name: "ada".into(), count: Some(3) };
    vec![
        format!("{:?}", Ok::<_, WorkerError>("hello")),
        format!("{:?}", Ok::<_, WorkerError>("later")),
        format!("{:?}", Err::<(), _>(named)),
        format!("{:?}", CallErrorKind::Overloaded),
        format!("{:?}", CallErrorKind::Internal),
        format!("{:?}", Ok::<_, WorkerError>("in a context")),
        format!("{:?}", Ok::<_, WorkerError>(100)),
    ]
}

/// Passes bytes on between the two sides, and keeps them.
async fn listen_in(to: Address, at: Listener, heard: Arc<Mutex<Vec<Said>>>) {
    let caller = at.accept().await.unwrap();
    let server = connect(&to, None, "worker").await.unwrap();
    let pass =
        |by: By, mut from: tokio::io::ReadHalf<Socket>, mut to: tokio::io::WriteHalf<Socket>| {
            let heard = Arc::clone(&heard);
            async move {
                let mut piece = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = from.read(&mut piece).await {
                    heard.lock().unwrap().push((by, piece[..length].to_vec()));
                    to.write_all(&piece[..length]).await.unwrap();
                }
            }
        };
    let (from_caller, to_caller) = tokio::io::split(caller);
    let (from_server, to_server) = tokio::io::split(server);
    tokio::join!(
        pass(By::Caller, from_caller, to_server),
        pass(By::Server, from_server, to_caller)
    );
}

/// Records the transcript of this release.
#[tokio::test]
#[ignore = "it writes the transcript of a release"]
async fn record() {
    if std::env::var_os("MONOLIFT_RECORD").is_none() {
        return;
    }
    let (_server, address) = serve(&unix(), &Arc::<Obedient>::default()).await;
    let between = unix();
    let listener = Listener::bind(&between).await.unwrap();
    let heard: Arc<Mutex<Vec<Said>>> = Arc::default();
    let listening = tokio::spawn(listen_in(address, listener, Arc::clone(&heard)));
    assert_eq!(calls(&client(&between)).await, expected());
    listening.abort();
    let heard = heard.lock().unwrap().clone();
    let all = |by| split(by, &of(by, &heard).concat());
    let (caller, server) = (all(By::Caller), all(By::Server));
    // Each call and its answer; what asks whether the other side is there is left out.
    let is_call = |said: &&Said| matches!(frame(&said.1), Message::Call(..));
    let is_answer = |said: &&Said| matches!(frame(&said.1), Message::Answer(..));
    let mut transcript = vec![caller[0].clone(), server[0].clone()];
    let answers = server[1..].iter().filter(is_answer);
    for (call, answer) in caller[1..].iter().filter(is_call).zip(answers) {
        transcript.extend([call.clone(), answer.clone()]);
    }
    let head = "# A conversation of this version of the protocol. `caller` and `server` stand before what each says:\n\
                # first a hello, then frames, each with its length.\n";
    std::fs::write(file(), head.to_owned() + &written(&transcript)).unwrap();
}

#[tokio::test]
async fn a_caller_of_the_release_before_is_answered() {
    let transcript = read(&std::fs::read_to_string(file()).unwrap());
    let (_server, address) = serve(&unix(), &Arc::<Obedient>::default()).await;
    let mut socket = connect(&address, None, "worker").await.unwrap();
    let mut input = BytesMut::new();
    let (said, answered) = (of(By::Caller, &transcript), of(By::Server, &transcript));
    socket.write_all(&said[0]).await.unwrap();
    // The hello that comes back is as long as it says.
    while input.len() < 4 || input.len() < 4 + (&input[..4]).get_u32_le() as usize {
        assert_ne!(soon(socket.read_buf(&mut input)).await.unwrap(), 0, "it was refused");
    }
    input.advance(4 + (&input[..4]).get_u32_le() as usize);
    for (call, answer) in said[1..].iter().zip(&answered[1..]) {
        socket.write_all(call).await.unwrap();
        let found = loop {
            match Message::read(&mut input, PAYLOAD).unwrap() {
                Ok(Message::Answer(id, answer)) => break (id, answer),
                Ok(_) => {}
                Err(_) => assert_ne!(soon(socket.read_buf(&mut input)).await.unwrap(), 0),
            }
        };
        let Message::Answer(id, expected) = frame(answer) else { panic!("it is no answer") };
        assert_eq!((found.0, found.1.outcome), (id, expected.outcome));
        // An internal error has a number of its own each time.
        if expected.outcome != Outcome::CallError {
            assert_eq!(found.1.payload[..], expected.payload[..]);
        }
    }
}

#[tokio::test]
async fn a_server_of_the_release_before_is_understood() {
    let transcript = read(&std::fs::read_to_string(file()).unwrap());
    let address = unix();
    let listener = Listener::bind(&address).await.unwrap();
    let answered = of(By::Server, &transcript);
    let playing = tokio::spawn(async move {
        let mut socket = listener.accept().await.unwrap();
        let mut input = BytesMut::new();
        let hello = |input: &BytesMut| {
            (input.len() >= MAGIC + 4).then(|| MAGIC + 4 + (&input[MAGIC..]).get_u32_le() as usize)
        };
        while hello(&input).is_none_or(|length| input.len() < length) {
            assert_ne!(socket.read_buf(&mut input).await.unwrap(), 0);
        }
        input.advance(hello(&input).unwrap());
        socket.write_all(&answered[0]).await.unwrap();
        for answer in &answered[1..] {
            let id = loop {
                match Message::read(&mut input, PAYLOAD).unwrap() {
                    Ok(Message::Call(id, _)) => break id,
                    Ok(_) => {}
                    Err(_) => assert_ne!(socket.read_buf(&mut input).await.unwrap(), 0),
                }
            };
            // The id is the caller's to choose. It stands behind the length and the kind.
            let mut answer = answer.clone();
            answer[5..13].copy_from_slice(&id.to_le_bytes());
            socket.write_all(&answer).await.unwrap();
        }
        // Until the caller has read all of it.
        let _ = timeout(Duration::from_secs(10), socket.read_buf(&mut input)).await;
    });
    assert_eq!(soon(calls(&client(&address))).await, expected());
    playing.abort();
}
