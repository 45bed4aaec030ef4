//! Writing answers, as `penstock_serving.protocol.v2.response` does.

/// How an answer's values are told.
pub enum Told {
    /// Positions among labels: each in JSON, and the number that the monitor is told.
    Labels(Vec<Vec<u8>>, Vec<f64>),
    /// Numbers in double precision.
    Double,
    /// Numbers that are rounded to single precision.
    Single,
    /// Whole numbers.
    Integers,
}

/// The parts of an answer that are the same for all.
pub struct Form {
    pub before_id: Vec<u8>,
    /// From after the id to the shape's first number.
    pub after_id: Vec<u8>,
    /// From after the shape's first number to the first value.
    pub before_values: Vec<u8>,
    pub end: Vec<u8>,
    pub told: Told,
    /// Numbers of each row; 0 where a row has one and the shape says nothing of it.
    pub width: usize,
    /// Whether the monitor is told the values.
    pub observed: bool,
}

/// What the graph has computed.
pub enum Values<'a> {
    Doubles(&'a [f64]),
    Integers(&'a [i64]),
}

impl Values<'_> {
    pub fn len(&self) -> usize {
        match self {
            Values::Doubles(found) => found.len(),
            Values::Integers(found) => found.len(),
        }
    }

    /// `count` of them from `first` on.
    pub fn part(&self, first: usize, count: usize) -> Values<'_> {
        match self {
            Values::Doubles(found) => Values::Doubles(&found[first..first + count]),
            Values::Integers(found) => Values::Integers(&found[first..first + count]),
        }
    }
}

impl Form {
    /// The body for these values of `rows` rows; `None` for what is not finite or no label.
    pub fn write(&self, id: &str, rows: usize, values: &Values<'_>) -> Option<Vec<u8>> {
        let mut body = Vec::with_capacity(self.before_id.len() + self.after_id.len() + id.len() + 24 * rows + 40);
        body.extend_from_slice(&self.before_id);
        if !id.is_empty() {
            body.extend_from_slice(b",\"id\":\"");
            body.extend_from_slice(id.as_bytes());
            body.push(b'"');
        }
        body.extend_from_slice(&self.after_id);
        body.extend_from_slice(itoa::Buffer::new().format(rows).as_bytes());
        body.extend_from_slice(&self.before_values);
        match (values, &self.told) {
            (Values::Integers(found), Told::Labels(labels, _)) => {
                for position in *found {
                    body.extend_from_slice(labels.get(usize::try_from(*position).ok()?)?);
                    body.push(b',');
                }
            }
            (Values::Integers(found), Told::Integers) => {
                for number in *found {
                    body.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
                    body.push(b',');
                }
            }
            (Values::Doubles(found), Told::Double | Told::Single) => {
                let single = matches!(self.told, Told::Single);
                for number in *found {
                    #[allow(clippy::cast_possible_truncation)]
                    let told = if single { f64::from(*number as f32) } else { *number };
                    if !told.is_finite() {
                        return None;
                    }
                    body.extend_from_slice(zmij::Buffer::new().format_finite(told).as_bytes());
                    body.push(b',');
                }
            }
            _ => return None,
        }
        body.pop();
        body.extend_from_slice(&self.end);
        Some(body)
    }

    /// What the monitor is told of a row's answer; NaN for nothing.
    pub fn observation(&self, values: &Values<'_>, row: usize) -> f64 {
        if !self.observed {
            return f64::NAN;
        }
        match (values, &self.told) {
            (Values::Integers(found), Told::Labels(_, codes)) => {
                usize::try_from(found[row]).ok().and_then(|at| codes.get(at)).copied().unwrap_or(f64::NAN)
            }
            #[allow(clippy::cast_precision_loss)]
            (Values::Integers(found), _) => found[row] as f64,
            #[allow(clippy::cast_possible_truncation)]
            (Values::Doubles(found), Told::Single) => f64::from(found[row] as f32),
            (Values::Doubles(found), _) => found[row],
        }
    }
}
