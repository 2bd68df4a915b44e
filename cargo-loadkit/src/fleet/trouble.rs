//! Why the fleet did not do it: what may pass, and what will not, with what mends it.

use std::fmt;
use std::time::Duration;

use loadkit_aws::AwsError;
use loadkit_core::format_duration;
use loadkit_fleet::api::ErrorBody;
use loadkit_http::http::StatusCode;
use loadkit_http::{Bytes, HttpError};
use serde::Deserialize;

use crate::exit::Failure;

/// What brings new AWS credentials.
const NEW_CREDENTIALS: &str = "eval \"$(aws configure export-credentials --format env)\"";
/// No words of an answer that is none of ours are longer.
const MAX_WORDS: usize = 200;

/// Why there is no answer of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It may pass: nobody is there, or who is there cannot now.
    Passing(String),
    /// It was signed with a wrong time. The answer has told the right one, so that signed again it may be taken.
    Skewed(String),
    /// It will not: asked again, the answer is the same.
    Final(Failure),
}

/// What API Gateway answers by itself.
#[derive(Debug, Deserialize)]
struct Gateway {
    #[serde(alias = "Message")]
    message: String,
}

impl Trouble {
    /// There was no answer.
    pub(crate) fn unanswered(error: &HttpError) -> Trouble {
        match error {
            HttpError::Url(_) => Trouble::Final(
                Failure::wrong_use(error).mended_by("write the fleet's URL as http://HOST:PORT or https://HOST"),
            ),
            HttpError::TooLong { .. } => Trouble::Final(Failure::missing(error)),
            _ => Trouble::Passing(error.to_string()),
        }
    }

    /// It could not be signed.
    pub(crate) fn unsigned(error: &AwsError) -> Trouble {
        Trouble::Final(
            Failure::missing(format!("the request cannot be signed: {}", error.message)).mended_by(NEW_CREDENTIALS),
        )
    }

    /// This is what was answered.
    pub(crate) fn refused(status: StatusCode, body: &Bytes, has_token: bool) -> Trouble {
        if let Ok(ErrorBody { error, rule, help }) = serde_json::from_slice(body) {
            return said(status, &error, rule.as_deref(), help, has_token);
        }
        if let Ok(Gateway { message }) = serde_json::from_slice(body) {
            return gateway(status, &message);
        }
        let text: String = String::from_utf8_lossy(body).chars().take(MAX_WORDS).collect();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match status.as_u16() {
            500 | 502..=504 | 429 => Trouble::Passing(format!("it answers {status}: {text}")),
            _ => Trouble::Final(not_a_fleet(&format!("it answers {status}: {text}"))),
        }
    }
}

/// In the fleet's own words.
fn said(status: StatusCode, error: &str, rule: Option<&str>, help: Option<String>, has_token: bool) -> Trouble {
    let mended = |failure: Failure| match help {
        Some(help) => Trouble::Final(failure.mended_by(help)),
        None => Trouble::Final(failure),
    };
    match status.as_u16() {
        401 => {
            let help = match has_token {
                true => "LOADKIT_TOKEN=…: have a token made by who keeps the fleet, `loadkit-fleet token NAME`",
                false => "LOADKIT_TOKEN=… with a token of the fleet, or --set auth=aws to sign with AWS credentials",
            };
            Trouble::Final(Failure::missing(format!("the fleet does not know who asks: {error}")).mended_by(help))
        }
        403 | 409 => mended(Failure::failed(error)),
        429 if rule.is_some() => mended(Failure::failed(error)),
        500.. | 429 => Trouble::Passing(error.to_owned()),
        _ => mended(Failure::wrong_use(error)),
    }
}

/// In the words of API Gateway.
fn gateway(status: StatusCode, message: &str) -> Trouble {
    let words = message.to_lowercase();
    let failure = match status.as_u16() {
        429 | 500.. => return Trouble::Passing(format!("API Gateway answers {status}: {message}")),
        // Of the credentials it is the token that expires.
        403 if words.starts_with("signature expired") || words.starts_with("signature not yet current") => {
            return Trouble::Skewed(message.to_owned());
        }
        401 | 403 if words.contains("expired") => {
            Failure::missing(format!("the AWS credentials have expired: {message}")).mended_by(NEW_CREDENTIALS)
        }
        401 | 403 if words.contains("missing authentication") => {
            Failure::missing(format!("API Gateway wants a signature: {message}"))
                .mended_by("--set auth=aws signs with the AWS credentials of the environment")
        }
        401 | 403 if words.contains("invalid") || words.contains("signature") => {
            Failure::missing(format!("AWS does not take the credentials: {message}")).mended_by(NEW_CREDENTIALS)
        }
        401 | 403 => Failure::missing(format!("API Gateway refuses it: {message}"))
            .mended_by("have execute-api:Invoke allowed for the role that you have"),
        _ => not_a_fleet(&format!("API Gateway answers {status}: {message}")),
    };
    Trouble::Final(failure)
}

