//! Who asks.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::Front;
use super::administrators::Administrators;
use super::fault::Fault;
use crate::auth::{AuthError, Known, Role, Tokens};
use crate::guard::Refusal;
use crate::request::Caller;

/// How callers are told apart.
#[derive(Clone, Debug)]
pub enum Access {
    /// They are not: whoever is on this machine may do everything. Only on loopback; a web page that is open on the same
    /// machine is kept out.
    Open,
    /// By their tokens.
    Tokens(Tokens),
    /// Programs by what API Gateway found out: IAM principals, by their ARN. Browsers, which cannot sign, by the tokens in their
    /// cookies, and on the pages only. Only by way of [`handle`](super::handle).
    Gateway(Tokens, Administrators),
}

/// Who asks, by API Gateway's word. Only the adapter makes one, so no header can.
#[derive(Clone, Debug)]
pub(super) struct Principal(pub(super) Option<String>);

/// The name of whoever asks where callers are not told apart.
const ANYBODY: &str = "local";

impl Access {
    /// The tokens, where there are any.
    pub(super) fn tokens(&self) -> Option<&Tokens> {
        match self {
            Access::Open => None,
            Access::Tokens(tokens) | Access::Gateway(tokens, _) => Some(tokens),
        }
    }

    /// Whether answers go out as they are made. API Gateway passes them on when they are whole.
    pub(super) fn streams(&self) -> bool {
        !matches!(self, Access::Gateway(..))
    }

    /// Who asks the API.
    async fn program(&self, parts: &Parts) -> Result<Known, Fault> {
        match self {
            Access::Open => anybody(parts),
            Access::Tokens(tokens) => {
                let token = match bearer(&parts.headers) {
                    Some(token) => Some(token),
                    None => cookie(parts)?,
                };
                Ok(tokens.check(token.ok_or(AuthError::Missing)?).await?)
            }
            Access::Gateway(_, administrators) => match parts.extensions.get::<Principal>() {
                Some(Principal(Some(name))) => {
                    let role = if administrators.have(name) { Role::Admin } else { Role::Launch };
                    Ok(Known { caller: Caller { name: name.clone() }, role })
                }
                _ => Err(Fault::Unauthorized(
                    "API Gateway does not say who asks: its route must have the authorization AWS_IAM, and the request be \
                     signed"
                        .into(),
                )),
            },
        }
    }

    /// Who looks at a page.
    #[cfg(feature = "web")]
    pub(super) async fn browser(&self, parts: &Parts) -> Result<Known, Fault> {
        match self {
            Access::Gateway(tokens, _) => Ok(tokens.check(cookie(parts)?.ok_or(AuthError::Missing)?).await?),
            Access::Open | Access::Tokens(_) => self.program(parts).await,
        }
    }
}

/// Whoever is on this machine.
fn anybody(parts: &Parts) -> Result<Known, Fault> {
    keep_pages_out(parts)?;
    Ok(Known { caller: Caller { name: ANYBODY.to_owned() }, role: Role::Admin })
}

/// Who asks the API, who may at least look.
#[derive(Debug)]
pub(super) struct Who(pub(super) Known);

impl FromRequestParts<Front> for Who {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, front: &Front) -> Result<Who, Fault> {
        front.access.program(parts).await.map(Who)
    }
}

/// Who asks the API, and may launch runs and change what they do.
#[derive(Debug)]
pub(super) struct Operator(pub(super) Known);

impl FromRequestParts<Front> for Operator {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, front: &Front) -> Result<Operator, Fault> {
        let known = front.access.program(parts).await?;
        known.must(Role::Launch)?;
        Ok(Operator(known))
    }
}

/// The token of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// The token of a browser. A browser sends it whoever asked for it, so what changes something must come from our own pages.
#[cfg(feature = "web")]
fn cookie(parts: &Parts) -> Result<Option<&str>, Fault> {
    let token = super::web::token_of_cookie(&parts.headers);
    if token.is_some() && !parts.method.is_safe() {
        super::web::same_origin(&parts.headers)?;
    }
    Ok(token)
}

#[cfg(not(feature = "web"))]
fn cookie(_: &Parts) -> Result<Option<&str>, Fault> {
    Ok(None)
}

/// Refuses what a web page from elsewhere makes a browser on this machine send: by its origin, or by a name of its own that
/// it has pointed at loopback.
fn keep_pages_out(parts: &Parts) -> Result<(), Fault> {
    let headers = &parts.headers;
    let refused = |why: &str| {
        let rule = "without tokens, only this machine's own programs (always)".to_owned();
        Err(Fault::Refused(Refusal { rule, why: why.to_owned() }))
    };
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text(header::HOST).is_some_and(|host| !is_loopback(host)) {
        return refused("the request asks for a host that is not loopback");
    }
    let origin = text(header::ORIGIN).map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
    if origin.is_some_and(|host| !is_loopback(host)) {
        return refused("the request comes from a web page of elsewhere");
    }
    // Another service of this machine may show pages too.
    if origin.is_some() && origin != text(header::HOST) && !parts.method.is_safe() {
        return refused("the request changes something, and comes from a web page of another service");
    }
    Ok(())
}

/// `localhost` or a loopback address, with a port or without.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|addr| addr.is_loopback())
}
