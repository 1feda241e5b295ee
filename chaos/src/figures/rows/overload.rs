//! The promise: four times the load that it can serve.

use super::*;

pub(in crate::figures) const TITLE: &str = "four times the load that it can serve";
/// At once, each for 10 ms: 2,000 calls/s.
const PLACES: usize = 20;
const TAKES: Duration = Duration::from_millis(10);
const PEAK: u64 = 2_000;
const TIME: Duration = Duration::from_secs(10);

pub(in crate::figures) async fn measure() -> anyhow::Result<Promise> {
    let mut promise = Promise { lines: Vec::new(), is_kept: true };
    for attempts in [1, 3] {
        let ways = Ways::new(TAKES);
        ways.capacity.forget_permits(tokio::sync::Semaphore::MAX_PERMITS - PLACES);
        let limits = Limits { running: PLACES, waiting: PLACES, ..Limits::default() };
        let (server, address) = serve(&ways, limits).await?;
        let retries = Retries { attempts, ..Retries::default() };
        let client = client::<dyn Node>(address.into(), retries);
        let unloaded = reads(&client, PEAK / 4, 5 * SECOND).await?;
        let unloaded = quantile(unloaded.iter().map(|one| one.took), 0.99);
        // What it can do: as many at once as it takes, and as may wait.
        let (peak, _) = rates(&reads(&client, PEAK, TIME).await?);
        let loaded = reads(&client, 4 * PEAK, TIME).await?;
        drop(server);
        let (goodput, refused) = rates(&loaded);
        let of = |refused: bool, part: f64| {
            let samples = loaded
                .iter()
                .filter(|one| one.error == refused.then_some(CallErrorKind::Overloaded));
            quantile(samples.map(|one| one.took), part)
        };
        let (accepted, refusals) = (of(false, 0.99), of(true, 0.99));
        let goodput_part = 100.0 * goodput / peak;
        promise.lines.push(format!(
            "with {attempts} attempts: {goodput:.0} calls/s of {peak:.0} at the peak \
             ({goodput_part:.0} %), {refused:.0}/s refused; p99 of the accepted {accepted:.1?}, \
             unloaded {unloaded:.1?}; p99 of the refusals {refusals:.1?}"
        ));
        // Those that wait have one more round before them, of as many as run.
        let bound = 2 * unloaded + TAKES;
        let in_time = attempts > 1 || (accepted <= bound && refusals <= 10 * MS);
        promise.is_kept &= goodput_part >= 80.0 && in_time;
    }
    Ok(promise)
}

/// Calls that went well, and that were refused, a second.
fn rates(samples: &[Sample]) -> (f64, f64) {
    let (well, refused): (Vec<&Sample>, Vec<&Sample>) =
        samples.iter().partition(|one| one.error.is_none());
    let seconds = TIME.as_secs_f64();
    (well.len() as f64 / seconds, refused.len() as f64 / seconds)
}
