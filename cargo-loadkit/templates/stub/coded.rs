/// What the server answers to these bytes; nothing to what it does not understand.
fn answer(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut codec = Server::default();
    {{answers}}
    let mut out = Vec::new();
    codec.encode(&reply, &mut out).ok()?;
    Some(out)
}
