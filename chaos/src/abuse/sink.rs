//! A program of its own that floods are aimed at to see what they cost without the shop: it accepts, reads,
//! and does no more. It ends when its input does.

use anyhow::Context as _;
use std::{net::SocketAddr, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    net::TcpListener,
    process::{Child, ChildStdin, Command},
};

/// The argument that makes this program one.
pub(crate) const ARGUMENT: &str = "sink";

/// Says where it listens, and reads what comes.
pub(crate) async fn run() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let accepting = tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut piece = vec![0; 64 * 1024];
                while matches!(socket.read(&mut piece).await, Ok(1..)) {}
            });
        }
    });
    let ended = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    tokio::task::spawn_blocking(ended).await??;
    accepting.abort();
    Ok(())
}

/// One that runs.
pub(super) struct Sink {
    _child: Child,
    _life_line: ChildStdin,
    pub(super) address: SocketAddr,
}

impl Sink {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let life_line = child.stdin.take().context("its input")?;
        let mut says = BufReader::new(child.stdout.take().context("its output")?);
        let mut line = String::new();
        says.read_line(&mut line).await?;
        let address = line.trim().parse().context("the sink says where it listens")?;
        Ok(Self { _child: child, _life_line: life_line, address })
    }
}
