//! One row of a table.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// A row of a [`Table`](super::Table): texts by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<'t> {
    pub(super) fields: Vec<(Cow<'t, str>, Cow<'t, str>)>,
}

impl Row<'_> {
    /// The text of a column; none if there is no such column.
    ///
    /// Of JSON lines, numbers and the like are given as they are written, and `null` counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(column, _)| *column == name).map(|(_, value)| value)
    }

    /// The text of the first column: of JSON lines, whose keys have no order, the first by name.
    pub fn first(&self) -> Option<&str> {
        self.iter().next().map(|(_, value)| value)
    }

    /// The columns and their texts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The columns and their texts, by name.
    pub fn as_map(&self) -> BTreeMap<&str, &str> {
        self.iter().collect()
    }
}
