//! What the dashboard is told as it happens: the map each second, and traces as they are kept.

use super::{AdminState, problem};
use crate::{map, state::ProcessState, traces::Kept};
use axum::{
    extract::State,
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream::unfold;
use serde_json::json;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, broadcast},
    time::{Instant, Interval, MissedTickBehavior, interval},
};

/// How often other processes are asked how they stand.
const EACH: Duration = Duration::from_secs(1);
/// How long a figure counts: rates are taken over this many looks.
const LOOKS: usize = 3;

/// One who watches.
struct Watch {
    state: Arc<AdminState>,
    tick: Interval,
    looks: Vec<(Instant, Vec<ProcessState>)>,
    kept: broadcast::Receiver<Arc<Kept>>,
    _place: OwnedSemaphorePermit,
}

/// Server-sent events: `application` and `kept`.
pub(super) async fn watch(State(state): State<Arc<AdminState>>) -> Response {
    let Ok(place) = Arc::clone(&state.watchers).try_acquire_owned() else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "as many watch as may");
    };
    let mut tick = interval(EACH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let kept = state.traces.subscribe();
    let watch = Watch { state, tick, looks: Vec::new(), kept, _place: place };
    let events = unfold(watch, async |mut watch| {
        let event = watch.next().await;
        Some((Ok::<_, Infallible>(event), watch))
    });
    Sse::new(Box::pin(events)).keep_alive(KeepAlive::default()).into_response()
}

impl Watch {
    async fn next(&mut self) -> Event {
        loop {
            tokio::select! {
                _ = self.tick.tick() => return self.look().await,
                // A reader that is slow misses some; the list has them.
                kept = self.kept.recv() => if let Ok(kept) = kept {
                    let told = json!({ "trace_id": kept.trace.trace_id, "because": kept.because });
                    return Event::default().event("kept").data(told.to_string());
                },
            }
        }
    }

    async fn look(&mut self) -> Event {
        let now = self.state.traces.processes().await;
        let (at, before) =
            self.looks.first().map_or((Instant::now(), &now), |(at, look)| (*at, look));
        let ways = map::ways(before, &now, at.elapsed().as_secs_f64());
        let circles = map::events::circles(&now);
        let told = json!({ "map": map::draw(&now, &ways), "circles": circles, "processes": now });
        self.looks.push((Instant::now(), now));
        if self.looks.len() > LOOKS {
            self.looks.remove(0);
        }
        Event::default().event("application").data(told.to_string())
    }
}
