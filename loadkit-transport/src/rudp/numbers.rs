//! A number for each lane of a promise; most connections use one lane.

/// Numbers by lane, all 0 at first. Only those of lanes after the first take memory of their own.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    first: u16,
    others: Option<Box<[u16; 15]>>,
}

impl Numbers {
    pub(super) fn get(&self, lane: u8) -> u16 {
        match usize::from(lane).checked_sub(1) {
            None => self.first,
            Some(at) => self.others.as_ref().and_then(|others| others.get(at)).copied().unwrap_or(0),
        }
    }

    pub(super) fn set(&mut self, lane: u8, number: u16) {
        match usize::from(lane).checked_sub(1) {
            None => self.first = number,
            Some(at) => {
                if let Some(place) = self.others.get_or_insert_default().get_mut(at) {
                    *place = number;
                }
            }
        }
    }
}
