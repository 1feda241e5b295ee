//! The hello: the first thing that two processes say to each other.
//!
//! The caller says who it is; the other side says what it serves and how the two will number it,
//! or why it refuses. Both check that they speak of the same application.

use super::{Bounds, Interfaces, Introduced, NUMBERED, Socket, codec, served::OUTLINES};
use bytes::{Buf, BytesMut};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeSet, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// The newest version of what is said on a connection that this release speaks. A new one is needed when a
/// peer could misread the last one.
pub const PROTOCOL: u32 = 2;
/// The oldest version that it speaks: that of the release before it. So processes are restarted one by one.
pub const OLDEST: u32 = 2;

/// The first bytes on a connection.
const MAGIC: [u8; 8] = *b"monolift";
/// What the serving side's hello may hold: names, hashes and outlines, for thousands of methods.
pub(super) const LIMIT: usize = 1024 * 1024;
/// What the calling side's hello may hold: two names, some numbers and some features.
const CALLER_LIMIT: usize = 4 * 1024;
pub(super) const BOUNDS: Bounds = Bounds { bytes: LIMIT, nesting: 16 };
/// The longest name of an application or a process, in bytes.
const NAME: usize = 255;
/// The part of a refusal that is shown, in characters: its text is the other side's.
const SHOWN: usize = 500;

/// Who is at an end of a connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Peer {
    /// The newest version of the protocol that it speaks.
    pub protocol: u32,
    /// The oldest one. A peer that does not say so speaks one version only.
    #[serde(default)]
    pub oldest: Option<u32>,
    /// What it can do beyond its version. A peer uses what both sides name, and passes over what it does not
    /// know.
    #[serde(default)]
    pub features: BTreeSet<String>,
    /// The application that it is part of.
    pub app: String,
    /// The process of the manifest that it is.
    pub process: String,
    /// The longest payload that it reads.
    pub payload_limit: usize,
    /// Whether it goes on in HTTP, for the routes of a module's own, instead of making calls.
    #[serde(default)]
    pub http: bool,
}

/// Why a process does not take a connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refusal(pub String);

#[derive(Deserialize)]
enum Reply {
    Welcome { peer: Peer, interfaces: Interfaces },
    Refused(Refusal),
}

/// The same on its way out, without a copy of what all hellos say.
#[derive(Serialize)]
enum Said<'a> {
    Welcome { peer: &'a Peer, interfaces: &'a Interfaces },
    Refused(Refusal),
}

/// Why two processes did not come together.
#[derive(Debug, thiserror::Error)]
pub enum HelloError {
    /// The socket failed.
    #[error("{0}")]
    Io(io::Error),
    /// Nothing was said in time.
    #[error("no hello within {0:?}")]
    TimedOut(Duration),
    /// What was said is not a hello of ours.
    #[error("not a peer of this application: {0}")]
    NotOurs(String),
    /// The other side refused.
    #[error("refused: {0}")]
    Refused(String),
}

impl From<io::Error> for HelloError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Peer {
    /// This process.
    pub fn new(app: impl Into<String>, process: impl Into<String>, bounds: Bounds) -> Self {
        Self {
            protocol: PROTOCOL,
            oldest: Some(OLDEST),
            features: BTreeSet::from([OUTLINES, NUMBERED].map(str::to_owned)),
            app: app.into(),
            process: process.into(),
            payload_limit: bounds.bytes,
            http: false,
        }
    }

    /// The same, on a connection that goes on in HTTP.
    #[must_use]
    pub fn for_http(&self) -> Self {
        Self { http: true, ..self.clone() }
    }

    /// The same as it is on this socket: who keeps nothing of what a peer has shown understands no numbers for it.
    fn over(&self, socket: &Socket) -> Self {
        let mut this = self.clone();
        if !Introduced::is_kept_over(socket) {
            this.features.remove(NUMBERED);
        }
        this
    }

    /// Names come from the other side, and end up in logs: as a manifest would write them, or not at
    /// all.
    fn has_fit_names(&self) -> bool {
        let fit = |name: &str| {
            let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            !name.is_empty() && name.len() <= NAME && name.chars().all(fit)
        };
        fit(&self.app) && fit(&self.process)
    }

    /// The version that both speak on a connection: the newest that both know.
    pub fn version_with(&self, other: &Self) -> Option<u32> {
        let newest = self.protocol.min(other.protocol);
        let oldest = self.versions().0.max(other.versions().0);
        (oldest <= newest).then_some(newest)
    }

    /// Whether both can do this beyond their version.
    pub fn shares(&self, other: &Self, feature: &str) -> bool {
        self.features.contains(feature) && other.features.contains(feature)
    }

    fn versions(&self) -> (u32, u32) {
        (self.oldest.unwrap_or(self.protocol), self.protocol)
    }

    fn check(&self, other: &Self) -> Result<(), String> {
        if self.version_with(other).is_none() {
            let shown = |(oldest, newest): (u32, u32)| match oldest == newest {
                true => newest.to_string(),
                false => format!("{oldest} to {newest}"),
            };
            return Err(format!(
                "it speaks version {} of the protocol, and `{}` speaks {}: two releases in a row \
                 understand each other, so upgrade one release at a time",
                shown(other.versions()),
                self.process,
                shown(self.versions())
            ));
        }
        if self.app != other.app {
            return Err(format!("it is part of `{}`, not of `{}`", other.app, self.app));
        }
        Ok(())
    }
}

