//! A zip as the code of a Lambda function.

use std::fs;
use std::time::Duration;

use loadkit_aws::{AwsError, Client, FunctionCode};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{Package, failed};
use crate::exit::Failure;
use crate::output::Output;

/// A function is ready within this time after its code has come.
const READY: Duration = Duration::from_secs(180);
/// So often is asked whether it is.
const LOOK: Duration = Duration::from_secs(1);

/// What the function is now.
#[derive(Debug, Serialize)]
pub(super) struct Put {
    pub(super) function: String,
    pub(super) zip: String,
    pub(super) bytes: u64,
    /// Of the zip, in base64, as Lambda has it.
    pub(super) sha256: String,
    /// It was not there before.
    pub(super) changed: bool,
}

/// Puts the zip into the function, and waits until it is ready.
pub(super) async fn put(client: &Client, name: &str, package: &Package, output: &Output) -> Result<Put, Failure> {
    let lost = format!("deploy the stack of deploy/aws, or name its function; the region is {}", client.region());
    let of_aws = |error: AwsError| failed(&error, &lost);
    let before = settled(client, name).await.map_err(of_aws)??;
    if before.is_image {
        return Err(Failure::wrong_use(format!("{name} is made of an image, not of a zip"))
            .mended_by("take the function of deploy/aws, or publish the image: --repository NAME:TAG"));
    }
    let zip = package.zip(&before.machine)?;
    let code =
        fs::read(&zip).map_err(|error| Failure::missing(format!("{} cannot be read: {error}", zip.display())))?;
    let sha256 = FunctionCode::sha256_of(&code);
    let put = Put {
        function: name.to_owned(),
        zip: zip.display().to_string(),
        bytes: code.len() as u64,
        changed: before.sha256 != sha256,
        sha256,
    };
    if !put.changed {
        return Ok(put);
    }
    output.say(format_args!("sending {} to {name}", put.zip));
    FunctionCode::update(client, name, &code).await.map_err(of_aws)?;
    let after = settled(client, name).await.map_err(of_aws)??;
    if let Some(why) = &after.failed {
        return Err(Failure::failed(format!("Lambda could not update {name}: {why}")));
    }
    if after.sha256 != put.sha256 {
        return Err(Failure::failed(format!(
            "{name} has other code than was sent: somebody else deploys at the same time"
        )));
    }
    Ok(put)
}

/// The function, when no update of it is under way.
async fn settled(client: &Client, name: &str) -> Result<Result<FunctionCode, Failure>, AwsError> {
    let began = Instant::now();
    loop {
        let code = FunctionCode::get(client, name).await?;
        if !code.is_changing {
            return Ok(Ok(code));
        }
        if began.elapsed() > READY {
            let why = format!("{name} is not ready: its update takes longer than {} s", READY.as_secs());
            return Ok(Err(Failure::missing(why)));
        }
        sleep(LOOK).await;
    }
}
