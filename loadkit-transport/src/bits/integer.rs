//! The integers that can be packed, as one.

/// `u8` to `u64` and `i8` to `i64`. (`usize` is not the same everywhere, and a wire must be.)
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an integer of 8 to 64 bits",
    note = "a float needs `#[bits(quantised(min..=max, resolution))]`; a `usize` is not the same everywhere: use a `u32`"
)]
pub trait Integer: Copy + PartialOrd + sealed::Integer {}

pub(super) mod sealed {
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is not an integer of 8 to 64 bits",
        note = "a float needs `#[bits(quantised(min..=max, resolution))]`; a `usize` is not the same everywhere: use a `u32`"
    )]
    pub trait Integer: Sized {
        const WIDTH: u32;
        const SIGNED: bool;
        const LEAST: Self;
        const MOST: Self;
        /// Extended to 64 bits, by its sign if it has one.
        fn to_bits(self) -> u64;
        /// The lowest bits: back from `to_bits`.
        fn from_bits(bits: u64) -> Self;
    }
}

macro_rules! integers {
    ($($type:ident $signed:literal),+) => {$(
        impl Integer for $type {}

        impl sealed::Integer for $type {
            const WIDTH: u32 = $type::BITS;
            const SIGNED: bool = $signed;
            const LEAST: Self = $type::MIN;
            const MOST: Self = $type::MAX;

            #[inline]
            fn to_bits(self) -> u64 {
                self as u64
            }

            #[inline]
            fn from_bits(bits: u64) -> Self {
                bits as $type
            }
        }
    )+};
}

integers!(u8 false, u16 false, u32 false, u64 false, i8 true, i16 true, i32 true, i64 true);
