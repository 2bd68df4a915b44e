//! The checksum that ENet offers (`enet_crc32`): the CRC-32 of IEEE 802.3, as in Ethernet and zip.

/// The CRC of each byte, reflected polynomial 0xEDB88320.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 != 0 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// The checksum of these bytes, one part after the other.
pub(super) fn crc32<const N: usize>(parts: [&[u8]; N]) -> u32 {
    let bytes = parts.into_iter().flatten();
    !bytes.fold(!0, |crc: u32, byte| crc >> 8 ^ TABLE[usize::from(crc as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_standard() {
        assert_eq!(crc32([b"123456789"]), 0xCBF4_3926);
        assert_eq!(crc32([b"1234", b"", b"56789"]), 0xCBF4_3926);
        assert_eq!(crc32([]), 0);
    }
}
