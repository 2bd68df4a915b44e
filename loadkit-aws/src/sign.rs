//! `Request + Credentials -> Authorization`: AWS's Signature Version 4, for all services but S3.

use std::fmt::Write as _;

use ring::{digest, hmac};

use crate::calendar;
use crate::credentials::Credentials;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What is signed of a request.
#[derive(Debug)]
pub(crate) struct Signable<'a> {
    pub(crate) method: &'a str,
    /// As it is sent: encoded once.
    pub(crate) path: &'a str,
    /// As it is sent: encoded and sorted.
    pub(crate) query: &'a str,
    /// All headers that are signed, by names in small letters; `host` must be among them.
    pub(crate) headers: Vec<(&'a str, &'a str)>,
    pub(crate) body: &'a [u8],
}

/// For what a signature is good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    /// Seconds since 1970.
    pub(crate) at_s: u64,
}

/// The headers that a signature adds.
pub(crate) fn sign(request: Signable<'_>, credentials: &Credentials, scope: Scope<'_>) -> Vec<(&'static str, String)> {
    let at = calendar::basic(scope.at_s);
    let Signable { method, path, query, mut headers, body } = request;
    headers.push(("x-amz-date", &at));
    if let Some(token) = credentials.token() {
        headers.push(("x-amz-security-token", token));
    }
    headers.sort_unstable();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let mut canonical = format!("{method}\n{}\n{query}\n", encode(path, true));
    for (name, value) in &headers {
        let value: Vec<&str> = value.split_whitespace().collect();
        // Writing to a text does not fail.
        let _ = writeln!(canonical, "{name}:{}", value.join(" "));
    }
    let _ = write!(canonical, "\n{names}\n{}", hex(digest::digest(&digest::SHA256, body).as_ref()));

    let date = at.split('T').next().unwrap_or_default();
    let within = format!("{date}/{}/{}/aws4_request", scope.region, scope.service);
    let canonical = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let text = format!("{ALGORITHM}\n{at}\n{within}\n{canonical}");
    let mut key = mac(format!("AWS4{}", credentials.secret()).as_bytes(), date);
    for part in [scope.region, scope.service, "aws4_request"] {
        key = mac(key.as_ref(), part);
    }
    let signature = hex(mac(key.as_ref(), &text).as_ref());
    let id = credentials.id();
    let authorization = format!("{ALGORITHM} Credential={id}/{within}, SignedHeaders={names}, Signature={signature}");
    let mut added = vec![("authorization", authorization), ("x-amz-date", at.clone())];
    added.extend(credentials.token().map(|token| ("x-amz-security-token", token.to_owned())));
    added
}

/// A query as it is sent: names and values encoded, and sorted.
pub fn query(pairs: &[(&str, &str)]) -> String {
    let mut pairs: Vec<_> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name, false), encode(value, false))).collect();
    pairs.sort_unstable();
    pairs.join("&")
}

/// Encodes all but letters, digits and `-._~`; slashes too, unless they stay.
pub(crate) fn encode(text: &str, slashes_stay: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            b'/' if slashes_stay => encoded.push('/'),
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

fn mac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of AWS's published test suite: these keys, this time and this scope are in all of its cases.
    fn signature(request: Signable<'_>, token: Option<&str>) -> String {
        let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token);
        let scope = Scope { region: "us-east-1", service: "service", at_s: 1_440_938_160 };
        let added = sign(request, &credentials, scope);
        added[0].1.rsplit('=').next().unwrap().to_owned()
    }

    fn get<'a>(path: &'a str, query: &'a str) -> Signable<'a> {
        Signable { method: "GET", path, query, headers: vec![("host", "example.amazonaws.com")], body: b"" }
    }

    #[test]
    fn published_cases_are_met() {
        let vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        assert_eq!(signature(get("/", ""), None), vanilla);
        let query = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500";
        assert_eq!(signature(get("/", "Param1=value1&Param2=value2"), None), query);
        let post = Signable { method: "POST", ..get("/", "") };
        assert_eq!(signature(post, None), "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
    }

    #[test]
    fn a_token_is_signed_and_sent() {
        let credentials = Credentials::new("id", "secret", Some("token"));
        let scope = Scope { region: "eu-west-1", service: "sqs", at_s: 0 };
        let added = sign(get("/", ""), &credentials, scope);
        assert_eq!(added[2], ("x-amz-security-token", "token".to_owned()));
        assert!(added[0].1.contains("SignedHeaders=host;x-amz-date;x-amz-security-token"), "{}", added[0].1);
        assert!(!added[0].1.contains("secret"), "{}", added[0].1);
    }

    #[test]
    fn texts_are_encoded_as_aws_wants_it() {
        assert_eq!(encode("a b/ü:~", false), "a%20b%2F%C3%BC%3A~");
        assert_eq!(encode("/a:b/", true), "/a%3Ab/");
    }
}
