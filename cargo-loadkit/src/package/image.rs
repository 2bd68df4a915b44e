//! An OCI image of one layer with one file, `/client`, as a layout and as a tar of it (OCI image specification 1.1).

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};
use oci_spec::OciSpecError;
use oci_spec::image::{
    Arch, ConfigBuilder, Descriptor, DescriptorBuilder, ImageConfigurationBuilder, ImageIndexBuilder,
    ImageManifestBuilder, MediaType, Os, PlatformBuilder, RootFsBuilder, Sha256Digest,
};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::target::Machine;

/// What an image says of itself.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) commit: String,
    /// Seconds since 1970: the time of all that has one.
    pub(super) time: u64,
    pub(super) machine: Machine,
}

/// An image: its files by path in the layout.
#[derive(Clone, Debug)]
pub(super) struct Image {
    files: BTreeMap<String, Vec<u8>>,
    /// The manifest's digest, by which registries know the image.
    pub(super) digest: String,
    /// Bytes of the layer, packed.
    pub(super) layer: u64,
}

/// A user that is nobody else.
const USER: &str = "65532:65532";

impl Image {
    /// The image of a client.
    pub(super) fn new(client: &[u8], about: &About) -> Result<Image, io::Error> {
        Image::made(client, about).map_err(io::Error::other)
    }

    fn made(client: &[u8], about: &About) -> Result<Image, OciSpecError> {
        let mut files = BTreeMap::new();
        let tar = layer(client, about.time)?;
        let mut gz = GzBuilder::new().write(Vec::new(), Compression::best());
        gz.write_all(&tar)?;
        let packed = gz.finish()?;
        let size = packed.len() as u64;
        let layer = blob(&mut files, MediaType::ImageLayerGzip, packed)?;
        let arch = match about.machine {
            Machine::X86 => Arch::Amd64,
            Machine::Arm => Arch::ARM64,
        };
        let created = moment(about.time);
        let labels = [
            ("org.opencontainers.image.title", &about.name),
            ("org.opencontainers.image.version", &about.version),
            ("org.opencontainers.image.revision", &about.commit),
        ];
        let labels: HashMap<String, String> =
            labels.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        let run = ConfigBuilder::default().entrypoint(["/client".to_owned()]).user(USER).labels(labels).build()?;
        let root = RootFsBuilder::default().typ("layers").diff_ids([format!("sha256:{}", sha256(&tar))]).build()?;
        let config = ImageConfigurationBuilder::default()
            .architecture(arch.clone())
            .os(Os::Linux)
            .created(created)
            .config(run)
            .rootfs(root)
            .history(Vec::new())
            .build()?;
        let config = blob(&mut files, MediaType::ImageConfig, sorted(&config)?)?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(2_u32)
            .media_type(MediaType::ImageManifest)
            .config(config.clone())
            .layers(vec![layer.clone()])
            .build()?;
        let manifest = blob(&mut files, MediaType::ImageManifest, sorted(&manifest)?)?;
        let digest = manifest.digest().to_string();
        let tag = format!("{}:{}", about.name, about.version);
        let platform = PlatformBuilder::default().architecture(arch).os(Os::Linux).build()?;
        let named = HashMap::from([("org.opencontainers.image.ref.name".to_owned(), about.version.clone())]);
        let entry = DescriptorBuilder::default()
            .media_type(MediaType::ImageManifest)
            .size(manifest.size())
            .digest(manifest.digest().clone())
            .platform(platform)
            .annotations(named)
            .build()?;
        let index = ImageIndexBuilder::default()
            .schema_version(2_u32)
            .media_type(MediaType::ImageIndex)
            .manifests(vec![entry])
            .build()?;
        files.insert("index.json".to_owned(), sorted(&index)?);
        files.insert("oci-layout".to_owned(), sorted(&json!({ "imageLayoutVersion": "1.0.0" }))?);
        // For engines that load what `docker save` wrote before it wrote layouts.
        let path = |of: &Descriptor| format!("blobs/sha256/{}", of.digest().digest());
        let saved = json!([{ "Config": path(&config), "RepoTags": [tag], "Layers": [path(&layer)] }]);
        files.insert("manifest.json".to_owned(), sorted(&saved)?);
        Ok(Image { files, digest, layer: size })
    }

