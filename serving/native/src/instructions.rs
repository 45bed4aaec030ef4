//! The exact part of a compiled model, without ONNX Runtime: what compares, moves, rounds and adds, as models of trees do.
//!
//! Each instruction gives the very number that ONNX Runtime gives, which IEEE 754 says for most of them; sums are added in the
//! same order. A model that needs anything else, as an exponential or a product of matrices, is not for this module.

use std::sync::Arc;

use crate::answer::Values;
use crate::compute::{Compute, Pace, Take};
use crate::nearest::Nearest;
use crate::trees::Trees;

/// Numbers of each row: from a register, one row after the other, or the same for all.
#[derive(Clone)]
pub enum Operand {
    Register(usize),
    Same(Arc<[f64]>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Greater,
    GreaterOrEqual,
    Less,
    Equal,
    And,
    Or,
}

/// What is done with one number. Truth is 1 and 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unary {
    /// To single precision.
    Round,
    /// To a whole number, towards zero; nothing where a double has no such number for sure.
    Whole,
    IsMissing,
}

/// Numbers of each row from those before. Widths are numbers of a row.
pub enum Operation {
    One(Unary, usize),
    Two {
        operator: Binary,
        left: Operand,
        right: Operand,
        width: usize,
    },
    Choose {
        condition: Operand,
        yes: Operand,
        no: Operand,
        width: usize,
    },
    Trees(Arc<Trees>, usize),
    /// How many of a row's nearest points are of each class.
    Votes(Arc<Nearest>, usize),
    /// The sum of entries of a table, of `width` numbers each, which are at these positions, `count` of each row.
    Entries {
        table: Arc<[f64]>,
        width: usize,
        positions: usize,
        count: usize,
    },
    /// The first position of the greatest.
    Greatest {
        from: usize,
        width: usize,
    },
    /// Numbers of a row of `width` by their positions.
    Pick {
        from: usize,
        width: usize,
        positions: Vec<usize>,
    },
    Beside(Vec<(Operand, usize)>),
}

/// An operation, and the register that it fills.
pub struct Instruction {
    pub operation: Operation,
    pub to: usize,
}

/// All instructions, from register 0, which holds the rows, to that of the output.
pub struct Program {
    pub instructions: Vec<Instruction>,
    pub registers: usize,
    /// Numbers of a row of the input and of the output.
    pub columns: usize,
    pub output: usize,
    pub width: usize,
    /// Whether the output is whole numbers.
    pub integers: bool,
}

/// A program with registers of its own.
pub struct Runner {
    program: Arc<Program>,
    registers: Vec<Vec<f64>>,
    whole: Vec<i64>,
}

impl Runner {
    pub fn new(program: Arc<Program>) -> Self {
        let registers = vec![Vec::new(); program.registers];
        Self { program, registers, whole: Vec::new() }
    }

    /// `None` where a number is not what an instruction takes.
    fn run(&mut self, rows: &[f64]) -> Option<()> {
        let count = rows.len() / self.program.columns;
        self.registers[0].clear();
        self.registers[0].extend_from_slice(rows);
        for instruction in &self.program.instructions {
            let mut to = std::mem::take(&mut self.registers[instruction.to]);
            let done = instruction.operation.run(&self.registers, count, &mut to);
            self.registers[instruction.to] = to;
            done?;
        }
        Some(())
    }
}

impl Compute for Runner {
    fn by(&self) -> &'static str {
        "instructions"
    }

    fn pace(&self) -> Pace {
        Pace::ByRow
    }

    fn compute(&mut self, rows: &[f64], take: &mut Take<'_>) {
        if self.run(rows).is_none() {
            return;
        }
        let found = &self.registers[self.program.output];
        if self.program.integers {
            self.whole.clear();
            #[allow(clippy::cast_possible_truncation)] // they are whole
            self.whole.extend(found.iter().map(|number| *number as i64));
            take(&Values::Integers(&self.whole), self.program.width);
        } else {
            take(&Values::Doubles(found), self.program.width);
        }
    }
}

impl Operation {
    fn run(&self, registers: &[Vec<f64>], count: usize, to: &mut Vec<f64>) -> Option<()> {
        if let Self::Trees(trees, from) = self {
            trees.sum(&registers[*from], to);
            return Some(());
        }
        to.clear();
        match self {
            Self::One(operator, from) => operator.run(&registers[*from], to)?,
            Self::Two { operator, left, right, width } => {
                for row in 0..count {
                    let (left, right) = (left.row(registers, row, *width), right.row(registers, row, *width));
                    operator.run(left, right, to);
                }
            }
            Self::Choose { condition, yes, no, width } => {
                for row in 0..count {
                    let [condition, yes, no] = [condition, yes, no].map(|from| from.row(registers, row, *width));
                    let choices = condition.iter().zip(yes.iter().zip(no));
                    to.extend(choices.map(|(chosen, (yes, no))| if *chosen == 0.0 { no } else { yes }));
                }
            }
            Self::Entries { table, width, positions, count } => {
                for positions in registers[*positions].chunks_exact(*count) {
                    let at = to.len();
                    to.resize(at + width, 0.0);
                    for position in positions {
                        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                        let entry = *position as usize * width;
                        let entry = table.get(entry..entry + width).filter(|_| *position >= 0.0)?;
                        to[at..].iter_mut().zip(entry).for_each(|(sum, number)| *sum += number);
                    }
                }
            }
            Self::Greatest { from, width } => {
                for row in registers[*from].chunks_exact(*width) {
                    to.push(greatest(row)?);
                }
            }
            Self::Pick { from, width, positions } => {
                for row in registers[*from].chunks_exact(*width) {
                    to.extend(positions.iter().map(|position| row[*position]));
                }
            }
            Self::Votes(nearest, from) => nearest.votes(&registers[*from], to)?,
            Self::Beside(parts) => {
                for row in 0..count {
                    for (from, width) in parts {
                        to.extend_from_slice(from.row(registers, row, *width));
                    }
                }
            }
            Self::Trees(..) => {}
        }
        Some(())
    }
}

