//! What the model takes: its columns, and how a JSON value becomes a number of the graph's input.

use std::collections::HashMap;

use crate::json::Value;

/// What JSON values a column takes.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// Whole numbers.
    Integer,
    /// Whole numbers and fractions.
    Number,
    /// True and false.
    Truth,
    /// Texts.
    Text,
}

/// A text's number in the graph's input, and the one that the monitor is told.
#[derive(Clone, Copy)]
pub struct Code {
    pub graph: f64,
    pub observed: f64,
}

/// One column, as `protocol.plan.Field` has it.
pub struct Column {
    pub datatype: String,
    pub kind: Kind,
    /// Whether numbers are rounded to single precision.
    pub single: bool,
    pub low: f64,
    pub high: f64,
    /// What null becomes; `None` where the column does not take it.
    pub missing: Option<Code>,
    pub words: HashMap<String, Code>,
    /// What a text beyond `words` becomes; `None` where the column does not take it.
    pub unseen: Option<Code>,
}

impl Column {
    /// The number of a value; `None` for one that the column does not take, or not without a closer look.
    pub fn code(&self, value: Value<'_>) -> Option<Code> {
        let number = match (value, self.kind) {
            (Value::Null, _) => return self.missing,
            (Value::Text(text), Kind::Text) => return self.words.get(text).copied().or(self.unseen),
            (Value::True, Kind::Truth) => 1.0,
            (Value::False, Kind::Truth) => 0.0,
            (Value::Integer(number), Kind::Integer | Kind::Number) | (Value::Float(number), Kind::Number) => number,
            _ => return None,
        };
        if !(self.low <= number && number <= self.high) {
            return None;
        }
        #[allow(clippy::cast_possible_truncation)]
        let held = if self.single { f64::from(number as f32) } else { number };
        Some(Code { graph: held, observed: held })
    }
}

/// All columns, in the model's order.
pub struct Columns {
    pub all: Vec<Column>,
    pub position: HashMap<String, usize>,
    /// Whether one FP64 tensor of all columns needs no look at each: `protocol.plan.Plan.all_double`.
    pub all_double: bool,
    /// Whether every column takes null.
    pub all_take_missing: bool,
}
