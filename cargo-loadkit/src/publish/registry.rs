//! An OCI image layout into any registry, by the protocol that all of them speak: OCI Distribution Specification 1.1, "Push".
//!
//! Who asks is said by a name and a password, where there are some: as they are, or as the registry's own service for tokens wants
//! them (Docker Registry, "Token Authentication Specification"). **They go over TLS, or to this machine itself, and nowhere else.**

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loadkit_http::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use loadkit_http::{Bytes, Http, HttpError, Limits};
use serde::Deserialize;

use super::image::{Layout, Put, Repository};
use crate::exit::Failure;
use crate::output::Output;
use crate::settings::Settings;

/// A layer of 50 MiB over a slow line; no answer is longer than a list of errors.
const LIMITS: Limits = Limits { connect: Duration::from_secs(10), call: Duration::from_secs(300), body: 1 << 20 };
/// What brings credentials.
const CREDENTIALS: &str = "LOADKIT_REGISTRY_USER=… LOADKIT_REGISTRY_PASSWORD=…, of somebody who may push there";

/// An image's place in a registry: `https://HOST/NAME:TAG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// `https://HOST`.
    url: String,
    is_safe: bool,
    repository: Repository,
}

impl Place {
    /// From `http://HOST/NAME:TAG` or `https://…`.
    pub(super) fn parse(text: &str) -> Result<Place, Failure> {
        let wrong = || {
            Failure::wrong_use(format!("--registry {text}: this is no image in a registry")).mended_by(
                "--registry https://HOST/NAME:TAG, as in https://registry.example.com/studio/mygame-bots:build-2.31",
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let (host, name) = rest.split_once('/').ok_or_else(wrong)?;
        let uri: Uri = format!("{scheme}://{host}").parse().map_err(|_| wrong())?;
        let address = uri.host().map(|host| host.trim_matches(['[', ']']));
        let is_here = address
            .is_some_and(|host| host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()));
        if !matches!(scheme, "http" | "https") || address.is_none() {
            return Err(wrong());
        }
        let repository = Repository::named(name).ok_or_else(wrong)?;
        Ok(Place { url: format!("{scheme}://{host}"), is_safe: scheme == "https" || is_here, repository })
    }
}

/// A name and a password.
pub(super) struct Login(Option<(String, String)>);

impl Login {
    /// As the settings have it, for this place.
    pub(super) fn of(settings: &Settings, place: &Place) -> Result<Login, Failure> {
        let text = |name: &str| settings.text(name).map(str::to_owned);
        let login = text("registry-user").zip(text("registry-password"));
        if login.is_some() && !place.is_safe {
            return Err(Failure::wrong_use(format!("{} would hear the password in the clear", place.url))
                .mended_by("name the registry with https://"));
        }
        Ok(Login(login))
    }

    fn basic(&self) -> Option<String> {
        let (name, password) = self.0.as_ref()?;
        Some(format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))))
    }
}

/// A registry that is asked.
struct Registry<'a> {
    http: Http,
    place: &'a Place,
    login: Login,
    /// What it has been told of who asks, once it wanted to know.
    authorization: Option<String>,
}

/// What a service for tokens answers.
#[derive(Deserialize)]
struct Token {
    #[serde(alias = "access_token")]
    token: String,
}

