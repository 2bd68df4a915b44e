//! What all pages have: a head, where one can go, and the policy under which a browser shows them.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use loadkit_core::{RunId, Verdict};
use maud::{DOCTYPE, Markup, html};

use super::session;
use crate::api::Front;
use crate::api::fault::Fault;
use crate::api::runs::OfRun;
use crate::auth::{AuthError, Known, Role};
use crate::record::RunState;

/// Only what this service itself sends is loaded, run or shown; texts do not become markup, not even in a script; no other page
/// shows ours in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

/// Who looks at a page.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) known: Known,
    /// Whether the visitor came with a token, and so can leave.
    signed_in: bool,
}

impl Visitor {
    /// Whether this one may launch runs, and change what they do: what others may not do they are not shown.
    pub(super) fn may_launch(&self) -> bool {
        self.known.may(Role::Launch)
    }
}

impl FromRequestParts<Front> for Visitor {
    type Rejection = Sorry;

    async fn from_request_parts(parts: &mut Parts, front: &Front) -> Result<Visitor, Sorry> {
        let known = front.access.browser(parts).await.map_err(Sorry)?;
        Ok(Visitor { known, signed_in: front.access.tokens().is_some() })
    }
}

/// A visitor who may launch runs, and change what they do.
#[derive(Debug)]
pub(super) struct Launcher(pub(super) Visitor);

impl FromRequestParts<Front> for Launcher {
    type Rejection = Sorry;

    async fn from_request_parts(parts: &mut Parts, front: &Front) -> Result<Launcher, Sorry> {
        let visitor = Visitor::from_request_parts(parts, front).await?;
        visitor.known.must(Role::Launch).map_err(Fault::from)?;
        Ok(Launcher(visitor))
    }
}

/// One who may, and who does it from a page of ours.
#[derive(Debug)]
pub(super) struct Actor(pub(super) Visitor);

impl FromRequestParts<Front> for Actor {
    type Rejection = Sorry;

    async fn from_request_parts(parts: &mut Parts, front: &Front) -> Result<Actor, Sorry> {
        session::same_origin(&parts.headers).map_err(Sorry)?;
        Launcher::from_request_parts(parts, front).await.map(|Launcher(visitor)| Actor(visitor))
    }
}

/// The run that a page is about.
#[derive(Debug)]
pub(super) struct Named(pub(super) RunId);

impl FromRequestParts<Front> for Named {
    type Rejection = Sorry;

    async fn from_request_parts(parts: &mut Parts, front: &Front) -> Result<Named, Sorry> {
        OfRun::from_request_parts(parts, front).await.map(|OfRun(run)| Named(run)).map_err(Sorry)
    }
}

/// A fault as a page.
#[derive(Debug)]
pub(super) struct Sorry(pub(super) Fault);

impl From<Fault> for Sorry {
    fn from(fault: Fault) -> Sorry {
        Sorry(fault)
    }
}

impl IntoResponse for Sorry {
    fn into_response(self) -> Response {
        let (status, body) = (self.0.status(), self.0.body());
        let is_nobody = status == StatusCode::UNAUTHORIZED;
        let has_none = is_nobody && body.error == AuthError::Missing.to_string();
        let title = if is_nobody { "Who are you?" } else { "That did not work" };
        let body = html! {
            h1 { (title) }
            @if has_none { p { "This fleet wants to know who looks." } } @else { section class="sorry" {
                @for line in body.error.lines() { p { (line) } }
                @if let Some(rule) = &body.rule { p { "The rule: " b { (rule) } } }
                @if let Some(help) = body.help.as_ref().filter(|_| !is_nobody) { p class="note" { (help) } }
            } }
            @if is_nobody { (session::form("")) } @else { p { a href="/" { "All runs" } } }
        };
        page(None, Page { title, here: "", scripts: &[], body }, status)
    }
}

/// What is different from page to page.
pub(super) struct Page<'a> {
    pub(super) title: &'a str,
    /// The place in the navigation.
    pub(super) here: &'a str,
    /// Scripts of ours.
    pub(super) scripts: &'a [&'a str],
    pub(super) body: Markup,
}

/// A page.
pub(super) fn page(visitor: Option<&Visitor>, page: Page<'_>, status: StatusCode) -> Response {
    let Page { title, here, scripts, body } = page;
    let launch = visitor.is_some_and(Visitor::may_launch).then_some(("/launch", "Launch"));
    let places = std::iter::once(("/", "Runs")).chain(launch);
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – loadkit" }
                link rel="stylesheet" href="/assets/dashboard.css";
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                @if !scripts.is_empty() { script src="/assets/chart.js" defer {} }
                @for script in scripts { script type="module" src=(format!("/assets/{script}")) {} }
            }
            body {
                a class="skip" href="#main" { "To the content" }
                header {
                    nav aria-label="Pages" {
                        b { "loadkit" }
                        @for (path, name) in places {
                            a href=(path) aria-current=[(here == path).then_some("page")] { (name) }
                        }
                    }
                    @if let Some(visitor) = visitor {
                        div class="who" {
                            span { (visitor.known.caller.name) }
                            @if visitor.signed_in {
                                form method="post" action="/logout" { button type="submit" { "Sign out" } }
                            }
                        }
                    }
                }
                main id="main" { (body) }
            }
        }
    };
    (status, Html(markup.into_string())).into_response()
}

/// An ordinary page.
pub(super) fn shown(visitor: &Visitor, title: &str, here: &str, scripts: &[&str], body: Markup) -> Response {
    page(Some(visitor), Page { title, here, scripts, body }, StatusCode::OK)
}

/// What holds for all answers to browsers.
pub(super) async fn guarded(mut response: Response) -> Response {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        // A file of a report has a policy of its own, under which nothing runs.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A verdict, or how far the run has come: a word, a sign and a colour.
pub(super) fn mark(state: RunState, verdict: Option<Verdict>) -> Markup {
    let (class, sign, word) = match (state, verdict) {
        (_, Some(Verdict::Pass)) => ("mark pass", "✓", "PASS"),
        (_, Some(Verdict::Fail)) => ("mark fail", "✗", "FAIL"),
        (_, Some(Verdict::Invalid)) => ("mark invalid", "?", "INVALID"),
        (RunState::Assembling, None) => ("mark going", "…", "assembling"),
        (RunState::Running, None) => ("mark going", "▶", "running"),
        (RunState::Draining, None) => ("mark going", "▼", "draining"),
        (RunState::Ended, None) => ("mark invalid", "–", "ended"),
    };
    html! { span class=(class) { span aria-hidden="true" { (sign) } " " (word) } }
}
