//! A classifier by nearest neighbours, as Python gives it: what is done to each column, and the points that vote.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::answer::Values;
use crate::compute::Compute;
use crate::instructions::{Binary, Instruction, Operand, Operation, Program, Runner};
use crate::nearest::Nearest;

/// What a program of instructions computes of it: the position of each row's label. Threads share it.
#[pyclass(frozen)]
pub struct Neighbours(Arc<Program>);

impl Neighbours {
    pub fn runner(&self) -> Runner {
        Runner::new(Arc::clone(&self.0))
    }

    /// Numbers of a row.
    pub fn columns(&self) -> usize {
        self.0.columns
    }
}

#[pymethods]
impl Neighbours {
    /// Operators ("add", "subtract", "multiply", "divide"), each with a number for every column, in turn; the bytes of
    /// points of float64 and of their classes, a byte each; the number of columns, of neighbours and of classes. Raises
    /// `ValueError` where these do not fit each other.
    #[new]
    #[allow(clippy::needless_pass_by_value)] // as pyo3 gives arguments
    fn new(
        steps: Vec<(String, Vec<f64>)>,
        points: &[u8],
        classes: &[u8],
        columns: usize,
        neighbours: usize,
        voted: usize,
    ) -> PyResult<Self> {
        let program = program(&steps, &doubles(points), classes, columns, neighbours, voted);
        let program = program.ok_or_else(|| PyValueError::new_err("these are no neighbours that vote"))?;
        Ok(Self(Arc::new(program)))
    }

    /// From the bytes of float64 rows to those of int64 positions of their labels, or `None` for what is in doubt.
    fn positions(&self, py: Python<'_>, rows: &[u8]) -> Option<Py<PyBytes>> {
        let mut found = None;
        self.runner().compute(&doubles(rows), &mut |values, _| {
            if let Values::Integers(positions) = values {
                let bytes: Vec<u8> = positions.iter().flat_map(|position| position.to_ne_bytes()).collect();
                found = Some(PyBytes::new(py, &bytes).unbind());
            }
        });
        found
    }
}

fn doubles(bytes: &[u8]) -> Vec<f64> {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().map(|number| f64::from_ne_bytes(*number)).collect()
}

fn program(
    steps: &[(String, Vec<f64>)],
    points: &[f64],
    classes: &[u8],
    columns: usize,
    neighbours: usize,
    voted: usize,
) -> Option<Program> {
    let nearest = Nearest::new(points, classes, columns, neighbours, voted)?;
    let mut operations = Vec::new();
    for (from, (operator, numbers)) in steps.iter().enumerate() {
        let operator = match operator.as_str() {
            "add" => Binary::Add,
            "subtract" => Binary::Subtract,
            "multiply" => Binary::Multiply,
            "divide" => Binary::Divide,
            _ => return None,
        };
        if numbers.len() != columns {
            return None;
        }
        let (left, right) = (Operand::Register(from), Operand::Same(numbers.as_slice().into()));
        operations.push(Operation::Two { operator, left, right, width: columns });
    }
    operations.push(Operation::Votes(Arc::new(nearest), operations.len()));
    operations.push(Operation::Greatest { from: operations.len(), width: voted });
    let output = operations.len();
    let instructions = (1..).zip(operations).map(|(to, operation)| Instruction { operation, to }).collect();
    Some(Program { instructions, registers: output + 1, columns, output, width: 1, integers: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(some: &[(&str, &[f64])]) -> Vec<(String, Vec<f64>)> {
        some.iter().map(|(operator, numbers)| ((*operator).to_owned(), numbers.to_vec())).collect()
    }

    #[test]
    fn a_row_is_changed_column_by_column_before_its_neighbours_vote() {
        let steps = steps(&[("subtract", &[10.0, 0.0]), ("divide", &[2.0, 4.0])]);
        let made = program(&steps, &[0.0, 0.0, 1.0, 1.0], &[1, 0], 2, 1, 2).expect("a program");
        let mut found = Vec::new();
        Runner::new(Arc::new(made)).compute(&[10.5, 0.5, 12.0, 4.0], &mut |values, each| {
            assert_eq!(each, 1);
            if let Values::Integers(positions) = values {
                found.extend_from_slice(positions);
            }
        });
        assert_eq!(found, [1, 0]);
    }

    #[test]
    fn what_is_no_such_classifier_is_no_program() {
        let is_made = |some: &[(&str, &[f64])], classes: &[u8]| {
            program(&steps(some), &[0.0, 0.0, 1.0, 1.0], classes, 2, 1, 2).is_some()
        };
        assert!(is_made(&[("add", &[1.0, 2.0]), ("multiply", &[1.0, 2.0])], &[0, 1]));
        assert!(!is_made(&[("power", &[1.0, 2.0])], &[0, 1]), "no operator");
        assert!(!is_made(&[("add", &[1.0])], &[0, 1]), "a column without its number");
        assert!(!is_made(&[], &[0, 2]), "a class that is not there");
    }
}