impl Operand {
    fn row<'a>(&'a self, registers: &'a [Vec<f64>], row: usize, width: usize) -> &'a [f64] {
        match self {
            Self::Register(at) => &registers[*at][row * width..(row + 1) * width],
            Self::Same(numbers) => numbers,
        }
    }
}

impl Unary {
    fn run(self, from: &[f64], to: &mut Vec<f64>) -> Option<()> {
        const MOST: f64 = 9_007_199_254_740_992.0;
        match self {
            #[allow(clippy::cast_possible_truncation)]
            Self::Round => to.extend(from.iter().map(|number| f64::from(*number as f32))),
            Self::Whole => {
                // what is missing is not below the limit either
                if !from.iter().all(|number| number.abs() < MOST) {
                    return None;
                }
                // a whole number has no negative zero; and this is one step of the processor, where `trunc` is a call
                #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
                to.extend(from.iter().map(|number| *number as i64 as f64));
            }
            Self::IsMissing => to.extend(from.iter().map(|number| truth(number.is_nan()))),
        }
        Some(())
    }
}

impl Binary {
    fn run(self, left: &[f64], right: &[f64], to: &mut Vec<f64>) {
        let pairs = left.iter().zip(right);
        match self {
            Self::Add => to.extend(pairs.map(|(left, right)| left + right)),
            Self::Subtract => to.extend(pairs.map(|(left, right)| left - right)),
            Self::Multiply => to.extend(pairs.map(|(left, right)| left * right)),
            Self::Divide => to.extend(pairs.map(|(left, right)| left / right)),
            Self::Greater => to.extend(pairs.map(|(left, right)| truth(left > right))),
            Self::GreaterOrEqual => to.extend(pairs.map(|(left, right)| truth(left >= right))),
            Self::Less => to.extend(pairs.map(|(left, right)| truth(left < right))),
            #[allow(clippy::float_cmp)]
            Self::Equal => to.extend(pairs.map(|(left, right)| truth(left == right))),
            Self::And => to.extend(pairs.map(|(left, right)| truth(*left != 0.0 && *right != 0.0))),
            Self::Or => to.extend(pairs.map(|(left, right)| truth(*left != 0.0 || *right != 0.0))),
        }
    }
}

fn truth(found: bool) -> f64 {
    f64::from(u8::from(found))
}

