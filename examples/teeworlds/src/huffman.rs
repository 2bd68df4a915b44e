//! `bytes -> fewer bytes`: the static Huffman code that squeezes Teeworlds packets.
//!
//! The code is fixed by the protocol: 256 byte symbols and one that ends the stream. It is a *complete* prefix
//! code, so the whole of it is told by its leaves from left to right, each with its depth; codewords, the
//! decoder's tree and its lookup table are all computed from `LEAVES` when this file is compiled.
//!
//! Bits fill each byte from the lowest up. What stands behind the end symbol is padding, of which the server sends
//! up to a whole byte.

/// The symbol that ends a stream.
const END: u16 = 256;
/// Symbols of the code: every byte, and [`END`].
const SYMBOLS: usize = 257;
/// Inner nodes of the tree: one fewer than its leaves, as the code is complete.
const INNER: usize = SYMBOLS - 1;
/// In [`Tree::child`]: this is a leaf, the rest is its symbol.
const LEAF: u16 = 0x8000;
/// Bits that the decoder looks up at once. Longer codewords (rare by design) are walked from there bit by bit.
const LOOKUP_BITS: u32 = 8;

/// The leaves from left (all zeros) to right (all ones): symbol, and length of its codeword in bits.
#[rustfmt::skip]
const LEAVES: [(u16, u8); SYMBOLS] = [
    (128, 5), (24, 7), (229, 12), (212, 12), (245, 12), (238, 12), (116, 12), (58, 12), (203, 12),
    (121, 12), (180, 9), (27, 9), (77, 10), (173, 10), (36, 9), (147, 10), (88, 10), (176, 8),
    (71, 10), (114, 11), (113, 12), (57, 12), (178, 9), (20, 8), (1, 4), (8, 5), (139, 10),
    (84, 10), (184, 9), (73, 8), (177, 9), (232, 12), (225, 12), (239, 12), (235, 12), (215, 12),
    (125, 12), (222, 12), (221, 12), (174, 9), (122, 13), (99, 13), (253, 12), (56, 12), (234, 12),
    (171, 10), (22, 9), (152, 9), (140, 9), (44, 9), (61, 11), (109, 12), (93, 12), (227, 12),
    (115, 12), (59, 12), (103, 13), (102, 13), (190, 9), (14, 8), (165, 9), (167, 10), (76, 10),
    (33, 9), (143, 10), (67, 10), (9, 7), (146, 9), (130, 9), (85, 9), (32, 9), (83, 7), (186, 9),
    (216, 11), (97, 12), (53, 12), (246, 12), (224, 12), (241, 13), (127, 13), (251, 12),
    (101, 12), (100, 12), (202, 12), (196, 12), (159, 10), (158, 9), (18, 7), (70, 10), (52, 11),
    (199, 12), (194, 12), (25, 9), (188, 9), (65, 9), (23, 9), (72, 10), (209, 12), (205, 12),
    (94, 13), (228, 13), (219, 12), (160, 9), (142, 9), (2, 5), (26, 9), (42, 9), (255, 8),
    (134, 9), (63, 12), (244, 12), (89, 11), (207, 12), (193, 12), (243, 12), (208, 12), (172, 9),
    (156, 9), (150, 9), (138, 9), (39, 9), (69, 10), (153, 10), (12, 7), (28, 9), (182, 9),
    (37, 9), (149, 10), (55, 12), (90, 13), (256, 15), (119, 15), (248, 14), (214, 12), (204, 12),
    (64, 8), (30, 8), (154, 9), (74, 10), (191, 10), (19, 9), (75, 9), (16, 7), (87, 11),
    (231, 13), (220, 13), (254, 12), (161, 10), (132, 9), (170, 9), (68, 10), (96, 13), (95, 13),
    (107, 13), (106, 13), (91, 12), (242, 12), (136, 9), (66, 10), (51, 10), (168, 9), (38, 9),
    (41, 8), (86, 11), (211, 12), (112, 13), (92, 13), (155, 11), (197, 12), (192, 12), (34, 9),
    (10, 7), (148, 6), (237, 12), (217, 12), (78, 11), (181, 11), (151, 11), (144, 9), (17, 9),
    (213, 12), (210, 12), (62, 13), (252, 13), (223, 12), (35, 10), (29, 7), (3, 8), (166, 9),
    (47, 10), (169, 10), (40, 7), (6, 8), (201, 12), (111, 13), (98, 13), (124, 13), (117, 13),
    (195, 12), (45, 10), (164, 9), (5, 7), (13, 6), (189, 10), (46, 10), (31, 10), (185, 11),
    (183, 11), (80, 11), (108, 14), (126, 14), (250, 13), (206, 12), (179, 11), (135, 11),
    (218, 13), (123, 13), (233, 13), (226, 13), (105, 13), (104, 13), (120, 13), (110, 13),
    (48, 10), (7, 8), (15, 9), (133, 11), (187, 11), (163, 10), (4, 6), (82, 11), (198, 12),
    (236, 13), (60, 13), (137, 11), (157, 11), (49, 10), (162, 10), (50, 10), (249, 13), (247, 13),
    (200, 12), (54, 13), (118, 14), (240, 14), (230, 12), (21, 10), (175, 11), (81, 11), (145, 11),
    (141, 11), (129, 10), (43, 10), (131, 11), (79, 11), (11, 8), (0, 1),
];

