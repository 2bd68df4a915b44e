//! Who sends what: as the schema says it, or as it follows from which message answers which.

use std::collections::HashMap;

use crate::schema::{Entry, Faults, place};

/// The table of what clients send.
pub(crate) const FROM_CLIENT: &str = "FromClient";
/// The table of what the server sends.
pub(crate) const FROM_SERVER: &str = "FromServer";

/// Who sends a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sides {
    pub(crate) client: bool,
    pub(crate) server: bool,
}

impl Sides {
    const NOBODY: Sides = Sides { client: false, server: false };
    const CLIENT: Sides = Sides { client: true, server: false };

    /// `lk.Side`.
    pub(crate) fn said(side: i32) -> Sides {
        Sides { client: matches!(side, 1 | 3), server: matches!(side, 2 | 3) }
    }

    fn opposite(self) -> Sides {
        Sides { client: self.server, server: self.client }
    }

    fn and(self, other: Sides) -> Sides {
        Sides { client: self.client | other.client, server: self.server | other.server }
    }

    fn has(self, other: Sides) -> bool {
        self.and(other) == self
    }
}

/// Gives each message with an opcode those who send it.
pub(crate) fn assign(messages: &mut [Entry], faults: &mut Faults) {
    // What is said counts; who asks without a word is a client.
    let said: Vec<Sides> =
        messages.iter().map(|entry| entry.wire.as_ref().map_or(Sides::NOBODY, |w| w.sides)).collect();
    let mut answers: HashMap<String, (Sides, usize)> = HashMap::new();
    let mut errors = Sides::NOBODY;
    for (n, entry) in messages.iter_mut().enumerate() {
        let Some(wire) = &mut entry.wire else { continue };
        if wire.asks && wire.sides == Sides::NOBODY {
            wire.sides = Sides::CLIENT;
        }
        let Some(reply) = &wire.reply else { continue };
        let back = wire.sides.opposite();
        let (sides, _) = answers.entry(reply.full_name().to_owned()).or_insert((Sides::NOBODY, n));
        *sides = sides.and(back);
        errors = errors.and(back);
    }
    for n in 0..messages.len() {
        let name = messages[n].message.full_name().to_owned();
        let answers = answers.get(&name).copied();
        let asks = messages[n].wire.as_ref().is_some_and(|wire| wire.asks);
        let why = answers.map(|(_, asker)| {
            let asker = &messages[asker].message;
            format!("it answers {} ({})", asker.full_name(), place(asker))
        });
        let Some(wire) = &mut messages[n].wire else { continue };
        let needed = answers.map_or(Sides::NOBODY, |(sides, _)| sides);
        let needed = if wire.error && said[n] == Sides::NOBODY { needed.and(errors) } else { needed };
        let fault = match (said[n] == Sides::NOBODY, why) {
            (true, Some(why)) if asks => Some(format!("{why}, and asks itself: say who sends it (`lk.from`)")),
            (true, _) => {
                wire.sides = wire.sides.and(needed);
                let remedy = "add `option (lk.from) = CLIENT` or `SERVER`, or name it as somebody's `reply`";
                (wire.sides == Sides::NOBODY).then(|| format!("nobody sends it; {remedy}"))
            }
            (false, Some(why)) if !said[n].has(needed) => {
                Some(format!("{why}, so it comes from the other side than it says; correct `lk.from`"))
            }
            (false, _) => None,
        };
        if let Some(fault) = fault {
            faults.add(&messages[n].message, fault);
        }
    }
}
