//! How often chance alone would deal the blocks so unevenly.
//!
//! A standard error says little of a figure that hangs on a few events: three stalls in the new build's half minute and none
//! in the old one's move its 99th percentile by a factor of ten, with a small error on the quiet side, and yet each stall
//! might as well have fallen on the other. So what the bootstrap holds for a change must also hold as a permutation test:
//! the blocks of both sides are shuffled and dealt again, and the change is real only if hardly any deal gives as large a
//! one. That is exact for any distribution if blocks are exchangeable (E. J. G. Pitman, "Significance tests which may be
//! applied to samples from any populations", 1937). Of sides that played at the same time, each block is exchanged with
//! its own neighbour only.

use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use super::blocks::Block;
use super::estimate::STRETCH_S;
use super::figure::Figure;
use super::table::Table;
use crate::seed::Rng;

/// At most so many deals.
const MAX_DEALS: f64 = 100_000.0;
/// Fewer blocks a side give no deal that is rare enough.
const FEW_BLOCKS: f64 = 12.0;
/// After so many deals that are as uneven, there is no need for more.
const ENOUGH: u32 = 20;

/// How many deals it takes to see a share that is a quarter of this.
pub(super) fn deals_for(share: f64) -> u32 {
    (4.0 / share).ceil().clamp(1.0, MAX_DEALS) as u32
}

/// How long the blocks must be at the least, in intervals, where what disturbs a machine is what differs: two stretches of it,
/// or as much of them as the run has [`FEW_BLOCKS`] times, and no less than half of one. With less than a minute there are then
/// too few, and nothing is called changed on this ground.
pub(super) fn stretch(table: &Table) -> usize {
    let seconds = [2.0 * STRETCH_S, STRETCH_S].into_iter().find(|seconds| table.seconds() >= FEW_BLOCKS * seconds);
    let intervals = seconds.unwrap_or(STRETCH_S / 2.0) / table.seconds() * table.intervals() as f64;
    (intervals.round() as usize).max(1)
}

/// How the blocks are dealt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deal {
    /// The first so many intervals of the table are the baseline's.
    pub(super) base: usize,
    /// How long a block is.
    pub(super) length: usize,
    /// Blocks are exchanged with their neighbour of the other side only. Both sides have as many.
    pub(super) paired: bool,
    /// So many times.
    pub(super) deals: u32,
}

impl Deal {
    /// The least share that [`chance`] can find of a table of so many intervals, however far the sides are apart: among all
    /// ways to deal the blocks there is the one that was dealt, and of sides of one length its mirror image, which is as uneven.
    pub(super) fn least(&self, intervals: usize) -> f64 {
        let blocks = |intervals: usize| intervals.div_ceil(self.length.max(1));
        let (old, new) = (blocks(self.base), blocks(intervals.saturating_sub(self.base)));
        let ways: f64 = if self.paired {
            2.0_f64.powi(i32::try_from(old.min(new)).unwrap_or(i32::MAX))
        } else {
            (1..=old).map(|i| (new + i) as f64 / i as f64).product()
        };
        let as_uneven = if self.paired || old == new { 2.0 } else { 1.0 };
        (as_uneven / ways).min(1.0)
    }
}

/// The share of deals whose difference is as large as this.
pub(super) fn chance(figure: Figure, table: &Table, deal: Deal, difference: f64, rng: &mut Rng) -> f64 {
    let Deal { base, length, paired, deals: most } = deal;
    let n = table.intervals();
    let cut = |from: usize, to: usize| {
        (from..to).step_by(length.max(1)).map(move |at| Block { from: at, to: (at + length.max(1)).min(to) })
    };
    let (old, new): (Vec<Block>, Vec<Block>) = (cut(0, base).collect(), cut(base, n).collect());
    let mut all: Vec<Block> = old.iter().chain(&new).copied().collect();
    let (mut deals, mut as_large) = (0_u32, 0_u32);
    while deals < most && as_large < ENOUGH {
        let (left, right) = if paired {
            for i in 0..old.len().min(new.len()) {
                let (a, b) = if rng.random_bool(0.5) { (old[i], new[i]) } else { (new[i], old[i]) };
                (all[i], all[old.len() + i]) = (a, b);
            }
            all.split_at(old.len())
        } else {
            all.shuffle(rng);
            all.split_at(old.len())
        };
        let apart = figure.scaled(table, right).zip(figure.scaled(table, left)).map(|(right, left)| right - left);
        // Rounding must not make a deal smaller than itself.
        as_large += u32::from(apart.is_none_or(|apart| apart.abs() >= difference.abs() * (1.0 - 1e-9)));
        deals += 1;
    }
    // The deal that was dealt is one of them.
    f64::from(as_large + 1) / f64::from(deals + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_share_is_that_of_all_deals() {
        let deal = |base, length, paired| Deal { base, length, paired, deals: 1 };
        // Six blocks from twelve: 924 ways, and their mirror images are among them.
        assert!((deal(30, 5, false).least(60) - 2.0 / 924.0).abs() < 1e-12);
        assert!((deal(30, 5, true).least(60) - 2.0 / 64.0).abs() < 1e-12);
        // Two from five, and no mirror.
        assert!((deal(10, 5, false).least(25) - 1.0 / 10.0).abs() < 1e-12);
        assert_eq!(deal(3, 5, false).least(3), 1.0);
    }
}
