//! `name{label=value}` -> a name and labels that other systems allow.
//!
//! All names begin with `loadkit.`: the kit's own as they are, connections' as `loadkit.net.…`, a game's own as
//! `loadkit.game.…`. **A part never shares a name with its whole**: `net.rtt{protocol=rudp}` is `loadkit.net.rtt.by_protocol`
//! with the label `protocol`, so that whoever adds up all that has a name counts nothing twice.

/// A metric's name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name<'a> {
    /// Without its labels.
    pub(crate) base: &'a str,
    /// Labels and their values, as they stand.
    pub(crate) labels: Vec<(&'a str, &'a str)>,
}

impl<'a> Name<'a> {
    /// Takes a name apart. What only looks like labels belongs to the name.
    pub(crate) fn parse(text: &'a str) -> Name<'a> {
        let whole = Name { base: text, labels: Vec::new() };
        let Some((base, rest)) = text.split_once('{') else { return whole };
        let Some(labels) = rest.strip_suffix('}') else { return whole };
        let labels: Option<Vec<_>> = labels.split(',').map(|label| label.split_once('=')).collect();
        match labels {
            Some(labels) if !base.is_empty() && labels.iter().all(|(key, _)| !key.is_empty()) => Name { base, labels },
            _ => whole,
        }
    }

    /// The dotted name, of letters, digits, dots and underscores: `loadkit.net.rtt`, `loadkit.net.rtt.by_protocol`.
    pub(crate) fn dotted(&self) -> String {
        let mut dotted = if self.base.starts_with("loadkit.") {
            clean(self.base)
        } else if self.base.starts_with("net.") {
            format!("loadkit.{}", clean(self.base))
        } else {
            format!("loadkit.game.{}", clean(self.base))
        };
        dotted.push_str(&self.by());
        dotted
    }

    /// The dotted name of one of a step's figures: `loadkit.step.response`, `loadkit.step.response.by_persona`.
    pub(crate) fn of_step(&self, figure: &str) -> String {
        format!("loadkit.step.{figure}{}", self.by())
    }

    /// The labels with keys that all systems allow, each key once: of two that are the same then, the first stands.
    pub(crate) fn legal_labels(&self) -> Vec<(String, &'a str)> {
        let mut labels: Vec<(String, &str)> = Vec::new();
        for (key, value) in &self.labels {
            let key = label_key(key);
            if labels.iter().all(|(known, _)| *known != key) {
                labels.push((key, value));
            }
        }
        labels
    }

    /// The dotted name of a step's failures by their kind: `loadkit.step.failed.by_kind`.
    pub(crate) fn of_failures(&self) -> String {
        let by = self.by();
        if by.is_empty() { "loadkit.step.failed.by_kind".into() } else { format!("loadkit.step.failed{by}_kind") }
    }

    /// What the name of a part ends with: `.by_protocol`.
    fn by(&self) -> String {
        let keys: Vec<String> = self.labels.iter().map(|(key, _)| clean(key).replace('.', "_")).collect();
        if keys.is_empty() { String::new() } else { format!(".by_{}", keys.join("_")) }
    }
}

/// Labels that the sinks set themselves.
const OWN_LABELS: [&str; 6] = ["step", "kind", "le", "run", "scenario", "quantile"];

/// A label's key, of letters, digits and underscores, that is none of the sinks' own.
fn label_key(key: &str) -> String {
    let key = clean(key).replace('.', "_");
    let is_fine = key.starts_with(|c: char| c.is_ascii_alphabetic()) && !OWN_LABELS.contains(&key.as_str());
    if is_fine { key } else { format!("label_{key}") }
}

/// The text with `_` in place of all but ASCII letters, digits, dots and underscores.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '_' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dotted(text: &str) -> String {
        Name::parse(text).dotted()
    }

    #[test]
    fn names_have_their_place() {
        assert_eq!(dotted("loadkit.tick_lag"), "loadkit.tick_lag");
        assert_eq!(dotted("net.packets_sent"), "loadkit.net.packets_sent");
        assert_eq!(dotted("steps walked"), "loadkit.game.steps_walked");
        assert_eq!(dotted("größe"), "loadkit.game.gr__e");
    }

    #[test]
    fn parts_have_names_of_their_own_and_labels() {
        assert_eq!(dotted("net.rtt{protocol=rudp}"), "loadkit.net.rtt.by_protocol");
        let name = Name::parse("login{persona=a whale=b}");
        assert_eq!((name.base, name.labels.as_slice()), ("login", [("persona", "a whale=b")].as_slice()));
        assert_eq!(name.of_step("response"), "loadkit.step.response.by_persona");
        assert_eq!(name.of_failures(), "loadkit.step.failed.by_persona_kind");
        let whole = Name::parse("login");
        assert_eq!(
            (whole.of_step("response"), whole.of_failures()),
            ("loadkit.step.response".into(), "loadkit.step.failed.by_kind".into())
        );
        assert_eq!(dotted("x{a=1,b.c=2}"), "loadkit.game.x.by_a_b_c");
    }

    #[test]
    fn keys_of_labels_are_none_of_the_sinks_own() {
        for (key, is) in
            [("persona", "persona"), ("a.b", "a_b"), ("step", "label_step"), ("__x", "label___x"), ("1", "label_1")]
        {
            assert_eq!(label_key(key), is);
        }
    }

    #[test]
    fn what_only_looks_like_labels_belongs_to_the_name() {
        for text in ["a{b", "a{}", "a{b}", "{a=b}", "a{=b}", "a{b=c}d", ""] {
            assert_eq!(Name::parse(text), Name { base: text, labels: Vec::new() }, "{text}");
        }
        assert_eq!(dotted("a{b}"), "loadkit.game.a_b_");
    }
}
