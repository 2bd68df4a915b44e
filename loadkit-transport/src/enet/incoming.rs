//! The receiving half: what has come, and what waits for its turn.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;

use super::held::{Held, Limits, Message, PLACE_COST, Unreliable, Verdict};
use super::reassembly::Reassembly;
use super::unsequenced::Unsequenced;
use super::wire::Fragment;
use crate::protocol::{Channel, Delivery};

/// Reliable numbers ahead of the last one delivered that are taken: seven windows of 4,096, as in ENet.
pub(super) const WINDOW: u16 = 7 * 4_096 - 1;
/// Numbers so far ahead are behind in truth: they have been delivered. Those between are of no peer that keeps the rules.
const BEHIND: u16 = 9 * 4_096;
/// Pieces of an unreliable message whose rest has not come for so long are dropped: nobody sends it again.
const FORGET_AFTER_US: u64 = 5_000_000;

/// What waits on a channel, by the number of its (last) reliable message; numbers here do not wrap around.
#[derive(Debug, Default)]
struct Waiting {
    reliable: BTreeMap<u64, Held>,
    unreliable: BTreeMap<(u64, u16), Held>,
}

/// The receiving half of a channel.
#[derive(Debug, Default)]
struct Lane {
    /// The reliable number delivered last, and the unreliable one after it.
    reliable: u64,
    unreliable: u16,
    /// It exists only while something waits.
    waiting: Option<Box<Waiting>>,
}

/// What is held of messages, in bytes with their overhead.
#[derive(Debug, Default)]
struct Costs {
    /// Reliable ones that were before their turn.
    early: usize,
    /// Pieces of reliable ones whose turn it was.
    due: usize,
    unreliable: usize,
}

/// The receiving half of a session.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// By channel, as far as they have been used.
    lanes: Vec<Lane>,
    costs: Costs,
    unsequenced: Unsequenced,
}

impl Incoming {
    /// Takes a whole reliable message.
    pub(super) fn reliable(
        &mut self,
        (channel, sequence): (u8, u16),
        bytes: &[u8],
        limits: Limits,
        deliver: &mut impl FnMut(Channel, Bytes),
    ) -> Verdict {
        if bytes.len() > limits.message {
            return Verdict::TooLarge;
        }
        let lane = lane_mut(&mut self.lanes, channel);
        let number = match lane.number_of(sequence) {
            Ok(number) => number,
            Err(verdict) => return verdict,
        };
        if number == lane.reliable + 1 && lane.waiting.is_none() {
            lane.reliable = number;
            lane.unreliable = 0;
            deliver(Channel::new(Delivery::Ordered, channel), Bytes::copy_from_slice(bytes));
            return Verdict::Taken;
        }
        let waiting = lane.waiting.get_or_insert_default();
        if waiting.reliable.contains_key(&number) {
            return Verdict::Taken;
        }
        // What is due goes at once, and needs no room.
        let cost = bytes.len() + PLACE_COST;
        let is_due = number == lane.reliable + 1;
        if !is_due && self.costs.early + cost > limits.waiting {
            lane.tidy();
            return Verdict::Dropped;
        }
        self.costs.early += cost;
        let message = Message::Whole(Bytes::copy_from_slice(bytes), 1);
        waiting.reliable.insert(number, Held { message, cost, at_us: 0, was_due: false });
        if is_due {
            lane.advance(channel, &mut self.costs, deliver);
        }
        Verdict::Taken
    }

