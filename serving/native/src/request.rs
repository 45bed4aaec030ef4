//! An ordinary request: one row of every column by name, or rows of FP64 by position, and perhaps an id.
//!
//! It is read only where `penstock_serving.protocol.ordinary` would read it, to the same numbers.

use crate::columns::{Code, Columns};
use crate::json::{Cursor, Value};

const MAX_ID: usize = 256;
const MAX_NAME: usize = 128;
/// Rows of one request; more are computed with more care elsewhere.
pub const MAX_ROWS: usize = 256;

/// The rows of several requests, one after another: the model's input and what the monitor is told, row by row.
#[derive(Default)]
pub struct Rows {
    pub graph: Vec<f64>,
    pub observed: Vec<f64>,
}

impl Rows {
    /// Room for so many numbers, that they need not be moved as they come to be more.
    pub fn with_room(numbers: usize) -> Self {
        Self { graph: Vec::with_capacity(numbers), observed: Vec::with_capacity(numbers) }
    }
}

/// A request that was read: its number of rows and its id (empty for none), as it stands between the quotes.
pub struct Request<'a> {
    pub rows: usize,
    pub id: &'a str,
}

struct Tensor<'a> {
    name: &'a str,
    datatype: &'a str,
    shape: [usize; 2],
    dimensions: usize,
    first: usize,
    count: usize,
    /// Whether the data is a list in a list.
    nested: bool,
}

/// Reads requests; holds what it needs for that, so that nothing is made anew for each.
#[derive(Default)]
pub struct Reader {
    found: Vec<Option<Code>>,
}

impl Reader {
    /// Read a body and add its rows; `None`, and nothing added, for whatever is not ordinary.
    pub fn read<'a>(&mut self, body: &'a [u8], columns: &Columns, rows: &mut Rows) -> Option<Request<'a>> {
        let text = std::str::from_utf8(body).ok()?;
        let mut values = Vec::new();
        let (id, tensors) = document(text, &mut values)?;
        let count = if let ([tensor], true) = (tensors.as_slice(), columns.all_double) {
            match table(tensor, &values, columns, rows) {
                Some(count) => count,
                None => self.row(&tensors, &values, columns, rows)?,
            }
        } else {
            self.row(&tensors, &values, columns, rows)?
        };
        Some(Request { rows: count, id })
    }

    /// One row, each column by its name.
    fn row(
        &mut self,
        tensors: &[Tensor<'_>],
        values: &[Value<'_>],
        columns: &Columns,
        rows: &mut Rows,
    ) -> Option<usize> {
        if tensors.len() != columns.all.len() {
            return None;
        }
        self.found.clear();
        self.found.resize(tensors.len(), None);
        for tensor in tensors {
            let position = *columns.position.get(tensor.name)?;
            let column = &columns.all[position];
            let one = tensor.dimensions == 1 && tensor.shape[0] == 1 && tensor.count == 1 && !tensor.nested;
            if !one || tensor.datatype != column.datatype || self.found[position].is_some() {
                return None;
            }
            self.found[position] = Some(column.code(values[tensor.first])?);
        }
        for code in self.found.iter().flatten() {
            rows.graph.push(code.graph);
            rows.observed.push(code.observed);
        }
        Some(1)
    }
}

fn table(tensor: &Tensor<'_>, values: &[Value<'_>], columns: &Columns, rows: &mut Rows) -> Option<usize> {
    let width = columns.all.len();
    let [count, told] = tensor.shape;
    if tensor.datatype != "FP64" || tensor.dimensions != 2 || told != width || (tensor.nested && count != 1) {
        return None;
    }
    let printable = tensor.name.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if !printable || tensor.name.is_empty() || tensor.name.len() > MAX_NAME {
        return None;
    }
    if count == 0 || count > MAX_ROWS || tensor.count != count * width {
        return None;
    }
    if width == 1 && columns.position.contains_key(tensor.name) {
        return None;
    }
    let before = rows.graph.len();
    for value in &values[tensor.first..tensor.first + tensor.count] {
        rows.graph.push(match value {
            Value::Integer(number) | Value::Float(number) => *number,
            Value::Null if columns.all_take_missing => f64::NAN,
            _ => {
                rows.graph.truncate(before);
                return None;
            }
        });
    }
    rows.observed.extend_from_slice(&rows.graph[before..]);
    Some(count)
}

