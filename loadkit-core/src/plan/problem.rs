//! What is wrong with a plan, or another file in TOML, shown where it stands.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// More problems than these are counted but not shown.
const MAX_SHOWN: usize = 20;

/// Why there is no such plan: everything that was found wrong, at least one problem.
///
/// Its text shows each problem with the line it is in and a caret under the fault, without colours.
#[derive(Clone, Debug)]
pub struct PlanError {
    source: Option<Source>,
    problems: Vec<Problem>,
}

/// The text that the spans of problems point into.
#[derive(Clone, Debug)]
struct Source {
    name: Arc<str>,
    text: Arc<str>,
}

/// One thing that is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub(super) message: String,
    /// Bytes of the plan's text.
    pub(super) span: Option<Range<usize>>,
    pub(super) line: Option<usize>,
    pub(super) help: Option<String>,
}

impl PlanError {
    /// Problems of a plan without a text.
    pub(crate) fn of(problems: Vec<Problem>) -> PlanError {
        PlanError { source: None, problems }
    }

    /// Problems of a text, at least one; `name` is the text's name.
    pub fn in_text(mut problems: Vec<Problem>, name: &str, text: &str) -> PlanError {
        problems.sort_by_key(|problem| problem.span.as_ref().map_or(usize::MAX, |span| span.start));
        for problem in &mut problems {
            let start = problem.span.as_ref().map(|span| span.start);
            problem.line = start.map(|start| text.bytes().take(start).filter(|b| *b == b'\n').count() + 1);
        }
        PlanError { source: Some(Source { name: name.into(), text: text.into() }), problems }
    }

    /// Everything that is wrong, from the top of the plan.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl Problem {
    /// What is wrong, and at which bytes of the text.
    pub fn new(message: impl Into<String>, span: Option<Range<usize>>) -> Problem {
        Problem { message: message.into(), span, line: None, help: None }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The line of the plan's text, from 1, if it has one.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// What to do about it, where there is something to say.
    pub fn advice(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().take(MAX_SHOWN).enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            let place = self.source.as_ref().zip(problem.span.clone());
            let place = place.map(|(source, span)| (Some(&*source.name), &*source.text, span));
            f.write_str(&render(&problem.message, place, problem.help.as_deref()))?;
        }
        match self.problems.len().saturating_sub(MAX_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n\nand {more} more"),
        }
    }
}

impl Error for PlanError {}

/// A message with its place (a name, a text, bytes of it), as plain text.
pub(crate) fn render(message: &str, place: Option<(Option<&str>, &str, Range<usize>)>, help: Option<&str>) -> String {
    let Some((name, text, span)) = place else {
        let help = help.map(|help| format!("\n  = help: {help}"));
        return format!("error: {message}{}", help.unwrap_or_default());
    };
    let annotation = AnnotationKind::Primary.span(inside(text, span));
    let snippet = Snippet::source(text).path(name).annotation(annotation);
    let mut group = Level::ERROR.primary_title(message).element(snippet);
    if let Some(help) = help {
        group = group.element(Level::HELP.message(help));
    }
    Renderer::plain().render(&[group])
}

/// A span that lies inside the text, whatever is asked for: the renderer takes no other.
fn inside(text: &str, span: Range<usize>) -> Range<usize> {
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = span.end.clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}
