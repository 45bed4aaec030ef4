//! Penstock's native lane: from the body of an ordinary inference request to the body of its answer, without Python.
//!
//! It answers only what it can answer exactly as the server's Python would, byte for byte. Everything else, a wrong
//! request above all, it gives back unanswered, and Python answers. So it has no errors of its own to tell.
#![deny(unsafe_code)]

mod answer;
mod columns;
mod graph;
mod json;
mod lane;
mod request;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ort::environment::Environment;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::answer::{Form, Told};
use crate::columns::{Code, Column, Columns, Kind};
use crate::graph::Graph;
use crate::lane::{Done, Lane, Trade};

type Codes = HashMap<String, (f64, f64)>;

/// One column: name, datatype, kind ("integer", "number", "truth", "text"), whether it is held in single precision, the
/// least and the greatest number, what null is (to the graph, to the monitor) where it is taken, what each text is, and
/// what any other text is where it is taken.
#[derive(FromPyObject)]
struct GivenColumn(String, String, String, bool, f64, f64, Option<(f64, f64)>, Codes, Option<(f64, f64)>);

/// The answer: what is the same for all, before the id, after it, after the shape's first number, after the values; how
/// values are told ("labels", "double", "single", "integers"), labels in JSON and what each is to the monitor; numbers of
/// a row (0 where the shape says nothing of it); whether the monitor is told the values.
#[derive(FromPyObject)]
struct GivenForm(Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, String, Vec<Vec<u8>>, Vec<f64>, usize, bool);

/// What became of offers: tokens, answers, rows of each, what the monitor is told, rows and seconds of each call of the
/// graph; then for each batch its number of requests and its seconds: what
/// the first waited, what all waited, reading, computing, writing, and in all.
type Taken = (Vec<Py<PyAny>>, Vec<Option<Py<PyBytes>>>, Vec<usize>, Py<PyBytes>, Vec<(usize, f64)>, Vec<BatchTimes>);

type BatchTimes = (usize, f64, f64, f64, f64, f64, f64);

#[pyclass(name = "Lane", frozen)]
struct PyLane {
    lane: Lane<Py<PyAny>>,
}

/// ONNX Runtime's environment: a process has one, of the library that was opened first.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

fn environment(library: &str) -> Result<Environment, Box<dyn std::error::Error>> {
    let mut opened = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = &*opened {
        return Ok(found.clone());
    }
    let made = ort::init_from(library)?.with_telemetry(false).build()?;
    *opened = Some(made.clone());
    Ok(made)
}

#[pymethods]
impl PyLane {
    /// Open ONNX Runtime's library and the graph, once for each thread; `at_once` is how many requests are computed
    /// together. Raises `RuntimeError` where that fails.
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        library: &str,
        model: &[u8],
        columns: Vec<GivenColumn>,
        table: (bool, bool),
        safe_square: f64,
        form: GivenForm,
        threads: usize,
        at_once: usize,
    ) -> PyResult<Self> {
        let columns = columns_of(columns, table)?;
        let form = form_of(form)?;
        let failed = |error: &dyn std::error::Error| PyRuntimeError::new_err(error.to_string());
        let environment = environment(library).map_err(|error| failed(&*error))?;
        let integers = matches!(form.told, Told::Labels(..) | Told::Integers);
        let graphs = (0..threads)
            .map(|_| Graph::open(&environment, model, columns.all.len(), integers))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| failed(&error))?;
        let trade = Trade { columns, form, safe_square, at_once: at_once.max(1) };
        Ok(Self { lane: Lane::start(trade, graphs)? })
    }

    /// A descriptor that is readable while something is done.
    fn fileno(&self) -> i32 {
        self.lane.ready()
    }

    /// Queue a body, and with it what is to come back with its answer.
    fn offer(&self, body: &[u8], token: Py<PyAny>) {
        self.lane.offer(body, token);
    }

    /// Wake a thread that sleeps, for what was queued.
    fn wake(&self) {
        self.lane.wake();
    }

    /// What is done.
    fn take(&self, py: Python<'_>) -> Taken {
        let mut all = self.lane.take().into_iter();
        let Some(mut done) = all.next() else {
            return (vec![], vec![], vec![], PyBytes::new(py, &[]).unbind(), vec![], vec![]);
        };
        let mut batches = vec![batch(&done)];
        for more in all {
            batches.push(batch(&more));
            done.tokens.extend(more.tokens);
            done.answers.extend(more.answers);
            done.rows.extend(more.rows);
            done.observed.extend(more.observed);
            done.calls.extend(more.calls);
        }
        let answers = done.answers.into_iter().map(|body| body.map(|body| PyBytes::new(py, &body).unbind())).collect();
        let observed: Vec<u8> = done.observed.iter().flat_map(|value| value.to_ne_bytes()).collect();
        (done.tokens, answers, done.rows, PyBytes::new(py, &observed).unbind(), done.calls, batches)
    }

    /// Finish what was begun, and nothing more; tell whether that took at most so many seconds.
    fn close(&self, py: Python<'_>, seconds: f64) -> bool {
        py.detach(|| self.lane.close(Duration::try_from_secs_f64(seconds).unwrap_or_default()))
    }
}

fn batch<T>(done: &Done<T>) -> BatchTimes {
    let count = done.answers.len();
    let Done { waited_seconds, queued_seconds, read_seconds, computed_seconds, written_seconds, seconds, .. } = *done;
    (count, waited_seconds, queued_seconds, read_seconds, computed_seconds, written_seconds, seconds)
}

fn columns_of(given: Vec<GivenColumn>, table: (bool, bool)) -> PyResult<Columns> {
    let code = |(graph, observed)| Code { graph, observed };
    let position = given.iter().enumerate().map(|(at, column)| (column.0.clone(), at)).collect();
    let all = given
        .into_iter()
        .map(|GivenColumn(_, datatype, kind, single, low, high, missing, words, unseen)| {
            let kind = match kind.as_str() {
                "integer" => Kind::Integer,
                "number" => Kind::Number,
                "truth" => Kind::Truth,
                "text" => Kind::Text,
                _ => return Err(PyValueError::new_err("a column is of no known kind")),
            };
            let words = words.into_iter().map(|(word, pair)| (word, code(pair))).collect();
            let (missing, unseen) = (missing.map(code), unseen.map(code));
            Ok(Column { datatype, kind, single, low, high, missing, words, unseen })
        })
        .collect::<PyResult<Vec<_>>>()?;
    if all.is_empty() {
        return Err(PyValueError::new_err("a model has at least one column"));
    }
    Ok(Columns { all, position, all_double: table.0, all_take_missing: table.1 })
}

fn form_of(given: GivenForm) -> PyResult<Form> {
    let GivenForm(before_id, after_id, before_values, end, told, labels, codes, width, observed) = given;
    let told = match told.as_str() {
        "labels" => Told::Labels(labels, codes),
        "double" => Told::Double,
        "single" => Told::Single,
        "integers" => Told::Integers,
        _ => return Err(PyValueError::new_err("values are told in no known way")),
    };
    Ok(Form { before_id, after_id, before_values, end, told, width, observed })
}

#[pymodule]
fn penstock_lane(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyLane>()
}