/// `None` where a number is missing: which one is the greatest then, every runtime says otherwise.
fn greatest(row: &[f64]) -> Option<f64> {
    let (mut at, mut most) = (0_u32, *row.first()?);
    for (place, number) in (0_u32..).zip(row) {
        if number.is_nan() {
            return None;
        }
        if *number > most {
            (at, most) = (place, *number);
        }
    }
    Some(f64::from(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(instructions: Vec<Operation>, columns: usize, width: usize, integers: bool) -> Runner {
        let output = instructions.len();
        let instructions = (1..).zip(instructions).map(|(to, operation)| Instruction { operation, to }).collect();
        Runner::new(Arc::new(Program { instructions, registers: output + 1, columns, output, width, integers }))
    }

    fn computed(runner: &mut Runner, rows: &[f64]) -> Option<Vec<f64>> {
        let mut found = None;
        runner.compute(rows, &mut |values, _| {
            found = Some(match values {
                Values::Doubles(found) => found.to_vec(),
                #[allow(clippy::cast_precision_loss)]
                Values::Integers(found) => found.iter().map(|number| *number as f64).collect(),
            });
        });
        found
    }

    fn same(numbers: &[f64]) -> Operand {
        Operand::Same(numbers.into())
    }

    #[test]
    fn an_operator_takes_each_row_beside_a_constant() {
        let (nan, left) = (f64::NAN, Operand::Register(0));
        for (operator, wanted) in [
            (Binary::Add, [2.0, 5.0, 6.0, -1.0]),
            (Binary::Subtract, [0.0, -1.0, 4.0, -7.0]),
            (Binary::Multiply, [1.0, 6.0, 5.0, -12.0]),
            (Binary::Divide, [1.0, 2.0 / 3.0, 5.0, -4.0 / 3.0]),
            (Binary::Greater, [0.0, 0.0, 1.0, 0.0]),
            (Binary::GreaterOrEqual, [1.0, 0.0, 1.0, 0.0]),
            (Binary::Less, [0.0, 1.0, 0.0, 1.0]),
            (Binary::Equal, [1.0, 0.0, 0.0, 0.0]),
        ] {
            let two = Operation::Two { operator, left: left.clone(), right: same(&[1.0, 3.0]), width: 2 };
            assert_eq!(computed(&mut program(vec![two], 2, 2, false), &[1.0, 2.0, 5.0, -4.0]), Some(wanted.to_vec()));
        }
        for operator in [Binary::Greater, Binary::GreaterOrEqual, Binary::Less, Binary::Equal] {
            let two = Operation::Two { operator, left: left.clone(), right: same(&[nan]), width: 1 };
            assert_eq!(computed(&mut program(vec![two], 1, 1, false), &[nan]), Some(vec![0.0]), "{operator:?}");
        }
    }

    #[test]
    fn one_is_chosen_of_two() {
        let missing = Operation::One(Unary::IsMissing, 0);
        let (condition, yes, no) = (Operand::Register(1), same(&[7.0, 8.0]), Operand::Register(0));
        let filled = Operation::Choose { condition, yes, no, width: 2 };
        let rows = [f64::NAN, 2.0, 3.0, f64::NAN];
        assert_eq!(computed(&mut program(vec![missing, filled], 2, 2, false), &rows), Some(vec![7.0, 2.0, 3.0, 8.0]));
    }

    #[test]
    fn columns_are_picked_and_put_beside_each_other() {
        let picked = Operation::Pick { from: 0, width: 3, positions: vec![2, 0, 2] };
        let beside = Operation::Beside(vec![(Operand::Register(1), 3), (Operand::Register(0), 3)]);
        let found = computed(&mut program(vec![picked, beside], 3, 6, false), &[1.0, 2.0, 3.0]);
        assert_eq!(found, Some(vec![3.0, 1.0, 3.0, 1.0, 2.0, 3.0]));
    }

    #[test]
    fn entries_of_a_table_are_added_and_there_are_no_others() {
        for width in 1..=6_u32 {
            let of = |entry: u32, at: u32| f64::from(entry * 1000 + at) / 7.0;
            let table: Arc<[f64]> = (0..3).flat_map(|entry| (0..width).map(move |at| of(entry, at))).collect();
            let width_of = width as usize;
            let sum = Operation::Entries { table: Arc::clone(&table), width: width_of, positions: 0, count: 3 };
            let runner = &mut program(vec![sum], 3, width_of, false);
            let wanted = |entries: [u32; 3]| {
                (0..width).map(|at| entries.iter().map(|entry| of(*entry, at)).sum()).collect::<Vec<f64>>()
            };
            let both = [wanted([0, 2, 1]), wanted([1, 1, 1])].concat();
            assert_eq!(computed(runner, &[0.0, 2.0, 1.0, 1.0, 1.0, 1.0]), Some(both), "{width}");
            assert_eq!(computed(runner, &[0.0, 3.0, 0.0]), None, "{width}");
            assert_eq!(computed(runner, &[0.0, -1.0, 0.0]), None, "{width}");
        }
    }

    #[test]
    fn the_first_of_the_greatest_is_it() {
        let runner = &mut program(vec![Operation::Greatest { from: 0, width: 3 }], 3, 1, true);
        assert_eq!(computed(runner, &[1.0, 3.0, 2.0, 5.0, 5.0, 5.0, -0.0, 0.0, -1.0]), Some(vec![1.0, 0.0, 0.0]));
        assert_eq!(computed(runner, &[1.0, f64::NAN, 2.0]), None);
    }

    #[test]
    fn numbers_are_rounded_as_their_kinds_are() {
        let one = |operator| program(vec![Operation::One(operator, 0)], 1, 1, false);
        assert_eq!(
            computed(&mut one(Unary::Round), &[0.1, 16_777_217.0]),
            Some(vec![f64::from(0.1_f32), 16_777_216.0])
        );
        assert_eq!(computed(&mut one(Unary::Whole), &[2.9, -2.9]), Some(vec![2.0, -2.0]));
        assert!(computed(&mut one(Unary::Whole), &[-0.5]).is_some_and(|found| found[0].is_sign_positive()));
        for beyond in [f64::NAN, f64::INFINITY, 9_007_199_254_740_992.0] {
            assert_eq!(computed(&mut one(Unary::Whole), &[1.0, beyond]), None, "{beyond}");
        }
    }

    #[test]
    fn a_runner_begins_anew_with_each_rows() {
        let runner = &mut program(vec![Operation::One(Unary::IsMissing, 0)], 1, 1, false);
        assert_eq!(computed(runner, &[f64::NAN, 1.0, 2.0]), Some(vec![1.0, 0.0, 0.0]));
        assert_eq!(computed(runner, &[1.0]), Some(vec![0.0]));
    }
}