/// Puts the image of this layout there.
pub(super) async fn put(place: &Place, login: Login, layout: &Path, output: &Output) -> Result<Put, Failure> {
    let Layout { manifest, media_type, digest, blobs } = Layout::read(layout)?;
    let mut registry = Registry { http: Http::new(LIMITS), place, login, authorization: None };
    let Place { url, repository: Repository { name, tag }, .. } = place;
    let mut sent_bytes = 0;
    for blob in &blobs {
        let at = format!("{url}/v2/{name}/blobs/{}", blob.digest);
        let there = registry.ask(Method::HEAD, &at, &[], Bytes::new()).await?;
        if there.status() == StatusCode::OK {
            continue;
        }
        if there.status() != StatusCode::NOT_FOUND {
            return Err(registry.refused(&there));
        }
        output.say(format_args!("sending {} to {name}", blob.digest));
        let bytes = fs::read(&blob.path)
            .map_err(|error| Failure::missing(format!("{} cannot be read: {error}", blob.path.display())))?;
        sent_bytes += bytes.len() as u64;
        registry.send(&blob.digest, bytes.into()).await?;
    }
    let at = format!("{url}/v2/{name}/manifests/{tag}");
    let put = registry.ask(Method::PUT, &at, &[("content-type", &media_type)], manifest.into()).await?;
    if put.status() != StatusCode::CREATED {
        return Err(registry.refused(&put));
    }
    let host = url.split("://").nth(1).unwrap_or_default();
    Ok(Put { repository: format!("{host}/{name}"), tag: tag.clone(), digest, sent_bytes })
}

