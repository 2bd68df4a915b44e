//! Plans to begin with: those of the service's folder, and those of the latest runs.

use loadkit_core::format;
use maud::{Markup, html};

use super::MAX_TEXT;
use crate::api::fault::Fault;
use crate::api::service::{Filter, Service};
use crate::api::web::list::{ago, in_address};
use crate::api::web::run::title;
use crate::plans::{PlanFile, Plans};
use crate::record::RunRecord;

/// Runs that are looked at for plans.
const LOOKED_AT: u32 = 40;
/// At most so many plans of runs are offered.
const MAX_RUNS: usize = 12;
/// The longest name that is shown whole.
const MAX_NAME: usize = 80;

/// What can be begun with.
pub(super) struct Offer {
    plans: Plans,
    /// The latest runs of different plans.
    runs: Vec<RunRecord>,
}

impl Offer {
    pub(super) async fn of(service: &dyn Service) -> Result<Offer, Fault> {
        let plans = service.plans().await?;
        let filter = Filter { limit: Some(LOOKED_AT), ..Filter::default() };
        let mut runs: Vec<RunRecord> = Vec::new();
        for line in service.list(&filter).await?.runs {
            if runs.len() >= MAX_RUNS {
                break;
            }
            let record = service.show(line.id).await?;
            if runs.iter().all(|other| other.request.plan != record.request.plan) {
                runs.push(record);
            }
        }
        Ok(Offer { plans, runs })
    }

    /// The plan of this file.
    pub(super) fn plan(&self, name: &str) -> Result<&str, Fault> {
        let file = self.plans.files.iter().find(|file| file.name == name);
        let cut = format::name(name, MAX_NAME);
        match file.map(|file| &file.plan) {
            Some(Ok(planned)) => Ok(&planned.text),
            Some(Err(why)) => Err(Fault::Bad(format!("the plan {cut} is broken:\n{why}"))),
            None => Err(Fault::Missing(format!("there is no plan {cut} in the service's folder any more"))),
        }
    }

    /// Where to begin. `chosen` is the file that the form is filled from.
    pub(super) fn shown(&self, now_ms: u64, chosen: &str) -> Markup {
        let Plans { files, left_out, trouble } = &self.plans;
        let broken: Vec<(&PlanFile, &String)> =
            files.iter().filter_map(|file| Some((file, file.plan.as_ref().err()?))).collect();
        html! {
            @if !files.is_empty() || trouble.is_some() {
                section id="plans" { h2 { "Begin with a plan of this service" }
                    ul class="files" { @for file in files { @if let Ok(planned) = &file.plan {
                        li { a href=(format!("/launch?plan={}", in_address(&file.name))) aria-current=[(file.name == chosen).then_some("true")] {
                            (format::name(&file.name, MAX_NAME)) } " " span class="note" { (planned.what) } }
                    } } }
                    @for (file, why) in &broken {
                        details class="broken" {
                            summary { span class="missed" { "✗ broken: " } (format::name(&file.name, MAX_NAME)) }
                            // A plan's faults are shown at their lines.
                            pre tabindex="0" { @for line in why.lines().take(100) { (format::fit(line, MAX_TEXT)) "\n" } }
                        }
                    }
                    @if *left_out > 0 { p class="note" { (format::counted(*left_out, "other plan", "other plans")) " of the folder had no room here." } }
                    @if let Some(trouble) = trouble { p class="missed" { (format::fit(trouble, MAX_TEXT)) } }
                }
            }
            @if !self.runs.is_empty() {
                section { h2 { "Begin with a plan of an earlier run" }
                    ul class="files" { @for record in &self.runs {
                        li { a href=(format!("/launch?from={}", record.id)) { (title(record)) } " " span class="note" { (ago(now_ms, record.created_at_ms)) } }
                    } }
                }
            }
        }
    }
}
