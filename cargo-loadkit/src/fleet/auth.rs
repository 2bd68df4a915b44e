//! How a request says who asks: a token of the fleet, a signature of AWS, or not at all.

use std::env;

use loadkit_aws::{AwsClock, Call, Client, Config, ConfigError, EXECUTE_API, query};
use loadkit_http::Bytes;
use loadkit_http::http::{Request, Uri, header};

use super::trouble::Trouble;
use crate::exit::Failure;
use crate::settings::Settings;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    /// `/v1/runs`, of characters that are not encoded.
    pub(crate) path: &'a str,
    /// Names and values, not encoded.
    pub(crate) query: &'a [(&'a str, &'a str)],
    /// A header beside those that all have.
    pub(crate) header: Option<(&'a str, &'a str)>,
    /// JSON; none if empty.
    pub(crate) body: &'a [u8],
}

/// How a request says who asks.
#[derive(Debug)]
pub(crate) enum Auth {
    /// Not at all: to a fleet of this machine.
    Nobody,
    /// By this token.
    Token(String),
    /// By a signature.
    Aws(Box<Client>),
}

impl Auth {
    /// As the settings have it, for a fleet at this URL.
    pub(crate) fn of(url: &str, settings: &Settings) -> Result<Auth, Failure> {
        let token = settings.text("token").map(str::to_owned);
        let gateway = region_of(url);
        match (settings.text("auth").unwrap_or("auto"), token) {
            ("none", _) => Ok(Auth::Nobody),
            ("aws", _) => Auth::aws(url, settings),
            (_, Some(token)) => Ok(Auth::Token(token)),
            ("token", None) => Err(Failure::missing("there is no token for the fleet").mended_by("LOADKIT_TOKEN=…")),
            (_, None) if gateway.is_some() => Auth::aws(url, settings),
            (_, None) => Ok(Auth::Nobody),
        }
    }

    fn aws(url: &str, settings: &Settings) -> Result<Auth, Failure> {
        let region = region_of(url).or_else(|| settings.text("region").map(str::to_owned));
        let variable = |name: &str| match name {
            "AWS_REGION" if region.is_some() => region.clone(),
            // They are for AWS's own services; the fleet is where its URL says.
            _ => env::var(name).ok(),
        };
        let mut config = Config::read(&variable).map_err(|error| no_credentials(&error))?;
        config.endpoints.one.insert(EXECUTE_API.variable, url.to_owned());
        Ok(Auth::Aws(Box::new(Client::new(config))))
    }

    /// Whether it is by a token.
    pub(crate) fn has_token(&self) -> bool {
        matches!(self, Auth::Token(_))
    }

    /// The clock by which requests are signed, if they are.
    pub(crate) fn clock(&self) -> Option<AwsClock> {
        match self {
            Auth::Aws(client) => Some(client.clock()),
            Auth::Nobody | Auth::Token(_) => None,
        }
    }

    /// The request to a fleet at this URL, with who asks.
    pub(crate) async fn request(&self, url: &str, ask: &Ask<'_>) -> Result<Request<Bytes>, Trouble> {
        let Ask { method, path, query: pairs, header, body } = *ask;
        let body = Bytes::copy_from_slice(body);
        let json = (!body.is_empty()).then_some(("content-type", "application/json"));
        let headers: Vec<(&str, &str)> = header.into_iter().chain(json).collect();
        if let Auth::Aws(client) = self {
            let call =
                Call { service: &EXECUTE_API, action: path, method, path, query: pairs, headers: &headers, body };
            return client.signed(&call).await.map_err(|error| Trouble::unsigned(&error));
        }
        let query = query(pairs);
        let mark = if query.is_empty() { "" } else { "?" };
        let mut request = Request::builder().method(method).uri(format!("{url}{path}{mark}{query}"));
        request = request.header(header::USER_AGENT, concat!("cargo-loadkit/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Auth::Token(token) = self {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        // The error of a bad header does not show it.
        request
            .body(body)
            .map_err(|error| Trouble::Final(Failure::wrong_use(format!("{url} cannot be asked: {error}"))))
    }
}

/// The region of an API Gateway's own URL.
fn region_of(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let mut labels = uri.host()?.split('.').skip(1);
    (labels.next()? == EXECUTE_API.host).then_some(())?;
    let region = labels.next()?.to_owned();
    labels.next().is_some_and(|label| label == "amazonaws").then_some(region)
}

pub(crate) fn no_credentials(error: &ConfigError) -> Failure {
    let failure = Failure::missing(error);
    match error {
        ConfigError::Region => failure.mended_by("AWS_REGION=…"),
        ConfigError::Credentials => {
            failure.mended_by("eval \"$(aws configure export-credentials --format env)\", or LOADKIT_TOKEN=…")
        }
        ConfigError::Url(_) => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_gateway_is_known_by_its_host() {
        let region = |url| region_of(url);
        assert_eq!(region("https://a1b2.execute-api.eu-west-1.amazonaws.com"), Some("eu-west-1".into()));
        assert_eq!(region("https://a1b2.execute-api.cn-north-1.amazonaws.com.cn/prod"), Some("cn-north-1".into()));
        assert_eq!(region("https://a1b2.execute-api.eu-west-1.example.com"), None);
        assert_eq!(region("http://127.0.0.1:8080"), None);
    }

    #[tokio::test]
    async fn a_token_is_sent_and_queries_are_encoded() {
        let ask = Ask { method: "GET", path: "/v1/runs", query: &[("by", "a b&c")], header: None, body: b"" };
        let request = Auth::Token("secret".into()).request("http://h:1", &ask).await.unwrap();
        assert_eq!(request.uri(), "http://h:1/v1/runs?by=a%20b%26c");
        assert_eq!(request.headers()["authorization"], "Bearer secret");
        let wrong = Auth::Token("sec\nret".into()).request("http://h:1", &ask).await.unwrap_err();
        assert!(!wrong.to_string().contains("sec\nret"), "{wrong}");
    }
}
