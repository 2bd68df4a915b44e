/// What the server answers to these bytes; nothing to what it does not understand.
fn answer(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut codec = Enveloped::<FromClient>::new();
    let request = codec.decode(bytes).ok()?;
    let reply: Envelope<FromServer> = match request.body {
        {{answers}}
        {{other}} => return None,
    };
    let mut out = Vec::new();
    codec.encode(&Envelope { reply_to: request.seq, ..reply }, &mut out).ok()?;
    Some(out)
}
