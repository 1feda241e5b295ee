//! Kept traces on their way to a collector. Nothing is installed for it: an existing program keeps its own exporter.

use super::{ThisProcess, admin::Observed};
use crate::module::StartError;
use monolift_manifest::OtlpProtocol;
use monolift_observe::{Export, Traces};
use monolift_otlp::{Collector, Exporter, Protocol};
use std::sync::Arc;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// What sends them.
#[derive(Debug)]
pub(super) struct Exporting {
    exporter: Arc<Exporter>,
    traces: Arc<Traces>,
    /// Gathers kept traces, also without an admin address.
    _gathering: JoinSet<()>,
}

impl Exporting {
    /// Starts, if an endpoint is stated.
    pub(super) fn start(
        place: &ThisProcess,
        observed: &Observed,
    ) -> Result<Option<Self>, StartError> {
        let stated = &place.manifest.otlp;
        let Some(endpoint) = &stated.endpoint else { return Ok(None) };
        let protocol = match stated.protocol {
            OtlpProtocol::Grpc => Protocol::Grpc,
            OtlpProtocol::Http => Protocol::Http,
        };
        let headers = stated.headers.as_ref().map_or("", |headers| headers.expose());
        let collector = Collector::new(endpoint, protocol, headers)
            .map_err(|error| StartError::new("`[observe.otlp]`").because(error))?;
        let traces = Arc::clone(observed.traces());
        let exporter =
            Exporter::start(&place.manifest.app, collector, place.manifest.observe.memory);
        traces.export_to(Arc::clone(&exporter) as Arc<dyn Export>);
        let gathering = JoinSet::from_iter([Arc::clone(&traces).gather_kept()]);
        Ok(Some(Self { exporter, traces, _gathering: gathering }))
    }

    /// Sends what was kept, until `by`.
    pub(super) async fn stop(self, by: Instant) {
        let _ = timeout_at(by, self.traces.gathered()).await;
        self.exporter.stop(by).await;
    }
}
