//! `template + values -> file`: `{{name}}` is replaced by the value of that name.

use std::collections::BTreeMap;

/// The values of the names in templates.
#[derive(Clone, Debug, Default)]
pub(super) struct Values(BTreeMap<&'static str, String>);

impl Values {
    /// Sets a value.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<String>) -> &mut Values {
        self.0.insert(name, value.into());
        self
    }

    /// Fills in a template. A line with nothing but a name becomes as many lines as the value has, with its indentation: none
    /// if it is empty.
    ///
    /// # Errors
    /// When the template has a name without a value: a fault of ours.
    pub(super) fn fill(&self, template: &str) -> Result<String, String> {
        let mut text = String::new();
        for line in template.lines() {
            let bare = line.trim_start();
            let indent = &line[..line.len() - bare.len()];
            let alone = bare.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
            match alone.filter(|name| !name.contains("{{")) {
                Some(name) => {
                    for line in self.get(name)?.lines() {
                        text.push_str(if line.is_empty() { "" } else { indent });
                        text.push_str(line);
                        text.push('\n');
                    }
                }
                None => {
                    self.fill_line(line, &mut text)?;
                    text.push('\n');
                }
            }
        }
        Ok(text)
    }

    fn fill_line(&self, line: &str, text: &mut String) -> Result<(), String> {
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("{{") {
            // Braces of Rust around a name: the innermost two are ours.
            let extra = after.len() - after.trim_start_matches('{').len();
            let (braces, after) = after.split_at(extra);
            let (name, after) = after.split_once("}}").ok_or_else(|| format!("a name has no end in {line:?}"))?;
            text.push_str(before);
            text.push_str(braces);
            text.push_str(self.get(name)?);
            rest = after;
        }
        text.push_str(rest);
        Ok(())
    }

    fn get(&self, name: &str) -> Result<&str, String> {
        self.0.get(name).map(String::as_str).ok_or_else(|| format!("a template asks for {name:?}, which has no value"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_and_lines_of_a_value_are_indented() {
        let mut values = Values::default();
        values.set("a", "one").set("none", "").set("two", "x\n\ny");
        let filled = values.fill("{{a}} and {{a}}\n    {{two}}\n    {{none}}\nuse x::{{{a}}, b};\nend").unwrap();
        assert_eq!(filled, "one and one\n    x\n\n    y\nuse x::{one, b};\nend\n");
        assert!(values.fill("{{b}}").unwrap_err().contains("\"b\""));
    }
}