fn document<'a>(text: &'a str, values: &mut Vec<Value<'a>>) -> Option<(&'a str, Vec<Tensor<'a>>)> {
    let mut cursor = Cursor::new(text);
    let (mut id, mut tensors) = (None, None);
    cursor.take(b'{')?;
    loop {
        let key = cursor.text()?;
        cursor.take(b':')?;
        match key {
            "id" if id.is_none() => id = Some(request_id(&mut cursor)?),
            "inputs" if tensors.is_none() => tensors = Some(inputs(&mut cursor, values)?),
            _ => return None,
        }
        if !cursor.takes(b',') {
            break;
        }
    }
    cursor.take(b'}')?;
    cursor.ended().then_some((id.unwrap_or(""), tensors?))
}

fn request_id<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    let id = cursor.text()?;
    (id.len() <= MAX_ID && id.is_ascii()).then_some(id)
}

fn inputs<'a>(cursor: &mut Cursor<'a>, values: &mut Vec<Value<'a>>) -> Option<Vec<Tensor<'a>>> {
    let mut tensors = Vec::new();
    cursor.take(b'[')?;
    loop {
        tensors.push(tensor(cursor, values)?);
        if !cursor.takes(b',') {
            break;
        }
    }
    cursor.take(b']')?;
    Some(tensors)
}

fn tensor<'a>(cursor: &mut Cursor<'a>, values: &mut Vec<Value<'a>>) -> Option<Tensor<'a>> {
    let (mut name, mut datatype, mut shape, mut data) = (None, None, None, None);
    cursor.take(b'{')?;
    loop {
        let key = cursor.text()?;
        cursor.take(b':')?;
        match key {
            "name" if name.is_none() => name = Some(cursor.text()?),
            "datatype" if datatype.is_none() => datatype = Some(cursor.text()?),
            "shape" if shape.is_none() => shape = Some(sizes(cursor)?),
            "data" if data.is_none() => data = Some(list(cursor, values)?),
            _ => return None,
        }
        if !cursor.takes(b',') {
            break;
        }
    }
    cursor.take(b'}')?;
    let ((shape, dimensions), (first, count, nested)) = (shape?, data?);
    Some(Tensor { name: name?, datatype: datatype?, shape, dimensions, first, count, nested })
}

fn sizes(cursor: &mut Cursor<'_>) -> Option<([usize; 2], usize)> {
    cursor.take(b'[')?;
    let first = cursor.size()?;
    let second = if cursor.takes(b',') { Some(cursor.size()?) } else { None };
    cursor.take(b']')?;
    Some(([first, second.unwrap_or(0)], if second.is_some() { 2 } else { 1 }))
}

