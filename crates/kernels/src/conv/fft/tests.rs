//! Squares of every kernel size, and the cut of the work.

use super::*;
