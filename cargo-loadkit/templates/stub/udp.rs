/// Serves until its endpoint fails.
pub async fn serve(mut endpoint: Endpoint) -> io::Result<()> {
    let mut buffer = [0; 1_500];
    loop {
        let datagram = poll_fn(|cx| endpoint.poll_recv_from(cx, &mut buffer)).await;
        let (received, from) = datagram?;
        if let Some(reply) = answer(&buffer[..received.len]) {
            endpoint.send_to(&reply, from);
        }
    }
}
