//! The edge in front of a door that answers 200 bytes at once: for measuring what the edge itself costs.
//!
//! `hello [ADDRESS] [CORES]`: logs to standard output; ends when standard input does.

use std::{io::Read as _, time::Duration};

use baluarte_edge::{Door, Doors, EdgeConfig, Options};
use baluarte_kernel::{ByteSize, RequestMeta};
use baluarte_proxy::{RequestBody, ResponseBody};
use baluarte_telemetry::{AccessNote, LogFormat, TelemetryConfig};
use baluarte_web::{Site, WebConfig};
use bytes::Bytes;
use http::{Request, Response};

struct Hello;

impl Door for Hello {
    async fn call(&self, _request: Box<Request<RequestBody>>, _meta: &RequestMeta, _note: &mut AccessNote) -> Response<ResponseBody> {
        Response::new(ResponseBody::Full(Bytes::from_static(&[b'x'; 200])))
    }
}

impl Doors for Hello {
    type Door = Self;
    fn open(&self, _core: usize) -> Self {
        Self
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned()).parse()?;
    let cores = arguments.next().unwrap_or_else(|| "2".to_owned()).parse()?;
    let config = TelemetryConfig { log_format: LogFormat::Json, ..TelemetryConfig::default() };
    let telemetry = baluarte_telemetry::init(&config, true)?;
    let options = Options {
        listen,
        trusted_proxies: Vec::new(),
        proxy_protocol: baluarte_edge::ProxyProtocol::Off,
        body_limit: ByteSize::from_bytes(10 << 20),
        request_timeout: Duration::from_secs(60),
        shutdown_grace: Duration::from_secs(5),
        site: Site::new(&WebConfig::default(), "http://localhost"),
    };
    let edge = baluarte_edge::serve(options, &EdgeConfig { cores, ..EdgeConfig::default() }, Hello, &telemetry)?;
    tracing::info!(target: "edge", address = %edge.address(), "listening");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (address, metrics) = runtime.block_on(baluarte_telemetry::serve_metrics("127.0.0.1:0".parse()?, telemetry.metrics.clone()))?;
    tracing::info!(target: "edge", %address, "metrics");
    runtime.spawn(metrics);
    std::io::stdin().read_to_end(&mut Vec::new())?;
    runtime.block_on(edge.stop());
    telemetry.flush();
    Ok(())
}
