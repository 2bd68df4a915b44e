//! An OCI image layout into a repository of images.

use std::fs;
use std::path::{Path, PathBuf};

use loadkit_aws::{AwsError, Client, Images};
use oci_spec::image::{ImageIndex, ImageManifest};
use serde::Serialize;

use super::failed;
use crate::exit::Failure;
use crate::output::Output;
use crate::package::image::sha256;

/// A repository and a tag in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repository {
    pub(super) name: String,
    pub(super) tag: String,
}

/// What the repository has now.
#[derive(Debug, Serialize)]
pub(super) struct Put {
    pub(super) repository: String,
    pub(super) tag: String,
    pub(super) digest: String,
    pub(super) sent_bytes: u64,
}

impl Repository {
    /// From `NAME:TAG`; a registry's host before it is left out.
    pub(super) fn parse(text: &str) -> Result<Repository, Failure> {
        let wrong = || {
            Failure::wrong_use(format!("--repository {text}: this is no repository with a tag"))
                .mended_by("--repository NAME:TAG, as in mygame-bots:build-2.31")
        };
        let name = match text.split_once('/') {
            Some((host, rest)) if host.contains('.') => rest,
            _ => text,
        };
        Repository::named(name).ok_or_else(wrong)
    }

    /// From `NAME:TAG`.
    pub(super) fn named(text: &str) -> Option<Repository> {
        let (name, tag) = text.split_once(':')?;
        let is = |text: &str, others: &[u8]| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
        };
        (is(name, b"-_./") && is(tag, b"-_.")).then(|| Repository { name: name.to_owned(), tag: tag.to_owned() })
    }
}

/// A blob of the layout.
pub(super) struct Blob {
    pub(super) digest: String,
    pub(super) path: PathBuf,
}

/// An image layout of one image.
pub(super) struct Layout {
    /// As it is written.
    pub(super) manifest: String,
    pub(super) media_type: String,
    /// Of the manifest.
    pub(super) digest: String,
    /// Those that the manifest names.
    pub(super) blobs: Vec<Blob>,
}

/// Puts the image of this layout into the repository, under its tag.
pub(super) async fn put(
    client: &Client,
    repository: &Repository,
    layout: &Path,
    output: &Output,
) -> Result<Put, Failure> {
    let Layout { manifest, media_type, digest, blobs } = Layout::read(layout)?;
    let Repository { name, tag } = repository.clone();
    let lost = format!("aws ecr create-repository --repository-name {name} --region {}", client.region());
    let of_aws = |error: AwsError| failed(&error, &lost);
    let images = Images::new(client.clone(), name.as_str());
    let digests: Vec<&str> = blobs.iter().map(|blob| blob.digest.as_str()).collect();
    let there = images.has(&digests).await.map_err(of_aws)?;
    let mut sent_bytes = 0;
    for (blob, _) in blobs.iter().zip(there).filter(|(_, there)| !there) {
        output.say(format_args!("sending {} to {name}", blob.digest));
        let bytes = fs::read(&blob.path)
            .map_err(|error| Failure::missing(format!("{} cannot be read: {error}", blob.path.display())))?;
        images.send(&blob.digest, &bytes).await.map_err(of_aws)?;
        sent_bytes += bytes.len() as u64;
    }
    images.tag(&tag, &manifest, &media_type, &digest).await.map_err(of_aws)?;
    Ok(Put { repository: name, tag, digest, sent_bytes })
}

impl Layout {
    /// Reads it, and whether its manifest is what its index says.
    pub(super) fn read(layout: &Path) -> Result<Layout, Failure> {
        let wrong = |why: String| {
            Failure::wrong_use(format!("{} is no image layout: {why}", layout.display()))
                .mended_by("cargo loadkit package --only image")
        };
        let blob = |digest: &str| -> Result<Blob, Failure> {
            let hex = digest.strip_prefix("sha256:").filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let hex = hex.ok_or_else(|| wrong(format!("it has a blob {digest:?}")))?;
            Ok(Blob { digest: digest.to_owned(), path: layout.join("blobs/sha256").join(hex) })
        };
        let index = ImageIndex::from_file(layout.join("index.json")).map_err(|error| wrong(error.to_string()))?;
        let [one] = &index.manifests()[..] else { return Err(wrong("it has not one image".to_owned())) };
        let digest = one.digest().to_string();
        let text = fs::read_to_string(blob(&digest)?.path).map_err(|error| wrong(error.to_string()))?;
        if digest != format!("sha256:{}", sha256(text.as_bytes())) {
            return Err(wrong(format!("its manifest is not {digest}: package it again")));
        }
        let manifest = ImageManifest::from_reader(text.as_bytes()).map_err(|error| wrong(error.to_string()))?;
        let named = std::iter::once(manifest.config()).chain(manifest.layers());
        let blobs = named.map(|one| blob(one.digest().as_ref())).collect::<Result<_, _>>()?;
        Ok(Layout { manifest: text, media_type: one.media_type().to_string(), digest, blobs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_a_tag() {
        let parsed = |text| Repository::parse(text).map(|one| (one.name, one.tag));
        assert_eq!(parsed("a/b-c:1.2"), Ok(("a/b-c".into(), "1.2".into())));
        let host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/bots:latest";
        assert_eq!(parsed(host), Ok(("bots".into(), "latest".into())));
        for text in ["bots", "bots:", ":1", "a b:1", "a:b:c"] {
            assert!(parsed(text).unwrap_err().to_string().contains("NAME:TAG"), "{text}");
        }
    }
}
