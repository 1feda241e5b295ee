//! The queue between what keeps traces and the collector: bounded in bytes, and emptied in the background.
//!
//! A trace that finds no room is dropped and counted. So is a batch that the collector refuses, or that several attempts
//! did not bring there.

use crate::{
    messages::Request,
    send::Collector,
    spans::{count, spans_of},
};
use monolift_call::call::Backoff;
use monolift_observe::{Export, ExportFigures, Kept};
use prost::Message;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};

/// Traces that wait, however short they are.
const WAITING: usize = 4_096;
/// The traces of one batch, and about how many bytes they have. Collectors take 4 MiB unless told otherwise.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1 << 20;
/// How long a batch waits for more.
const LINGER: Duration = Duration::from_millis(100);
/// How often a batch is tried.
const ATTEMPTS: u32 = 5;

/// Sends traces to a collector in the background.
#[derive(Debug)]
pub struct Exporter {
    queue: Mutex<Option<mpsc::Sender<Arc<Kept>>>>,
    task: Mutex<Option<JoinHandle<()>>>,
    counts: Arc<Counts>,
    /// The most that may wait, in bytes.
    most: usize,
}

#[derive(Debug, Default)]
struct Counts {
    waiting: AtomicUsize,
    spans: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    rejected: AtomicU64,
}

impl Exporter {
    /// Sends what it is given to `collector`, as spans of the application `app`. At most `most` bytes wait.
    ///
    /// # Panics
    ///
    /// Outside of a runtime of tokio.
    pub fn start(app: &str, collector: Collector, most: usize) -> Arc<Self> {
        let (queue, waiting) = mpsc::channel(WAITING);
        let counts = Arc::new(Counts::default());
        let sending =
            Sending { app: app.to_owned(), collector, counts: Arc::clone(&counts), is_down: false };
        let task = tokio::spawn(sending.run(waiting));
        let (queue, task) = (Mutex::new(Some(queue)), Mutex::new(Some(task)));
        Arc::new(Self { queue, task, counts, most })
    }