/// Values of a list, or of the only list in a list: the position of the first, their number, and whether it was one.
fn list<'a>(cursor: &mut Cursor<'a>, values: &mut Vec<Value<'a>>) -> Option<(usize, usize, bool)> {
    let first = values.len();
    cursor.take(b'[')?;
    let nested = cursor.takes(b'[');
    loop {
        values.push(cursor.value()?);
        if !cursor.takes(b',') {
            break;
        }
    }
    cursor.take(b']')?;
    if nested {
        cursor.take(b']')?;
    }
    Some((first, values.len() - first, nested))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::columns::{Column, Kind};

    fn column(datatype: &str, kind: Kind) -> Column {
        let (missing, unseen) = (None, Some(Code { graph: 9.0, observed: -1.0 }));
        let (low, high, single) = (-1e300, 1e300, false);
        Column { datatype: datatype.to_owned(), kind, single, low, high, missing, words: HashMap::new(), unseen }
    }

    /// Columns "a", "b" and so on.
    fn columns(all: Vec<Column>, all_double: bool, all_take_missing: bool) -> Columns {
        let position =
            (0..all.len()).map(|at| (char::from(b'a' + u8::try_from(at).unwrap()).to_string(), at)).collect();
        Columns { all, position, all_double, all_take_missing }
    }

    fn doubles(count: usize) -> Columns {
        columns((0..count).map(|_| column("FP64", Kind::Number)).collect(), true, false)
    }

    /// Number of rows, id and the graph's numbers.
    fn read(body: &str, columns: &Columns) -> Option<(usize, String, Vec<f64>)> {
        let mut rows = Rows { graph: vec![0.5], observed: vec![0.5] };
        let found = Reader::default().read(body.as_bytes(), columns, &mut rows);
        assert_eq!(rows.graph.len(), rows.observed.len());
        let Some(request) = found else {
            assert_eq!(rows.graph, [0.5], "something was left of {body}");
            return None;
        };
        Some((request.rows, request.id.to_owned(), rows.graph[1..].to_vec()))
    }

    fn named(a: &str, b: &str) -> String {
        format!("{{\"inputs\":[{a},{b}]}}")
    }

    const A: &str = r#"{"name":"a","datatype":"FP64","shape":[1],"data":[1.5]}"#;
    const B: &str = r#"{"data":[2],"shape":[1],"datatype":"FP64","name":"b"}"#;

    #[test]
    fn a_row_by_name_is_read_in_any_order() {
        let wanted = Some((1, String::new(), vec![1.5, 2.0]));
        assert_eq!(read(&named(A, B), &doubles(2)), wanted);
        assert_eq!(read(&named(B, A), &doubles(2)), wanted);
        let spaced = named(A, B).replace([',', ':', '[', ']', '{', '}'], " \n\t\r$0 ");
        assert_eq!(read(&spaced, &doubles(2)), None);
        let spaced = named(A, B).replace(',', " , ").replace(':', "\t:\n").replace('[', "[\r").replace('}', " }");
        assert_eq!(read(&spaced, &doubles(2)), wanted);
    }

    #[test]
    fn ids_are_short_and_ascii() {
        let with = |id: &str| read(&format!("{{\"id\":{id},\"inputs\":[{A}]}}"), &doubles(1));
        for id in [String::new(), "7".to_owned(), "i".repeat(256)] {
            assert_eq!(with(&format!("\"{id}\"")), Some((1, id, vec![1.5])));
        }
        for id in ["null", "7", "\"ä\"", "\"\\n\"", "[]", "", &format!("\"{}\"", "i".repeat(257))] {
            assert_eq!(with(id), None, "{id}");
        }
    }

    #[test]
    fn what_is_not_quite_a_row_by_name_is_not_read() {
        for (a, b) in [
            (A, A),
            (A, ""),
            (A, r#"{"name":"c","datatype":"FP64","shape":[1],"data":[2]}"#),
            (A, r#"{"name":"b","datatype":"FP32","shape":[1],"data":[2]}"#),
            (A, r#"{"name":"b","datatype":"fp64","shape":[1],"data":[2]}"#),
            (A, r#"{"name":"b","datatype":"FP64","shape":[1,1],"data":[2]}"#),
            (A, r#"{"name":"b","datatype":"FP64","shape":[2],"data":[2]}"#),
            (A, r#"{"name":"b","datatype":"FP64","shape":[],"data":[2]}"#),
            (A, r#"{"name":"b","datatype":"FP64","shape":[1],"data":[2,3]}"#),
            (A, r#"{"name":"b","datatype":"FP64","shape":[1],"data":[]}"#),
            (A, r#"{"name":"b","datatype":"FP64","shape":[1],"data":[[2]]}"#),
            (A, r#"{"name":"b","datatype":"FP64","shape":[1],"data":2}"#),
            (A, r#"{"name":"b","datatype":"FP64","shape":[1],"data":[null]}"#),
            (A, r#"{"name":"b","datatype":"FP64","shape":[1],"data":["2"]}"#),
            (A, r#"{"name":"b","datatype":"FP64","shape":[1],"data":[true]}"#),
            (A, r#"{"name":"b","datatype":"FP64","shape":[1]}"#),
            (A, r#"{"name":"b","datatype":"FP64","data":[2]}"#),
            (A, r#"{"name":"b","shape":[1],"data":[2]}"#),
            (A, r#"{"datatype":"FP64","shape":[1],"data":[2]}"#),
            (A, r#"{"name":"b","name":"b","datatype":"FP64","shape":[1],"data":[2]}"#),
            (A, r#"{"name":"b","datatype":"FP64","shape":[1],"data":[2],"data":[2]}"#),
            (A, r#"{"name":"b","datatype":"FP64","shape":[1],"data":[2],"parameters":{}}"#),
            (A, r#"{"n\u0061me":"b","datatype":"FP64","shape":[1],"data":[2]}"#),
            (A, r#"{"name":"b","datatype":"FP64","shape":[1],"data":[2],}"#),
            (A, "{}"),
            (A, "null"),
        ] {
            assert_eq!(read(&named(a, b), &doubles(2)), None, "{b}");
        }
    }

    #[test]
    fn what_is_not_quite_a_document_is_not_read() {
        let inputs = format!("\"inputs\":[{A}]");
        for body in [
            String::new(),
            "[]".to_owned(),
            "{}".to_owned(),
            "{\"inputs\":[]}".to_owned(),
            "{\"inputs\":null}".to_owned(),
            format!("{{{inputs}"),
            format!("{{{inputs},}}"),
            format!("{{{inputs}}}x"),
            format!("{{{inputs}}}{{}}"),
            format!("\u{feff}{{{inputs}}}"),
            format!("{{{inputs},{inputs}}}"),
            format!("{{{inputs},\"outputs\":[]}}"),
            format!("{{{inputs},\"parameters\":{{}}}}"),
            format!("{{\"id\":\"1\",\"id\":\"1\",{inputs}}}"),
            format!("[{{{inputs}}}]"),
        ] {
            assert_eq!(read(&body, &doubles(1)), None, "{body}");
        }
        assert!(Reader::default().read(b"{\"inputs\":\xff", &doubles(1), &mut Rows::default()).is_none());
    }

    fn table(name: &str, shape: &str, data: &str) -> String {
        format!("{{\"inputs\":[{{\"name\":\"{name}\",\"datatype\":\"FP64\",\"shape\":{shape},\"data\":{data}}}]}}")
    }

    #[test]
    fn rows_by_position_are_read() {
        let wide = doubles(2);
        for (shape, data, rows, wanted) in [
            ("[1,2]", "[1,2.5]", 1, vec![1.0, 2.5]),
            ("[1,2]", "[[1,2.5]]", 1, vec![1.0, 2.5]),
            ("[2,2]", "[1,2,3,4]", 2, vec![1.0, 2.0, 3.0, 4.0]),
        ] {
            assert_eq!(read(&table("x", shape, data), &wide), Some((rows, String::new(), wanted)), "{shape} {data}");
        }
    }

    #[test]
    fn what_is_not_quite_rows_by_position_is_not_read() {
        let long = "n".repeat(129);
        for (name, shape, data) in [
            ("x", "[1,3]", "[1,2,3]"),
            ("x", "[2]", "[1,2]"),
            ("x", "[1,2]", "[1]"),
            ("x", "[1,2]", "[1,2,3]"),
            ("x", "[0,2]", "[1,2]"),
            ("x", "[2,2]", "[[1,2],[3,4]]"),
            ("x", "[2,2]", "[[1,2,3,4]]"),
            ("x", "[1,2]", "[[[1,2]]]"),
            ("x", "[1,2]", "[1,null]"),
            ("x", "[1,2]", "[1,true]"),
            ("x", "[1,2]", "[1,\"2\"]"),
            ("x", "[1,2]", "[1,12345678901234567890]"),
            ("x", "[1,2,1]", "[1,2]"),
            ("", "[1,2]", "[1,2]"),
            ("ä", "[1,2]", "[1,2]"),
            ("\u{7f}", "[1,2]", "[1,2]"),
            (&long, "[1,2]", "[1,2]"),
        ] {
            assert_eq!(read(&table(name, shape, data), &doubles(2)), None, "{name} {shape} {data}");
        }
        let mixed = columns(vec![column("FP64", Kind::Number), column("INT64", Kind::Integer)], false, false);
        assert_eq!(read(&table("x", "[1,2]", "[1,2]"), &mixed), None);
    }

    #[test]
    fn rows_by_position_are_at_most_so_many() {
        let of = |count: usize| table("x", &format!("[{count},1]"), &format!("[{}]", vec!["1"; count].join(",")));
        assert_eq!(read(&of(MAX_ROWS), &doubles(1)).map(|found| found.0), Some(MAX_ROWS));
        assert_eq!(read(&of(MAX_ROWS + 1), &doubles(1)), None);
    }

    #[test]
    fn one_column_is_asked_by_its_name_or_by_position() {
        let one = doubles(1);
        assert_eq!(read(&table("x", "[1,1]", "[3]"), &one), Some((1, String::new(), vec![3.0])));
        assert_eq!(read(&table("a", "[1]", "[3]"), &one), Some((1, String::new(), vec![3.0])));
        assert_eq!(read(&table("a", "[1,1]", "[3]"), &one), None);
        assert_eq!(read(&table("x", "[1]", "[3]"), &one), None);
    }

    #[test]
    fn null_by_position_is_read_where_every_column_takes_it() {
        let columns = columns(vec![column("FP64", Kind::Number)], true, true);
        let found = read(&table("x", "[2,1]", "[null,1]"), &columns).expect("rows");
        assert!(found.2[0].is_nan() && found.2[1].total_cmp(&1.0).is_eq());
    }

    #[test]
    fn a_reader_keeps_nothing_of_what_it_read_before() {
        let (wide, mut reader, mut rows) = (doubles(2), Reader::default(), Rows::default());
        assert!(reader.read(named(A, B).as_bytes(), &wide, &mut rows).is_some());
        assert!(reader.read(named(A, A).as_bytes(), &wide, &mut rows).is_none());
        assert!(reader.read(table("x", "[2,2]", "[1,2,3,null]").as_bytes(), &wide, &mut rows).is_none());
        assert!(reader.read(named(B, A).as_bytes(), &wide, &mut rows).is_some());
        assert_eq!(rows.graph, [1.5, 2.0, 1.5, 2.0]);
        assert_eq!(rows.observed, rows.graph);
    }
}
