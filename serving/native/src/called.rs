//! A model that Python computes: the lane gives it rows, and takes what Python makes of them. Of some models there are
//! instructions for most rows, and Python is asked about the others.
//!
//! The interpreter is held for the call of the model alone. A thread never takes it while it holds a lock that anybody
//! waits for, as Python does so while it holds the interpreter.

use std::io;
use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::answer::Values;
use crate::compute::{Compute, Pace, Take};
use crate::instructions::Runner;
use crate::lane::{Job, locked};

const SIZE: usize = size_of::<f64>();

/// A Python function from the bytes of rows to the bytes of their values, or to `None` for what Python shall answer.
pub struct Called {
    /// Instructions that compute some rows in Python's place, where there are any.
    pub natively: Option<Runner>,
    pub ask: Py<PyAny>,
    pub columns: usize,
    /// Whether values are whole numbers.
    pub integers: bool,
}

impl Called {
    /// The bytes that Python answers with; whatever it raises is nobody's, as Python asks again and tells it then.
    fn bytes(&self, rows: &[f64]) -> Option<Vec<u8>> {
        Python::try_attach(|py| {
            let given = PyBytes::new_with(py, rows.len() * SIZE, |bytes| {
                for (place, value) in bytes.chunks_exact_mut(SIZE).zip(rows) {
                    place.copy_from_slice(&value.to_ne_bytes());
                }
                Ok(())
            });
            let answer = self.ask.bind(py).call1((given.ok()?,)).ok()?;
            Some(answer.cast::<PyBytes>().ok()?.as_bytes().to_vec())
        })?
    }
}

impl Compute for Called {
    fn by(&self) -> &'static str {
        if self.natively.is_some() { "instructions and python" } else { "python" }
    }

    /// The interpreter may be anybody's.
    fn pace(&self) -> Pace {
        Pace::Waits
    }

    fn compute(&mut self, rows: &[f64], take: &mut Take<'_>) {
        if let Some(runner) = &mut self.natively {
            let mut taken = false;
            runner.compute(rows, &mut |values, each| {
                taken = true;
                take(values, each);
            });
            if taken {
                return;
            }
        }
        let count = rows.len() / self.columns;
        let Some(bytes) = self.bytes(rows) else { return };
        if !bytes.len().is_multiple_of(count * SIZE) {
            return;
        }
        let each = bytes.len() / (count * SIZE);
        let (numbers, _) = bytes.as_chunks::<SIZE>();
        if self.integers {
            let found: Vec<i64> = numbers.iter().map(|number| i64::from_ne_bytes(*number)).collect();
            take(&Values::Integers(&found), each);
        } else {
            let found: Vec<f64> = numbers.iter().map(|number| f64::from_ne_bytes(*number)).collect();
            take(&Values::Doubles(&found), each);
        }
    }
}

/// What a thread of Python's does for the lane. It holds the interpreter only where the job takes it.
#[pyclass(frozen)]
pub struct Work(Mutex<Option<Job>>);

#[pymethods]
impl Work {
    fn __call__(&self, py: Python<'_>) {
        let job = locked(&self.0).take();
        if let Some(job) = job {
            py.detach(job);
        }
    }
}

/// Start a thread by a Python function that is given its name and what it does: a thread of Python's own, so that a model
/// finds there what it finds on every other, its stack and what is local to a thread.
pub fn start(starter: &Py<PyAny>, name: String, job: Job) -> io::Result<()> {
    Python::attach(|py| starter.bind(py).call1((name, Work(Mutex::new(Some(job))))).map(drop)).map_err(io::Error::other)
}
