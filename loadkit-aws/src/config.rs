//! Region, credentials and endpoints, as AWS's own tools take them from the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use loadkit_http::Limits;

use crate::credentials::{Credentials, Source};
use crate::service::{ECR, Service};

/// Where a container's relative credentials URL is.
const CONTAINER_HOST: &str = "http://169.254.170.2";
/// Hosts to which a token may go without TLS: this machine, and the agents of ECS and EKS.
const LOCAL_HOSTS: &[&str] = &["localhost", "127.0.0.1", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];

/// How often a call is tried, and how long that may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// In all.
    pub most: u32,
    /// Before the second one it waits up to this long, before each further one up to twice as long as before; after a
    /// throttle, four times as long.
    pub pause: Duration,
    /// But no longer than this.
    pub longest_pause: Duration,
    /// No try begins after so long.
    pub give_up: Duration,
}

impl Default for Tries {
    fn default() -> Tries {
        Tries {
            most: 5,
            pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(3),
            give_up: Duration::from_secs(25),
        }
    }
}

/// Where services are, if not where they are for everybody: for emulators and private endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// For all services.
    pub all: Option<String>,
    /// For one, by its variable: `DYNAMODB`.
    pub one: BTreeMap<&'static str, String>,
}

/// All that a client must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `eu-central-1`.
    pub region: String,
    /// By whom requests are signed.
    pub source: Source,
    /// Where services are.
    pub endpoints: Endpoints,
    /// The bounds of one try.
    pub limits: Limits,
    /// The bounds of all.
    pub tries: Tries,
}

/// What the environment does not say, or says wrongly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// No region.
    Region,
    /// No credentials.
    Credentials,
    /// A credentials URL to which no token may go.
    Url(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Region => f.write_str("no AWS region: set AWS_REGION"),
            ConfigError::Credentials => f.write_str(
                "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as `eval \"$(aws configure \
                 export-credentials --format env)\"` does for your profile; on Lambda and ECS a role brings them",
            ),
            ConfigError::Url(url) => write!(
                f,
                "AWS_CONTAINER_CREDENTIALS_FULL_URI is {url:?}: without https it must be of this machine or of an agent of \
                 ECS or EKS"
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// For this region and key.
    pub fn new(region: &str, credentials: Credentials) -> Config {
        Config {
            region: region.to_owned(),
            source: Source::Fixed(credentials),
            endpoints: Endpoints::default(),
            limits: Limits::default(),
            tries: Tries::default(),
        }
    }

    /// The same, with all services at this URL.
    #[must_use]
    pub fn at(self, url: &str) -> Config {
        Config { endpoints: Endpoints { all: Some(url.to_owned()), ..self.endpoints }, ..self }
    }

    /// As this process's environment says.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn from_env() -> Result<Config, ConfigError> {
        Config::read(&|name| std::env::var(name).ok())
    }

    /// As these variables say.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")).ok_or(ConfigError::Region)?;
        let source = source(&variable)?;
        let mut endpoints = Endpoints::default();
        if variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_none_or(|value| value != "true") {
            endpoints.all = variable("AWS_ENDPOINT_URL");
            for service in crate::service::ALL {
                let own = variable(&format!("AWS_ENDPOINT_URL_{}", service.variable));
                endpoints.one.extend(own.map(|url| (service.variable, url)));
            }
        }
        Ok(Config { region, source, endpoints, limits: Limits::default(), tries: Tries::default() })
    }

    /// Where a service is.
    pub(crate) fn endpoint(&self, service: &Service) -> String {
        let own = self.endpoints.one.get(service.variable).or(self.endpoints.all.as_ref());
        own.map_or_else(
            || {
                let suffix = if self.region.starts_with("cn-") { ".cn" } else { "" };
                let before = if service.host == ECR.host { "api." } else { "" };
                format!("https://{before}{}.{}.amazonaws.com{suffix}", service.host, self.region)
            },
            |url| url.trim_end_matches('/').to_owned(),
        )
    }
}

fn source(variable: &dyn Fn(&str) -> Option<String>) -> Result<Source, ConfigError> {
    if let (Some(id), Some(secret)) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        return Ok(Source::Fixed(Credentials::new(&id, &secret, variable("AWS_SESSION_TOKEN").as_deref())));
    }
    let (token, token_file) =
        (variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"), variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"));
    if let Some(path) = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        return Ok(Source::Container { url: format!("{CONTAINER_HOST}{path}"), token, token_file });
    }
    let url = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI").ok_or(ConfigError::Credentials)?;
    let uri = url.parse::<loadkit_http::http::Uri>().ok();
    let safe = uri.as_ref().is_some_and(|uri| match uri.scheme_str() {
        Some("https") => true,
        Some("http") => uri.host().is_some_and(|host| LOCAL_HOSTS.contains(&host)),
        _ => false,
    });
    if safe { Ok(Source::Container { url, token, token_file }) } else { Err(ConfigError::Url(url)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{DYNAMODB, SQS};

    fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let found = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Config::read(&found)
    }

    const KEY: [(&str, &str); 3] =
        [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];

    #[test]
    fn a_key_of_the_environment_is_taken() {
        let config = read(&KEY).unwrap();
        assert_eq!(config, Config::new("eu-west-1", Credentials::new("a", "b", None)));
        assert_eq!(config.endpoint(&DYNAMODB), "https://dynamodb.eu-west-1.amazonaws.com");
        assert_eq!(config.endpoint(&ECR), "https://api.ecr.eu-west-1.amazonaws.com");
        let china = Config { region: "cn-north-1".into(), ..config };
        assert_eq!(china.endpoint(&SQS), "https://sqs.cn-north-1.amazonaws.com.cn");
    }

    #[test]
    fn endpoints_can_be_elsewhere() {
        let all = ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566/");
        let one = ("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9324");
        let variables = [&KEY[..], &[all, one]].concat();
        let config = read(&variables).unwrap();
        assert_eq!(config.endpoint(&DYNAMODB), "http://127.0.0.1:4566");
        assert_eq!(config.endpoint(&SQS), "http://127.0.0.1:9324");
        let variables = [&variables[..], &[("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")]].concat();
        assert_eq!(read(&variables).unwrap().endpoints, Endpoints::default());
    }

    #[test]
    fn a_containers_endpoint_is_taken_and_a_strange_one_is_not() {
        let url = |variables: &[(&str, &str)]| {
            let variables = [&[("AWS_DEFAULT_REGION", "r")], variables].concat();
            match read(&variables).map(|config| config.source) {
                Ok(Source::Container { url, .. }) => Ok(url),
                Ok(other) => panic!("{other:?}"),
                Err(error) => Err(error),
            }
        };
        let relative = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x");
        assert_eq!(url(&[relative]), Ok("http://169.254.170.2/v2/x".into()));
        let full = |url| ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
        assert_eq!(url(&[full("http://127.0.0.1:80/c")]), Ok("http://127.0.0.1:80/c".into()));
        assert_eq!(url(&[full("https://a.example/c")]), Ok("https://a.example/c".into()));
        assert_eq!(url(&[full("http://a.example/c")]), Err(ConfigError::Url("http://a.example/c".into())));
    }

    #[test]
    fn what_is_missing_is_named_with_what_brings_it() {
        assert_eq!(read(&[]), Err(ConfigError::Region));
        let error = read(&KEY[..2]).unwrap_err();
        assert!(error.to_string().contains("aws configure export-credentials"), "{error}");
    }
}