    /// Takes a piece of a reliable message.
    pub(super) fn fragment(
        &mut self,
        channel: u8,
        fragment: &Fragment,
        limits: Limits,
        deliver: &mut impl FnMut(Channel, Bytes),
    ) -> Verdict {
        if fragment.total as usize > limits.message {
            return Verdict::TooLarge;
        }
        let lane = lane_mut(&mut self.lanes, channel);
        let number = match lane.number_of(fragment.start) {
            Ok(number) => number,
            Err(verdict) => return verdict,
        };
        let is_due = number == lane.reliable + 1;
        let cost = Reassembly::cost(fragment);
        // One that is due is taken in any case, or what is early could keep it out for ever.
        let held = if is_due { &mut self.costs.due } else { &mut self.costs.early };
        let has_room = *held + cost <= limits.waiting || (is_due && *held == 0);
        let verdict = match lane.waiting.get_or_insert_default().reliable.entry(number) {
            Entry::Occupied(mut known) => known.get_mut().take(fragment),
            Entry::Vacant(_) if !has_room => Verdict::Dropped,
            Entry::Vacant(place) => match Message::begun(fragment) {
                None => Verdict::Malformed,
                Some(message) => {
                    *held += cost;
                    place.insert(Held { message, cost, at_us: 0, was_due: is_due });
                    Verdict::Taken
                }
            },
        };
        if is_due {
            lane.advance(channel, &mut self.costs, deliver);
        } else {
            lane.tidy();
        }
        verdict
    }

    /// Takes an unreliable message, or a piece of one, that stands behind the reliable one with this number.
    pub(super) fn unreliable(
        &mut self,
        now_us: u64,
        (channel, sequence): (u8, u16),
        what: &Unreliable,
        limits: Limits,
        deliver: &mut impl FnMut(Channel, Bytes),
    ) -> Verdict {
        let lane = lane_mut(&mut self.lanes, channel);
        let ahead = sequence.wrapping_sub(lane.reliable as u16);
        let number = what.number();
        let is_due = ahead == 0;
        if ahead > WINDOW || (is_due && number <= lane.unreliable) {
            return Verdict::Dropped;
        }
        let key = (lane.reliable + u64::from(ahead), number);
        if let (Unreliable::Whole { bytes, .. }, true) = (what, is_due) {
            lane.unreliable = number;
            deliver(Channel::new(Delivery::Sequenced, channel), Bytes::copy_from_slice(bytes));
            lane.drop_older(&mut self.costs);
            return Verdict::Taken;
        }
        let cost = what.cost();
        let has_room = self.costs.unreliable.saturating_add(cost) <= limits.waiting;
        let verdict = match lane.waiting.get_or_insert_default().unreliable.entry(key) {
            Entry::Occupied(mut known) => what.join(known.get_mut()),
            Entry::Vacant(_) if !has_room => Verdict::Dropped,
            Entry::Vacant(place) => match what.message(limits) {
                None => Verdict::Malformed,
                Some(message) => {
                    self.costs.unreliable += cost;
                    place.insert(Held { message, cost, at_us: now_us, was_due: false });
                    Verdict::Taken
                }
            },
        };
        if is_due {
            lane.flush(channel, &mut self.costs, deliver);
        }
        lane.tidy();
        verdict
    }

    /// Takes an unreliable message without an order.
    pub(super) fn unsequenced(
        &mut self,
        channel: u8,
        group: u16,
        bytes: &[u8],
        deliver: &mut impl FnMut(Channel, Bytes),
    ) -> Verdict {
        if !self.unsequenced.is_new(group) {
            return Verdict::Dropped;
        }
        deliver(Channel::new(Delivery::Unreliable, channel), Bytes::copy_from_slice(bytes));
        Verdict::Taken
    }

    /// Drops what will never be complete.
    pub(super) fn forget(&mut self, now_us: u64) {
        if self.costs.unreliable == 0 {
            return;
        }
        for lane in &mut self.lanes {
            let Some(waiting) = &mut lane.waiting else { continue };
            let costs = &mut self.costs;
            waiting.unreliable.retain(|_, held| {
                let stays = held.is_whole() || now_us < held.at_us + FORGET_AFTER_US;
                costs.unreliable -= if stays { 0 } else { held.cost };
                stays
            });
            lane.tidy();
        }
    }

    #[cfg(test)]
    pub(super) fn check_bounds(&self, limits: Limits) {
        let Limits { message, waiting } = limits;
        let Costs { early, due, unreliable } = self.costs;
        // One that is due is taken in any case.
        let most = waiting.max(message + PLACE_COST * usize::from(WINDOW));
        assert!(early <= waiting && due <= most && unreliable <= waiting, "{:?}", self.costs);
        let waiting = || self.lanes.iter().filter_map(|lane| lane.waiting.as_ref());
        let reliable: usize = waiting().flat_map(|waiting| waiting.reliable.values()).map(|held| held.cost).sum();
        let loose: usize = waiting().flat_map(|waiting| waiting.unreliable.values()).map(|held| held.cost).sum();
        assert_eq!((reliable, loose), (early + due, unreliable));
    }

