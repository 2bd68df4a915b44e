//! What goes over the wire: the messages of `proto/arena.proto`.

include!(concat!(env!("OUT_DIR"), "/arena.rs"));
