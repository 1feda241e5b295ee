//! Starts the processes, waits until they are ready, restarts a process that dies, and stops all of
//! them, callers first.

use super::{
    child::{Prefix, Reports, Started, command},
    plan::{Plan, Process},
    table::{Line, table},
};
use monolift::app::launcher::Report;
use monolift_call::call::Backoff;
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    error::Error,
    fs,
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{UnixListener, UnixStream, unix::OwnedWriteHalf},
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

/// The pauses before a process is restarted.
const PAUSES: Backoff = Backoff::fifth(Duration::from_millis(200), Duration::from_secs(10));
/// After this uptime the pauses start at the first one again.
const STEADY: Duration = Duration::from_secs(30);
/// How long a process may take to stop its modules, in addition to the manifest's `drain`.
const STOPPING: Duration = Duration::from_secs(8);

/// What happened to a process, which is identified by its token.
enum Event {
    /// It was started, with this process id.
    Started(String, u32),
    /// It sent a report over its connection.
    Reported(Box<Report>, Option<OwnedWriteHalf>),
    /// It ended, and is restarted after the pause.
    Died(String, String, Duration),
    /// It cannot be started.
    Failed(String, String),
}

/// Starts all processes and runs until it is asked to stop.
pub(super) async fn run(
    plan: Plan,
    programs: BTreeMap<String, PathBuf>,
) -> Result<(), Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    let mut stop = pin!(stop);
    let socket = Socket::bind("up")?;
    let (events, mut event) = mpsc::unbounded_channel();
    let stopping = watch::Sender::new(false);
    let plan = Arc::new(plan);
    let launches = launches(&plan);
    let widest = launches.iter().map(|launch| launch.token.len()).max().unwrap_or_default();
    let mut up = Up::new(Arc::clone(&plan), &launches);
    let mut keepers = Vec::new();
    for (number, launch) in launches.into_iter().enumerate() {
        let program = programs[&plan.processes[launch.process].name].clone();
        let keeper = Keeper {
            plan: Arc::clone(&plan),
            prefix: Prefix::new(&launch.token, number, widest),
            program,
            socket: socket.path.clone(),
            events: events.clone(),
            stopping: stopping.subscribe(),
            launch,
        };
        keepers.push((keeper.launch.token.clone(), tokio::spawn(keeper.keep())));
    }
    let result = loop {
        tokio::select! {
            () = &mut stop => break Ok(()),
            accepted = socket.listener.accept() => {
                if let Ok((connection, _)) = accepted {
                    tokio::spawn(listen_to(connection, events.clone()));
                }
            }
            Some(event) = event.recv() => {
                if let Err(error) = up.note(event) {
                    break Err(error);
                }
            }
        }
    };
    stopping.send_replace(true);
    println!("stopping");
    // Stops callers first, each after the one before it has ended.
    for (token, mut keeper) in keepers.into_iter().rev() {
        // A process without a connection is still starting and has no calls in flight.
        let connected = up.life_lines.remove(&token).is_some();
        let patience = if connected { plan.drain + STOPPING } else { Duration::ZERO };
        if timeout(patience, &mut keeper).await.is_err() {
            if connected {
                println!("{token} has not stopped in {patience:?}: it is killed");
            }
            keeper.abort();
            let _ = keeper.await;
        }
    }
    Ok(result?)
}

/// One replica of a process.
#[derive(Debug, Clone)]
struct Launch {
    /// The name of the process, with the number of the replica if there are several: `orders`,
    /// `orders.1`.
    token: String,
    /// The index of the process in the plan.
    process: usize,
    replica: usize,
}

fn launches(plan: &Plan) -> Vec<Launch> {
    let of = |(number, process): (usize, &Process)| {
        let name = process.name.clone();
        (0..process.replicas.len()).map(move |replica| {
            let token = if replica == 0 { name.clone() } else { format!("{name}.{replica}") };
            Launch { token, process: number, replica }
        })
    };
    plan.processes.iter().enumerate().flat_map(of).collect::<Vec<_>>()
}

/// Keeps one replica running.
struct Keeper {
    plan: Arc<Plan>,
    launch: Launch,
    program: PathBuf,
    prefix: Prefix,
    socket: PathBuf,
    events: mpsc::UnboundedSender<Event>,
    stopping: watch::Receiver<bool>,
}

impl Keeper {
    async fn keep(mut self) {
        let mut restarts = 0;
        while !*self.stopping.borrow() {
            let begun = Instant::now();
            let how = match self.start() {
                Ok(mut started) => {
                    self.tell(Event::Started(
                        self.launch.token.clone(),
                        started.id().unwrap_or_default(),
                    ));
                    match started.ended().await {
                        Ok(status) => status.to_string(),
                        Err(error) => error.to_string(),
                    }
                }
                Err(error) => {
                    let message = format!("{} cannot be started: {error}", self.program.display());
                    self.tell(Event::Failed(self.launch.token.clone(), message));
                    return;
                }
            };
            if *self.stopping.borrow() {
                return;
            }
            if begun.elapsed() >= STEADY {
                restarts = 0;
            }
            let pause = PAUSES.pause(restarts);
            restarts += 1;
            self.tell(Event::Died(self.launch.token.clone(), how, pause));
            let mut stopping = self.stopping.clone();
            tokio::select! {
                () = sleep(pause) => {}
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
        }
    }

    fn start(&mut self) -> std::io::Result<Started> {
        let process = &self.plan.processes[self.launch.process];
        // Each replica keeps its address, also when it finds another program there.
        let replica = (process.replicas.len() > 1).then(|| &process.replicas[self.launch.replica]);
        let reports = Reports { socket: &self.socket, token: &self.launch.token };
        let command = command(&self.plan, &process.name, replica, &self.program, reports);
        Started::new(command, &self.prefix)
    }

    fn tell(&self, event: Event) {
        // When all processes stop, the receiver may be gone.
        let _ = self.events.send(event);
    }
}

/// Reads the reports of a process. The first report carries the write half of the connection. When
/// that is dropped, the process stops.
async fn listen_to(connection: UnixStream, events: mpsc::UnboundedSender<Event>) {
    let (read, write) = connection.into_split();
    let mut write = Some(write);
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(report) = serde_json::from_str(&line) {
            let _ = events.send(Event::Reported(report, write.take()));
        }
    }
}