    #[cfg(test)]
    pub(super) fn start_at(&mut self, channels: u8, sequence: u16) {
        for channel in 0..channels {
            lane_mut(&mut self.lanes, channel).reliable = sequence.into();
        }
        self.unsequenced.start_at(sequence);
    }

    #[cfg(test)]
    pub(super) fn heap(&self) -> usize {
        let waiting = self.lanes.iter().filter(|lane| lane.waiting.is_some()).count();
        self.lanes.capacity() * size_of::<Lane>() + waiting * size_of::<Waiting>() + self.unsequenced.heap()
    }
}

fn lane_mut(lanes: &mut Vec<Lane>, channel: u8) -> &mut Lane {
    let at = usize::from(channel);
    if lanes.len() <= at {
        lanes.resize_with(at + 1, Lane::default);
    }
    &mut lanes[at]
}

impl Lane {
    /// The number that does not wrap around; or what becomes of a command that is not new.
    fn number_of(&self, sequence: u16) -> Result<u64, Verdict> {
        let ahead = sequence.wrapping_sub(self.reliable as u16);
        match ahead {
            0 | BEHIND.. => Err(Verdict::Taken),
            1..=WINDOW => Ok(self.reliable + u64::from(ahead)),
            _ => Err(Verdict::Dropped),
        }
    }

    /// Delivers what is due, reliable or not, until something is missing.
    fn advance(&mut self, channel: u8, costs: &mut Costs, deliver: &mut impl FnMut(Channel, Bytes)) {
        loop {
            self.flush(channel, costs, deliver);
            let Some(waiting) = &mut self.waiting else { return };
            let Some(first) = waiting.reliable.first_entry() else { break };
            if *first.key() > self.reliable + 1 || (*first.key() > self.reliable && !first.get().is_whole()) {
                break;
            }
            let (number, held) = first.remove_entry();
            *if held.was_due { &mut costs.due } else { &mut costs.early } -= held.cost;
            // One that a longer message before it has covered is of no peer that keeps the rules.
            if let Message::Whole(bytes, span) = held.message
                && number > self.reliable
            {
                self.reliable += u64::from(span.max(1));
                self.unreliable = 0;
                deliver(Channel::new(Delivery::Ordered, channel), bytes);
            }
        }
        self.tidy();
    }

    /// Delivers what waits of unreliable messages behind the last reliable one, and drops what is older.
    fn flush(&mut self, channel: u8, costs: &mut Costs, deliver: &mut impl FnMut(Channel, Bytes)) {
        let Some(waiting) = &mut self.waiting else { return };
        let due = waiting.unreliable.range((self.reliable, 0)..=(self.reliable, u16::MAX));
        let whole: Vec<u16> = due.filter(|(_, held)| held.is_whole()).map(|((_, number), _)| *number).collect();
        for number in whole {
            if let Some(held) = waiting.unreliable.remove(&(self.reliable, number))
                && let Message::Whole(bytes, _) = held.message
            {
                costs.unreliable -= held.cost;
                self.unreliable = number;
                deliver(Channel::new(Delivery::Sequenced, channel), bytes);
            }
        }
        self.drop_older(costs);
    }

    /// Drops unreliable messages that are older than what was delivered.
    fn drop_older(&mut self, costs: &mut Costs) {
        let Some(waiting) = &mut self.waiting else { return };
        while let Some(first) = waiting.unreliable.first_entry()
            && *first.key() <= (self.reliable, self.unreliable)
        {
            costs.unreliable -= first.remove().cost;
        }
    }

    fn tidy(&mut self) {
        if self.waiting.as_ref().is_some_and(|waiting| waiting.reliable.is_empty() && waiting.unreliable.is_empty()) {
            self.waiting = None;
        }
    }
}
