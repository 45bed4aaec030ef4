//! Threads that take what is waiting and give back answers, without the interpreter's lock.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use crate::answer::Form;
use crate::columns::Columns;
use crate::graph::Graph;
use crate::request::{MAX_ROWS, Reader, Rows};

/// What makes an answer of a request.
pub struct Trade {
    pub columns: Columns,
    pub form: Form,
    /// Rows whose squares add up to at most this are surely taken by the model.
    pub safe_square: f64,
    /// Requests that one thread takes together.
    pub at_once: usize,
}

/// A body, and whatever its caller wants back with the answer.
pub struct Offer<T> {
    pub body: Box<[u8]>,
    pub token: T,
    pub arrived: Instant,
}

/// What became of some offers. Seconds are those of the parts of the work, and of all of it.
#[derive(Default)]
pub struct Done<T> {
    pub tokens: Vec<T>,
    /// Bodies of answers; `None` for a request that is not ordinary.
    pub answers: Vec<Option<Vec<u8>>>,
    /// Rows of each answer, 0 where there is none.
    pub rows: Vec<usize>,
    /// For the monitor: each answered row and its prediction.
    pub observed: Vec<f64>,
    /// Answered rows and seconds of each call of the graph that gave answers.
    pub calls: Vec<(usize, f64)>,
    /// How long the first of them had waited, and all of them added up.
    pub waited_seconds: f64,
    pub queued_seconds: f64,
    pub read_seconds: f64,
    pub computed_seconds: f64,
    pub written_seconds: f64,
    pub seconds: f64,
}

struct Queue<T> {
    waiting: VecDeque<Offer<T>>,
    idle: usize,
    closed: bool,
}

struct Shared<T> {
    trade: Trade,
    queue: Mutex<Queue<T>>,
    given: Condvar,
    done: Mutex<Vec<Done<T>>>,
    ready: OwnedFd,
}

