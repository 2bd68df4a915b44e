//! Arbitrary, mutated, cut, repeated and late datagrams at both ends in every state: no panic, and bounded memory.

use proptest::prelude::*;

use super::*;

/// What happens to a connection.
#[derive(Clone, Debug)]
enum Deed {
    /// Anything arrives, perhaps with the right beginning.
    Noise {
        to: usize,
        named: bool,
        bytes: Vec<u8>,
    },
    /// A segment arrives that lies near what is due.
    Near {
        to: usize,
        command: u8,
        frg: u8,
        wnd: u16,
        sn: i8,
        una: i8,
        ts: u32,
        len: usize,
        copies: u16,
    },
    /// One of the packets that have been sent arrives (again), changed.
    Mutant {
        to: usize,
        which: usize,
        edits: Vec<(usize, u8)>,
        cut: usize,
    },
    Send {
        from: usize,
        len: usize,
        copies: u16,
    },
    Wait(u64),
    Cut([bool; 2]),
    Asleep([bool; 2]),
    Close {
        end: usize,
        abort: bool,
    },
}

fn deed() -> impl Strategy<Value = Deed> {
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    let small = || any::<i8>().prop_map(|n| n / 8);
    prop_oneof![
        2 => (0..2_usize, any::<bool>(), bytes(200)).prop_map(|(to, named, bytes)| Deed::Noise { to, named, bytes }),
        8 => ((0..2_usize, 81..85_u8, prop_oneof![Just(0), any::<u8>()], any::<u16>()), (small(), small(), any::<u32>(), 0..1_400_usize, prop_oneof![3 => Just(1_u16), 1 => 1..600_u16]))
            .prop_map(|((to, command, frg, wnd), (sn, una, ts, len, copies))| Deed::Near { to, command, frg, wnd, sn, una, ts, len, copies }),
        8 => (0..2_usize, 0..64_usize, prop::collection::vec((0..60_usize, any::<u8>()), 0..4), prop_oneof![3 => Just(usize::MAX), 1 => 0..100_usize])
            .prop_map(|(to, which, edits, cut)| Deed::Mutant { to, which, edits, cut }),
        4 => (0..2_usize, prop_oneof![3 => 0..200_usize, 1 => 0..70_000_usize], prop_oneof![3 => Just(1_u16), 1 => 1..300_u16]).prop_map(|(from, len, copies)| Deed::Send { from, len, copies }),
        4 => (0..400_u64).prop_map(Deed::Wait),
        1 => (0..200_000_u64).prop_map(Deed::Wait),
        1 => any::<[bool; 2]>().prop_map(Deed::Cut),
        1 => any::<[bool; 2]>().prop_map(Deed::Asleep),
        1 => (0..2_usize, any::<bool>()).prop_map(|(end, abort)| Deed::Close { end, abort }),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let framing = Framing { boundary: Boundary::Varint, max: 3_000 };
    let modes = [Mode::Messages, Mode::Messages, Mode::Stream, Mode::Frames(framing)];
    let times = prop_oneof![Just(None), (0..20_000_u64).prop_map(|time| Some(ms(time)))];
    let base = prop_oneof![Just(Config::FAST), Just(Config::NORMAL)];
    (base, prop::sample::select(modes.to_vec()), any::<bool>(), times.clone(), times, 40..2_000_usize, 0..4_u32)
        .prop_map(|(base, mode, at_once, keep_alive, time_out, mtu, dead_link)| Config {
            mode,
            at_once,
            keep_alive,
            time_out,
            mtu,
            dead_link: dead_link * 5,
            ..base
        })
}

fn happens(world: &mut World, deed: Deed) {
    let now = world.now;
    match deed {
        Deed::Noise { to, named, mut bytes } => {
            if named && bytes.len() > 4 {
                bytes[..4].copy_from_slice(&CONV.to_le_bytes());
                bytes[4] = 81 + bytes[4] % 4;
            }
            world.ends[to].input(now, &bytes);
        }
        Deed::Near { to, command, frg, wnd, sn, una, ts, len, copies } => {
            let command = [Command::Push, Command::Ack, Command::Ask, Command::Tell][usize::from(command - 81)];
            let (theirs, ours) = world.ends[to].numbers();
            let due = if command == Command::Push { theirs } else { ours };
            for n in 0..u32::from(copies) {
                let sn = due.wrapping_add_signed(sn.into()).wrapping_add(n);
                let una = ours.wrapping_add_signed(una.into());
                let mut datagram = Vec::new();
                Segment { conv: CONV, command, frg, wnd, ts, sn, una, data: &vec![frg; len] }.write(&mut datagram);
                world.ends[to].input(now, &datagram);
                world.ends[to].check_bounds();
            }
        }
        Deed::Mutant { to, which, edits, cut } => {
            let sent = &world.packets[1 - to];
            let Some(mut bytes) = sent.get(sent.len().saturating_sub(1 + which)).cloned() else { return };
            for (at, value) in edits {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            bytes.truncate(cut);
            world.ends[to].input(now, &bytes);
        }
        Deed::Send { from, len, copies } => {
            for _ in 0..copies {
                let _ = world.send(from, &vec![len as u8; len]);
            }
        }
        Deed::Wait(millis) => world.run(ms(millis)),
        Deed::Cut(cut) => world.cut = cut,
        Deed::Asleep(asleep) => world.asleep = asleep,
        Deed::Close { end, abort } => {
            if abort {
                world.ends[end].abort(now);
            } else {
                world.ends[end].close(now);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn nothing_that_arrives_panics_or_grows(configs in [config(), config()], deeds in prop::collection::vec(deed(), 1..60)) {
        let mut world = World::new(STORM, 1, [&configs[0], &configs[1]]);
        for deed in deeds {
            happens(&mut world, deed);
            world.drain();
            world.events = [Vec::new(), Vec::new()];
        }
        // Whatever it was, both find an end.
        (world.cut, world.asleep) = ([true; 2], [false; 2]);
        for end in &mut world.ends {
            end.close(world.now);
        }
        world.run(ms(1_000));
        prop_assert!(world.ends.iter().all(Session::is_closed) && world.is_idle());
    }
}
