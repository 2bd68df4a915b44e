//! The receiving half: what order messages are in, and which of them are whole.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::time::Instant;

use super::config::Config;
use super::fragments::Reassembly;
use super::frame::{Frame, Piece, is_within};
use super::lanes::WINDOW;
use super::numbers::Numbers;
use super::wire::after;
use crate::pool::Pool;
use crate::protocol::{Channel, Delivery};

/// Ids ahead that are kept apart on an unordered lane. The sender may be a window further than the last message that
/// is not whole, and that may begin a window before what it sends.
const UNORDERED_WINDOW: u16 = 2 * WINDOW;
/// What a piece costs beside its bytes.
const PIECE_COST: usize = 32;
/// Larger queues are not kept.
const KEPT_PLACES: usize = 64;

thread_local! {
    static EARLY: Pool<Box<Early>> = const { Pool::new() };
}

/// What has come for an id that is not the next.
#[derive(Debug, Default)]
enum Place {
    #[default]
    Empty,
    /// It has been delivered.
    Done,
    Kept(Box<[u8]>, Option<Piece>),
}

/// What a lane keeps. It exists only while there is something.
#[derive(Debug, Default)]
struct Early {
    /// From the lane's `first` on.
    places: VecDeque<Place>,
    /// On an ordered lane, the pieces so far of the message that is due.
    joined: Vec<u8>,
    /// The piece that is due next; 0: none has come.
    next: usize,
}

/// A reliable lane on which something has come.
#[derive(Debug)]
struct Lane {
    channel: Channel,
    /// All ids before it are done.
    first: u16,
    early: Option<Box<Early>>,
}

/// Why a connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// A message grows over the limit.
    TooLarge,
    /// Pieces do not fit together.
    Pieces,
}

/// The receiving half of a session.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    lanes: Vec<Lane>,
    /// On the sequenced lanes: what is before it is old.
    sequenced: Numbers,
    /// Unreliable messages that are not whole.
    partial: Option<Box<Reassembly>>,
    /// Bytes that reliable lanes keep.
    held: usize,
    /// Unreliable messages given up because pieces were missing.
    pub(super) incomplete: u32,
}

impl Incoming {
    /// Whether a frame may be taken; a peer that keeps the rules sends no other.
    pub(super) fn is_fit(&self, frame: &Frame, config: &Config) -> bool {
        let channel = frame.channel;
        if channel.lane >= config.channels.lanes(channel.delivery) {
            return false;
        }
        let window = match channel.delivery {
            Delivery::Ordered => WINDOW,
            Delivery::Unordered => UNORDERED_WINDOW,
            Delivery::Unreliable | Delivery::Sequenced => return true,
        };
        let first = self.lanes.iter().find(|lane| lane.channel == channel).map_or(0, |lane| lane.first);
        is_within(frame.id, first, window)
    }

    /// Whether a packet of `len` bytes may be kept: see [`Config::send_buffer`].
    pub(super) fn has_room(&self, len: usize, config: &Config) -> bool {
        let lanes = usize::from(config.channels.lanes(Delivery::Ordered) + config.channels.lanes(Delivery::Unordered));
        self.held == 0 || self.held + len <= config.send_buffer.saturating_add(config.message.saturating_mul(lanes))
    }

    /// Takes a frame that is fit, and hands on the messages that are whole with it.
    pub(super) fn take(
        &mut self,
        now: Instant,
        frame: &Frame,
        config: &Config,
        mut deliver: impl FnMut(Channel, Bytes),
    ) -> Result<(), Broken> {
        let channel = frame.channel;
        match channel.delivery {
            Delivery::Unreliable => {
                if let Some(payload) = self.whole(now, frame, config) {
                    deliver(channel, payload);
                }
                Ok(())
            }
            Delivery::Sequenced => {
                let is_old = after(frame.id, self.sequenced.get(channel.lane)) < 0;
                if !is_old && let Some(payload) = self.whole(now, frame, config) {
                    self.sequenced.set(channel.lane, frame.id.wrapping_add(1));
                    deliver(channel, payload);
                }
                Ok(())
            }
            Delivery::Ordered | Delivery::Unordered => {
                let at = self.lanes.iter().position(|lane| lane.channel == channel).unwrap_or_else(|| {
                    self.lanes.reserve_exact(1);
                    self.lanes.push(Lane { channel, first: 0, early: None });
                    self.lanes.len() - 1
                });
                let Some(lane) = self.lanes.get_mut(at) else { return Ok(()) };
                if frame.piece.is_none() && frame.id == lane.first && lane.early.is_none() {
                    lane.first = lane.first.wrapping_add(1);
                    deliver(channel, Bytes::copy_from_slice(frame.bytes));
                    return Ok(());
                }
                lane.take(frame, config.message, &mut self.held, deliver)
            }
        }
    }

    /// An unreliable message, if it is whole with this frame.
    fn whole(&mut self, now: Instant, frame: &Frame, config: &Config) -> Option<Bytes> {
        let Some(piece) = frame.piece else { return Some(Bytes::copy_from_slice(frame.bytes)) };
        let partial = self.partial.get_or_insert_default();
        let whole = partial.take(now, frame, piece, config);
        self.incomplete = self.incomplete.saturating_add(partial.take_lost());
        if partial.is_empty() {
            self.partial = None;
        }
        whole
    }

    /// When an unreliable message is given up.
    pub(super) fn deadline(&self, config: &Config) -> Option<Instant> {
        self.partial.as_ref()?.deadline(config)
    }