/// A codeword: its first bit is the lowest.
#[derive(Clone, Copy)]
struct Word {
    bits: u16,
    len: u8,
}

/// What eight bits lead to: a whole codeword, or an inner node deeper in the tree.
#[derive(Clone, Copy)]
struct Jump {
    /// `LEAF | symbol`, or the index of an inner node.
    to: u16,
    /// Bits used up to get there.
    used: u8,
}

struct Tree {
    words: [Word; SYMBOLS],
    child: [[u16; 2]; INNER],
    jump: [Jump; 1 << LOOKUP_BITS],
}

static TREE: Tree = Tree::from_leaves();

impl Tree {
    const fn from_leaves() -> Self {
        let mut tree = Self {
            words: [Word { bits: 0, len: 0 }; SYMBOLS],
            child: [[0; 2]; INNER],
            jump: [Jump { to: 0, used: 0 }; 1 << LOOKUP_BITS],
        };
        let mut nodes = 1; // The root is node 0, and no node is its own child: 0 means "not made yet".
        let mut code: u32 = 0; // The next leaf's codeword, first bit highest.
        let mut at = 0;
        while at < SYMBOLS {
            let (symbol, len) = LEAVES[at];
            nodes = tree.grow(nodes, code, len, symbol);
            let reversed = (code.reverse_bits() >> (32 - len as u32)) as u16;
            tree.words[symbol as usize] = Word { bits: reversed, len };
            if at + 1 < SYMBOLS {
                let (_, next) = LEAVES[at + 1];
                code += 1;
                code = if next >= len { code << (next - len) } else { code >> (len - next) };
            }
            at += 1;
        }
        assert!(nodes == INNER && code + 1 == 1 << LEAVES[SYMBOLS - 1].1, "the code is not complete");
        tree.fill_jumps();
        tree
    }

    /// Adds the path to one leaf; returns how many inner nodes there are now.
    const fn grow(&mut self, mut nodes: usize, code: u32, len: u8, symbol: u16) -> usize {
        let mut node = 0;
        let mut depth = len;
        while depth > 1 {
            depth -= 1;
            let side = (code >> depth & 1) as usize;
            if self.child[node][side] == 0 {
                self.child[node][side] = nodes as u16;
                nodes += 1;
            }
            node = self.child[node][side] as usize;
        }
        self.child[node][(code & 1) as usize] = LEAF | symbol;
        nodes
    }

    const fn fill_jumps(&mut self) {
        let mut bits = 0;
        while bits < 1 << LOOKUP_BITS {
            let mut jump = Jump { to: 0, used: 0 };
            while (jump.used as u32) < LOOKUP_BITS && jump.to & LEAF == 0 {
                jump.to = self.child[jump.to as usize][bits >> jump.used & 1];
                jump.used += 1;
            }
            self.jump[bits] = jump;
            bits += 1;
        }
    }
}

/// Why bytes could not be expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HuffmanError {
    /// The bytes ended before the end symbol: the packet was cut short.
    Truncated,
    /// The expanded bytes would be more than the limit: no honest packet is that long.
    TooLong,
}

