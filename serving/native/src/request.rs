//! An ordinary request: one row of every column by name, or rows of FP64 by position, and perhaps an id.
//!
//! It is read only where `penstock_serving.protocol.ordinary` would read it, to the same numbers.

use crate::columns::{Code, Columns};
use crate::json::{Cursor, Value};

const MAX_ID: usize = 256;
const MAX_NAME: usize = 128;
/// Rows of one request; more are computed with more care elsewhere.
pub const MAX_ROWS: usize = 256;

/// The rows of several requests, one after another: the graph's input and what the monitor is told, row by row.
#[derive(Default)]
pub struct Rows {
    pub graph: Vec<f64>,
    pub observed: Vec<f64>,
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
