//! A compiled model in ONNX Runtime: rows of doubles in, one output out.

use ort::environment::Environment;
use ort::ep::CPU;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;

use crate::answer::Values;
use crate::compute::{Compute, Pace, Take};

/// An open graph. It computes on the thread that asks it.
pub struct Graph {
    session: Session,
    columns: usize,
    integers: bool,
}

impl Graph {
    /// Open a graph of one input `[rows, columns]` and one output, of doubles or whole numbers.
    pub fn open(environment: &Environment, content: &[u8], columns: usize, integers: bool) -> ort::Result<Self> {
        let session = Session::builder(environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_deterministic_compute(true)?
            .with_execution_providers([CPU::default().with_arena_allocator(false).build()])?
            .commit_from_memory(content)?;
        Ok(Self { session, columns, integers })
    }

    fn run(&mut self, rows: &[f64], take: &mut Take<'_>) -> ort::Result<()> {
        let count = rows.len() / self.columns;
        let input = TensorRef::from_array_view(([count, self.columns], rows))?;
        let outputs = self.session.run(ort::inputs![input])?;
        let output = &outputs[0];
        if self.integers {
            let (_, found) = output.try_extract_tensor::<i64>()?;
            take(&Values::Integers(found), found.len() / count);
        } else {
            let (_, found) = output.try_extract_tensor::<f64>()?;
            take(&Values::Doubles(found), found.len() / count);
        }
        Ok(())
    }
}

impl Compute for Graph {
    fn by(&self) -> &'static str {
        "onnxruntime"
    }

    fn pace(&self) -> Pace {
        Pace::ByCall
    }

    fn compute(&mut self, rows: &[f64], take: &mut Take<'_>) {
        // An error leaves the rows without an answer, which is what `Compute` promises of it.
        let _ = self.run(rows, take);
    }
}
