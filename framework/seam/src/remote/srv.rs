//! SRV records, which say on which hosts and ports a service is: asked for at the machine's own name
//! servers, over UDP, and over TCP where the answer is too long for that.
//!
//! Why this is no library: hickory-resolver 0.26 adds 12 packages and 22 s of compile time on Linux, for one
//! kind of record. Hosts' names are resolved by the system, which keeps to its own settings.
//!
//! A name is taken as it is written: no search domains are tried. Of the records, those of the lowest
//! priority count, each as much as the others: what a replica is given depends on how it does.

use super::find::{self, Find, FindError, RESOLVE, resolve};
use crate::wire::Network;
use bytes::{Buf, BufMut};
use futures_util::future::BoxFuture;
use monolift_manifest::Address;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

const SETTINGS: &str = "/etc/resolv.conf";
const PORT: u16 = 53;
/// How long a name server is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// What we take over UDP: what passes everywhere in one piece.
const UDP_SIZE: u16 = 1232;
const QUERY: u16 = 0x0100;
const IS_ANSWER: u16 = 0x8000;
const IS_CUT: u16 = 0x0200;
const CODE: u16 = 0x000f;
const NO_SUCH_NAME: u16 = 3;
const SRV: u16 = 33;
const OPT: u16 = 41;
const INTERNET: u16 = 1;
/// The longest name, and so the most labels that one may have.
const LONGEST_NAME: usize = 255;

/// The SRV records of a name.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) name: String,
    pub(super) network: Arc<dyn Network>,
}

impl Find for Records {
    fn find(&self) -> BoxFuture<'_, Result<Vec<Address>, FindError>> {
        Box::pin(async move {
            let settings = find::read(SETTINGS.into()).await.unwrap_or_default();
            let mut why = FindError::Nowhere;
            for server in servers_in(&settings) {
                match ask(server, &self.name).await {
                    Ok(records) => return resolve(&*self.network, &hosts(records)).await,
                    Err(error) => {
                        why = FindError::NameServer { name: self.name.clone(), server, error };
                    }
                }
            }
            Err(why)
        })
    }

    fn every(&self) -> Duration {
        RESOLVE
    }
}

/// The name servers that the machine's settings name; its own, if they name none.
fn servers_in(settings: &str) -> Vec<SocketAddr> {
    let stated = settings.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let ips = stated.filter_map(|ip| ip.trim().parse::<IpAddr>().ok());
    let mut servers: Vec<SocketAddr> = ips.map(|ip| SocketAddr::new(ip, PORT)).collect();
    if servers.is_empty() {
        servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT));
    }
    servers
}

#[derive(Debug, PartialEq, Eq)]
struct Record {
    priority: u16,
    port: u16,
    host: String,
}

/// The hosts of the lowest priority. A `.` says that there are none.
fn hosts(records: Vec<Record>) -> Vec<Address> {
    let lowest = records.iter().map(|record| record.priority).min();
    let of_lowest = records.into_iter().filter(|record| Some(record.priority) == lowest);
    let named = of_lowest.filter(|record| !record.host.is_empty());
    named.map(|record| Address::Tcp(format!("{}:{}", record.host, record.port))).collect()
}

async fn ask(server: SocketAddr, name: &str) -> io::Result<Vec<Record>> {
    timeout(PATIENCE, talk(server, name)).await?
}