/// The state of all processes.
struct Up {
    lines: Vec<(String, Line)>,
    life_lines: BTreeMap<String, OwnedWriteHalf>,
    /// The processes that have been ready at least once.
    been_ready: BTreeSet<String>,
    /// The admin addresses of gateways, which show the whole application.
    admins: BTreeSet<String>,
    shown: bool,
    plan: Arc<Plan>,
}

const STARTING: &str = "starting";
const READY: &str = "ready";

impl Up {
    fn new(plan: Arc<Plan>, launches: &[Launch]) -> Self {
        let line = |launch: &Launch| {
            let modules = plan.processes[launch.process].modules.join(", ");
            let line = Line {
                process: launch.token.clone(),
                modules: if modules.is_empty() { "-".to_owned() } else { modules },
                address: "-".to_owned(),
                pid: "-".to_owned(),
                state: STARTING.to_owned(),
            };
            (launch.token.clone(), line)
        };
        Self {
            lines: launches.iter().map(line).collect(),
            life_lines: BTreeMap::new(),
            been_ready: BTreeSet::new(),
            admins: BTreeSet::new(),
            shown: false,
            plan,
        }
    }

    fn line(&mut self, token: &str) -> Option<&mut Line> {
        self.lines.iter_mut().find(|(known, _)| known == token).map(|(_, line)| line)
    }

    /// Records an event. An error ends the launcher: a process cannot be started, or ended before
    /// it was ready.
    fn note(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Started(token, pid) => {
                if let Some(line) = self.line(&token) {
                    line.pid = pid.to_string();
                    line.state = STARTING.to_owned();
                }
            }
            Event::Reported(report, life_line) => {
                if let Some(life_line) = life_line {
                    self.life_lines.insert(report.token.clone(), life_line);
                }
                self.reported(*report);
            }
            Event::Died(token, how, pause) => {
                self.life_lines.remove(&token);
                if !self.been_ready.contains(&token) && !self.shown {
                    return Err(format!(
                        "{token} ended before it was ready ({how}): its last words are above"
                    ));
                }
                println!("{token} died ({how}): it is started again in {pause:.1?}");
            }
            Event::Failed(token, message) => return Err(format!("{token}: {message}")),
        }
        Ok(())
    }

    /// Where the whole application is shown.
    fn shown_at(&self) -> String {
        let shown =
            |admin| format!("http://{admin} shows the application: a map, traces and metrics\n");
        self.admins.iter().map(shown).collect()
    }

    fn reported(&mut self, mut report: Report) {
        // It would wait for these for ever. Its own `/readyz` still says that they are missing.
        report.waiting_for.retain(|process| !self.plan.is_left_out(process));
        if report.http.is_some() {
            self.admins.extend(report.admin.take());
        }
        let Some(line) = self.line(&report.token) else { return };
        let http = report.http.map(|http| format!("http://{http}"));
        let addresses: Vec<String> = http.into_iter().chain(report.listen).collect();
        if !addresses.is_empty() {
            line.address = addresses.join(", ");
        }
        line.state = match &report.waiting_for[..] {
            [] => READY.to_owned(),
            waiting => format!("waiting for {}", waiting.join(", ")),
        };
        let (is_ready, pid) = (line.state == READY, line.pid.clone());
        if is_ready && !self.been_ready.insert(report.token.clone()) {
            println!("{} is up again (pid {pid})", report.token);
        }
        if !self.shown && self.lines.iter().all(|(_, line)| line.state == READY) {
            self.shown = true;
            let lines: Vec<Line> = self.lines.iter().map(|(_, line)| line.clone()).collect();
            let (table, left_out) = (table(&lines), self.not_started());
            println!("{table}{left_out}{}all are ready; ctrl-C stops them", self.shown_at());
        }
    }

    /// The line about processes that were left out.
    fn not_started(&self) -> String {
        match &self.plan.left_out[..] {
            [] => String::new(),
            names => {
                let calls = if self.plan.fakes.is_empty() {
                    "fail as unreachable"
                } else {
                    "are answered with examples"
                };
                format!("not started: {}; calls of them {calls}\n", names.join(", "))
            }
        }
    }
}

/// The socket for reports. Its file is removed with it.
pub(crate) struct Socket {
    pub(crate) listener: UnixListener,
    pub(crate) path: PathBuf,
}

impl Socket {
    /// Binds a socket with this process's id in its name.
    pub(crate) fn bind(name: &str) -> std::io::Result<Self> {
        let file = format!("monolift-{}-{name}.sock", std::process::id());
        let path = env::temp_dir().join(file);
        let _ = fs::remove_file(&path);
        Ok(Self { listener: UnixListener::bind(&path)?, path })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
