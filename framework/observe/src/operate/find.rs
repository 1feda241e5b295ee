//! Finds the admin address of a process that runs on this machine, where the manifest states none and the process has a
//! free port.
//!
//! On Linux `/proc` tells which processes run this program and where they listen. Each such address on loopback is asked what
//! it is. Processes of other users are not looked at.

use super::admin::AdminClient;
use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

/// How long an address that may not be an admin address is given.
const SOON: Duration = Duration::from_secs(1);

/// The addresses on loopback where other processes of these programs listen. Those of `known` have another purpose.
pub(super) fn listening(
    runs: impl Fn(&Path) -> bool,
    known: &BTreeSet<String>,
) -> BTreeSet<String> {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = folders.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let own = std::process::id();
    let running =
        pids.filter(|pid| *pid != own && program_of(*pid).is_some_and(|path| runs(&path)));
    let sockets: BTreeSet<String> = running.flat_map(sockets_of).collect();
    if sockets.is_empty() {
        return BTreeSet::new();
    }
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let listening = table.lines().filter_map(listener);
    listening
        .filter(|(address, socket)| address.ip().is_loopback() && sockets.contains(*socket))
        .map(|(address, _)| address.to_string())
        .filter(|address| !known.contains(address))
        .collect()
}

/// Those of `addresses` that are admin addresses of a process of this application.
pub(super) fn admins_of(
    addresses: BTreeSet<String>,
    app: &str,
    token: Option<&String>,
) -> Vec<(String, AdminClient)> {
    let clients = addresses.into_iter().map(|address| AdminClient {
        address,
        token: token.cloned(),
        user: String::new(),
        patience: SOON,
    });
    clients
        .filter_map(|client| {
            let facts = client.get("/api/process").ok().filter(|facts| facts["app"] == *app)?;
            Some((facts["process"].as_str()?.to_owned(), client))
        })
        .collect()
}

/// The program of a process. It may have been built again since it started.
fn program_of(pid: u32) -> Option<PathBuf> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let text = path.to_str()?;
    Some(PathBuf::from(text.strip_suffix(" (deleted)").unwrap_or(text)))
}

/// The numbers of a process's sockets.
fn sockets_of(pid: u32) -> Vec<String> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    let number = |target: PathBuf| {
        Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
    };
    targets.filter_map(number).collect()
}

/// The address and the number of a socket that listens, from a line of `/proc/net/tcp`.
fn listener(line: &str) -> Option<(SocketAddr, &str)> {
    let mut fields = line.split_whitespace().skip(1);
    let (ip, port) = fields.next()?.split_once(':')?;
    // The state, behind the other end: 0A listens.
    (fields.nth(1)? == "0A").then_some(())?;
    let ip = Ipv4Addr::from(u32::from_str_radix(ip, 16).ok()?.swap_bytes());
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((SocketAddr::from((ip, port)), fields.nth(5)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernels_table_is_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 26912 1 0";
        let (address, socket) = listener(line).unwrap();
        assert_eq!((address.to_string().as_str(), socket), ("127.0.0.1:8080", "26912"));
        assert!(listener(&line.replace(" 0A ", " 01 ")).is_none());
        assert!(listener("  sl  local_address rem_address   st tx_queue").is_none());
    }
}
