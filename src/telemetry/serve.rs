//! `/live`, `/ready` and `/metrics` over HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::time::sleep;

/// Between two rounds in which samples of histograms are added up.
const UPKEEP: Duration = Duration::from_secs(5);

/// What keeps the process from being ready, in words; empty when it is.
pub type Unready = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// Serves until it is dropped. `/ready` answers 503 with the reasons, one a line.
pub async fn serve(
    listener: TcpListener,
    page: Option<PrometheusHandle>,
    unready: Unready,
) -> std::io::Result<()> {
    let kept = page.clone();
    let app = Router::new()
        .route("/live", get(async || "live\n"))
        .route(
            "/ready",
            get(move || {
                let reasons = unready();
                async move {
                    match reasons.is_empty() {
                        true => (StatusCode::OK, "ready\n".to_owned()),
                        false => (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n"),
                    }
                }
            }),
        )
        .route(
            "/metrics",
            get(move || {
                let text = page.as_ref().map(PrometheusHandle::render).unwrap_or_default();
                async move { ([("content-type", "text/plain; version=0.0.4")], text) }
            }),
        );
    tokio::select! {
        served = axum::serve(listener, app).into_future() => served,
        () = upkeep(kept) => Ok(()),
    }
}

/// Adds up samples without end: where nobody reads the page they would else be kept, every one.
async fn upkeep(page: Option<PrometheusHandle>) {
    loop {
        sleep(UPKEEP).await;
        if let Some(page) = &page {
            page.run_upkeep();
        }
    }
}
