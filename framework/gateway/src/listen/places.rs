//! Who is connected, and who has to make room for a new client.
//!
//! A connection that is waited for costs a place and serves nobody. So when there is no place left, the
//! one that has waited longest is closed: first those without a request, then those whose client is slow
//! with a body or with taking an answer. Only when all are at work is a new client refused.

use crate::call::network_of;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// A client that is slow for less than this is not one that makes room.
const SLOW: Duration = Duration::from_secs(1);

/// The places of one listener.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    most_per_address: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    all: HashMap<u64, Arc<ClientPlace>>,
    of_address: HashMap<IpAddr, usize>,
    /// Requests that are answered, of clients behind proxies.
    asking: HashMap<IpAddr, usize>,
}

/// One connection's place.
#[derive(Debug)]
pub(crate) struct ClientPlace {
    number: u64,
    /// `None` if it is that of a proxy, whose connections are those of many.
    address: Option<IpAddr>,
    state: Mutex<State>,
    closed: Notify,
}

#[derive(Debug)]
struct State {
    /// Whether a request is being answered.
    at_work: bool,
    /// Since when it has had no request, or nothing of the last answer was taken.
    idle_since: Instant,
    /// Since when a body has been waited for.
    body_since: Option<Instant>,
    /// Since when the client has taken nothing of an answer.
    write_since: Option<Instant>,
    closed: bool,
}

/// A place that is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Taking {
    place: Arc<ClientPlace>,
    places: Arc<Places>,
}

/// A request of a client behind a proxy, which counts until this is dropped.
#[derive(Debug)]
pub(super) struct Asking {
    address: IpAddr,
    places: Arc<Places>,
}

/// All places are taken, and all who have one are at work.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Places {
    pub(super) fn new(most: usize, most_per_address: usize) -> Self {
        Self { most, most_per_address, taken: Mutex::default() }
    }

    /// A place for a new client at `address`, taken from another connection if need be: from one of the
    /// same address where that has as many as it may. A client without an address is a proxy.
    pub(super) fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Taking, Full> {
        let address = address.map(network_of);
        let mut taken = self.taken();
        let of_address = address.and_then(|address| taken.of_address.get(&address).copied());
        if of_address.is_some_and(|count| count >= self.most_per_address) {
            taken.close_one(|place| place.address == address)?;
        } else if taken.all.len() >= self.most {
            taken.close_one(|_| true)?;
        }
        let number = taken.next;
        taken.next += 1;
        let place = Arc::new(ClientPlace::new(number, address));
        taken.all.insert(number, Arc::clone(&place));
        if let Some(address) = address {
            *taken.of_address.entry(address).or_default() += 1;
        }
        Ok(Taking { place, places: Arc::clone(self) })
    }

    /// Counts a request of a client behind a proxy, as a connection of its own would be.
    pub(super) fn ask(self: &Arc<Self>, address: IpAddr) -> Result<Asking, Full> {
        let address = network_of(address);
        let mut taken = self.taken();
        let count = taken.asking.entry(address).or_default();
        if *count >= self.most_per_address {
            return Err(Full);
        }
        *count += 1;
        Ok(Asking { address, places: Arc::clone(self) })
    }

    /// Closes the connection that has waited longest, if one waits.
    pub(super) fn close_one(&self) -> Result<(), Full> {
        self.taken().close_one(|_| true)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn close_one(&mut self, may: impl Fn(&ClientPlace) -> bool) -> Result<(), Full> {
        let now = Instant::now();
        loop {
            let places = self.all.values().filter(|place| may(place));
            let waiting = places.filter_map(|place| Some((place.waiting(now)?, place)));
            let (_, place) = waiting.min_by_key(|(order, _)| *order).ok_or(Full)?;
            let (number, place) = (place.number, Arc::clone(place));
            // Its request may have come in this moment.
            if place.close(now) {
                self.remove(number);
                return Ok(());
            }
        }
    }

    fn remove(&mut self, number: u64) {
        let Some(place) = self.all.remove(&number) else { return };
        if let Some(address) = place.address {
            one_less(&mut self.of_address, address);
        }
    }
}

fn one_less(counts: &mut HashMap<IpAddr, usize>, address: IpAddr) {
    if let Some(count) = counts.get_mut(&address) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&address);
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        one_less(&mut self.places.taken().asking, self.address);
    }
}

impl Taking {
    pub(super) fn place(&self) -> &Arc<ClientPlace> {
        &self.place
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.places.taken().remove(self.place.number);
    }
}

impl ClientPlace {
    fn new(number: u64, address: Option<IpAddr>) -> Self {
        let state = State {
            at_work: false,
            idle_since: Instant::now(),
            body_since: None,
            write_since: None,
            closed: false,
        };
        Self { number, address, state: Mutex::new(state), closed: Notify::new() }
    }

    /// Ready when the connection has to make room.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }

    /// A request has come. `false` when it came too late.
    pub(super) fn begin(&self) -> bool {
        let mut state = self.state();
        state.at_work = true;
        !state.closed
    }