impl Registry<'_> {
    /// Sends a blob: asks where to, and puts it there whole.
    async fn send(&mut self, digest: &str, bytes: Bytes) -> Result<(), Failure> {
        let Place { url, repository: Repository { name, .. }, .. } = self.place;
        let begun = self.ask(Method::POST, &format!("{url}/v2/{name}/blobs/uploads/"), &[], Bytes::new()).await?;
        let location = begun.headers().get(header::LOCATION).and_then(|at| at.to_str().ok());
        let (StatusCode::ACCEPTED, Some(location)) = (begun.status(), location) else {
            return Err(self.refused(&begun));
        };
        let at = if location.starts_with('/') { format!("{url}{location}") } else { location.to_owned() };
        // Only the registry itself hears who asks.
        if !at.starts_with(&format!("{url}/")) {
            return Err(Failure::missing(format!("{url} wants blobs to be sent elsewhere, to {at}")));
        }
        let mark = if at.contains('?') { '&' } else { '?' };
        let at = format!("{at}{mark}digest={digest}");
        let put = self.ask(Method::PUT, &at, &[("content-type", "application/octet-stream")], bytes).await?;
        if put.status() == StatusCode::CREATED { Ok(()) } else { Err(self.refused(&put)) }
    }

    /// Asks, and again with who asks if the registry wants to know.
    async fn ask(
        &mut self,
        method: Method,
        at: &str,
        headers: &[(&'static str, &str)],
        body: Bytes,
    ) -> Result<Response<Bytes>, Failure> {
        let answer = self.once(&method, at, headers, body.clone()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.authorization = Some(self.authorize(answer.headers()).await?);
        let answer = self.once(&method, at, headers, body).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            return Err(self.unknown());
        }
        Ok(answer)
    }

    async fn once(
        &self,
        method: &Method,
        at: &str,
        headers: &[(&'static str, &str)],
        body: Bytes,
    ) -> Result<Response<Bytes>, Failure> {
        let who = self.authorization.as_deref().map(|who| ("authorization", who));
        let mut request = Request::builder().method(method).uri(at);
        for (name, value) in headers.iter().copied().chain(who) {
            request = request.header(name, sensitive(value)?);
        }
        let unasked = |why: &dyn std::fmt::Display| Failure::wrong_use(format!("{at} cannot be asked: {why}"));
        let request = request.body(body).map_err(|error| unasked(&error))?;
        self.http.send(request).await.map_err(|error| unanswered(&error))
    }

    /// What the registry wants to be told, by what it has answered.
    async fn authorize(&self, headers: &HeaderMap) -> Result<String, Failure> {
        let wanted = headers.get(header::WWW_AUTHENTICATE).and_then(|wanted| wanted.to_str().ok()).unwrap_or_default();
        let (scheme, parameters) = wanted.split_once(' ').unwrap_or((wanted, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return self.login.basic().ok_or_else(|| self.unknown());
        }
        let realm = parameter(parameters, "realm").filter(|_| scheme.eq_ignore_ascii_case("bearer"));
        let realm = realm.ok_or_else(|| self.unknown())?;
        let pairs: Vec<(&str, &str)> =
            ["service", "scope"].into_iter().filter_map(|name| Some((name, parameter(parameters, name)?))).collect();
        let mark = if realm.contains('?') { '&' } else { '?' };
        let mut request = Request::get(format!("{realm}{mark}{}", loadkit_aws::query(&pairs)));
        if let Some(basic) = self.login.basic() {
            if !realm.starts_with("https://") && !realm.starts_with(&format!("{}/", self.place.url)) {
                return Err(Failure::missing(format!("{} wants the password in the clear at {realm}", self.place.url)));
            }
            request = request.header(header::AUTHORIZATION, sensitive(&basic)?);
        }
        let request = request.body(Bytes::new()).map_err(|error| Failure::missing(format!("{realm}: {error}")))?;
        let answer = self.http.send(request).await.map_err(|error| unanswered(&error))?;
        let token = answer.status().is_success().then(|| serde_json::from_slice::<Token>(answer.body()).ok()).flatten();
        token.map(|Token { token }| format!("Bearer {token}")).ok_or_else(|| self.unknown())
    }

    fn unknown(&self) -> Failure {
        let url = &self.place.url;
        let what = match self.login.0 {
            Some(_) => format!("{url} does not take the name and the password"),
            None => format!("{url} wants to know who asks"),
        };
        Failure::missing(what).mended_by(CREDENTIALS)
    }

    /// Why it does not do it, in its own words.
    fn refused(&self, answer: &Response<Bytes>) -> Failure {
        let said: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let one = &said["errors"][0];
        let words = [&one["code"], &one["message"]].map(|word| word.as_str().unwrap_or_default()).join(" ");
        let (status, url) = (answer.status(), &self.place.url);
        let failure = Failure::failed(format!("{url} refuses the image: {status} {words}").trim_end().to_owned());
        match status {
            StatusCode::FORBIDDEN => failure.mended_by(CREDENTIALS),
            StatusCode::NOT_FOUND => {
                failure.mended_by("see whether the address is a registry's, and the name one that it has")
            }
            _ => failure,
        }
    }
}

fn unanswered(error: &HttpError) -> Failure {
    Failure::missing(error).mended_by("see whether this machine has a network, and whether a VPN or a proxy is needed")
}

fn sensitive(value: &str) -> Result<HeaderValue, Failure> {
    let mut value =
        HeaderValue::from_str(value).map_err(|_| Failure::wrong_use("a header would have what no header may have"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A parameter of a challenge: `realm="https://auth.test/token"`.
fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = parameters;
    while let Some((key, behind)) = rest.split_once("=\"") {
        let (value, behind) = behind.split_once('"')?;
        if key.trim_matches([',', ' ']).eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = behind;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_url_with_a_name_and_a_tag() {
        let place = Place::parse("https://registry.example.com/studio/bots:build-2.31").unwrap();
        assert_eq!((place.url.as_str(), place.is_safe), ("https://registry.example.com", true));
        assert!(Place::parse("http://127.0.0.1:5000/bots:1").unwrap().is_safe);
        assert!(Place::parse("http://[::1]:5000/bots:1").unwrap().is_safe);
        assert!(!Place::parse("http://registry.test/bots:1").unwrap().is_safe);
        for text in [
            "bots:1",
            "https://registry.example.com/bots",
            "https://registry.example.com",
            "ftp://registry.example.com/bots:1",
            "https:///bots:1",
        ] {
            assert!(Place::parse(text).unwrap_err().to_string().contains("--registry https://HOST/NAME:TAG"), "{text}");
        }
    }

    #[test]
    fn challenges_are_read() {
        let text = r#"realm="https://auth.test/token?x=1",service="registry.test", scope="repository:a/b:pull,push""#;
        assert_eq!(parameter(text, "realm"), Some("https://auth.test/token?x=1"));
        assert_eq!(parameter(text, "scope"), Some("repository:a/b:pull,push"));
        assert_eq!((parameter(text, "error"), parameter("realm=\"open", "realm")), (None, None));
    }
}
