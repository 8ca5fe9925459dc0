//! Names: which value a name of the model means, in the graph or in a branch inside it.

use std::collections::HashMap;

use tilewise_graph::{ValueId, ValueType};

use super::error::ImportError;

/// The names of a graph and of the branches that are being read inside it, innermost last.
#[derive(Default)]
pub(crate) struct Scopes(Vec<Scope>);

#[derive(Default)]
struct Scope {
    values: HashMap<String, ValueId>,
    types: HashMap<String, ValueType>,
}

impl Scopes {
    /// Opens the scope of a graph whose value annotations are `types`.
    pub(crate) fn open(&mut self, types: HashMap<String, ValueType>) {
        self.0.push(Scope { values: HashMap::new(), types });
    }

    /// Closes the innermost scope.
    pub(crate) fn close(&mut self) {
        self.0.pop();
    }

    /// Gives a name of the innermost scope its value.
    ///
    /// # Errors
    /// [`ImportError::Value`] for an empty name and for one that has a value.
    pub(crate) fn define(&mut self, name: &str, id: ValueId) -> Result<(), ImportError> {
        if name.is_empty() {
            return Err(ImportError::value(name, "has no name"));
        }
        let twice = self.0.last_mut().is_some_and(|scope| scope.values.insert(name.to_owned(), id).is_some());
        if twice { Err(ImportError::value(name, "is defined twice")) } else { Ok(()) }
    }

    /// The value of a name, looked up from the inside out.
    pub(crate) fn get(&self, name: &str) -> Option<ValueId> {
        self.0.iter().rev().find_map(|scope| scope.values.get(name).copied())
    }

    /// The annotated type of a name of the innermost scope.
    pub(crate) fn annotation(&self, name: &str) -> Option<&ValueType> {
        self.0.last()?.types.get(name)
    }
}
