//! A launch: a plan that the service knows or a new one, what it would take, and only then the button.
//!
//! **What is launched is what was estimated**: the button carries the digest of the request that the estimate was of, and a name
//! for the launch, so that pressing it twice launches once.

mod offer;

use axum::Form;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use loadkit_core::{RunId, format};
use maud::{Markup, html};
use rand::Rng as _;
use ring::digest;
use serde::Deserialize;

use super::frame::{Actor, Launcher, Page, Sorry, Visitor, page as frame, shown};
use crate::api::Front;
use crate::api::fault::Fault;
use crate::api::service::Service;
use crate::estimate::Estimate;
use crate::request::{RunRequest, RunnerChoice};
use offer::Offer;

/// What a plan may look like.
const EXAMPLE: &str = "scenario = \"arena\"\nbots = 50\nduration = \"10m\"";
/// The longest reason or warning.
const MAX_TEXT: usize = 1_000;

/// What the form says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    plan: String,
    target: String,
    runner: String,
    workers: String,
    players_per_worker: String,
    client: String,
    build: String,
    /// `launch`, or anything else for an estimate.
    act: String,
    seen: String,
    once: String,
}

impl Asked {
    fn of(request: &RunRequest) -> Asked {
        let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
        let runner = match request.runner {
            RunnerChoice::Auto => "auto",
            RunnerChoice::Lambda => "lambda",
            RunnerChoice::Fargate => "fargate",
            RunnerChoice::Local => "local",
        };
        Asked {
            plan: request.plan.clone(),
            target: request.target.clone().unwrap_or_default(),
            runner: runner.to_owned(),
            workers: number(request.workers),
            players_per_worker: number(request.players_per_worker),
            client: request.client.clone(),
            build: request.build.clone(),
            ..Asked::default()
        }
    }

    fn request(&self) -> Result<RunRequest, Fault> {
        let number = |text: &str, what: &str| match text.trim() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| Fault::Bad(format!("{what}: {text:?} is no whole number"))),
        };
        Ok(RunRequest {
            // Forms break lines in two characters.
            plan: self.plan.replace("\r\n", "\n"),
            target: Some(self.target.trim().to_owned()).filter(|target| !target.is_empty()),
            runner: match self.runner.as_str() {
                "lambda" => RunnerChoice::Lambda,
                "fargate" => RunnerChoice::Fargate,
                "local" => RunnerChoice::Local,
                _ => RunnerChoice::Auto,
            },
            workers: number(&self.workers, "workers")?,
            players_per_worker: number(&self.players_per_worker, "players a worker")?,
            client: self.client.trim().to_owned(),
            build: self.build.trim().to_owned(),
            ..RunRequest::default()
        })
    }
}

