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

/// What the model has computed.
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
    /// Whether values are whole numbers, be they told themselves or as the labels at their positions.
    pub fn integers(&self) -> bool {
        matches!(self.told, Told::Labels(..) | Told::Integers)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn form(told: Told, width: usize) -> Form {
        Form {
            before_id: b"{".to_vec(),
            after_id: b"[".to_vec(),
            before_values: b"](".to_vec(),
            end: b")}".to_vec(),
            told,
            width,
            observed: true,
        }
    }

    fn written(form: &Form, id: &str, rows: usize, values: &Values<'_>) -> Option<String> {
        form.write(id, rows, values).map(|body| String::from_utf8(body).expect("UTF-8"))
    }

    #[test]
    fn an_id_is_written_where_there_is_one() {
        let form = form(Told::Integers, 0);
        assert_eq!(written(&form, "", 1, &Values::Integers(&[5])).as_deref(), Some("{[1](5)}"));
        assert_eq!(
            written(&form, "7/a", 2, &Values::Integers(&[5, -6])).as_deref(),
            Some("{,\"id\":\"7/a\"[2](5,-6)}")
        );
    }

    #[test]
    fn numbers_are_written_the_shortest_way_that_reads_back() {
        for (number, wanted) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1e22, "1e+22"),
            (1e-5, "0.00001"),
            (1e-7, "1e-7"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            let found = written(&form(Told::Double, 0), "", 1, &Values::Doubles(&[number]));
            assert_eq!(found, Some(format!("{{[1]({wanted})}}")));
        }
    }

    #[test]
    fn single_numbers_are_rounded_and_written_as_the_doubles_they_are() {
        let form = form(Told::Single, 0);
        let found = written(&form, "", 1, &Values::Doubles(&[0.1]));
        assert_eq!(found.as_deref(), Some("{[1](0.10000000149011612)}"));
        assert!(form.observation(&Values::Doubles(&[0.1]), 0).total_cmp(&f64::from(0.1_f32)).is_eq());
    }

    #[test]
    fn what_is_not_finite_is_not_written() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(written(&form(Told::Double, 0), "", 2, &Values::Doubles(&[1.0, number])), None);
        }
        // finite, but not in single precision
        assert_eq!(written(&form(Told::Single, 0), "", 1, &Values::Doubles(&[1e39])), None);
    }

    #[test]
    fn labels_are_those_at_the_positions() {
        let form = form(Told::Labels(vec![b"\"no\"".to_vec(), b"\"yes\"".to_vec()], vec![1.0, 0.0]), 0);
        let values = Values::Integers(&[1, 0]);
        assert_eq!(written(&form, "", 2, &values).as_deref(), Some("{[2](\"yes\",\"no\")}"));
        assert!(form.observation(&values, 0).total_cmp(&0.0).is_eq());
        for beyond in [-1, 2, i64::MIN, i64::MAX] {
            assert_eq!(written(&form, "", 1, &Values::Integers(&[beyond])), None, "{beyond}");
            assert!(form.observation(&Values::Integers(&[beyond]), 0).is_nan());
        }
    }

    #[test]
    fn values_of_another_kind_than_the_form_s_are_not_written() {
        assert_eq!(written(&form(Told::Double, 0), "", 1, &Values::Integers(&[1])), None);
        assert_eq!(written(&form(Told::Integers, 0), "", 1, &Values::Doubles(&[1.0])), None);
        assert_eq!(written(&form(Told::Labels(vec![], vec![]), 0), "", 1, &Values::Doubles(&[0.0])), None);
    }

    #[test]
    fn the_monitor_is_told_nothing_of_what_it_does_not_watch() {
        let form = Form { observed: false, ..form(Told::Double, 2) };
        assert!(form.observation(&Values::Doubles(&[1.0, 2.0]), 0).is_nan());
    }

    #[test]
    fn a_part_is_what_it_says() {
        let values = Values::Integers(&[1, 2, 3, 4]);
        assert_eq!(values.len(), 4);
        assert!(matches!(values.part(1, 2), Values::Integers(&[2, 3])));
        assert!(matches!(Values::Doubles(&[1.0]).part(1, 0), Values::Doubles(&[])));
    }
}