    /// Gives up what has been waiting for pieces too long.
    pub(super) fn expire(&mut self, now: Instant, config: &Config) {
        let Some(partial) = &mut self.partial else { return };
        partial.expire(now, config);
        self.incomplete = self.incomplete.saturating_add(partial.take_lost());
        if partial.is_empty() {
            self.partial = None;
        }
    }

    #[cfg(test)]
    pub(super) fn check_bounds(&self, config: &Config) {
        let places = || self.lanes.iter().filter_map(|lane| lane.early.as_ref());
        let kept = |place: &Place| match place {
            Place::Kept(bytes, _) => bytes.len() + PIECE_COST,
            _ => 0,
        };
        let held: usize = places().map(|early| early.places.iter().map(kept).sum::<usize>() + early.joined.len()).sum();
        assert!(held == self.held, "{held} and {}", self.held);
        assert!(held <= config.send_buffer + config.message * 32 + config.packet * 64, "{held}");
        for early in places() {
            assert!(early.places.len() <= UNORDERED_WINDOW.into() && early.joined.len() <= config.message);
        }
        if let Some(partial) = &self.partial {
            partial.check_bounds(config);
        }
    }

    #[cfg(test)]
    pub(super) fn start_at(&mut self, channels: impl Iterator<Item = Channel>, id: u16) {
        self.lanes = channels.map(|channel| Lane { channel, first: id, early: None }).collect();
        (0..16).for_each(|lane| self.sequenced.set(lane, id));
    }
}

impl Lane {
    fn take(
        &mut self,
        frame: &Frame,
        max: usize,
        held: &mut usize,
        mut deliver: impl FnMut(Channel, Bytes),
    ) -> Result<(), Broken> {
        let Ok(ahead) = usize::try_from(after(frame.id, self.first)) else {
            return Ok(());
        };
        let early = self.early.get_or_insert_with(|| EARLY.with(Pool::take));
        if early.places.len() <= ahead {
            early.places.resize_with(ahead + 1, Place::default);
        }
        let Some(place @ Place::Empty) = early.places.get_mut(ahead) else { return Ok(()) };
        let is_unordered = self.channel.delivery == Delivery::Unordered;
        if is_unordered && frame.piece.is_none() {
            *place = Place::Done;
            deliver(self.channel, Bytes::copy_from_slice(frame.bytes));
        } else {
            *place = Place::Kept(frame.bytes.into(), frame.piece);
            *held += frame.bytes.len() + PIECE_COST;
        }
        let deliver = |payload| deliver(self.channel, payload);
        let result = match (is_unordered, frame.piece) {
            (false, _) => early.in_order(max, held, deliver),
            (true, Some(piece)) => early.unordered(ahead, piece, max, held, deliver),
            (true, None) => Ok(()),
        };
        while let Some(Place::Done) = early.places.front() {
            early.places.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        if early.places.is_empty()
            && early.next == 0
            && let Some(early) = self.early.take()
        {
            early.leave();
        }
        result
    }
}

impl Early {
    /// Delivers what is due, from the front.
    fn in_order(&mut self, max: usize, held: &mut usize, mut deliver: impl FnMut(Bytes)) -> Result<(), Broken> {
        for place in &mut self.places {
            let Place::Kept(bytes, piece) = std::mem::take(place) else { return Ok(()) };
            *place = Place::Done;
            *held = held.saturating_sub(bytes.len() + PIECE_COST);
            let Some(piece) = piece else {
                if self.next > 0 {
                    return Err(Broken::Pieces);
                }
                deliver(bytes.into());
                continue;
            };
            if usize::from(piece.index) != self.next {
                return Err(Broken::Pieces);
            }
            if self.joined.len() + bytes.len() > max {
                return Err(Broken::TooLarge);
            }
            self.joined.extend_from_slice(&bytes);
            *held += bytes.len();
            self.next += 1;
            if piece.index == piece.last {
                *held = held.saturating_sub(self.joined.len());
                self.next = 0;
                deliver(std::mem::take(&mut self.joined).into());
            }
        }
        Ok(())
    }

    /// Delivers the message of the piece that has come to place `at`, if it is whole.
    fn unordered(
        &mut self,
        at: usize,
        piece: Piece,
        max: usize,
        held: &mut usize,
        mut deliver: impl FnMut(Bytes),
    ) -> Result<(), Broken> {
        let begin = at.checked_sub(piece.index.into()).ok_or(Broken::Pieces)?;
        let end = begin + usize::from(piece.last);
        // From the end: while pieces come in order, one look is enough.
        if !(begin..=end).rev().all(|at| matches!(self.places.get(at), Some(Place::Kept(..)))) {
            return Ok(());
        }
        let mut message = Vec::new();
        for (index, place) in self.places.range_mut(begin..=end).enumerate() {
            let Place::Kept(bytes, part) = std::mem::replace(place, Place::Done) else { return Err(Broken::Pieces) };
            *held = held.saturating_sub(bytes.len() + PIECE_COST);
            if part.is_none_or(|part| usize::from(part.index) != index || part.last != piece.last) {
                return Err(Broken::Pieces);
            }
            if message.len() + bytes.len() > max {
                return Err(Broken::TooLarge);
            }
            message.extend_from_slice(&bytes);
        }
        deliver(message.into());
        Ok(())
    }

    /// For another connection. Nothing is in it.
    fn leave(mut self: Box<Early>) {
        if self.places.capacity() <= KEPT_PLACES && self.joined.capacity() == 0 {
            self.places.clear();
            EARLY.with(|pool| pool.leave(self));
        }
    }
}
