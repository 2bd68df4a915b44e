//! Whole lives, in virtual time: the engine plays, and the fleet is a store in memory.

mod fleet;
mod gate;
mod lives;
mod losses;
mod set_up;
