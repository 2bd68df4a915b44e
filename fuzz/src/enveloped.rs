//! Envelopes over a schema with generics of every kind: what was decoded is encoded and decoded to the same.

use loadkit_tests::schema::{FromClient, FromServer};
use loadkit_transport::Codec;
use loadkit_transport::protobuf::{Enveloped, Opcodes};

pub(crate) fn target(bytes: &[u8]) {
    settles::<FromClient>(bytes);
    settles::<FromServer>(bytes);
}

fn settles<W: Opcodes>(bytes: &[u8]) {
    let (mut ours, mut theirs) = (Enveloped::<W>::new(), Enveloped::<W::Out>::new());
    let Ok(message) = ours.decode(bytes) else { return };
    assert_eq!(ours.remark(&message).is_some(), W::name(message.opcode).is_none());
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    // What was short in a form that nobody writes may be too long in the one that we write.
    if theirs.encode(&message, &mut once).is_ok() {
        let again = ours.decode(&once).ok().and_then(|again| theirs.encode(&again, &mut twice).ok());
        assert!(again.is_some() && once == twice, "{once:?} and then {twice:?}");
    }
}
