//! Who looks: a browser shows the token of its user in a cookie that scripts cannot read.
//!
//! **A cookie is sent whoever made the browser send it**, so whatever changes something must come from a page of this
//! service: `Sec-Fetch-Site` says so, or else `Origin`.

use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::frame::{Page, Sorry, page as frame};
use crate::api::Front;
use crate::api::fault::Fault;
use crate::guard::Refusal;

const COOKIE: &str = "loadkit";
/// A browser keeps a token for so long, s.
const KEPT_S: u64 = 30 * 86_400;
/// No token is longer.
const MAX_TOKEN: usize = 200;

/// The token that a browser shows.
pub(in crate::api) fn token_of_cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value).filter(|value| !value.is_empty())
}

/// Refuses what does not come from a page of this service.
pub(in crate::api) fn same_origin(headers: &HeaderMap) -> Result<(), Fault> {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let is_ours = match (text(header::HeaderName::from_static("sec-fetch-site")), text(header::ORIGIN)) {
        (Some(site), _) if site != "same-origin" => false,
        (_, Some(origin)) => {
            let host = text(header::HOST);
            host.is_some() && origin.split_once("://").map(|(_, host)| host) == host
        }
        (site, None) => site.is_some(),
    };
    if is_ours {
        return Ok(());
    }
    let rule = "changes come from the dashboard's own pages (always)".to_owned();
    let why = "the request comes from a page of another origin, or does not say from where".to_owned();
    Err(Fault::Refused(Refusal { rule, why }))
}

/// What asks for a token.
pub(super) fn form(why: &str) -> Markup {
    html! {
        form method="post" action="/login" class="login" {
            @if !why.is_empty() { p role="alert" class="missed" { (why) } }
            label for="token" { "A token of this fleet" }
            input id="token" name="token" type="password" autocomplete="current-password" required;
            button type="submit" { "Sign in" }
            p class="note" { "An administrator makes one: POST /v1/tokens, or " code { "loadkit-fleet token" } " on the service's machine." }
        }
    }
}

fn asked(why: &str, status: StatusCode) -> Response {
    let body = html! { h1 { "Sign in" } (form(why)) };
    frame(None, Page { title: "Sign in", here: "", scripts: &[], body }, status)
}

/// Asks for a token.
pub(super) async fn page() -> Response {
    asked("", StatusCode::OK)
}

#[derive(Deserialize)]
pub(super) struct Token {
    token: String,
}

/// Takes a token, if it is one.
pub(super) async fn login(
    State(front): State<Front>,
    headers: HeaderMap,
    Form(Token { token }): Form<Token>,
) -> Result<Response, Sorry> {
    same_origin(&headers)?;
    let Some(tokens) = front.access.tokens() else { return Ok(Redirect::to("/").into_response()) };
    let token = token.trim();
    // It goes into a header, where only these are harmless.
    let is_plain =
        token.len() <= MAX_TOKEN && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    let checked = if is_plain { tokens.check(token).await } else { Err(crate::auth::AuthError::Unknown) };
    match checked {
        Ok(_) => Ok(with_cookie(&headers, token, KEPT_S)),
        Err(error) => {
            let fault = Fault::from(error);
            Ok(asked(&fault.to_string(), fault.status()))
        }
    }
}

/// Forgets the token.
pub(super) async fn logout(headers: HeaderMap) -> Result<Response, Sorry> {
    same_origin(&headers)?;
    Ok(with_cookie(&headers, "", 0))
}

fn with_cookie(headers: &HeaderMap, token: &str, kept_s: u64) -> Response {
    // Whether a proxy in front speaks TLS is known by its word alone; without it the cookie must go over plain HTTP.
    let is_https = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let secure = if is_https { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={token}; HttpOnly; SameSite=Lax; Path=/; Max-Age={kept_s}{secure}");
    let mut response = Redirect::to("/").into_response();
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