    /// Writes the layout into a folder, which is made anew.
    pub(super) fn write_layout(&self, folder: &Path) -> io::Result<()> {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for (path, bytes) in &self.files {
            let path = folder.join(path);
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path, bytes)?;
        }
        Ok(())
    }

    /// The layout as a tar.
    pub(super) fn tar(&self) -> io::Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        for folder in ["blobs/", "blobs/sha256/"] {
            tar.append_data(&mut header(tar::EntryType::Directory, 0, 0o755, 0), folder, io::empty())?;
        }
        for (path, bytes) in &self.files {
            let mut header = header(tar::EntryType::Regular, bytes.len() as u64, 0o644, 0);
            tar.append_data(&mut header, path, bytes.as_slice())?;
        }
        tar.into_inner()
    }
}

/// The layer: the client, and a folder for what it writes.
fn layer(client: &[u8], time: u64) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut header(tar::EntryType::Regular, client.len() as u64, 0o755, time), "client", client)?;
    tar.append_data(&mut header(tar::EntryType::Directory, 0, 0o1777, time), "tmp/", io::empty())?;
    tar.into_inner()
}

/// A header with nothing of this machine in it.
fn header(kind: tar::EntryType, size: u64, mode: u32, time: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(time);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Adds a blob under its digest.
fn blob(files: &mut BTreeMap<String, Vec<u8>>, kind: MediaType, bytes: Vec<u8>) -> Result<Descriptor, OciSpecError> {
    let digest = sha256(&bytes);
    let descriptor = Descriptor::new(kind, bytes.len() as u64, digest.parse::<Sha256Digest>()?);
    files.insert(format!("blobs/sha256/{digest}"), bytes);
    Ok(descriptor)
}

/// As JSON whose keys have an order.
fn sorted(value: &impl Serialize) -> Result<Vec<u8>, OciSpecError> {
    Ok(serde_json::to_vec(&serde_json::to_value(value)?)?)
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 3339, in UTC.
pub(super) fn moment(unix_s: u64) -> String {
    // "2023-11-14 22:13:20 UTC"
    let text = loadkit_core::format::moment(unix_s);
    match text.trim_end_matches(" UTC").split_once(' ') {
        Some((day, time)) => format!("{day}T{time}Z"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About {
            name: "mygame".into(),
            version: "0.1.0".into(),
            commit: "abc123".into(),
            time: 1_700_000_000,
            machine: Machine::Arm,
        }
    }

    #[test]
    fn the_same_bytes_each_time_and_all_blobs_under_their_digests() {
        let image = Image::new(b"\x7fELF client", &about()).unwrap();
        let again = Image::new(b"\x7fELF client", &about()).unwrap();
        assert_eq!(image.tar().unwrap(), again.tar().unwrap());
        for (path, bytes) in &image.files {
            if let Some(digest) = path.strip_prefix("blobs/sha256/") {
                assert_eq!(digest, sha256(bytes));
            }
        }
        let read = |path: &str| serde_json::from_slice::<serde_json::Value>(&image.files[path]).unwrap();
        let index = read("index.json");
        assert_eq!(index["manifests"][0]["digest"], image.digest);
        assert_eq!(index["manifests"][0]["platform"]["architecture"], "arm64");
        let manifest = read(&format!("blobs/sha256/{}", image.digest.trim_start_matches("sha256:")));
        let config = read(&format!(
            "blobs/sha256/{}",
            manifest["config"]["digest"].as_str().unwrap().trim_start_matches("sha256:")
        ));
        assert_eq!(config["config"]["Entrypoint"], json!(["/client"]));
        assert_eq!(config["created"], "2023-11-14T22:13:20Z");
        let layer = &image.files[&format!(
            "blobs/sha256/{}",
            manifest["layers"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:")
        )];
        let mut tar = Vec::new();
        io::Read::read_to_end(&mut flate2::read::GzDecoder::new(layer.as_slice()), &mut tar).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"], json!([format!("sha256:{}", sha256(&tar))]));
        let names: Vec<String> = tar::Archive::new(tar.as_slice())
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["client", "tmp/"]);
    }

    #[test]
    fn a_layout_takes_the_place_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let layout = folder.path().join("image");
        for client in [b"one", b"two"] {
            Image::new(client, &about()).unwrap().write_layout(&layout).unwrap();
        }
        assert_eq!(fs::read_dir(layout.join("blobs/sha256")).unwrap().count(), 3);
    }
}