/// Greets, as the calling side: who is there, what it serves, and the bytes read beyond that.
pub async fn greet(
    socket: &mut Socket,
    us: &Peer,
    within: Duration,
) -> Result<(Peer, Interfaces, BytesMut), HelloError> {
    let talk = async {
        let mut input = BytesMut::new();
        socket.write_all(&MAGIC).await?;
        say(socket, &us.over(socket)).await?;
        match hear::<Reply>(socket, &mut input, LIMIT).await? {
            Reply::Refused(Refusal(why)) => Err(HelloError::Refused(in_one_line(&why))),
            Reply::Welcome { peer, .. } if !peer.has_fit_names() => Err(unfit_names()),
            Reply::Welcome { peer, interfaces } => {
                us.check(&peer).map_err(HelloError::NotOurs)?;
                Ok((peer, interfaces, input))
            }
        }
    };
    timeout(within, talk).await.unwrap_or(Err(HelloError::TimedOut(within)))
}

/// Hears a greeting, as the serving side, and answers it with what `welcome` decides.
pub async fn receive<I: Into<Arc<Interfaces>>>(
    socket: &mut Socket,
    us: &Peer,
    within: Duration,
    welcome: impl FnOnce(&Peer) -> Result<I, Refusal>,
) -> Result<(Peer, BytesMut), HelloError> {
    let talk = async {
        let mut input = BytesMut::new();
        fill(socket, &mut input, MAGIC.len()).await?;
        if input[..MAGIC.len()] != MAGIC {
            return Err(HelloError::NotOurs("it does not begin as ours do".to_owned()));
        }
        input.advance(MAGIC.len());
        let peer: Peer = hear(socket, &mut input, CALLER_LIMIT).await?;
        if !peer.has_fit_names() {
            return Err(unfit_names());
        }
        let decided = us.check(&peer).map_err(Refusal).and_then(|()| welcome(&peer));
        match decided {
            Ok(interfaces) => {
                let interfaces: Arc<Interfaces> = interfaces.into();
                let us = &us.over(socket);
                say(socket, &Said::Welcome { peer: us, interfaces: &interfaces }).await?;
                Ok((peer, input))
            }
            Err(refusal) => {
                let why = format!("refused {}: {}", peer.process, refusal.0);
                say(socket, &Said::Refused(refusal)).await?;
                socket.shutdown().await?;
                Err(HelloError::NotOurs(why))
            }
        }
    };
    timeout(within, talk).await.unwrap_or(Err(HelloError::TimedOut(within)))
}

async fn say<T: Serialize>(socket: &mut Socket, what: &T) -> Result<(), HelloError> {
    let mut out = vec![0; 4];
    codec::encode(what, BOUNDS, &mut out)
        .map_err(|error| HelloError::NotOurs(error.to_string()))?;
    let length = u32::try_from(out.len() - 4).expect("it is bounded by the limit of a hello");
    out[..4].copy_from_slice(&length.to_le_bytes());
    Ok(socket.write_all(&out).await?)
}

fn unfit_names() -> HelloError {
    HelloError::NotOurs("its names are not those of an application and a process".to_owned())
}

/// A text of the other side as one line of a log.
fn in_one_line(text: &str) -> String {
    text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

async fn hear<T: DeserializeOwned>(
    socket: &mut Socket,
    input: &mut BytesMut,
    limit: usize,
) -> Result<T, HelloError> {
    fill(socket, input, 4).await?;
    let length = input.get_u32_le() as usize;
    if length > limit {
        return Err(HelloError::NotOurs(format!("a hello of {length} bytes")));
    }
    fill(socket, input, length).await?;
    let hello = input.split_to(length);
    codec::decode(&hello, BOUNDS).map_err(|error| HelloError::NotOurs(error.to_string()))
}

/// Reads until `input` holds `wanted` bytes.
async fn fill(socket: &mut Socket, input: &mut BytesMut, wanted: usize) -> io::Result<()> {
    while input.len() < wanted {
        // Grown as bytes arrive, not as a header promises.
        input.reserve((wanted - input.len()).min(4096));
        if socket.read_buf(input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaking(oldest: Option<u32>, protocol: u32) -> Peer {
        Peer { oldest, protocol, ..Peer::new("shop", "stock", Bounds::default()) }
    }

    #[test]
    fn two_peers_speak_the_newest_version_that_both_know() {
        for (ours, theirs, version) in [
            ((Some(2), 3), (Some(2), 3), Some(3)),
            ((Some(2), 3), (Some(1), 2), Some(2)),
            // Before there were ranges.
            ((Some(2), 3), (None, 2), Some(2)),
            ((None, 2), (None, 2), Some(2)),
            ((Some(3), 4), (None, 2), None),
            ((Some(3), 4), (Some(1), 2), None),
        ] {
            let (ours, theirs) = (speaking(ours.0, ours.1), speaking(theirs.0, theirs.1));
            assert_eq!(ours.version_with(&theirs), version);
            assert_eq!(theirs.version_with(&ours), version);
            assert_eq!(ours.check(&theirs).is_ok(), version.is_some());
        }
        let refused = speaking(Some(3), 4).check(&speaking(Some(1), 2)).unwrap_err();
        assert!(refused.contains("speaks version 1 to 2"), "{refused}");
        assert!(refused.contains("`stock` speaks 3 to 4"), "{refused}");
    }

    #[test]
    fn a_feature_is_used_when_both_have_it() {
        let with = |features: &[&str]| {
            let features = features.iter().map(|feature| (*feature).to_owned()).collect();
            Peer { features, ..speaking(Some(2), 2) }
        };
        let (ours, theirs) = (with(&["streams", "b"]), with(&["a", "streams"]));
        assert!(ours.shares(&theirs, "streams"));
        assert!(!ours.shares(&theirs, "a") && !ours.shares(&theirs, "b"));
    }
}
