//! A repository of images, filled by ECR's own calls.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::AwsError;
use crate::service::ECR;

/// Parts of a blob are so large where ECR says nothing else, and never larger.
const PART: u64 = 10 << 20;

/// A repository of images.
#[derive(Clone, Debug)]
pub struct Images {
    client: Client,
    repository: String,
}

impl Images {
    /// The repository of this name, in the account and region of the client.
    pub fn new(client: Client, repository: impl Into<String>) -> Images {
        Images { client, repository: repository.into() }
    }

    /// Which of these blobs, by digest, it has.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn has(&self, digests: &[&str]) -> Result<Vec<bool>, AwsError> {
        let asked = json!({ "repositoryName": self.repository, "layerDigests": digests });
        let answer = self.client.json(&ECR, "BatchCheckLayerAvailability", &asked).await?;
        let layers = answer.get("layers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let is = |layer: &Value, name: &str, value: &str| layer.get(name).and_then(Value::as_str) == Some(value);
        let has = |digest: &&str| {
            let mut layers = layers.iter();
            layers.any(|layer| is(layer, "layerDigest", digest) && is(layer, "layerAvailability", "AVAILABLE"))
        };
        Ok(digests.iter().map(has).collect())
    }

    /// Sends a blob, part by part.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn send(&self, digest: &str, bytes: &[u8]) -> Result<(), AwsError> {
        let name = &self.repository;
        let began = self.client.json(&ECR, "InitiateLayerUpload", &json!({ "repositoryName": name })).await?;
        let upload = began.get("uploadId").and_then(Value::as_str).unwrap_or_default();
        let part = began.get("partSize").and_then(Value::as_u64).unwrap_or(PART).clamp(1, PART);
        let mut first = 0;
        for chunk in bytes.chunks(usize::try_from(part).unwrap_or(usize::MAX)) {
            let asked = json!({
                "repositoryName": name, "uploadId": upload, "partFirstByte": first,
                "partLastByte": first + chunk.len() - 1, "layerPartBlob": STANDARD.encode(chunk),
            });
            self.client.json(&ECR, "UploadLayerPart", &asked).await?;
            first += chunk.len();
        }
        let asked = json!({ "repositoryName": name, "uploadId": upload, "layerDigests": [digest] });
        fine_if_there(self.client.json(&ECR, "CompleteLayerUpload", &asked).await)
    }

    /// Gives an image of which all blobs are there this tag. `manifest` is its manifest, as it is written.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn tag(&self, tag: &str, manifest: &str, media_type: &str, digest: &str) -> Result<(), AwsError> {
        let asked = json!({
            "repositoryName": self.repository, "imageManifest": manifest, "imageManifestMediaType": media_type,
            "imageTag": tag, "imageDigest": digest,
        });
        fine_if_there(self.client.json(&ECR, "PutImage", &asked).await)
    }
}

/// What is there already need not come.
fn fine_if_there(done: Result<Value, AwsError>) -> Result<(), AwsError> {
    match done {
        Err(error) if !error.code.contains("AlreadyExists") => Err(error),
        _ => Ok(()),
    }
}
