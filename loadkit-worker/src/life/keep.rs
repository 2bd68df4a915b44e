//! What a worker recorded, in a file beside the way to its fleet, where its environment asks for that.
//!
//! For tests: what a fleet has in the end can be compared with it, bucket for bucket.

use std::env;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use loadkit_core as core;
use loadkit_core::Snapshot;

use crate::parcel::{Parcel, Parcels};

/// The variable that names a folder. Each life writes a file there, `<run>-<worker>-<attempt>`: a line for each snapshot, as a
/// parcel's text.
const FOLDER: &str = "LOADKIT_KEEP_SNAPSHOTS";

/// The file, if there is to be one. What cannot be written is left out: no run fails for it.
#[derive(Debug)]
pub(super) struct Keep(Option<(File, Parcels)>);

impl Keep {
    /// For the life that plays this.
    pub(super) fn of(job: &core::Job) -> Keep {
        let folder = env::var_os(FOLDER).filter(|folder| !folder.is_empty());
        let open = |folder| {
            let folder = Path::new(&folder);
            fs::create_dir_all(folder).ok()?;
            let name = format!("{}-{}-{}", job.id, job.worker, job.attempt);
            let file = File::options().append(true).create(true).open(folder.join(name)).ok()?;
            Some((file, Parcels::new(job.id, job.worker, job.attempt)))
        };
        Keep(folder.and_then(open))
    }

    pub(super) fn write(&mut self, snapshot: &Snapshot) {
        let Some((file, parcels)) = &mut self.0 else { return };
        let pieces = parcels.pack(std::slice::from_ref(snapshot)).unwrap_or_default();
        let lines: String = pieces.iter().map(|piece| Parcel::to_text(piece) + "\n").collect();
        let _ = file.write_all(lines.as_bytes());
    }
}