/// Appends the compressed form of `bytes` to `out`.
pub fn compress(bytes: &[u8], out: &mut Vec<u8>) {
    let mut held: u32 = 0;
    let mut count: u32 = 0;
    for symbol in bytes.iter().map(|&byte| usize::from(byte)).chain([usize::from(END)]) {
        let word = TREE.words[symbol];
        held |= u32::from(word.bits) << count;
        count += u32::from(word.len);
        while count >= 8 {
            out.push(held as u8);
            held >>= 8;
            count -= 8;
        }
    }
    if count > 0 {
        out.push(held as u8);
    }
}

/// How many bytes [`compress`] would append.
pub fn compressed_len(bytes: &[u8]) -> usize {
    let bits: usize = bytes.iter().map(|&byte| usize::from(TREE.words[usize::from(byte)].len)).sum();
    (bits + usize::from(TREE.words[usize::from(END)].len)).div_ceil(8)
}

/// Appends what `packed` was before its compression to `out`, at most `limit` bytes of it.
///
/// # Errors
/// The end symbol is missing, or does not come within `limit` bytes. What was appended until then is left in `out`.
pub fn decompress(packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), HuffmanError> {
    let mut rest = packed.iter();
    let mut held: u32 = 0;
    let mut count: u32 = 0;
    let mut left = limit;
    loop {
        while count <= 24 {
            let Some(&byte) = rest.next() else { break };
            held |= u32::from(byte) << count;
            count += 8;
        }
        let jump = TREE.jump[(held & 0xff) as usize];
        let mut node = jump.to;
        let mut used = u32::from(jump.used);
        while node & LEAF == 0 {
            node = TREE.child[usize::from(node)][(held >> used & 1) as usize];
            used += 1;
        }
        if used > count {
            return Err(HuffmanError::Truncated);
        }
        held >>= used;
        count -= used;
        match node & !LEAF {
            END => return Ok(()),
            _ if left == 0 => return Err(HuffmanError::TooLong),
            symbol => out.push(symbol as u8),
        }
        left -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of the protocol's own document (libtw2, doc/huffman.md).
    #[test]
    fn the_documented_example() {
        let plain = [0x00, 0x01, 0x00, 0x02, 0x00, 0x80, 0x00];
        let packed = [0b1011_0001, 0b0000_1000, 0b0010_1010, 0b0110_1110, 0b0000_0000];
        let mut out = Vec::new();
        compress(&plain, &mut out);
        assert_eq!(out, packed);
        out.clear();
        assert_eq!(decompress(&packed, 1400, &mut out), Ok(()));
        assert_eq!(out, plain);
    }

    #[test]
    fn a_few_documented_codewords() {
        for (symbol, word) in [(0x00, "1"), (0xff, "01001001"), (0x7e, "01110101001001"), (END, "010100011101100")] {
            let Word { bits, len } = TREE.words[usize::from(symbol)];
            let text: String = (0..len).map(|at| if bits >> at & 1 == 1 { '1' } else { '0' }).collect();
            assert_eq!(text, word, "symbol {symbol:#x}");
        }
    }

    #[test]
    fn a_cut_stream_is_an_error() {
        let mut packed = Vec::new();
        compress(b"twelve tees in a row", &mut packed);
        for len in 0..packed.len() - 1 {
            assert_eq!(decompress(&packed[..len], 1400, &mut Vec::new()), Err(HuffmanError::Truncated));
        }
    }

    proptest! {
        #[test]
        fn expands_what_it_compressed(plain: Vec<u8>, padding in 0usize..3) {
            let mut packed = Vec::new();
            compress(&plain, &mut packed);
            prop_assert_eq!(packed.len(), compressed_len(&plain));
            packed.resize(packed.len() + padding, 0);
            let mut out = Vec::new();
            prop_assert_eq!(decompress(&packed, plain.len(), &mut out), Ok(()));
            prop_assert_eq!(&out, &plain);
            if let Some(limit) = plain.len().checked_sub(1) {
                prop_assert_eq!(decompress(&packed, limit, &mut Vec::new()), Err(HuffmanError::TooLong));
            }
        }

        #[test]
        fn any_bytes_are_taken_and_bounded(packed: Vec<u8>, limit in 0usize..2000) {
            let mut out = Vec::new();
            let _ = decompress(&packed, limit, &mut out);
            prop_assert!(out.len() <= limit);
        }
    }
}
