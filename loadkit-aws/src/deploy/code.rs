//! The code of a Lambda function.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loadkit_http::Bytes;
use ring::digest;
use serde_json::{Value, json};

use crate::client::{Call, Client};
use crate::error::AwsError;
use crate::service;

/// The code of a function, as Lambda tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionCode {
    /// For which machine: `x86_64`, `arm64`.
    pub machine: String,
    /// The SHA-256 of its zip, in base64.
    pub sha256: String,
    /// It is an image, and no zip.
    pub is_image: bool,
    /// An update is under way.
    pub is_changing: bool,
    /// Why the last update failed, if it did.
    pub failed: Option<String>,
}

impl FunctionCode {
    /// The SHA-256 of a zip, as Lambda has it.
    pub fn sha256_of(zip: &[u8]) -> String {
        STANDARD.encode(digest::digest(&digest::SHA256, zip))
    }

    /// How it stands.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn get(client: &Client, function: &str) -> Result<FunctionCode, AwsError> {
        let path = format!("{}/configuration", path(function));
        ask(client, "GetFunctionConfiguration", "GET", &path, Bytes::new()).await
    }

    /// Puts this zip in its place, of at most 50 MiB; the function is ready when it is not changing any more.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn update(client: &Client, function: &str, zip: &[u8]) -> Result<FunctionCode, AwsError> {
        let body = json!({ "ZipFile": STANDARD.encode(zip), "Publish": false }).to_string();
        ask(client, "UpdateFunctionCode", "PUT", &format!("{}/code", path(function)), body.into()).await
    }

    fn read(answer: &Value) -> FunctionCode {
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        let machine = answer.get("Architectures").and_then(|all| all.get(0)).and_then(Value::as_str);
        let status = text("LastUpdateStatus");
        FunctionCode {
            machine: machine.unwrap_or("x86_64").to_owned(),
            sha256: text("CodeSha256").to_owned(),
            is_image: text("PackageType") == "Image",
            is_changing: status == "InProgress",
            failed: (status == "Failed").then(|| text("LastUpdateStatusReason").to_owned()),
        }
    }
}

fn path(function: &str) -> String {
    format!("/2015-03-31/functions/{function}")
}

async fn ask(client: &Client, action: &str, method: &str, path: &str, body: Bytes) -> Result<FunctionCode, AwsError> {
    let json: &[(&str, &str)] = &[("content-type", "application/json")];
    let headers = if body.is_empty() { &[] } else { json };
    let answer =
        client.call(&Call { service: &service::LAMBDA, action, method, path, query: &[], headers, body }).await?;
    let answer = serde_json::from_slice(&answer.body);
    let answer = answer.map_err(|error| AwsError::unreadable(&format!("Lambda {action}"), error))?;
    Ok(FunctionCode::read(&answer))
}
