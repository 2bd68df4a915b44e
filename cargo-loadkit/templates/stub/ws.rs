/// Serves until its listener fails.
pub async fn serve(mut listener: Listener) -> io::Result<()> {
    loop {
        let stream = listener.accept().await?;
        tokio::spawn(client(stream));
    }
}

/// One client, until it goes.
async fn client(stream: Stream) -> Result<(), tungstenite::Error> {
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.try_next().await? {
        if let Message::Binary(bytes) = message
            && let Some(reply) = answer(&bytes)
        {
            socket.send(Message::binary(reply)).await?;
        }
    }
    Ok(())
}
