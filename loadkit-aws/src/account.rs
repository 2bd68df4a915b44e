//! `Client -> who asks, and how much the account may have`.

use loadkit_http::Bytes;
use serde_json::{Value, json};

use crate::client::{Call, Client};
use crate::error::{AwsError, element};
use crate::service;

/// Fargate's quota of vCPUs, as Service Quotas calls it.
pub const FARGATE_VCPUS: &str = "L-3032A538";
/// Lambda's quota of functions that run at a time, as Service Quotas calls it.
pub const LAMBDA_CONCURRENCY: &str = "L-B99A9384";

/// By whom requests are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account's number.
    pub account: String,
    /// The user or the role.
    pub arn: String,
}

impl Client {
    /// By whom requests are signed, as AWS says: whoever is answered has credentials that are good. No permission is needed.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn identity(&self) -> Result<Identity, AwsError> {
        let call = Call {
            service: &service::STS,
            action: "GetCallerIdentity",
            method: "POST",
            path: "/",
            query: &[],
            headers: &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")],
            body: Bytes::from_static(b"Action=GetCallerIdentity&Version=2011-06-15"),
        };
        let answer = self.call(&call).await?;
        let text = String::from_utf8_lossy(&answer.body);
        let part = |name: &str| {
            let found = element(&text, name).map(str::to_owned);
            found.ok_or_else(|| AwsError::unreadable("STS GetCallerIdentity", format!("there is no {name} in it")))
        };
        Ok(Identity { account: part("Account")?, arn: part("Arn")? })
    }

    /// How many functions of the account may run at a time, those with a reserve of their own aside. None if it is not told.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn lambda_concurrency(&self) -> Result<Option<u64>, AwsError> {
        let account = self.lambda("GetAccountSettings", "/2016-08-19/account-settings").await?;
        let limit = account.get("AccountLimit").and_then(|limit| limit.get("UnreservedConcurrentExecutions"));
        Ok(limit.and_then(Value::as_u64))
    }

    /// How many vCPUs the account's tasks on Fargate may have at a time. None if it is not told.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn fargate_vcpus(&self) -> Result<Option<f64>, AwsError> {
        let body = json!({ "ServiceCode": "fargate", "QuotaCode": FARGATE_VCPUS });
        let answer = self.json(&service::SERVICE_QUOTAS, "GetServiceQuota", &body).await?;
        Ok(answer.get("Quota").and_then(|quota| quota.get("Value")).and_then(Value::as_f64))
    }

    /// Asks Lambda, which speaks REST, for something.
    pub(crate) async fn lambda(&self, action: &str, path: &str) -> Result<Value, AwsError> {
        let (method, query, headers, body) = ("GET", &[], &[], Bytes::new());
        let call = Call { service: &service::LAMBDA, action, method, path, query, headers, body };
        let answer = self.call(&call).await?;
        let unreadable = |error| AwsError::unreadable(&format!("Lambda {action}"), error);
        serde_json::from_slice(&answer.body).map_err(unreadable)
    }
}
