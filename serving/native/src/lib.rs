//! Penstock's native lane: from the body of an ordinary inference request to the body of its answer, without Python but
//! for the call of a model that is not compiled.
//!
//! It answers only what it can answer exactly as the server's Python would, byte for byte. Everything else, a wrong
//! request above all, it gives back unanswered, and Python answers. So it has no errors of its own to tell.
#![deny(unsafe_code)]

mod admission;
mod answer;
mod buckets;
mod called;
mod columns;
mod compute;
mod count;
mod feed;
mod front;
mod graph;
mod http;
mod instructions;
mod json;
mod lane;
mod nearest;
mod neighbours;
#[cfg(test)]
mod numbers;
mod onnx;
mod request;
mod slice;
mod tops;
mod translate;
mod trees;

use std::collections::HashMap;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ort::environment::Environment;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::event::{EventfdFlags, eventfd};

use crate::answer::{Form, Told};
use crate::called::Called;
use crate::columns::{Code, Column, Columns, Kind};
use crate::compute::Compute;
use crate::count::Counts;
use crate::feed::{Feed, FeedCounts};
use crate::front::{Front, Handed, Rules};
use crate::graph::Graph;
use crate::http::Address;
use crate::instructions::Runner;
use crate::lane::{Start, Together, Trade, locked};
use crate::neighbours::Neighbours;
use crate::request::Reader;
use crate::translate::translated;

type Models = Vec<Box<dyn Compute>>;
type Failure = Box<dyn std::error::Error>;
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

/// Answers, `None` for what is left to Python; rows of each; what the monitor is told.
type Asked = (Vec<Option<Py<PyBytes>>>, Vec<usize>, Py<PyBytes>);

/// A descriptor that is readable from when something is told until it is heard.
struct Bell(OwnedFd);