/// What a request is known by.
fn digest_of(request: &RunRequest) -> String {
    let text = serde_json::to_vec(request).unwrap_or_default();
    digest::digest(&digest::SHA256, &text).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct From {
    from: String,
    plan: String,
}

/// The form; filled with what an earlier run asked for, or with a plan of the service, if one is named.
pub(super) async fn form(
    State(front): State<Front>,
    Launcher(visitor): Launcher,
    Query(From { from, plan }): Query<From>,
) -> Result<Response, Sorry> {
    let service = &*front.service;
    let offer = Offer::of(service).await?;
    let asked = match u64::from_str_radix(&from, 16).ok().filter(|_| from.len() == 16) {
        Some(run) => Asked::of(&service.show(RunId(run)).await?.request),
        None if from.is_empty() && plan.is_empty() => Asked::default(),
        None if from.is_empty() => Asked { plan: offer.plan(&plan)?.to_owned(), ..Asked::default() },
        None => return Err(Sorry(Fault::Missing("the run whose plan was asked for is none".into()))),
    };
    let body = body(&asked, &offer.shown(service.now_ms(), &plan), html! {});
    Ok(shown(&visitor, "Launch", "/launch", &[], body))
}

/// Estimates, or launches what was estimated.
pub(super) async fn act(
    State(front): State<Front>,
    Actor(visitor): Actor,
    Form(asked): Form<Asked>,
) -> Result<Response, Sorry> {
    let service = &*front.service;
    let request = match asked.request() {
        Ok(request) => request,
        Err(fault) => return again(service, &visitor, &asked, &fault).await,
    };
    let digest = digest_of(&request);
    let changed = asked.act == "launch" && asked.seen != digest;
    if asked.act == "launch" && !changed {
        let request = RunRequest { once: asked.once.clone(), ..request };
        return match service.launch(request, &visitor.known.caller).await {
            Ok(record) => Ok(Redirect::to(&format!("/runs/{}", record.id)).into_response()),
            Err(fault) => again(service, &visitor, &asked, &fault).await,
        };
    }
    match service.estimate(request, &visitor.known.caller).await {
        Ok(estimate) => {
            let said = estimated(&estimate, &digest, changed);
            let offer = Offer::of(service).await?;
            let body = body(&asked, &offer.shown(service.now_ms(), ""), said);
            Ok(shown(&visitor, "Launch", "/launch", &[], body))
        }
        Err(fault) => again(service, &visitor, &asked, &fault).await,
    }
}

/// The form as it was filled, with what is wrong.
async fn again(service: &dyn Service, visitor: &Visitor, asked: &Asked, fault: &Fault) -> Result<Response, Sorry> {
    let said = fault.body();
    let said = html! {
        section class="sorry" role="alert" id="refused" {
            // A plan's faults are shown at their lines.
            pre { (said.error) }
            @if let Some(rule) = said.rule { p { "The rule: " b { (rule) } } }
            @if let Some(help) = said.help { p class="note" { (help) } }
        }
    };
    let offer = Offer::of(service).await?;
    let body = body(asked, &offer.shown(service.now_ms(), ""), said);
    let status: StatusCode = fault.status();
    Ok(frame(Some(visitor), Page { title: "Launch", here: "/launch", scripts: &[], body }, status))
}

/// The form, with what was said of it below.
fn body(asked: &Asked, offer: &Markup, said: Markup) -> Markup {
    let homes = [("auto", "wherever fits"), ("local", "this machine"), ("lambda", "Lambda"), ("fargate", "Fargate")];
    html! {
        h1 { "Launch a run" }
        (offer)
        form method="post" action="/launch#said" class="launch" {
            div class="asked" { label { "The plan, in TOML" textarea name="plan" required spellcheck="false" placeholder=(EXAMPLE) { (asked.plan) } }
            div class="pair" {
                label { "Server, in place of the plan's" input type="text" name="target" value=(asked.target); }
                label { "Build of the server" input type="text" name="build" value=(asked.build); }
                label { "Client that must play it" input type="text" name="client" value=(asked.client); }
                label { "Workers run on" select name="runner" {
                    @for (value, name) in homes { option value=(value) selected[asked.runner == value] { (name) } }
                } }
                label { "Workers" input type="number" name="workers" min="1" value=(asked.workers) placeholder="as many as are needed"; }
                label { "Players a worker" input type="number" name="players_per_worker" min="1" value=(asked.players_per_worker) placeholder="as is usual"; }
            }
            div { button type="submit" name="act" value="estimate" { "What would it take?" } } }
            div id="said" { (said) }
        }
    }
}

/// What it would take, and the button, if nothing refuses it.
fn estimated(estimate: &Estimate, digest: &str, changed: bool) -> Markup {
    let once = format!("page-{:016x}{:016x}", rand::rng().next_u64(), rand::rng().next_u64());
    let dollars = &estimate.dollars;
    html! {
        section id="estimate" aria-label="Estimate" {
            h2 { "What it would take" }
            @if changed { p role="alert" class="missed" { "The request is not the one that was estimated. This is what it would take now." } }
            dl class="facts" {
                div { dt { "Players" } dd { (format::count(estimate.players)) " at once, " (format::count(estimate.players_per_worker)) " a worker" } }
                div { dt { "Workers" } dd { (estimate.workers) " on " (estimate.home)
                    @if estimate.generations > 1 { ", " (estimate.generations) " one after another" } } }
                div { dt { "Lasts" } dd { (format::micros(estimate.seconds * 1e6)) ", after " (format::micros(estimate.launch_s * 1e6)) " to start" } }
                div { dt { "Costs" } dd { (format!("${:.2} to ${:.2}", dollars.low, dollars.high)) " " span class="note" { (dollars.prices) } } }
            }
            @if !dollars.lines.is_empty() { details { summary { "How that is reckoned" } div class="scroll" { table {
                thead { tr { th { "For" } th { "Reckoned as" } th class="n" { "at least" } th class="n" { "at most" } } }
                tbody { @for line in &dollars.lines { tr { td { (line.what) } td { (line.formula) }
                    td class="n" { (format!("${:.4}", line.low)) } td class="n" { (format!("${:.4}", line.high)) } } } }
            } } } }
            h3 { "Quotas" }
            div class="scroll" { table {
                thead { tr { th { "Quota" } th class="n" { "needed" } th class="n" { "there are" } th { "" } } }
                tbody { @for need in &estimate.quotas {
                    @let short = need.have.is_some_and(|have| need.need > have);
                    tr { td { (need.name) } td class="n" { (format::count(need.need)) }
                        td class="n" { @match need.have { Some(have) => (format::count(have)), None => "not known" } }
                        td { @if short { span class="missed" { "✗ too small: " } (need.raise) } @else { span class="met" { "✓" } } } }
                } }
            } }
            @if !estimate.warnings.is_empty() { h3 { "To know" } ul { @for warning in &estimate.warnings { li { (format::fit(warning, MAX_TEXT)) } } } }
            h3 { "Guard-rails" }
            @if !estimate.rails.is_empty() { div class="scroll" { table id="rails" {
                thead { tr { th { "Rule" } th { "Allows" } th { "" } } }
                tbody { @for rail in &estimate.rails {
                    @let refuses = estimate.refusals.iter().any(|refusal| refusal.rule == rail.rule);
                    tr { td { (rail.rule) } td { (format::fit(&rail.allows, MAX_TEXT)) }
                        td { @if refuses { span class="missed" { "✗ refuses it" } } @else { span class="met" { "✓" } } } }
                } }
            } } }
            @if estimate.refusals.is_empty() {
                p class="met" { "✓ All of them allow it." }
                input type="hidden" name="seen" value=(digest);
                input type="hidden" name="once" value=(once);
                button type="submit" name="act" value="launch" id="launch" { "Launch it" }
            } @else {
                ul class="refusals" { @for refusal in &estimate.refusals { li { b class="missed" { "✗ " (refusal.rule) } ": " (format::fit(&refusal.why, MAX_TEXT)) } } }
                button type="submit" disabled id="launch" { "Launch it" }
            }
        }
    }
}
