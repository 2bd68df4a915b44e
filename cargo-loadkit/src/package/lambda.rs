//! A Lambda function's zip: one file, `bootstrap`, the same bytes each time.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// A zip that is uploaded with the call that makes the function; a larger one goes through S3 (AWS Lambda, "Lambda quotas").
pub(super) const MAX_ZIP: u64 = 50 << 20;
/// What is in the zip, unpacked (the same).
pub(super) const MAX_UNPACKED: u64 = 250 << 20;

/// The zip of a bootstrap.
pub(super) fn zip(bootstrap: &[u8]) -> Result<Vec<u8>, zip::result::ZipError> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    // 1980 is when the format's time begins.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    writer.start_file("bootstrap", options)?;
    writer.write_all(bootstrap)?;
    Ok(writer.finish()?.into_inner())
}

/// Why it is too large for Lambda, if it is.
pub(super) fn too_large(zip: u64, unpacked: u64) -> Option<String> {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    if zip > MAX_ZIP {
        return Some(format!("the zip has {:.1} MiB, and Lambda takes {} at most", mib(zip), MAX_ZIP >> 20));
    }
    (unpacked > MAX_UNPACKED)
        .then(|| format!("the binary has {:.1} MiB, and Lambda unpacks {} at most", mib(unpacked), MAX_UNPACKED >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_each_time_and_the_limits_hold() {
        let binary = vec![7; 100_000];
        let zipped = zip(&binary).unwrap();
        assert_eq!(zipped, zip(&binary).unwrap());
        let mut archive = zip::ZipArchive::new(Cursor::new(&zipped)).unwrap();
        let file = archive.by_index(0).unwrap();
        assert_eq!(
            (file.name().unwrap().as_ref(), file.unix_mode().map(|mode| mode & 0o777), file.size()),
            ("bootstrap", Some(0o755), 100_000)
        );
        assert_eq!(too_large(MAX_ZIP, MAX_UNPACKED), None);
        assert!(too_large(60 << 20, 100 << 20).unwrap().contains("the zip has 60.0 MiB, and Lambda takes 50 at most"));
        assert!(too_large(1, 300 << 20).unwrap().contains("the binary has 300.0 MiB, and Lambda unpacks 250 at most"));
    }
}