    /// Its answer has been given.
    pub(super) fn end(&self) {
        let mut state = self.state();
        (state.at_work, state.body_since) = (false, None);
        state.idle_since = Instant::now();
    }

    /// The rest of a body is waited for, or is no longer. A client that sends a little now and then is
    /// slow all the same.
    pub(super) fn wait_for_body(&self, waits: bool) {
        let mut state = self.state();
        state.body_since = waits.then(|| state.body_since.unwrap_or_else(Instant::now));
    }

    /// The client takes nothing of what is written, or has taken something.
    pub(crate) fn wait_for_write(&self, waits: bool) {
        let mut state = self.state();
        state.write_since = waits.then(|| state.write_since.unwrap_or_else(Instant::now));
        if !waits && !state.at_work {
            state.idle_since = Instant::now();
        }
    }

    fn waiting(&self, now: Instant) -> Option<(Rank, Instant)> {
        self.state().waiting(now)
    }

    fn close(&self, now: Instant) -> bool {
        let mut state = self.state();
        state.closed = state.waiting(now).is_some();
        if state.closed {
            self.closed.notify_one();
        }
        state.closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who makes room first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Idle,
    Slow,
}

impl State {
    /// What the connection waits for, and since when; `None` while it is at work.
    fn waiting(&self, now: Instant) -> Option<(Rank, Instant)> {
        if self.closed {
            return None;
        }
        if !self.at_work {
            return Some((Rank::Idle, self.idle_since));
        }
        let since = self.body_since.into_iter().chain(self.write_since).min()?;
        (now.duration_since(since) >= SLOW).then_some((Rank::Slow, since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, timeout};

    fn at(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    async fn is_closed(taking: &Taking) -> bool {
        timeout(Duration::ZERO, taking.place().closed()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_has_been_idle_longest_makes_room() {
        let places = Arc::new(Places::new(3, 3));
        let mut all = Vec::new();
        for _ in 0..3 {
            all.push(places.take(at(1)).unwrap());
            advance(Duration::from_millis(1)).await;
        }
        assert!(all[0].place().begin());
        all[0].place().end();
        let new = places.take(at(1)).unwrap();
        assert!(is_closed(&all[1]).await && !is_closed(&all[0]).await && !is_closed(&new).await);
        assert!(!all[1].place().begin(), "its request comes too late");
        // Its end gives back no place that another one has by now.
        drop(all.remove(1));
        let newer = places.take(at(1)).unwrap();
        assert!(is_closed(&all[1]).await && !is_closed(&newer).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_at_work_keeps_the_place_and_who_is_slow_does_not() {
        let places = Arc::new(Places::new(2, 2));
        let all = [places.take(at(1)).unwrap(), places.take(at(2)).unwrap()];
        assert!(all.iter().all(|taking| taking.place().begin()));
        assert_eq!(places.take(at(3)).unwrap_err(), Full);
        all[1].place().wait_for_body(true);
        assert_eq!(places.take(at(3)).unwrap_err(), Full);
        advance(SLOW).await;
        all[1].place().wait_for_body(true);
        let third = places.take(at(3)).unwrap();
        assert!(is_closed(&all[1]).await);
        assert!(third.place().begin());
        all[0].place().wait_for_write(true);
        advance(SLOW).await;
        all[0].place().wait_for_write(false);
        assert_eq!(places.take(at(4)).unwrap_err(), Full);
        all[0].place().wait_for_write(true);
        advance(SLOW).await;
        drop(places.take(at(4)).unwrap());
        assert!(is_closed(&all[0]).await);
        // And a place that was given back is there.
        places.take(at(5)).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_takes_from_itself() {
        let places = Arc::new(Places::new(4, 2));
        let mut of_one = vec![places.take(at(1)).unwrap(), places.take(at(1)).unwrap()];
        let other = places.take(at(2)).unwrap();
        assert!(of_one[1].place().begin() && other.place().begin());
        of_one.push(places.take(at(1)).unwrap());
        assert!(is_closed(&of_one[0]).await);
        assert!(of_one[2].place().begin());
        assert_eq!(places.take(at(1)).unwrap_err(), Full);
        let _third = places.take(at(3)).unwrap();
    }

    #[test]
    fn a_proxys_connections_are_not_counted_by_address_but_its_clients_requests_are() {
        let places = Arc::new(Places::new(4, 2));
        let proxy: Vec<_> = (0..4).map(|_| places.take(None).unwrap()).collect();
        assert!(proxy.iter().all(|taking| taking.place().begin()));
        let client: IpAddr = at(1).unwrap();
        let asking = [places.ask(client).unwrap(), places.ask(client).unwrap()];
        assert_eq!(places.ask(client).unwrap_err(), Full);
        places.ask(IpAddr::from([10, 0, 0, 2])).unwrap();
        drop(asking);
        places.ask(client).unwrap();
        assert!(places.taken().asking.is_empty());
    }

    #[test]
    fn networks_of_ipv6_count_as_one() {
        let counted = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counted("::ffff:10.0.0.1"), "10.0.0.1");
        assert_eq!((counted("::1"), counted("127.0.0.1")), ("::1".into(), "127.0.0.1".into()));
    }
}
