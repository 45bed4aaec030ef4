//! What computes a model's output, whichever way.

use crate::answer::Values;

/// Given the values of some rows, and the number of them in each row.
pub type Take<'a> = dyn FnMut(&Values<'_>, usize) + 'a;

/// A model that is ready to compute, on the thread that asks it.
pub trait Compute: Send {
    /// What it is that computes.
    fn by(&self) -> &'static str;

    /// Whether it waits for nothing that anybody else has, so that others may wait for it.
    fn never_waits(&self) -> bool {
        true
    }

    /// Compute rows of doubles, one after the other, and give the output's values to `take`; where that fails, `take` is
    /// not called, and the rows are left to Python.
    fn compute(&mut self, rows: &[f64], take: &mut Take<'_>);
}
