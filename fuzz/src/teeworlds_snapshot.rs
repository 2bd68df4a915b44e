//! Teeworlds' snapshots: differences against what was kept, in parts.

use teeworlds::messages::SnapshotPart;
use teeworlds::snapshot::{History, Kind};

use crate::input::Input;

pub(crate) fn target(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut history = History::default();
    while let Some(op) = input.next() {
        let (tick, base) = (i32::from(input.byte()), i32::from(input.byte()) - 1);
        let (part, parts) = if op & 1 == 0 { (0, 1) } else { (u32::from(op >> 2 & 7), u32::from(op >> 5)) };
        // A sum that fits one time in a few: those of small worlds are small.
        let crc = (op & 2 == 0).then(|| i32::from(input.byte()));
        let part = SnapshotPart { tick, base, part, parts, crc, data: input.piece().to_vec() };
        if let Ok(Some(tick)) = history.take(part) {
            assert_eq!(history.newest(), Some(tick));
        }
        if let Some(world) = history.world() {
            assert!(world.of_kind(Kind::CHARACTER).count() <= world.len());
        }
    }
}
