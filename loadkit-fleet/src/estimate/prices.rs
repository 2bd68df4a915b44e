//! What AWS asks for what a fleet uses: us-east-1, x86, on demand, without any free tier, in dollars.
//!
//! As AWS's price pages had it up to June 2026. They were read at second hand, so look again before a budget rests on it.

/// By which prices it was reckoned: shown with every estimate.
pub(super) const PRICES: &str = "list prices of us-east-1, x86, on demand, without free tier, as of June 2026";

/// Lambda, a GB-second (aws.amazon.com/lambda/pricing).
pub(super) const LAMBDA_GB_S: f64 = 0.000_016_666_7;
/// Lambda, a request.
pub(super) const LAMBDA_REQUEST: f64 = 0.20 / 1e6;
/// Fargate, a vCPU-hour (aws.amazon.com/fargate/pricing).
pub(super) const FARGATE_VCPU_H: f64 = 0.040_48;
/// Fargate, a GB-hour.
pub(super) const FARGATE_GB_H: f64 = 0.004_445;
/// SQS, a request to a standard queue of up to 64 KiB (aws.amazon.com/sqs/pricing).
pub(super) const SQS_REQUEST: f64 = 0.40 / 1e6;
/// DynamoDB, a write unit of 1 KB on demand, since November 2024 (aws.amazon.com/dynamodb/pricing/on-demand).
pub(super) const WRITE_UNIT: f64 = 0.625 / 1e6;
/// DynamoDB, a read unit of 4 KB.
pub(super) const READ_UNIT: f64 = 0.125 / 1e6;
