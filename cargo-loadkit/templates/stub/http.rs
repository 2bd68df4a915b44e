/// Serves until its listener fails.
pub async fn serve(mut listener: Listener) -> io::Result<()> {
    loop {
        let stream = TokioIo::new(listener.accept().await?);
        tokio::spawn(http1::Builder::new().serve_connection(stream, service_fn(respond)));
    }
}

/// One request: its body is a message, and so is the reply's.
async fn respond(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let message = request.into_body().collect().await?.to_bytes();
    let mut response = Response::new(Full::default());
    match answer(&message) {
        Some(reply) => *response.body_mut() = Full::from(reply),
        None => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    Ok(response)
}