impl Bell {
    fn new() -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    fn ring(&self) {
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    fn hear(&self) {
        // Nothing to read is no error: it may have been heard before.
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

/// ONNX Runtime's environment: a process has one, of the library that was opened first.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

fn environment(library: &str) -> Result<Environment, Failure> {
    let mut opened = locked(&ENVIRONMENT);
    if let Some(found) = &*opened {
        return Ok(found.clone());
    }
    let made = ort::init_from(library)?.with_telemetry(false).build()?;
    *opened = Some(made.clone());
    Ok(made)
}

/// A model for each thread: by instructions where there are some for all of it, which threads share; else by ONNX Runtime,
/// which only then is loaded, and for fewer threads, as each has a copy of its own.
fn models(library: &str, model: &[u8], trade: &Trade, threads: usize, copies: usize) -> Result<Models, Failure> {
    let (columns, integers) = (trade.columns.all.len(), trade.form.integers());
    if let Some(program) = translated(model, columns, integers) {
        let program = Arc::new(program);
        return Ok((0..threads).map(|_| Box::new(Runner::new(Arc::clone(&program))) as Box<dyn Compute>).collect());
    }
    let environment = environment(library)?;
    let open = |_| Ok(Box::new(Graph::open(&environment, model, columns, integers)?) as Box<dyn Compute>);
    (0..copies).map(open).collect()
}

/// A model that answers ordinary requests.
#[pyclass(name = "Lane", frozen)]
struct PyLane {
    trade: Arc<Trade>,
    /// One for each thread; none once they are started.
    models: Mutex<Models>,
    /// Starts the threads.
    start: Box<Start>,
}

#[pymethods]
impl PyLane {
    /// Open a compiled model for `threads` threads, for `copies` where each has to hold it; so many requests, rows and bytes
    /// are taken `together`. Raises `RuntimeError` where that fails.
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
        copies: usize,
        together: (usize, usize, usize),
    ) -> PyResult<Self> {
        let trade = trade_of(columns, table, safe_square, form, together)?;
        let models = models(library, model, &trade, threads.max(1), copies.max(1));
        let models = Mutex::new(models.map_err(|error| PyRuntimeError::new_err(error.to_string()))?);
        Ok(Self { trade, models, start: Box::new(lane::start) })
    }

    /// A lane whose model is a Python function, asked by threads that `start` starts: see `called`. Where it is one of
    /// `neighbours`, they are asked first. Raises `ValueError` where they are of other columns.
    #[staticmethod]
    #[allow(clippy::needless_pass_by_value, clippy::too_many_arguments)] // as pyo3 gives arguments
    fn calling(
        py: Python<'_>,
        ask: Py<PyAny>,
        start: Py<PyAny>,
        columns: Vec<GivenColumn>,
        table: (bool, bool),
        form: GivenForm,
        threads: usize,
        together: (usize, usize, usize),
        neighbours: Option<Py<Neighbours>>,
    ) -> PyResult<Self> {
        let trade = trade_of(columns, table, f64::INFINITY, form, together)?;
        let (columns, integers) = (trade.columns.all.len(), trade.form.integers());
        let neighbours = neighbours.as_ref().map(Py::get);
        if neighbours.is_some_and(|neighbours| neighbours.columns() != columns || !integers) {
            return Err(PyValueError::new_err("the neighbours are another model's"));
        }
        let one = |_| {
            let natively = neighbours.map(Neighbours::runner);
            Box::new(Called { natively, ask: ask.clone_ref(py), columns, integers }) as Box<dyn Compute>
        };
        let models = Mutex::new((0..threads.max(1)).map(one).collect());
        Ok(Self { trade, models, start: Box::new(move |name, job| called::start(&start, name, job)) })
    }

    /// What computes: "instructions" of this module's, "onnxruntime", "python", or "instructions and python" where Python
    /// computes what those leave; raises `RuntimeError` once there is a front.
    #[getter]
    fn computed_by(&self, py: Python<'_>) -> PyResult<&'static str> {
        py.detach(|| locked(&self.models).first().map(|model| model.by())).ok_or_else(begun)
    }

    /// How many threads it has, or will have; raises `RuntimeError` once there is a front.
    #[getter]
    fn threads(&self, py: Python<'_>) -> PyResult<usize> {
        Some(py.detach(|| locked(&self.models).len())).filter(|count| *count > 0).ok_or_else(begun)
    }

    /// Answer bodies here and now, as many together as may be; raises `RuntimeError` once there is a front.
    #[allow(clippy::needless_pass_by_value)] // as pyo3 gives arguments
    fn ask(&self, py: Python<'_>, bodies: Vec<Vec<u8>>) -> PyResult<Asked> {
        let done = py.detach(|| {
            let mut models = locked(&self.models);
            let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
            models.first_mut().map(|model| {
                let mut reader = Reader::default();
                let answer = |some| lane::answer(&self.trade, &mut **model, &mut reader, some);
                bodies.chunks(self.trade.together.requests).map(answer).collect::<Vec<_>>()
            })
        });
        let done = done.ok_or_else(begun)?;
        let rows = done.iter().flat_map(|some| some.rows.clone()).collect();
        let observed: Vec<f64> = done.iter().flat_map(|some| some.observed.clone()).collect();
        let answers = done.into_iter().flat_map(|some| some.answers);
        let answers = answers.map(|body| body.map(|body| PyBytes::new(py, &body).unbind()));
        Ok((answers.collect(), rows, doubles(py, &observed)))
    }

    /// Answer what comes to listening sockets, which become the front's own, by rules; `bounds` are the upper ends of
    /// buckets that times are counted in; the monitor's socket is at `monitor`, and what it is told goes under the id `boot`.
    /// Raises `RuntimeError` when that was asked before.
    fn front(
        &self,
        py: Python<'_>,
        listening: Vec<i32>,
        rules: GivenRules,
        bounds: Vec<f64>,
        monitor: PathBuf,
        boot: u64,
    ) -> PyResult<PyFront> {
        let sockets = listening.into_iter().map(listener_of).collect();
        let models = py.detach(|| std::mem::take(&mut *locked(&self.models)));
        if models.is_empty() {
            return Err(begun());
        }
        let bell = Bell::new()?;
        let rung = Arc::clone(&bell);
        let tell = Box::new(move || rung.ring());
        let trade = Arc::clone(&self.trade);
        let feed = Feed::new(monitor, boot, trade.columns.all.len() + 1, Instant::now());
        let (rules, counts) = (rules_of(rules), Counts::new(bounds));
        let front = Front::start(sockets, trade, models, &*self.start, rules, counts, feed, tell)?;
        Ok(PyFront { front, bell })
    }
}

fn begun() -> PyErr {
    PyRuntimeError::new_err("there is a front already")
}

fn doubles(py: Python<'_>, values: &[f64]) -> Py<PyBytes> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    PyBytes::new(py, &bytes).unbind()
}

/// What the monitor counts by: edges of a column (none: values are positions) and the number of its buckets.
#[pyclass(name = "Buckets", frozen)]
struct PyBuckets(Vec<buckets::Column>);

#[pymethods]
impl PyBuckets {
    /// Raises `ValueError` for a column without a bucket, and without columns.
    #[new]
    fn new(columns: Vec<(Option<Vec<f64>>, usize)>) -> PyResult<Self> {
        if columns.is_empty() || columns.iter().any(|(_, buckets)| *buckets == 0) {
            return Err(PyValueError::new_err("there is a column at least, and each has a bucket"));
        }
        Ok(Self(columns.into_iter().map(|(edges, buckets)| buckets::Column { edges, buckets }).collect()))
    }

    /// Count rows: see `buckets::count`.
    fn count(&self, py: Python<'_>, rows: &[u8]) -> Py<PyBytes> {
        let counts = buckets::count(&self.0, rows);
        let bytes: Vec<u8> = counts.iter().flat_map(|count| count.to_ne_bytes()).collect();
        PyBytes::new(py, &bytes).unbind()
    }
}

/// Targets; the longest body; the header of the caller's patience; the head of a good answer; head and body of one that
/// is too late; connections and requests at most; seconds for an answer, of idleness, and for a caller to read.
#[derive(FromPyObject)]
struct GivenRules(Vec<Vec<u8>>, usize, String, Vec<u8>, Vec<u8>, Vec<u8>, usize, usize, f64, f64, f64);

/// Buckets, answers, late ones, seconds of both; rows; requests begun, and their seconds queued, reading, computing,
/// writing; calls of the model: rows, number, seconds; seconds since the last of them.
type Counted = (Vec<u64>, u64, u64, f64, f64, u64, (u64, f64, f64, f64, f64), Vec<(usize, u64, f64)>, Option<f64>);

#[pyclass(name = "Front", frozen)]
struct PyFront {
    front: Front,
    bell: Arc<Bell>,
}

#[pymethods]
impl PyFront {
    /// A descriptor that is readable while a connection was handed over.
    fn fileno(&self) -> i32 {
        self.bell.0.as_raw_fd()
    }

    /// Connections that are Python's now: descriptors, the bytes that were read from them, and the seconds since those
    /// began to come.
    fn handed(&self, py: Python<'_>) -> Vec<(i32, Py<PyBytes>, f64)> {
        self.bell.hear();
        let handed = std::mem::take(&mut *locked(&self.front.shared.handed));
        let told = |one: Handed| {
            let bytes = PyBytes::new(py, &one.bytes).unbind();
            (one.stream.into_raw_fd(), bytes, one.spent.as_secs_f64())
        };
        handed.into_iter().map(told).collect()
    }

    /// Take back a connection that waits for nothing.
    fn take_back(&self, connection: i32) {
        self.front.take_back(stream_of(connection));
    }

    /// Whether the lane would take one more request.
    fn admits(&self) -> bool {
        self.front.shared.lane.admits(self.front.shared.asked.load(Ordering::Acquire), Instant::now())
    }

    /// Seconds for which every thread has been in one batch; 0 where one is not.
    fn held_up(&self) -> f64 {
        self.front.shared.lane.held_up(Instant::now()).as_secs_f64()
    }

    /// Requests that the lane has, and connections that nobody has taken over yet.
    fn asked(&self) -> usize {
        self.front.shared.asked.load(Ordering::Acquire) + locked(&self.front.shared.handed).len()
    }

    /// Totals since the start.
    fn counts(&self) -> Counted {
        let counts = locked(&self.front.shared.counts);
        let calls = counts.calls.iter().map(|(rows, (number, seconds))| (*rows, *number, *seconds)).collect();
        let parts =
            (counts.begun, counts.queued_seconds, counts.read_seconds, counts.computed_seconds, counts.written_seconds);
        let (good, late) = (counts.answered, counts.late);
        let since = counts.last.map(|last| last.elapsed().as_secs_f64());
        (counts.buckets.clone(), good, late, counts.seconds, counts.failed_seconds, counts.rows, parts, calls, since)
    }

    /// Seconds since the model was asked last; none before that.
    fn idle(&self, py: Python<'_>) -> Option<f64> {
        py.detach(|| locked(&self.front.shared.counts).last).map(|last| last.elapsed().as_secs_f64())
    }

    /// Rows that the monitor was told of, and that it could not be told of.
    fn told(&self, py: Python<'_>) -> (u64, u64) {
        let FeedCounts { sent, dropped, .. } = py.detach(|| locked(&self.front.shared.feed).counts());
        (sent, dropped)
    }

    /// Hand over every connection as soon as it waits for no answer.
    fn drain(&self) {
        self.front.drain();
    }

    /// End what is left.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.front.close());
    }
}

/// A socket that Python gave away.
#[allow(unsafe_code)]
fn stream_of(descriptor: i32) -> TcpStream {
    // SAFETY: Python made the descriptor for this, and gives it to nobody else.
    unsafe { TcpStream::from_raw_fd(descriptor) }
}

/// The socket that Python gave away.
#[allow(unsafe_code)]
fn listener_of(descriptor: i32) -> TcpListener {
    // SAFETY: Python detaches the descriptor from its socket object and gives it to nobody else.
    unsafe { TcpListener::from_raw_fd(descriptor) }
}

fn rules_of(given: GivenRules) -> Rules {
    let GivenRules(targets, max_body, expected_timeout, head, late, said, connections, in_flight, timeout, idle, write) =
        given;
    Rules {
        address: Address { targets, max_body, expected_timeout },
        head,
        late: (late, said),
        connections,
        in_flight,
        timeout: Duration::from_secs_f64(timeout),
        idle: Duration::from_secs_f64(idle),
        write: Duration::from_secs_f64(write),
    }
}

fn trade_of(
    columns: Vec<GivenColumn>,
    table: (bool, bool),
    safe_square: f64,
    form: GivenForm,
    together: (usize, usize, usize),
) -> PyResult<Arc<Trade>> {
    let (columns, form) = (columns_of(columns, table)?, form_of(form)?);
    let (requests, rows, bytes) = together;
    let together = Together { requests: requests.max(1), rows, bytes };
    Ok(Arc::new(Trade { columns, form, safe_square, together }))
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
    module.add_class::<PyLane>()?;
    module.add_class::<Neighbours>()?;
    module.add_class::<PyBuckets>()?;
    module.add_class::<PyFront>()
}
