//! `LiveEvent::id <-> Place`: how far somebody has heard, so that whoever comes back with an event's id hears what is behind it.
//!
//! **Nothing is kept for a listener.** An id says how much of each kind had been told up to its event. Each of these numbers
//! only grows, so later events have larger ids.

/// How far somebody has heard. What does not fit into an id is not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// How far the run had come; 0 before anything was told.
    pub(super) state: u64,
    /// Notes.
    pub(super) notes: u64,
    /// The version of the workers' counts.
    pub(super) crew: u64,
    /// Seconds of the run of which figures were told.
    pub(super) seconds: u64,
}

const STATE_BITS: u32 = 3;
const NOTE_BITS: u32 = 16;
const CREW_BITS: u32 = 20;
/// Half a year.
const SECOND_BITS: u32 = 24;

impl Place {
    /// The place behind the event of this id.
    pub(super) fn of(id: u64) -> Place {
        let (rest, seconds) = split(id, SECOND_BITS);
        let (rest, crew) = split(rest, CREW_BITS);
        let (rest, notes) = split(rest, NOTE_BITS);
        let (_, state) = split(rest, STATE_BITS);
        Place { state, notes, crew, seconds }
    }

    /// The id of the event that leads here.
    pub(super) fn id(self) -> u64 {
        let Place { state, notes, crew, seconds } = self;
        [(state, STATE_BITS), (notes, NOTE_BITS), (crew, CREW_BITS), (seconds, SECOND_BITS)]
            .into_iter()
            .fold(0, |id, (part, bits)| (id << bits) | part.min(most(bits)))
    }
}

fn most(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// What stands above so many bits, and below.
fn split(id: u64, bits: u32) -> (u64, u64) {
    (id >> bits, id & most(bits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place() -> impl Strategy<Value = Place> {
        (0u64..8, 0u64..1 << 16, 0u64..1 << 20, 0u64..1 << 24).prop_map(|(state, notes, crew, seconds)| Place {
            state,
            notes,
            crew,
            seconds,
        })
    }

    proptest! {
        #[test]
        fn an_id_leads_back_to_its_place(place in place()) {
            prop_assert_eq!(Place::of(place.id()), place);
        }

        #[test]
        fn who_has_heard_more_has_a_larger_id(place in place(), more in place()) {
            let later = Place {
                state: place.state.max(more.state),
                notes: place.notes.max(more.notes),
                crew: place.crew.max(more.crew),
                seconds: place.seconds.max(more.seconds),
            };
            prop_assert!(later.id() >= place.id());
        }
    }

    #[test]
    fn what_does_not_fit_stands_at_the_bound() {
        let beyond = Place { notes: u64::MAX, ..Place::default() };
        assert_eq!(Place::of(beyond.id()), Place { notes: 65_535, ..Place::default() });
    }
}
