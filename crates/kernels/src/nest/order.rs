//! The order of a nest's loops, and the rules that make it legal.

use std::fmt::{self, Display};
use std::str::FromStr;

use super::{Kind, MOST, Stage};

/// Which loop stands inside which, and where operands are packed: outermost first. What exists is legal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Order<S> {
    stages: [S; MOST],
    len: usize,
}

/// Why stages are no order.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// A name that no stage of the family has.
    #[error("there is no '{name}' in an order of {known}")]
    Unknown {
        /// The name.
        name: String,
        /// The default order.
        known: String,
    },
    /// A stage is missing, or there too often.
    #[error("the number of '{stage}' is {got}, not {want}")]
    Count {
        /// The stage.
        stage: &'static str,
        /// How often it is there.
        got: usize,
        /// How often it has to be.
        want: usize,
    },
    /// An operand is packed before the loop that fixes what is packed.
    #[error("'{pack}' has to be inside of '{of}', which fixes what is packed")]
    Outside {
        /// The packing.
        pack: &'static str,
        /// The loop.
        of: &'static str,
    },
    /// An operand is packed inside of a loop that needs it whole.
    #[error("'{pack}' has to be outside of '{of}', whose rounds share what is packed")]
    Inside {
        /// The packing.
        pack: &'static str,
        /// The loop.
        of: &'static str,
    },
    /// Nothing is inside of the packing of an operand.
    #[error("nothing is inside of '{pack}': the innermost stage is a loop over outputs")]
    Innermost {
        /// The packing.
        pack: &'static str,
    },
}

impl<S: Stage> Default for Order<S> {
    fn default() -> Self {
        Order::of(S::DEFAULT)
    }
}

impl<S: Stage> Order<S> {
    /// The order of some stages. An operand whose packing is left out is packed as far out as the rules allow.
    ///
    /// # Errors
    /// The rule that they break.
    pub fn new(stages: &[S]) -> Result<Self, OrderError> {
        for &stage in S::DEFAULT {
            let [got, want] = [stages, S::DEFAULT].map(|all| all.iter().filter(|&&other| other == stage).count());
            let optional = stage.kind().axis().is_none();
            if got > want || (got < want && !optional) {
                return Err(OrderError::Count { stage: stage.name(), got, want });
            }
        }
        let mut all = stages.to_vec();
        // From the last on: of two that belong to one place, the first then comes first.
        for &stage in S::DEFAULT.iter().rev() {
            if let (Kind::Pack { inside, .. }, false) = (stage.kind(), all.contains(&stage)) {
                let behind = |of: &S| all.iter().position(|other| other == of).map_or(0, |at| at + 1);
                all.insert(inside.iter().map(behind).max().unwrap_or(0), stage);
            }
        }
        for (at, stage) in all.iter().enumerate() {
            let Kind::Pack { inside, outside } = stage.kind() else { continue };
            let pack = stage.name();
            if let Some(of) = inside.iter().find(|of| !all[..at].contains(of)) {
                return Err(OrderError::Outside { pack, of: of.name() });
            }
            if let Some(of) = outside.iter().find(|of| all[..at].contains(of)) {
                return Err(OrderError::Inside { pack, of: of.name() });
            }
            if at + 1 == all.len() {
                return Err(OrderError::Innermost { pack });
            }
        }
        Ok(Order::of(&all))
    }

    /// The order of stages that are known to be legal and complete.
    pub(crate) fn of(stages: &[S]) -> Self {
        let filled = std::array::from_fn(|i| stages.get(i).copied().unwrap_or(S::DEFAULT[0]));
        Order { stages: filled, len: stages.len() }
    }

    /// The stages, outermost first.
    pub fn stages(&self) -> &[S] {
        &self.stages[..self.len]
    }
}

/// The names of the stages; packing is left out where it is as far out as it can be.
impl<S: Stage> Display for Order<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let loops: Vec<S> = self.stages().iter().copied().filter(|stage| stage.kind().axis().is_some()).collect();
        let told = if Order::new(&loops).as_ref() == Ok(self) { &loops } else { self.stages() };
        f.write_str(&told.iter().map(|stage| stage.name()).collect::<Vec<_>>().join(","))
    }
}

impl<S: Stage> fmt::Debug for Order<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<S: Stage> FromStr for Order<S> {
    type Err = OrderError;

    fn from_str(text: &str) -> Result<Self, OrderError> {
        let named = |name: &str| {
            let stage = S::DEFAULT.iter().copied().find(|stage| stage.name() == name);
            stage.ok_or_else(|| OrderError::Unknown { name: name.to_owned(), known: Order::<S>::default().to_string() })
        };
        Order::new(&text.split(',').map(named).collect::<Result<Vec<S>, _>>()?)
    }
}
