//! What goes over the wire: the messages of `proto`, made by `build.rs`.

{{includes}}
