//! What computes a model's output, whichever way.

use crate::answer::Values;

/// Given the values of some rows, and the number of them in each row.
pub type Take<'a> = dyn FnMut(&Values<'_>, usize) + 'a;

/// How long a call of a model takes.
#[derive(Clone, Copy, PartialEq)]
pub enum Pace {
    /// As long for each row, however many come together.
    ByRow,
    /// Something for the call, too: rows that come together take less.
    ByCall,
    /// Nobody knows: it may have to wait for what somebody else has, so nobody shall wait for it.
    Waits,
}

/// A model that is ready to compute, on the thread that asks it.
pub trait Compute: Send {
    /// What it is that computes.
    fn by(&self) -> &'static str;

    /// How long its calls take; of those that do the same, the same.
    fn pace(&self) -> Pace;

    /// Compute rows of doubles, one after the other, and give the output's values to `take`; where that fails, `take` is
    /// not called, and the rows are left to Python.
    fn compute(&mut self, rows: &[f64], take: &mut Take<'_>);
}
