//! `Mix`: a scenario of personas whose players are written apart from each other.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::bot::{Bot, Scenario, Seat};
use crate::cx::Cx;
use crate::failure::Result;
use crate::weights::{Weights, WeightsError};

/// A scenario made of personas, each with a bot of its own and a weight.
///
/// ```
/// use loadkit_core::{Bot, Cx, Mix, Result, Scenario};
///
/// struct Casual;
/// struct Trader { gold: u32 }
///
/// impl Bot for Casual {
///     async fn run(&mut self, _: &Cx) -> Result { Ok(()) }
/// }
/// impl Bot for Trader {
///     async fn run(&mut self, _: &Cx) -> Result { self.gold += 1; Ok(()) }
/// }
///
/// let town = Mix::new("town").persona("casual", 9, |_| Casual).persona("trader", 1, |_| Trader { gold: 0 });
/// assert_eq!(town.personas().unwrap().names().nth(1), Some("trader"));
/// ```
///
/// A bot costs one box more than in a scenario of one type. A scenario that needs `setup`, or whose personas are one
/// type of bot, says so itself with [`Scenario::personas`] and [`Seat::persona`].
pub struct Mix {
    name: Cow<'static, str>,
    about: Cow<'static, str>,
    personas: Vec<Persona>,
}

struct Persona {
    name: Arc<str>,
    weight: u32,
    make: Box<dyn Fn(Seat) -> AnyBot + Send + Sync>,
}

impl Mix {
    /// A mix of this name, without personas yet.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Mix {
        Mix { name: name.into(), about: "".into(), personas: Vec::new() }
    }

    /// One line that says what it plays.
    #[must_use]
    pub fn about(mut self, about: impl Into<Cow<'static, str>>) -> Mix {
        self.about = about.into();
        self
    }

    /// Adds a persona: `weight` in the sum of all weights take it. A party takes one persona together.
    #[must_use]
    pub fn persona<B: Bot>(
        mut self,
        name: impl Into<Arc<str>>,
        weight: u32,
        make: impl Fn(Seat) -> B + Send + Sync + 'static,
    ) -> Mix {
        let make = Box::new(move |seat| AnyBot(Box::new(make(seat))));
        self.personas.push(Persona { name: name.into(), weight, make });
        self
    }
}

impl Scenario for Mix {
    type Bot = AnyBot;

    fn bot(&self, seat: Seat) -> AnyBot {
        match self.personas.iter().find(|persona| *persona.name == *seat.persona()).or(self.personas.first()) {
            Some(persona) => (persona.make)(seat),
            None => AnyBot(Box::new(Nobody)),
        }
    }

    fn name(&self) -> Cow<'static, str> {
        self.name.clone()
    }

    fn about(&self) -> Cow<'static, str> {
        self.about.clone()
    }

    fn personas(&self) -> Result<Weights, WeightsError> {
        Weights::new(self.personas.iter().map(|persona| (persona.name.clone(), f64::from(persona.weight))))
    }
}

/// The player of a mix without personas: leaves at once.
struct Nobody;

impl Bot for Nobody {
    async fn run(&mut self, _: &Cx) -> Result {
        Ok(())
    }
}

/// A bot of any type.
pub struct AnyBot(Box<dyn DynBot>);

impl Bot for AnyBot {
    async fn run(&mut self, cx: &Cx) -> Result {
        self.0.run_boxed(cx).await
    }
}

trait DynBot {
    fn run_boxed<'a>(&'a mut self, cx: &'a Cx) -> Pin<Box<dyn Future<Output = Result> + 'a>>;
}

impl<B: Bot> DynBot for B {
    fn run_boxed<'a>(&'a mut self, cx: &'a Cx) -> Pin<Box<dyn Future<Output = Result> + 'a>> {
        Box::pin(self.run(cx))
    }
}
