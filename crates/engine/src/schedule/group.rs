//! Groups of steps: which neighbours take turns. Values of a schedule as choices are, one layer a line of its text.

use std::fmt;
use std::str::FromStr;

/// How the step of a layer stands with its neighbours, where that is not left to the plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// It takes turns with the step behind it, and this with the next where that is said of it, too: so many output rows of
    /// the last of them at a time, or as many as the caches keep.
    Turns(Option<usize>),
    /// All cores compute all of it at once: it takes no turns and runs beside no other.
    Whole,
}

impl Group {
    /// With another number of rows in a turn, where it has one.
    pub(super) fn scaled(self, rows: impl FnOnce(usize) -> usize) -> Self {
        match self {
            Group::Turns(Some(number)) => Group::Turns(Some(rows(number))),
            Group::Turns(None) | Group::Whole => self,
        }
    }
}

/// `turns`, `turns rows=28`, `whole`.
impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Group::Turns(None) => f.write_str("turns"),
            Group::Turns(Some(rows)) => write!(f, "turns rows={rows}"),
            Group::Whole => f.write_str("whole"),
        }
    }
}

impl FromStr for Group {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            ["turns"] => Ok(Group::Turns(None)),
            ["whole"] => Ok(Group::Whole),
            ["turns", rows] => {
                let rows = rows.strip_prefix("rows=").and_then(|rows| rows.parse().ok()).filter(|&rows| rows > 0);
                rows.map(|rows| Group::Turns(Some(rows))).ok_or_else(|| "turns takes rows=, at least 1".to_owned())
            }
            _ => Err(format!("'{text}' is neither turns nor whole")),
        }
    }
}
