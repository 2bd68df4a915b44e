/// Serves until its endpoint fails.
pub async fn serve(endpoint: Endpoint) -> io::Result<()> {
    // For 10,000 players at most. A server that strangers reach takes a random key.
    let server = rudp::Server::new(rudp::Config::DEFAULT, 10_000, [1, 2], Instant::now());
    let mut host = rudp::Host::new(server, endpoint);
    loop {
        let (peer, event) = host.next().await?;
        if let Event::Message { channel, payload } = event
            && let Some(reply) = answer(&payload)
        {
            // Who does not read has its replies dropped.
            let _ = host.send(peer, channel, &reply);
        }
    }
}