/// The clocks of this machine and of AWS are apart, and the answer to a signature by AWS's own time was the same.
pub(crate) fn wrong_clock(why: &str, ahead_ms: Option<i64>) -> Failure {
    let by = ahead_ms.map(|ms| format!(": it is {}", apart(ms))).unwrap_or_default();
    Failure::missing(format!("AWS does not take the time of this machine's clock{by}: {why}"))
        .mended_by("sudo timedatectl set-ntp true")
}

/// How wrong this machine's clock is, where AWS's is ahead of it by so much: `1h slow`.
pub(crate) fn apart(ahead_ms: i64) -> String {
    let by = format_duration(Duration::from_secs(ahead_ms.unsigned_abs().div_ceil(1_000)));
    format!("{by} {}", if ahead_ms > 0 { "slow" } else { "fast" })
}

/// Whoever answers is something else.
pub(crate) fn not_a_fleet(how: &str) -> Failure {
    Failure::missing(format!("what answers there is no fleet of loadkit: {how}")).mended_by(
        "check the URL: --fleet, LOADKIT_FLEET, or `fleet` in loadkit.toml (`cargo loadkit config` says which)",
    )
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Passing(why) | Trouble::Skewed(why) => f.write_str(why),
            Trouble::Final(failure) => failure.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_clock_that_is_wrong_is_said_with_how_wrong_it_is() {
        assert_eq!((apart(3_600_000), apart(-90_400)), ("1h slow".to_owned(), "1m31s fast".to_owned()));
        let failure = wrong_clock("Signature expired", Some(3_600_000));
        assert!(failure.what().ends_with("clock: it is 1h slow: Signature expired"), "{failure}");
    }

    #[test]
    fn each_answer_says_what_to_do() {
        let rule = r#"{"error":"the rule \"staging\" refuses it","rule":"staging","help":"ask for less"}"#;
        for (status, body, token, wanted) in [
            (401, r#"{"error":"no such token","help":"x"}"#, true, Ok((Exit::Missing, "have a token made"))),
            (401, r#"{"error":"no token","help":"x"}"#, false, Ok((Exit::Missing, "--set auth=aws"))),
            (403, rule, false, Ok((Exit::Failed, "mend it: ask for less"))),
            (400, r#"{"error":"line 3","help":"mend it"}"#, false, Ok((Exit::WrongUse, "line 3"))),
            (429, rule, false, Ok((Exit::Failed, "staging"))),
            (429, r#"{"error":"256 listen"}"#, false, Err("256 listen")),
            (503, r#"{"error":"DynamoDB is away"}"#, false, Err("DynamoDB is away")),
            (
                403,
                r#"{"message":"The security token included in the request is expired"}"#,
                false,
                Ok((Exit::Missing, "export-credentials")),
            ),
            (
                403,
                r#"{"message":"Signature expired: 20261123T100000Z is now earlier"}"#,
                false,
                Err("Signature expired"),
            ),
            (403, r#"{"message":"Signature not yet current: 2026"}"#, false, Err("not yet current")),
            (403, r#"{"message":"Forbidden"}"#, false, Ok((Exit::Missing, "execute-api:Invoke"))),
            (403, r#"{"message":"Missing Authentication Token"}"#, false, Ok((Exit::Missing, "auth=aws"))),
            (404, "<html>nginx</html>", false, Ok((Exit::Missing, "is no fleet of loadkit"))),
            (502, "<html>nginx</html>", false, Err("502")),
        ] {
            let trouble = Trouble::refused(StatusCode::from_u16(status).unwrap(), &Bytes::from(body), token);
            match (&trouble, wanted) {
                (Trouble::Final(failure), Ok((exit, words))) => {
                    assert_eq!(failure.exit(), exit, "{status} {body}");
                    assert!(failure.to_string().contains(words), "{failure}");
                }
                (Trouble::Passing(why) | Trouble::Skewed(why), Err(words)) => assert!(why.contains(words), "{why}"),
                _ => panic!("{status} {body}: {trouble}"),
            }
        }
    }
}