/// The threads, one for each graph.
pub struct Lane<T> {
    shared: Arc<Shared<T>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<T: Send + 'static> Lane<T> {
    /// Start a thread for each graph.
    pub fn start(trade: Trade, graphs: Vec<Graph>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            trade,
            queue: Mutex::new(Queue { waiting: VecDeque::new(), idle: 0, closed: false }),
            given: Condvar::new(),
            done: Mutex::new(Vec::new()),
            ready: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        });
        let start = |(number, graph)| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(format!("lane-{number}")).spawn(move || work(&shared, graph))
        };
        let threads = graphs.into_iter().enumerate().map(start).collect::<Result<_, _>>()?;
        Ok(Self { shared, threads: Mutex::new(threads) })
    }

    /// Readable while something is done.
    pub fn ready(&self) -> RawFd {
        self.shared.ready.as_raw_fd()
    }

    /// Queue a body. A thread that is at work finds it; one that sleeps does so when it is woken.
    pub fn offer(&self, body: &[u8], token: T) {
        let offer = Offer { body: body.into(), token, arrived: Instant::now() };
        locked(&self.shared.queue).waiting.push_back(offer);
    }

    /// Wake a thread, if one sleeps and something waits.
    pub fn wake(&self) {
        let queue = locked(&self.shared.queue);
        if queue.idle > 0 && !queue.waiting.is_empty() {
            self.shared.given.notify_one();
        }
    }

    /// What is done.
    pub fn take(&self) -> Vec<Done<T>> {
        let mut counter = [0; 8];
        // Nothing to read is no error: what was done may have been taken before.
        let _ = rustix::io::read(&self.shared.ready, &mut counter);
        std::mem::take(&mut *locked(&self.shared.done))
    }

    /// Finish what was begun, and nothing more; tell whether that was done in time.
    pub fn close(&self, most: Duration) -> bool {
        drop(self.end());
        let began = Instant::now();
        let mut threads = locked(&self.threads);
        while threads.iter().any(|thread| !thread.is_finished()) {
            if began.elapsed() > most {
                // A thread cannot be stopped.
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        threads.drain(..).for_each(|thread| drop(thread.join()));
        true
    }
}

impl<T> Lane<T> {
    /// Let threads end after what they have begun; what was not begun is returned.
    fn end(&self) -> VecDeque<Offer<T>> {
        let mut queue = locked(&self.shared.queue);
        queue.closed = true;
        self.shared.given.notify_all();
        std::mem::take(&mut queue.waiting)
    }
}

impl<T> Drop for Lane<T> {
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// A lock is never held while anything can panic, so what it guards is whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn work<T>(shared: &Shared<T>, mut graph: Graph) {
    let mut reader = Reader::default();
    while let Some(offers) = next(shared) {
        let began = Instant::now();
        let waited = began - offers[0].arrived;
        let queued = offers.iter().map(|offer| (began - offer.arrived).as_secs_f64()).sum();
        let (tokens, bodies): (Vec<_>, Vec<_>) = offers.into_iter().map(|offer| (offer.token, offer.body)).unzip();
        let attempt = AssertUnwindSafe(|| run(&shared.trade, &mut graph, &mut reader, &bodies));
        // What fails here, whatever it is, is answered by the other way.
        let mut done = catch_unwind(attempt).unwrap_or_else(|_| nothing(bodies.len()));
        done.tokens = tokens;
        done.waited_seconds = waited.as_secs_f64();
        done.queued_seconds = queued;
        done.seconds = began.elapsed().as_secs_f64();
        locked(&shared.done).push(done);
        let _ = rustix::io::write(&shared.ready, &1_u64.to_ne_bytes());
    }
}

/// What to answer next, one offer at least; `None` when there shall be no more.
fn next<T>(shared: &Shared<T>) -> Option<Vec<Offer<T>>> {
    let mut queue = locked(&shared.queue);
    loop {
        if queue.closed {
            return None;
        }
        if !queue.waiting.is_empty() {
            let count = queue.waiting.len().min(shared.trade.at_once);
            let taken = queue.waiting.drain(..count).collect();
            if queue.idle > 0 && !queue.waiting.is_empty() {
                shared.given.notify_one();
            }
            return Some(taken);
        }
        queue.idle += 1;
        queue = shared.given.wait(queue).unwrap_or_else(PoisonError::into_inner);
        queue.idle -= 1;
    }
}

fn nothing<T>(count: usize) -> Done<T> {
    Done {
        tokens: Vec::new(),
        answers: vec![None; count],
        rows: vec![0; count],
        observed: Vec::new(),
        calls: Vec::new(),
        waited_seconds: 0.0,
        queued_seconds: 0.0,
        read_seconds: 0.0,
        computed_seconds: 0.0,
        written_seconds: 0.0,
        seconds: 0.0,
    }
}

/// A request that was read: its place in the batch, its first row, its number of rows and its id.
struct Asked<'a> {
    place: usize,
    first: usize,
    rows: usize,
    id: &'a str,
}

fn run<T>(trade: &Trade, graph: &mut Graph, reader: &mut Reader, bodies: &[Box<[u8]>]) -> Done<T> {
    let began = Instant::now();
    let width = trade.columns.all.len();
    let mut done = nothing(bodies.len());
    let mut rows = Rows::default();
    let mut asked = Vec::with_capacity(bodies.len());
    for (place, body) in bodies.iter().enumerate() {
        let first = rows.graph.len() / width;
        if let Some(request) = reader.read(body, &trade.columns, &mut rows) {
            if safe(&rows.graph[first * width..], width, trade.safe_square) {
                asked.push(Asked { place, first, rows: request.rows, id: request.id });
            } else {
                rows.graph.truncate(first * width);
                rows.observed.truncate(first * width);
            }
        }
    }
    done.read_seconds = began.elapsed().as_secs_f64();
    let mut rest = asked.as_slice();
    while !rest.is_empty() {
        let (chunk, more) = rest.split_at(fitting(rest));
        compute(trade, graph, &rows, chunk, &mut done);
        rest = more;
    }
    done
}

