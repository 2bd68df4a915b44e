//! The protocol of docs/writing-a-protocol.md: what the guide shows is here, compiled, and tried.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod bot;
mod fuzz;
mod play;
mod protocol;
mod transcript;

use proptest::prelude::*;

/// The guide's blocks of a file, one after the other, are that file.
#[test]
fn the_guide_shows_what_is_tested() {
    let guide = include_str!("../../../docs/writing-a-protocol.md");
    let files = [
        ("protocol.rs", include_str!("protocol.rs")),
        ("bot.rs", include_str!("bot.rs")),
        ("transcript.rs", include_str!("transcript.rs")),
        ("fuzz.rs", include_str!("fuzz.rs")),
    ];
    for (name, file) in files {
        let begin = format!("```rust {name}\n");
        let blocks: Vec<_> = guide.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        let shown = blocks.join("\n");
        // Not `assert_eq`: nobody reads two files that differ somewhere.
        let same = shown.lines().zip(file.lines()).take_while(|(shown, tested)| shown == tested).count();
        assert!(shown == file, "the guide's {name} is another from line {} on", same + 1);
    }
}

proptest! {
    /// A little of what the fuzzer does for hours: each byte picks a step or is a part of one.
    #[test]
    fn the_fuzz_target_holds(steps in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..12)), 0..60)) {
        let bytes = steps.iter().flat_map(|(what, piece)| [&[*what, piece.len() as u8], &piece[..]].concat());
        fuzz::target(&bytes.collect::<Vec<_>>());
    }
}
