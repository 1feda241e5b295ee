//! Certificates, keys and authorities that are replaced while processes run.

use crate::{
    certificates::{APP, Authority, Wanted},
    peers::serve_with,
    support::{Obedient, Worker, WorkerClient, within},
};
use monolift_call::link::{Interface, Link};
use monolift_manifest::{Address, TlsFiles};
use monolift_seam::{
    remote::{Remote, Whereabouts},
    wire::{Bounds, Machine, Peer, Tls, connect, greet},
};
use std::{
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// The files of one process as Kubernetes mounts a secret: links to a folder, which another link replaces at once.
struct Mounted {
    folder: PathBuf,
    process: &'static str,
    versions: AtomicUsize,
}

impl Mounted {
    fn new(home: &Authority, process: &'static str) -> Self {
        let folder = home.folder.join(process);
        fs::create_dir_all(&folder).unwrap();
        for file in ["tls.crt", "tls.key", "ca.crt"] {
            symlink(PathBuf::from("..data").join(file), folder.join(file)).unwrap();
        }
        Self { folder, process, versions: AtomicUsize::new(0) }
    }

    /// Replaces all files.
    fn put(&self, signed_by: &Authority, trusted: &[&Authority], until: Duration) {
        let version = self.versions.fetch_add(1, Relaxed).to_string();
        let data = self.folder.join(&version);
        fs::create_dir_all(&data).unwrap();
        let pair = signed_by.pair(&Wanted { until, ..Wanted::of(self.process) });
        fs::write(data.join("tls.crt"), pair.certificate).unwrap();
        fs::write(data.join("tls.key"), pair.key).unwrap();
        let authorities: String = trusted.iter().map(|one| one.pem.as_str()).collect();
        fs::write(data.join("ca.crt"), authorities).unwrap();
        let new = self.folder.join("..new");
        symlink(version, &new).unwrap();
        fs::rename(new, self.folder.join("..data")).unwrap();
    }

    fn tls(&self) -> Tls {
        let file = |name: &str| self.folder.join(name).display().to_string();
        let files = TlsFiles {
            authority: self.folder.join("ca.crt"),
            certificate: file("tls.crt"),
            key: file("tls.key"),
        };
        Tls::read(&files, APP, self.process).unwrap()
    }
}

fn client(address: &Address, tls: &Tls) -> WorkerClient {
    let whereabouts = Whereabouts {
        process: "worker".to_owned(),
        connect: address.clone().into(),
        network: Arc::new(Machine),
        us: Peer::new(APP, "test", Bounds::default()),
        interfaces: vec![<dyn Worker>::descriptor()],
        tls: Some(tls.clone()),
        bounds: Bounds::default(),
        hello: Duration::from_secs(5),
        in_flight: 64,
        memory: Arc::default(),
        retries: Default::default(),
        thresholds: Default::default(),
    };
    let link = Link::unbound(Arc::default());
    link.bind_carrier(Arc::new(Remote::new(whereabouts, 1)));
    <dyn Worker>::client(link)
}

/// Ten times, under load: a new authority is trusted beside the old one, then both processes get certificates of it, then the
/// old one is trusted no more. Certificates are valid for three seconds, so that the first ones have expired long before the
/// end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_certificates_are_replaced() {
    const SHORT: Duration = Duration::from_secs(3);
    let home = Authority::new();
    let (theirs, ours) = (Mounted::new(&home, "worker"), Mounted::new(&home, "test"));
    let mut authority = Authority::new();
    for mounted in [&theirs, &ours] {
        mounted.put(&authority, &[&authority], SHORT);
    }
    let worker = Arc::new(Obedient::default());
    let (their_tls, our_tls) = (theirs.tls(), ours.tls());
    let anywhere = Address::Tcp("127.0.0.1:0".to_owned());
    let (_server, address) = serve_with(&anywhere, &worker, Some(their_tls.clone())).await;
    let (ended, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let kept = client(&address, &our_tls);
    let load = (0..8).map(|at| {
        let (ended, calls, kept) = (Arc::clone(&ended), Arc::clone(&calls), kept.clone());
        let (address, tls) = (address.clone(), our_tls.clone());
        tokio::spawn(async move {
            while !ended.load(Relaxed) {
                // Most calls go over a connection that stays for as long as it may, and some over a new one.
                let is_new = at == 0;
                let made = if is_new { client(&address, &tls) } else { kept.clone() };
                made.echo_after("x".into(), 3).await.unwrap();
                calls.fetch_add(1, Relaxed);
                if is_new {
                    sleep(Duration::from_millis(20)).await;
                }
            }
        })
    });
    let load: Vec<_> = load.collect();
    let replaced = || {
        assert!(their_tls.read_again().unwrap());
        assert!(our_tls.read_again().unwrap());
    };
    for _ in 0..10 {
        let before = calls.load(Relaxed);
        let new = Authority::new();
        for (signed_by, trusted) in
            [(&authority, &[&authority, &new][..]), (&new, &[&authority, &new]), (&new, &[&new])]
        {
            for mounted in [&theirs, &ours] {
                mounted.put(signed_by, trusted, SHORT);
            }
            replaced();
            sleep(Duration::from_millis(100)).await;
        }
        authority = new;
        // It goes on.
        while calls.load(Relaxed) == before && !load.iter().any(JoinHandle::is_finished) {
            sleep(Duration::from_millis(5)).await;
        }
    }
    ended.store(true, Relaxed);
    for task in load {
        task.await.unwrap();
    }
    assert!(calls.load(Relaxed) > 100);
}

/// Nobody tells the process: it looks itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rests_on_a_removed_authority_ends_within_five_seconds() {
    const LONG: Duration = Duration::from_secs(600);
    let home = Authority::new();
    let (theirs, ours) = (Mounted::new(&home, "worker"), Mounted::new(&home, "test"));
    let (old, new) = (Authority::new(), Authority::new());
    theirs.put(&old, &[&old, &new], LONG);
    ours.put(&old, &[&old], LONG);
    let worker = Arc::new(Obedient::default());
    let (their_tls, our_tls) = (theirs.tls(), ours.tls());
    their_tls.keep_fresh();
    let anywhere = Address::Tcp("127.0.0.1:0".to_owned());
    let (_server, address) = serve_with(&anywhere, &worker, Some(their_tls.clone())).await;
    let us = Peer::new(APP, "test", Bounds::default());
    let open = async |tls: &Tls| {
        let mut socket = connect(&address, Some(tls), "worker").await.unwrap();
        let greeted = greet(&mut socket, &us, Duration::from_secs(5)).await;
        greeted.map(|_| socket)
    };
    // One at rest, and one with a call in flight.
    let mut at_rest = open(&our_tls).await.unwrap();
    let busy = client(&address, &our_tls);
    let busy =
        tokio::spawn(async move { within(Duration::from_secs(60)).scope(busy.for_ever()).await });
    worker.work.running(1).await;
    // A file of which only a half is there changes nothing.
    let data = theirs.folder.join("..data");
    let key = fs::read(data.join("tls.key")).unwrap();
    fs::write(data.join("tls.key"), &key[..key.len() / 2]).unwrap();
    assert!(their_tls.read_again().is_err());
    assert!(open(&our_tls).await.is_ok());

    theirs.put(&old, &[&new], LONG);
    let removed = Instant::now();
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(10), at_rest.read_to_end(&mut rest)).await.unwrap();
    assert!(removed.elapsed() < Duration::from_secs(5), "{:?}", removed.elapsed());
    let lost = timeout(Duration::from_secs(10), busy).await.unwrap().unwrap();
    assert!(lost.is_err());
    // The call is given 3 s once the file was looked at, which is done each second.
    assert!(removed.elapsed() < Duration::from_secs(8), "{:?}", removed.elapsed());
    assert!(open(&our_tls).await.is_err());
    // With a certificate of the new one, it is served again. The server still shows one of the old one.
    ours.put(&new, &[&old], LONG);
    assert!(our_tls.read_again().unwrap());
    assert!(open(&our_tls).await.is_ok());
}
