/// Serves until its listener fails.
pub async fn serve(mut listener: Listener) -> io::Result<()> {
    loop {
        let stream = listener.accept().await?;
        tokio::spawn(client(stream));
    }
}

/// One client, until it goes. A frame is four bytes of length, big-endian, and a message.
async fn client(mut stream: Stream) -> io::Result<()> {
    loop {
        let len = stream.read_u32().await?.min(65_536);
        let mut message = vec![0; len as usize];
        stream.read_exact(&mut message).await?;
        let Some(reply) = answer(&message) else { return Ok(()) };
        let mut frame = (reply.len() as u32).to_be_bytes().to_vec();
        frame.extend(reply);
        stream.write_all(&frame).await?;
    }
}
