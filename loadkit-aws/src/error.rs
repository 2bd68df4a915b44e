//! Why AWS did not do it, in its own words.

use std::fmt;

use loadkit_http::{HttpError, http};
use serde_json::Value;

/// No word of AWS's is longer in what we pass on, bytes.
const MAX_WORDS: usize = 1_000;
/// What services answer when they are asked too often.
const THROTTLES: &[&str] = &[
    "EC2ThrottledException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];
/// What they answer when the request's date is not theirs.
const SKEWS: &[&str] =
    &["InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch"];

/// Why AWS did not do it.
#[derive(Clone, Debug, PartialEq)]
pub struct AwsError {
    /// What was asked: `DynamoDB PutItem`.
    pub action: String,
    /// AWS's name for it: `ResourceNotFoundException`. Our own begin small: `unreachable`, `credentials`,
    /// `unsendable`, `unreadable`.
    pub code: String,
    /// AWS's own words.
    pub message: String,
    /// The status of its answer, if there was one.
    pub status: Option<u16>,
    /// It is asked for more than it gives.
    pub throttled: bool,
    /// Whether it may have been done all the same, in this try or one before it.
    pub may_be_done: bool,
    /// How often it was tried.
    pub tries: u32,
    /// Whether another try may help.
    pub(crate) may_pass: bool,
    /// The whole answer, where it is JSON.
    pub(crate) answer: Value,
}

impl AwsError {
    fn new(action: &str, code: &str, message: impl fmt::Display) -> AwsError {
        AwsError {
            action: action.to_owned(),
            code: cut(code),
            message: cut(&message.to_string()),
            status: None,
            throttled: false,
            may_be_done: false,
            tries: 1,
            may_pass: false,
            answer: Value::Null,
        }
    }

    /// There was no answer.
    pub(crate) fn http(action: &str, error: &HttpError) -> AwsError {
        let (may_be_done, may_pass) = (error.may_be_done(), error.may_pass());
        AwsError { may_be_done, may_pass, ..AwsError::new(action, "unreachable", error) }
    }

    /// There are no credentials.
    pub(crate) fn credentials(action: &str, why: &str) -> AwsError {
        AwsError { may_pass: true, ..AwsError::new(action, "credentials", why) }
    }

    /// It cannot be written as a request.
    pub(crate) fn unsendable(action: &str, why: impl fmt::Display) -> AwsError {
        AwsError::new(action, "unsendable", why)
    }

    /// It was done, and the answer is not what it should be.
    pub(crate) fn unreadable(action: &str, why: impl fmt::Display) -> AwsError {
        AwsError { may_be_done: true, ..AwsError::new(action, "unreadable", why) }
    }

    /// It was refused.
    pub(crate) fn refused(action: &str, status: http::StatusCode, headers: &http::HeaderMap, body: &[u8]) -> AwsError {
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |names: &[&str]| names.iter().find_map(|name| answer.get(*name).and_then(Value::as_str));
        let header = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
        let said = String::from_utf8_lossy(body);
        // Services that are older than JSON answer in XML.
        let in_xml = |name: &str| element(&said, name).filter(|_| answer.is_null());
        let code = text(&["__type", "code", "Code"]).or(header).or_else(|| in_xml("Code")).unwrap_or_default();
        // `com.amazonaws.dynamodb.v20120810#Name`, or `Name:http://...`.
        let code = code.rsplit('#').next().and_then(|code| code.split(':').next()).unwrap_or_default();
        let whole = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let message = text(&["message", "Message", "errorMessage"]).or_else(|| in_xml("Message"));
        let message = message.unwrap_or(if answer.is_null() { &whole } else { "" });
        let throttled = status.as_u16() == 429 || THROTTLES.contains(&code);
        AwsError {
            status: Some(status.as_u16()),
            throttled,
            // After an error of its own a service may have done it.
            may_be_done: status.is_server_error() && !throttled,
            may_pass: throttled || status.is_server_error(),
            answer: answer.clone(),
            ..AwsError::new(action, code, message)
        }
    }

    /// Whether a date that is not AWS's may be to blame.
    pub(crate) fn skewed(&self) -> bool {
        SKEWS.contains(&self.code.as_str())
    }
}

/// The text of the first element of this name in XML, where it is text alone.
pub(crate) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    (!text.contains('<')).then(|| text.trim())
}

fn cut(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let end = (0..=MAX_WORDS.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned()
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AwsError { action, code, message, status, tries, .. } = self;
        f.write_str(action)?;
        match status {
            // Without its name there is at least the status.
            Some(status) if code.is_empty() => write!(f, ": HTTP {status}")?,
            _ => write!(f, ": {code}")?,
        }
        if !message.is_empty() {
            write!(f, ": {message}")?;
        }
        if *tries > 1 {
            write!(f, " (tried {tries} times)")?;
        }
        Ok(())
    }
}

impl std::error::Error for AwsError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> AwsError {
        let status = http::StatusCode::from_u16(status).unwrap();
        AwsError::refused("DynamoDB PutItem", status, &http::HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn an_error_is_in_the_words_of_aws() {
        let error =
            refused(400, r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no t"}"#);
        assert_eq!(error.to_string(), "DynamoDB PutItem: ResourceNotFoundException: no t");
        assert!(!error.throttled && !error.may_pass && !error.may_be_done);
        let error = refused(400, r#"{"__type":"ThrottlingException:http://x/","Message":"slow down"}"#);
        assert_eq!((error.code.as_str(), error.throttled, error.may_pass), ("ThrottlingException", true, true));
        let error = refused(503, "<html>\nno\n</html>");
        assert_eq!(error.to_string(), "DynamoDB PutItem: HTTP 503: <html> no </html>");
        assert!(error.may_pass && error.may_be_done);
        let xml =
            "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code><Message>It has ended</Message></Error>";
        let error = refused(403, xml);
        assert_eq!(error.to_string(), "DynamoDB PutItem: ExpiredToken: It has ended");
    }

    #[test]
    fn long_words_are_cut() {
        let error = AwsError { tries: 3, ..AwsError::new("a", "b", "ü".repeat(MAX_WORDS)) };
        assert!(error.to_string().len() < MAX_WORDS + 40 && error.to_string().ends_with("ü (tried 3 times)"));
    }
}
