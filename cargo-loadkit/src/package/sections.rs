//! What a binary is made of, by the sections of ELF (System V ABI, chapter 4): code, constants, tables, data.

use std::collections::BTreeMap;

/// Bytes of a binary by what they are.
pub(super) type Parts = BTreeMap<&'static str, u64>;

/// Sections of the file, and of the rest what is left. Of what is no 64-bit little-endian ELF nothing is known.
pub(super) fn parts(binary: &[u8]) -> Parts {
    read(binary).unwrap_or_else(|| BTreeMap::from([("other", binary.len() as u64)]))
}

fn read(binary: &[u8]) -> Option<Parts> {
    if binary.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(u64_at(binary, 0x28)?).ok()?;
    let (size, count, names) = (u16_at(binary, 0x3A)?, u16_at(binary, 0x3C)?, u16_at(binary, 0x3E)?);
    let header = |n: u16| binary.get(table.checked_add(usize::from(n) * usize::from(size))?..);
    let names = usize::try_from(u64_at(header(names)?, 0x18)?).ok()?;
    let mut parts = Parts::new();
    for n in 0..count {
        let header = header(n)?;
        let name = names.checked_add(usize::try_from(u32_at(header, 0)?).ok()?)?;
        let name = binary.get(name..)?.split(|byte| *byte == 0).next()?;
        // What has no bytes in the file.
        const NOBITS: u32 = 8;
        if u32_at(header, 4)? == NOBITS {
            continue;
        }
        *parts.entry(kind(name)).or_default() += u64_at(header, 0x20)?;
    }
    let known: u64 = parts.values().copied().fold(0, u64::saturating_add);
    let rest = (binary.len() as u64).checked_sub(known)?;
    *parts.entry("other").or_default() += rest;
    Some(parts)
}

fn kind(section: &[u8]) -> &'static str {
    match section {
        b".text" | b".init" | b".fini" | b".plt" => "code",
        b".rodata" => "constants",
        b".eh_frame" | b".eh_frame_hdr" | b".gcc_except_table" => "unwinding",
        b".data" | b".data.rel.ro" | b".got" | b".got.plt" | b".tdata" | b".init_array" | b".fini_array" => "data",
        b".rela.dyn" | b".rela.plt" | b".dynsym" | b".dynstr" | b".relr.dyn" => "relocations",
        b".symtab" | b".strtab" => "symbols",
        name if name.starts_with(b".debug") => "debugging",
        _ => "other",
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_has_code_and_all_bytes_are_told() {
        let binary = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let parts = parts(&binary);
        assert!(parts["code"] > 10_000 && parts["constants"] > 1_000, "{parts:?}");
        assert_eq!(parts.values().sum::<u64>(), binary.len() as u64);
    }

    #[test]
    fn what_is_no_binary_is_something_else() {
        for bytes in [&b""[..], b"\x7fELF\x02\x01", b"MZ", &[0xFF; 100]] {
            assert_eq!(parts(bytes), BTreeMap::from([("other", bytes.len() as u64)]));
        }
        let mut torn = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        torn.truncate(1_000);
        assert_eq!(parts(&torn).get("other"), Some(&1_000));
    }
}
