//! Penstock's native lane: from the body of an ordinary inference request to the body of its answer, without Python.
//!
//! It answers only what it can answer exactly as the server's Python would, byte for byte. Everything else, a wrong
//! request above all, it gives back unanswered, and Python answers. So it has no errors of its own to tell.
#![deny(unsafe_code)]

mod admission;
mod answer;
mod columns;
mod count;
mod front;
mod graph;
mod http;
mod json;
mod lane;
mod request;

use std::collections::HashMap;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mio::{Poll, Waker};
use ort::environment::Environment;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::event::{EventfdFlags, eventfd};

use crate::answer::{Form, Told};
use crate::columns::{Code, Column, Columns, Kind};
use crate::front::{Caller, Callers, Front, Rules, WAKER};
use crate::graph::Graph;
use crate::http::Address;
use crate::lane::{Done, Lane, Outlet, Trade, locked};

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

/// What became of offers: tokens, answers, rows of each, rows and seconds of each call of the graph; for each batch its
/// number of requests and its seconds: what the first waited, what all waited, reading, computing, writing, and in all;
/// and what the monitor is told.
type Taken =
    (Vec<Py<PyAny>>, Vec<Option<Py<PyBytes>>>, Vec<usize>, Vec<(usize, f64)>, Vec<BatchTimes>, Option<Py<PyBytes>>);

type BatchTimes = (usize, f64, f64, f64, f64, f64, f64);

/// What comes back with an answer: an object of Python's, or a caller of the front.
enum Either {
    Python(Py<PyAny>),
    Front(Caller),
}

impl Callers for Either {
    fn of(caller: Caller) -> Self {
        Self::Front(caller)
    }

    fn caller(&self) -> Option<Caller> {
        match self {
            Self::Python(_) => None,
            Self::Front(caller) => Some(*caller),
        }
    }
}

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

#[pyclass(name = "Lane", frozen)]
struct PyLane {
    lane: Arc<Lane<Either>>,
    bell: Arc<Bell>,
    /// For the front, which is told of its answers by the waker.
    poll: Mutex<Option<Poll>>,
    waker: Arc<Waker>,
    width: usize,
    /// Outlives the graphs.
    _environment: Environment,
}

#[pymethods]
impl PyLane {
    /// Open ONNX Runtime's library and the graph, once for each thread; `at_once` requests are computed
    /// together, `most` are let in. Raises `RuntimeError` where that fails.
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
        most: usize,
    ) -> PyResult<Self> {
        let columns = columns_of(columns, table)?;
        let width = columns.all.len() + 1;
        let form = form_of(form)?;
        let failed = |error: &dyn std::error::Error| PyRuntimeError::new_err(error.to_string());
        let environment = ort::init_from(library)
            .map_err(|error| failed(&error))?
            .with_telemetry(false)
            .build()
            .map_err(|error| failed(&error))?;
        let integers = matches!(form.told, Told::Labels(..) | Told::Integers);
        let graphs = (0..threads)
            .map(|_| Graph::open(&environment, model, columns.all.len(), integers))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| failed(&error))?;
        let trade = Trade { columns, form, safe_square, at_once: at_once.max(1) };
        let bell = Bell::new()?;
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (rung, woken) = (Arc::clone(&bell), Arc::clone(&waker));
        let wake = move || {
            let _ = woken.wake();
        };
        let lane = Lane::start(trade, graphs, most, [Box::new(move || rung.ring()), Box::new(wake)])?;
        let (lane, poll) = (Arc::new(lane), Mutex::new(Some(poll)));
        Ok(Self { lane, bell, poll, waker, width, _environment: environment })
    }

    /// A descriptor that is readable while something is done.
    fn fileno(&self) -> i32 {
        self.bell.0.as_raw_fd()
    }

    /// Queue a body, and with it what is to come back with its answer.
    fn offer(&self, body: &[u8], token: Py<PyAny>) {
        self.lane.offer(Outlet::Python, body, Either::Python(token));
    }

    /// Wake a thread that sleeps, for what was queued.
    fn wake(&self) {
        self.lane.wake();
    }

    /// Whether one more request is let in while so many are held.
    fn admits(&self, held: usize) -> bool {
        self.lane.admits(held, Instant::now())
    }

    /// Seconds for which every thread has been in one batch; 0 where one is not.
    fn held_up(&self) -> f64 {
        self.lane.held_up(Instant::now()).as_secs_f64()
    }

    /// What is done.
    fn take(&self, py: Python<'_>) -> Taken {
        self.bell.hear();
        let mut taken = Taken::default();
        let mut observed = Vec::new();
        for done in self.lane.take(Outlet::Python) {
            taken.4.push(batch(&done));
            taken.0.extend(done.tokens.into_iter().filter_map(|token| match token {
                Either::Python(token) => Some(token),
                Either::Front(_) => None,
            }));
            taken.1.extend(done.answers.into_iter().map(|body| body.map(|body| PyBytes::new(py, &body).unbind())));
            taken.2.extend(done.rows);
            taken.3.extend(done.calls);
            observed.extend(done.observed.iter().flat_map(|value| value.to_ne_bytes()));
        }
        taken.5 = Some(PyBytes::new(py, &observed).unbind());
        taken
    }

    /// Answer what comes to a listening socket, which becomes the front's own, by rules; `bounds` are the upper ends of
    /// buckets that times are counted in. To be asked once.
    fn front(&self, listening: i32, rules: GivenRules, bounds: Vec<f64>) -> PyResult<PyFront> {
        let poll = locked(&self.poll).take().ok_or_else(|| PyRuntimeError::new_err("there is a front already"))?;
        let bell = Bell::new()?;
        let rung = Arc::clone(&bell);
        let lane = Arc::clone(&self.lane);
        let tell = Box::new(move || rung.ring());
        let listener = listener_of(listening);
        let front =
            Front::start(listener, poll, Arc::clone(&self.waker), lane, rules_of(rules), self.width, bounds, tell)?;
        Ok(PyFront { front, bell })
    }

    /// Finish what was begun, and nothing more.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.lane.close());
    }
}

