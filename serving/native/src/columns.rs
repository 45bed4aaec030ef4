//! What the model takes: its columns, and how a JSON value becomes a number of the model's input.

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

/// A text's number in the model's input, and the one that the monitor is told.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: Kind) -> Column {
        Column {
            datatype: String::new(),
            kind,
            single: false,
            low: -10.0,
            high: 10.0,
            missing: None,
            words: HashMap::new(),
            unseen: None,
        }
    }

    /// What the graph and the monitor are told of a value.
    fn told(column: &Column, value: Value<'_>) -> Option<(f64, f64)> {
        column.code(value).map(|code| (code.graph, code.observed))
    }

    #[test]
    fn a_column_takes_its_own_kind_of_value_alone() {
        use Value::{False, Float, Integer, Null, Text, True};
        for (kind, taken) in [
            (Kind::Integer, [Some(1.0), None, None, None, None, None]),
            (Kind::Number, [Some(1.0), Some(1.5), None, None, None, None]),
            (Kind::Truth, [None, None, Some(1.0), Some(0.0), None, None]),
            (Kind::Text, [None, None, None, None, None, None]),
        ] {
            let values = [Integer(1.0), Float(1.5), True, False, Null, Text("a")];
            for (value, wanted) in values.into_iter().zip(taken) {
                assert_eq!(told(&column(kind), value), wanted.map(|number| (number, number)), "{value:?}");
            }
        }
    }

    #[test]
    fn numbers_are_within_their_limits_before_they_are_rounded() {
        let bounded = Column { low: -0.5, high: 0.1, single: true, ..column(Kind::Number) };
        let rounded = f64::from(0.1_f32);
        assert!(rounded > 0.1);
        assert_eq!(told(&bounded, Value::Float(0.1)), Some((rounded, rounded)));
        assert_eq!(told(&bounded, Value::Float(-0.5)), Some((-0.5, -0.5)));
        for beyond in [0.100_000_000_000_000_02, -0.500_000_000_000_000_1, f64::NAN, f64::INFINITY] {
            assert_eq!(told(&bounded, Value::Float(beyond)), None, "{beyond}");
        }
    }

    #[test]
    fn a_single_column_ends_where_single_precision_does() {
        let most = f64::from(f32::MAX);
        let single = Column { low: -most, high: most, single: true, ..column(Kind::Number) };
        assert_eq!(told(&single, Value::Float(most)), Some((most, most)));
        assert_eq!(told(&single, Value::Float(most.next_up())), None);
        assert_eq!(told(&single, Value::Float(1e-46)), Some((0.0, 0.0)));
    }

    #[test]
    fn null_is_what_the_column_says() {
        let code = Code { graph: 3.0, observed: f64::NAN };
        let found = Column { missing: Some(code), ..column(Kind::Text) }.code(Value::Null);
        assert!(found.is_some_and(|found| found.graph.total_cmp(&3.0).is_eq() && found.observed.is_nan()));
    }

    #[test]
    fn words_are_known_or_unseen() {
        let known = HashMap::from([("a".to_owned(), Code { graph: 2.0, observed: 0.0 })]);
        let closed = Column { words: known.clone(), ..column(Kind::Text) };
        assert_eq!(told(&closed, Value::Text("a")), Some((2.0, 0.0)));
        assert_eq!(told(&closed, Value::Text("A")), None);
        let open = Column { words: known, unseen: Some(Code { graph: -7.0, observed: -1.0 }), ..column(Kind::Text) };
        assert_eq!(told(&open, Value::Text("a")), Some((2.0, 0.0)));
        assert_eq!(told(&open, Value::Text("")), Some((-7.0, -1.0)));
    }
}