async fn talk(server: SocketAddr, name: &str) -> io::Result<Vec<Record>> {
    let id = rand::random();
    let query = query(id, name);
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    // From here on, packets of other senders are dropped.
    socket.connect(server).await?;
    socket.send(&query).await?;
    let mut answer = vec![0; usize::from(UDP_SIZE)];
    loop {
        let length = socket.recv(&mut answer).await?;
        match read(&answer[..length], id) {
            Ok(Some(records)) => return Ok(records),
            Ok(None) => break,
            // It answers another question.
            Err(Unreadable::NotOurs) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut socket = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    socket.write_all(&[&length.to_be_bytes()[..], &query].concat()).await?;
    let mut answer = vec![0; usize::from(socket.read_u16().await?)];
    socket.read_exact(&mut answer).await?;
    read(&answer, id)?.ok_or_else(|| Unreadable::Malformed.into())
}

fn query(id: u16, name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for field in [id, QUERY, 1, 0, 0, 1] {
        out.put_u16(field);
    }
    for label in name.trim_end_matches('.').split('.') {
        // The manifest takes no longer ones.
        out.put_u8(label.len() as u8);
        out.put_slice(label.as_bytes());
    }
    out.put_u8(0);
    out.put_u16(SRV);
    out.put_u16(INTERNET);
    // What we take over UDP.
    out.put_u8(0);
    out.put_u16(OPT);
    out.put_u16(UDP_SIZE);
    out.put_u32(0);
    out.put_u16(0);
    out
}

#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("an answer to another question")]
    NotOurs,
    #[error("an answer that cannot be read")]
    Malformed,
    #[error("no such name")]
    NoSuchName,
    #[error("the name server failed with code {0}")]
    Failed(u16),
}

impl From<Unreadable> for io::Error {
    fn from(error: Unreadable) -> Self {
        Self::other(error)
    }
}

/// The records of an answer; `None` if it is cut off.
fn read(message: &[u8], id: u16) -> Result<Option<Vec<Record>>, Unreadable> {
    let mut at = Reader { message, at: 0 };
    let [own, flags, questions, answers] = [at.u16()?, at.u16()?, at.u16()?, at.u16()?];
    at.skip(4)?;
    if own != id || flags & IS_ANSWER == 0 {
        return Err(Unreadable::NotOurs);
    }
    match flags & CODE {
        0 => {}
        NO_SUCH_NAME => return Err(Unreadable::NoSuchName),
        code => return Err(Unreadable::Failed(code)),
    }
    if flags & IS_CUT != 0 {
        return Ok(None);
    }
    for _ in 0..questions {
        at.name()?;
        at.skip(4)?;
    }
    let mut records = Vec::new();
    for _ in 0..answers {
        at.name()?;
        let kind = at.u16()?;
        at.skip(6)?;
        let length = usize::from(at.u16()?);
        let end = at.at + length;
        if kind == SRV {
            let [priority, _, port] = [at.u16()?, at.u16()?, at.u16()?];
            records.push(Record { priority, port, host: at.name()? });
        }
        at.at = end;
    }
    Ok(Some(records))
}

/// Reads a message from its beginning on.
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, length: usize) -> Result<&[u8], Unreadable> {
        let end = self.at + length;
        let taken = self.message.get(self.at..end).ok_or(Unreadable::Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn skip(&mut self, length: usize) -> Result<(), Unreadable> {
        self.take(length).map(|_| ())
    }

    fn u16(&mut self) -> Result<u16, Unreadable> {
        Ok(self.take(2)?.get_u16())
    }

    /// A name, which may go on somewhere before.
    fn name(&mut self) -> Result<String, Unreadable> {
        let mut name = String::new();
        let mut back = None;
        // A label has a byte of its own at least, and so has a jump: more of them are a circle.
        for _ in 0..LONGEST_NAME {
            let length = self.take(1)?[0];
            match length {
                0 => {
                    self.at = back.unwrap_or(self.at);
                    return Ok(name);
                }
                1..=63 => {
                    let label = self.take(usize::from(length))?;
                    let label = std::str::from_utf8(label).map_err(|_| Unreadable::Malformed)?;
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.push_str(label);
                }
                192.. => {
                    let to = usize::from(length & 63) << 8 | usize::from(self.take(1)?[0]);
                    back.get_or_insert(self.at);
                    self.at = to;
                }
                _ => return Err(Unreadable::Malformed),
            }
        }
        Err(Unreadable::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::ErrorKind;
    use tokio::net::TcpListener;

    const NAME: &str = "_calls._tcp.stock.shop";

    /// An answer to a query: its header and its question, and a record for each host, whose name
    /// goes on in the question's.
    fn answer(query: &[u8], flags: u16, hosts: &[(u16, u16, &str)]) -> Vec<u8> {
        let mut out = query[..2].to_vec();
        for field in [IS_ANSWER | flags, 1, hosts.len() as u16, 0, 0] {
            out.put_u16(field);
        }
        out.put_slice(&query[12..12 + NAME.len() + 2 + 4]);
        for (priority, port, host) in hosts {
            out.put_u16(0xc00c);
            out.put_u16(SRV);
            out.put_u16(INTERNET);
            out.put_u32(5);
            out.put_u16(6 + host.len() as u16 + 1 + 2);
            for field in [*priority, 10, *port] {
                out.put_u16(field);
            }
            out.put_u8(host.len() as u8);
            out.put_slice(host.as_bytes());
            // `stock.shop`, behind `_calls._tcp`.
            out.put_u16(0xc000 | (12 + 12));
        }
        out
    }

    /// Both on one port, as a name server has them.
    async fn one_port() -> (UdpSocket, TcpListener) {
        loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            // Another process may have this port for TCP.
            match TcpListener::bind(udp.local_addr().unwrap()).await {
                Ok(tcp) => return (udp, tcp),
                Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse),
            }
        }
    }

    #[tokio::test]
    async fn records_are_asked_for_over_udp_and_over_tcp_when_they_are_many() {
        for flags in [0, IS_CUT] {
            let (udp, tcp) = one_port().await;
            let server = udp.local_addr().unwrap();
            let hosts_there = [(1, 7100, "a"), (2, 7100, "spare"), (1, 7101, "b")];
            let serving = tokio::spawn(async move {
                let mut query = [0; 512];
                let (length, from) = udp.recv_from(&mut query).await.unwrap();
                // An answer to another question comes first.
                let mut wrong = answer(&query[..length], 0, &[(0, 1, "wrong")]);
                wrong[0] ^= 1;
                udp.send_to(&wrong, from).await.unwrap();
                let cut = if flags == 0 { &hosts_there[..] } else { &[] };
                udp.send_to(&answer(&query[..length], flags, cut), from).await.unwrap();
                if flags != 0 {
                    let (mut socket, _) = tcp.accept().await.unwrap();
                    let mut query = vec![0; usize::from(socket.read_u16().await.unwrap())];
                    socket.read_exact(&mut query).await.unwrap();
                    let answer = answer(&query, 0, &hosts_there);
                    socket.write_u16(answer.len() as u16).await.unwrap();
                    socket.write_all(&answer).await.unwrap();
                }
            });
            let found = hosts(ask(server, NAME).await.unwrap());
            let shown: Vec<String> = found.iter().map(Address::to_string).collect();
            assert_eq!(shown, ["a.stock.shop:7100", "b.stock.shop:7101"]);
            serving.await.unwrap();
        }
    }

    #[test]
    fn what_a_server_says_of_its_failure_is_said() {
        let query = query(7, NAME);
        let failed = |code| io::Error::from(read(&answer(&query, code, &[]), 7).unwrap_err());
        assert_eq!(failed(NO_SUCH_NAME).to_string(), "no such name");
        assert_eq!(failed(2).to_string(), "the name server failed with code 2");
        assert_eq!(read(&answer(&query, 0, &[]), 7).unwrap().unwrap(), []);
    }

    #[test]
    fn settings_name_servers() {
        let found = servers_in("# here\nnameserver 10.0.0.53\nsearch shop\nnameserver ::1\n");
        assert_eq!(found, ["10.0.0.53:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
        assert_eq!(servers_in(""), ["127.0.0.1:53".parse().unwrap()]);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(
            message in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut message = message;
            if message.len() > 4 {
                message[..4].copy_from_slice(&[0, 7, 0x80, 0]);
            }
            let _ = read(&message, 7);
        }
    }
}