/// Targets; the longest body; the header of the caller's patience; the head of a good answer; head and body of one that
/// is too late; connections at most; seconds for an answer, of idleness, and for a caller to read.
#[derive(FromPyObject)]
struct GivenRules(Vec<Vec<u8>>, usize, String, Vec<u8>, Vec<u8>, Vec<u8>, usize, f64, f64, f64);

/// Buckets, answers, late ones, seconds of both; rows; requests begun, and their seconds queued, reading, computing,
/// writing; calls of the graph: rows, number, seconds; seconds since the last of them.
type Counted = (Vec<u64>, u64, u64, f64, f64, u64, (u64, f64, f64, f64, f64), Vec<(usize, u64, f64)>, Option<f64>);

#[pyclass(name = "Front", frozen)]
struct PyFront {
    front: Front<Either>,
    bell: Arc<Bell>,
}

#[pymethods]
impl PyFront {
    /// A descriptor that is readable while a connection was handed over.
    fn fileno(&self) -> i32 {
        self.bell.0.as_raw_fd()
    }

    /// Connections that are Python's now: descriptors, and the bytes that were read from them.
    fn handed(&self, py: Python<'_>) -> Vec<(i32, Py<PyBytes>)> {
        self.bell.hear();
        let handed = std::mem::take(&mut *locked(&self.front.shared.handed));
        handed.into_iter().map(|(stream, bytes)| (stream.into_raw_fd(), PyBytes::new(py, &bytes).unbind())).collect()
    }

    /// Take back a connection that waits for nothing.
    fn take_back(&self, connection: i32) {
        self.front.take_back(stream_of(connection));
    }

    /// Requests that the lane has from here.
    fn asked(&self) -> usize {
        self.front.shared.asked.load(Ordering::Acquire)
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

    /// What the monitor is to be told since it was asked last, and how many rows were too many to keep.
    fn observed(&self, py: Python<'_>) -> (Py<PyBytes>, usize) {
        let found = std::mem::take(&mut *locked(&self.front.shared.observed));
        let bytes: Vec<u8> = found.rows.iter().flat_map(|value| value.to_ne_bytes()).collect();
        (PyBytes::new(py, &bytes).unbind(), found.dropped)
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
    let GivenRules(targets, max_body, expected_timeout, head, late, said, connections, timeout, idle, write) = given;
    Rules {
        address: Address { targets, max_body, expected_timeout },
        head,
        late: (late, said),
        connections,
        timeout: Duration::from_secs_f64(timeout),
        idle: Duration::from_secs_f64(idle),
        write: Duration::from_secs_f64(write),
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
    module.add_class::<PyLane>()?;
    module.add_class::<PyFront>()
}
