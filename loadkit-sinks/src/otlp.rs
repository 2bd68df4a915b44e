//! Metrics by OTLP over HTTP, as Protobuf: to an OpenTelemetry collector, or to whatever speaks as one.

mod encode;
mod wire;

use std::net::ToSocketAddrs;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::claims::Claims;
use crate::interval::Interval;
use crate::sink::{RunLabels, Sink, SinkError};

/// A request gets so long, from the connection to the last byte of the answer.
const MAX_TIME: Duration = Duration::from_secs(5);
/// An answer's body may have so many bytes.
const MAX_REPLY: usize = 64 << 10;
/// So much of an answer is shown when it says why not.
const MAX_SHOWN: usize = 200;
/// At most so many metrics.
const MAX_METRICS: usize = 4_096;

/// Sends each interval as one OTLP request. Sums and histograms are of the interval (delta temporality).
///
/// A request is not repeated: the collector may have taken it before it failed, and would count it twice.
#[derive(Debug)]
pub struct Otlp {
    uri: Uri,
    host: String,
    /// The connection's address: host and port.
    authority: String,
    run: RunLabels,
    claims: Claims,
}

impl Otlp {
    /// To the collector at this URL: `http://127.0.0.1:4318`. Without a path it is sent to `/v1/metrics`.
    ///
    /// # Errors
    /// When the URL is none, not of `http`, or of a host that does not resolve.
    pub fn open(url: &str, run: RunLabels) -> Result<Otlp, SinkError> {
        let wrong =
            |why: &str| SinkError::new(format!("OTLP cannot go to {url:?}: {why}; write it as http://127.0.0.1:4318"));
        let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| wrong(&error.to_string()))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(wrong("it would need TLS; send to a collector on this machine, which can")),
            Some("grpc") => return Err(wrong("it goes over HTTP, not gRPC; a collector takes HTTP at port 4318")),
            _ => return Err(wrong("it begins with no http://")),
        }
        let authority = uri.authority().ok_or_else(|| wrong("there is no host in it"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("names and passwords are not sent"));
        }
        let host = authority.as_str().to_owned();
        let port = authority.port_u16().unwrap_or(80);
        let authority = format!("{}:{port}", authority.host());
        // Only to see that it does: it is asked for again at each connection.
        authority.to_socket_addrs().map_err(|error| wrong(&error.to_string()))?;
        let path = match uri.path_and_query().map(http::uri::PathAndQuery::as_str) {
            None | Some("" | "/") => "/v1/metrics",
            Some(path) => path,
        };
        let uri = Uri::builder().scheme("http").authority(host.as_str()).path_and_query(path).build();
        let uri = uri.map_err(|error| wrong(&error.to_string()))?;
        Ok(Otlp { uri, host, authority, run, claims: Claims::new(MAX_METRICS) })
    }

    async fn post(&self, body: Vec<u8>) -> Result<(), String> {
        let stream = TcpStream::connect(&self.authority).await.map_err(|error| format!("connecting: {error}"))?;
        let (mut sender, connection) =
            http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.uri.path_and_query().map_or("/v1/metrics", http::uri::PathAndQuery::as_str))
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .header(header::USER_AGENT, concat!("loadkit/", env!("CARGO_PKG_VERSION")))
            .header(header::CONNECTION, "close")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_REPLY).collect().await;
            let body = body.map_err(|error| format!("its answer: {error}"))?.to_bytes();
            judge(status, &body)
        };
        // The connection is driven here, so that nothing of it is left when the time is over.
        tokio::pin!(exchange, connection);
        tokio::select! {
            biased;
            answered = &mut exchange => answered,
            closed = &mut connection => match closed {
                // What had come before is still there to be read.
                Ok(()) => exchange.await,
                Err(error) => Err(error.to_string()),
            },
        }
    }
}

/// What the collector's answer says.
fn judge(status: StatusCode, body: &[u8]) -> Result<(), String> {
    if !status.is_success() {
        let said: String = String::from_utf8_lossy(body).chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect();
        let said = if said.trim().is_empty() { String::new() } else { format!(": {said}") };
        return Err(format!("it answered {status}{said}"));
    }
    // What is no Protobuf is another way of saying yes.
    match wire::Reply::decode(body).ok().and_then(|reply| reply.partial_success) {
        Some(partly) if partly.rejected_data_points > 0 => {
            let said: String = partly.error_message.chars().take(MAX_SHOWN).collect();
            Err(format!("it rejected {} data points: {said}", partly.rejected_data_points))
        }
        _ => Ok(()),
    }
}

#[async_trait]
impl Sink for Otlp {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn place(&self) -> String {
        self.uri.to_string()
    }

    async fn take(&mut self, interval: &Interval) -> Result<u64, SinkError> {
        let (request, left_out) = encode::request(interval, &self.run, &mut self.claims);
        match timeout(MAX_TIME, self.post(request.encode_to_vec())).await {
            Ok(Ok(())) => Ok(left_out),
            Ok(Err(why)) => Err(SinkError::new(why)),
            Err(_) => Err(SinkError::new(format!("no answer within {} s", MAX_TIME.as_secs()))),
        }
    }
}

#[cfg(test)]
mod tests;