fn safe(rows: &[f64], width: usize, most: f64) -> bool {
    most == f64::INFINITY || rows.chunks(width).all(|row| row.iter().map(|value| value * value).sum::<f64>() <= most)
}

/// How many of the first requests are computed together: of at most `MAX_ROWS` rows, and at least one.
fn fitting(asked: &[Asked<'_>]) -> usize {
    let first = asked[0].first;
    asked.iter().take_while(|request| request.first + request.rows - first <= MAX_ROWS).count().max(1)
}

fn compute<T>(trade: &Trade, graph: &mut Graph, rows: &Rows, chunk: &[Asked<'_>], done: &mut Done<T>) {
    let width = trade.columns.all.len();
    let (first, last) = (chunk[0].first, &chunk[chunk.len() - 1]);
    let count = last.first + last.rows - first;
    let began = Instant::now();
    let block = &rows.graph[first * width..(first + count) * width];
    let form = &trade.form;
    // An error leaves the requests without answers, to the other way.
    let _ = graph.compute(block, |values, each| {
        if values.len() != count * each || each != form.width.max(1) {
            return;
        }
        let computed = began.elapsed().as_secs_f64();
        let writing = Instant::now();
        let mut answered = 0;
        for request in chunk {
            let at = request.first - first;
            let Some(body) = form.write(request.id, request.rows, &values.part(at * each, request.rows * each)) else {
                continue;
            };
            done.answers[request.place] = Some(body);
            done.rows[request.place] = request.rows;
            answered += request.rows;
            for row in 0..request.rows {
                let from = (request.first + row) * width;
                done.observed.extend_from_slice(&rows.observed[from..from + width]);
                done.observed.push(form.observation(values, (at + row) * each));
            }
        }
        if answered > 0 {
            done.computed_seconds += computed;
            done.written_seconds += writing.elapsed().as_secs_f64();
            done.calls.push((answered, computed));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_safe_one_by_one() {
        assert!(safe(&[3.0, 4.0, 0.0, -5.0], 2, 25.0));
        assert!(!safe(&[3.0, 4.0, 3.0, 4.1], 2, 25.0));
        for value in [f64::NAN, f64::INFINITY, 1e200] {
            assert!(!safe(&[0.0, value], 2, 1e300), "{value}");
            assert!(safe(&[0.0, value], 2, f64::INFINITY), "{value}");
        }
    }

    #[test]
    fn what_is_computed_together_is_of_few_rows() {
        let sizes = |sizes: &[usize]| {
            let mut first = 0;
            let asked: Vec<_> = sizes
                .iter()
                .enumerate()
                .map(|(place, rows)| {
                    first += rows;
                    Asked { place, first: first - rows, rows: *rows, id: "" }
                })
                .collect();
            let (mut rest, mut found) = (asked.as_slice(), Vec::new());
            while !rest.is_empty() {
                let count = fitting(rest);
                found.push(count);
                rest = &rest[count..];
            }
            found
        };
        assert_eq!(sizes(&[1, 1, 1]), [3]);
        assert_eq!(sizes(&[MAX_ROWS, 1]), [1, 1]);
        assert_eq!(sizes(&[MAX_ROWS - 1, 1, 1]), [2, 1]);
        assert_eq!(sizes(&[200, 100, MAX_ROWS, 10, 246, 1]), [1, 1, 1, 2, 1]);
    }

    #[test]
    fn a_lane_without_threads_gives_nothing_and_closes_at_once() {
        let columns = Columns {
            all: vec![],
            position: std::collections::HashMap::new(),
            all_double: true,
            all_take_missing: false,
        };
        let (told, none) = (crate::answer::Told::Double, Vec::new);
        let form = Form {
            before_id: none(),
            after_id: none(),
            before_values: none(),
            end: none(),
            told,
            width: 0,
            observed: false,
        };
        let lane = Lane::start(Trade { columns, form, safe_square: 1.0, at_once: 1 }, vec![]).expect("a lane");
        lane.offer(b"{}", 7);
        lane.wake();
        assert!(lane.take().is_empty());
        assert!(lane.close(Duration::from_mins(1)));
    }
}