    /// Takes no more traces, and sends those that wait until `by`.
    pub async fn stop(&self, by: Instant) {
        drop(lock(&self.queue).take());
        let Some(mut task) = lock(&self.task).take() else { return };
        if timeout_at(by, &mut task).await.is_err() {
            task.abort();
            let waiting = self.counts.waiting.load(Relaxed);
            tracing::warn!(waiting, "the process ends with bytes of traces that no collector took");
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}

impl Export for Exporter {
    fn export(&self, kept: &Arc<Kept>) {
        let bytes = kept.trace.bytes();
        let has_room = self.counts.waiting.fetch_add(bytes, Relaxed) + bytes <= self.most;
        let taken = has_room
            && lock(&self.queue)
                .as_ref()
                .is_some_and(|queue| queue.try_send(Arc::clone(kept)).is_ok());
        if !taken {
            self.counts.waiting.fetch_sub(bytes, Relaxed);
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }

    fn figures(&self) -> ExportFigures {
        let Counts { waiting, spans, dropped, failed, rejected } = &*self.counts;
        ExportFigures {
            waiting_bytes: waiting.load(Relaxed),
            sent_spans: spans.load(Relaxed),
            dropped_full: dropped.load(Relaxed),
            dropped_failed: failed.load(Relaxed),
            rejected_spans: rejected.load(Relaxed),
        }
    }
}

/// The side that sends.
struct Sending {
    app: String,
    collector: Collector,
    counts: Arc<Counts>,
    /// Whether it has been said that the collector does not take traces.
    is_down: bool,
}

impl Sending {
    async fn run(mut self, mut waiting: mpsc::Receiver<Arc<Kept>>) {
        let mut next = None;
        loop {
            let first = match next.take() {
                Some(first) => first,
                None => match waiting.recv().await {
                    Some(first) => first,
                    None => return,
                },
            };
            let mut batch = vec![first];
            let mut bytes = batch[0].trace.bytes();
            let by = Instant::now() + LINGER;
            while batch.len() < BATCH && bytes < BATCH_BYTES {
                let Ok(Some(more)) = timeout_at(by, waiting.recv()).await else { break };
                let of_more = more.trace.bytes();
                if bytes + of_more > BATCH_BYTES {
                    next = Some(more);
                    break;
                }
                bytes += of_more;
                batch.push(more);
            }
            self.send(&batch).await;
            self.counts.waiting.fetch_sub(bytes, Relaxed);
        }
    }

    async fn send(&mut self, batch: &[Arc<Kept>]) {
        let resource_spans = batch.iter().flat_map(|kept| spans_of(&self.app, kept)).collect();
        let request = Request { resource_spans };
        let spans = count(&request.resource_spans);
        let encoded: bytes::Bytes = request.encode_to_vec().into();
        let backoff = Backoff::fifth(Duration::from_millis(500), Duration::from_secs(5));
        for attempt in 1..=ATTEMPTS {
            match self.collector.send(encoded.clone()).await {
                Ok(rejected) => {
                    self.counts.spans.fetch_add(spans.saturating_sub(rejected), Relaxed);
                    self.counts.rejected.fetch_add(rejected, Relaxed);
                    if std::mem::take(&mut self.is_down) {
                        tracing::info!(collector = ?self.collector, "the collector takes traces again");
                    }
                    return;
                }
                Err(failure) => {
                    if !std::mem::replace(&mut self.is_down, true) {
                        let error = failure.text;
                        tracing::warn!(collector = ?self.collector, error, "the collector does not take traces");
                    }
                    if !failure.again {
                        break;
                    }
                }
            }
            if attempt < ATTEMPTS {
                sleep(backoff.pause(attempt - 1)).await;
            }
        }
        self.counts.failed.fetch_add(batch.len() as u64, Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send::Protocol;
    use monolift_observe::{KeptBecause, Trace, TraceEntry, TracePart};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    fn kept() -> Arc<Kept> {
        let part = TracePart {
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
            process: "shop".to_owned(),
            pid: 1,
            entry: TraceEntry::Request("GET /".to_owned()),
            began_us: 1,
            nanos: 1,
            status: Some(500),
            dropped: false,
            failed: false,
            parent: "0".repeat(16),
            span: "00f067aa0ba902b7".to_owned(),
            calls: Vec::new(),
            statements: Vec::new(),
            left_out: 0,
        };
        let trace =
            Trace { trace_id: part.trace_id.clone(), parts: vec![part], missing: Vec::new() };
        Arc::new(Kept { because: KeptBecause::Failed, trace })
    }

    fn exporter(address: std::net::SocketAddr, most: usize) -> Arc<Exporter> {
        let endpoint = format!("http://{address}");
        Exporter::start("shop", Collector::new(&endpoint, Protocol::Http, "").unwrap(), most)
    }

    #[tokio::test]
    async fn what_finds_no_room_is_dropped_and_counted() {
        // It takes connections and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let room_for_two = 2 * kept().trace.bytes();
        let exporter = exporter(silent.local_addr().unwrap(), room_for_two);
        for _ in 0..5 {
            exporter.export(&kept());
        }
        let figures = exporter.figures();
        assert_eq!((figures.dropped_full, figures.waiting_bytes), (3, room_for_two));
        exporter.stop(Instant::now()).await;
        exporter.export(&kept());
        assert_eq!(exporter.figures().dropped_full, 4);
    }

    #[tokio::test]
    async fn what_is_refused_for_good_is_counted_and_not_sent_again() {
        let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = collector.local_addr().unwrap();
        let refusing = tokio::spawn(async move {
            let mut connections = 0;
            while let Ok((mut socket, _)) = collector.accept().await {
                connections += 1;
                let _ = socket.read(&mut [0; 4096]).await;
                let refusal = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
                let _ = socket.write_all(refusal).await;
                if connections == 2 {
                    return;
                }
            }
        });
        let exporter = exporter(address, 1 << 20);
        for refused in 1..=2 {
            exporter.export(&kept());
            while exporter.figures().dropped_failed < refused {
                sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(exporter.figures().dropped_failed, refused);
        }
        refusing.await.unwrap();
        let figures = exporter.figures();
        assert_eq!((figures.sent_spans, figures.waiting_bytes), (0, 0));
    }
}
