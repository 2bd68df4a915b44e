//! The services, as their requests name them.

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// As people call it.
    pub name: &'static str,
    /// Its host's first label, which is also what its requests are signed for.
    pub host: &'static str,
    /// As `AWS_ENDPOINT_URL_<this>` names it.
    pub variable: &'static str,
    /// What stands before an action in `x-amz-target`; empty if it speaks REST.
    pub target: &'static str,
    /// The version of its JSON protocol.
    pub json: &'static str,
}

/// Tables.
pub const DYNAMODB: Service =
    Service { name: "DynamoDB", host: "dynamodb", variable: "DYNAMODB", target: "DynamoDB_20120810", json: "1.0" };
/// Queues.
pub const SQS: Service = Service { name: "SQS", host: "sqs", variable: "SQS", target: "AmazonSQS", json: "1.0" };
/// Functions.
pub const LAMBDA: Service = Service { name: "Lambda", host: "lambda", variable: "LAMBDA", target: "", json: "" };
/// Tasks.
pub const ECS: Service =
    Service { name: "ECS", host: "ecs", variable: "ECS", target: "AmazonEC2ContainerServiceV20141113", json: "1.1" };
/// Images. Its host has a label before this one: `api.ecr`.
pub const ECR: Service =
    Service { name: "ECR", host: "ecr", variable: "ECR", target: "AmazonEC2ContainerRegistry_V20150921", json: "1.1" };
/// Whatever stands behind an API Gateway; where that is, its caller says.
pub const EXECUTE_API: Service =
    Service { name: "the API", host: "execute-api", variable: "EXECUTE_API", target: "", json: "" };
/// Events.
pub const EVENTBRIDGE: Service =
    Service { name: "EventBridge", host: "events", variable: "EVENTBRIDGE", target: "AWSEvents", json: "1.1" };
/// Who somebody is.
pub const STS: Service = Service { name: "STS", host: "sts", variable: "STS", target: "", json: "" };
/// How much an account may have.
pub const SERVICE_QUOTAS: Service = Service {
    name: "Service Quotas",
    host: "servicequotas",
    variable: "SERVICE_QUOTAS",
    target: "ServiceQuotasV20190624",
    json: "1.1",
};

/// All of them.
pub(crate) const ALL: [Service; 8] = [DYNAMODB, SQS, LAMBDA, ECR, ECS, EVENTBRIDGE, SERVICE_QUOTAS, STS];
