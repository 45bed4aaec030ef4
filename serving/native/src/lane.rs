//! Threads that take what is waiting and give back answers.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::admission::Admission;
use crate::answer::Form;
use crate::columns::Columns;
use crate::compute::{Compute, Pace};
use crate::request::{Reader, Rows};
use crate::slice;

const CLOSE: Duration = Duration::from_secs(1);

/// What makes an answer of a request.
pub struct Trade {
    pub columns: Columns,
    pub form: Form,
    /// Rows whose squares add up to at most this are surely taken by the model.
    pub safe_square: f64,
    pub together: Together,
}

/// How much one thread takes together, so that nobody waits long for others: requests, their rows, their bytes.
#[derive(Clone, Copy)]
pub struct Together {
    pub requests: usize,
    pub rows: usize,
    pub bytes: usize,
}

/// What a thread does.
pub type Job = Box<dyn FnOnce() + Send>;
/// Starts a thread of a name.
pub type Start = dyn Fn(String, Job) -> io::Result<()> + Send + Sync;

/// Which connection a request came by; its generation tells it from another one in the same place.
#[derive(Clone, Copy, PartialEq)]
pub struct Caller {
    pub place: usize,
    pub generation: u64,
}

/// A body, and whose it is.
struct Offer {
    body: Box<[u8]>,
    /// Rows that it has at most: each but the last ends a value with a comma, or more of them.
    rows: usize,
    caller: Caller,
    arrived: Instant,
}

/// What became of some offers. Seconds are those of the parts of the work.
#[derive(Default)]
pub struct Done {
    pub callers: Vec<Caller>,
    /// Bodies of answers; `None` for a request that is not ordinary.
    pub answers: Vec<Option<Vec<u8>>>,
    /// Rows of each answer, 0 where there is none.
    pub rows: Vec<usize>,
    /// For the monitor: each answered row and its prediction.
    pub observed: Vec<f64>,
    /// Answered rows and seconds of each call of the model that gave answers.
    pub calls: Vec<(usize, f64)>,
    /// Whether the model was asked at all.
    pub asked: bool,
    /// How long all of them had waited, added up.
    pub queued_seconds: f64,
    pub read_seconds: f64,
    pub computed_seconds: f64,
    pub written_seconds: f64,
}

struct Queue {
    waiting: VecDeque<Offer>,
    /// When each thread began what it is at.
    began: Vec<Option<Instant>>,
    admission: Admission,
    idle: usize,
    closed: bool,
}

impl Queue {
    /// Rows that wait, at most.
    fn rows(&self) -> usize {
        self.waiting.iter().map(|offer| offer.rows).sum()
    }

    fn held_up(&self, now: Instant) -> Duration {
        let spent =
            |began: &Option<Instant>| began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        self.began.iter().map(spent).min().unwrap_or_default()
    }
}

struct Shared {
    trade: Arc<Trade>,
    /// One for each thread, which has it while it is at work.
    models: Vec<Mutex<Box<dyn Compute>>>,
    pace: Pace,
    queue: Mutex<Queue>,
    given: Condvar,
    done: Mutex<Vec<Done>>,
    tell: Box<dyn Fn() + Send + Sync>,
}

/// The threads, one for each model.
pub struct Lane {
    shared: Arc<Shared>,
    /// Held by each thread, too, until it ends.
    threads: Arc<()>,
}

/// A thread of our own.
pub fn start(name: String, job: Job) -> io::Result<()> {
    thread::Builder::new().name(name).spawn(job).map(drop)
}

impl Lane {
    /// Start a thread for each model; `most` requests are let in at once; `tell` is called on a thread when something is
    /// done.
    pub fn start(
        trade: Arc<Trade>,
        models: Vec<Box<dyn Compute>>,
        start: &Start,
        most: usize,
        tell: Box<dyn Fn() + Send + Sync>,
    ) -> io::Result<Self> {
        let queue = Queue {
            waiting: VecDeque::new(),
            began: vec![None; models.len()],
            admission: Admission::new(models.len(), trade.together.requests, most),
            idle: 0,
            closed: false,
        };
        let (queue, done) = (Mutex::new(queue), Mutex::new(Vec::new()));
        let pace = models.first().map_or(Pace::Waits, |model| model.pace());
        let models: Vec<_> = models.into_iter().map(Mutex::new).collect();
        let count = models.len();
        let shared = Arc::new(Shared { trade, models, pace, queue, given: Condvar::new(), done, tell });
        let lane = Self { shared, threads: Arc::new(()) };
        for number in 0..count {
            let (shared, thread) = (Arc::clone(&lane.shared), Arc::clone(&lane.threads));
            let job = move || {
                work(&shared, number);
                drop(thread);
            };
            if let Err(error) = start(format!("lane-{number}"), Box::new(job)) {
                lane.close();
                return Err(error);
            }
        }
        Ok(lane)
    }

    /// Queue a body, and tell whether what waits is better answered before another is read. A thread that is at work finds
    /// it; one that sleeps does so when it is woken.
    pub fn offer(&self, body: &[u8], caller: Caller) -> bool {
        let rows = rows_at_most(body, self.shared.trade.columns.all.len());
        let offer = Offer { body: body.into(), rows, caller, arrived: Instant::now() };
        let shared = &*self.shared;
        let mut queue = locked(&shared.queue);
        queue.waiting.push_back(offer);
        // Several threads compute while more is read.
        if shared.pace != Pace::ByRow || shared.models.len() != 1 {
            return false;
        }
        let waiting = queue.rows();
        let is_brief = |rows| queue.admission.is_brief(rows, shared.pace);
        let full = queue.waiting.len() >= shared.trade.together.requests;
        is_brief(waiting) && (full || !is_brief(waiting + rows))
    }

    /// Leave out what a caller asked, if it is not begun: nobody waits for it any more.
    pub fn withdraw(&self, caller: Caller) {
        locked(&self.shared.queue).waiting.retain(|offer| offer.caller != caller);
    }

    /// Wake a thread, if one sleeps and something waits.
    pub fn wake(&self) {
        let queue = locked(&self.shared.queue);
        let sleeps = queue.idle > 0 && !queue.waiting.is_empty();
        // Whoever is woken takes the lock at once: on one processor it would go back to sleep for it.
        drop(queue);
        if sleeps {
            self.shared.given.notify_one();
        }
    }

    /// Answer all that waits, here and now, where no thread is at work and that is brief, by what the last rows took. What is
    /// not, or may wait for something, is left to the threads.
    pub fn answer_here(&self, reader: &mut Reader) -> Option<Done> {
        let shared = &*self.shared;
        let mut queue = locked(&shared.queue);
        let rows = queue.rows();
        let few = queue.waiting.len() <= shared.trade.together.requests;
        let idle = queue.idle == shared.models.len() && !queue.closed;
        if !few || !idle || !queue.admission.is_brief(rows, shared.pace) {
            return None;
        }
        let mut model = shared.models.first()?.try_lock().ok()?;
        let began = Instant::now();
        let first = queue.waiting.front()?;
        let waited = began.saturating_duration_since(first.arrived);
        queue.admission.began(waited, began);
        let offers: Vec<_> = queue.waiting.drain(..).collect();
        drop(queue);
        let done = batch(shared, &mut **model, reader, &offers, began);
        drop(model);
        ended(&mut locked(&shared.queue), &done, began);
        Some(done)
    }

    /// What is done.
    pub fn take(&self) -> Vec<Done> {
        std::mem::take(&mut *locked(&self.shared.done))
    }

    /// Whether one more is taken while so many are held: there is room, and not every thread is in one batch for longer
    /// than `patience`.
    pub fn takes(&self, held: usize, now: Instant, patience: Duration) -> bool {
        let queue = locked(&self.shared.queue);
        queue.admission.admits(held, queue.waiting.len(), now) && queue.held_up(now) <= patience
    }

    /// Whether one more is let in while so many are held.
    pub fn admits(&self, held: usize, now: Instant) -> bool {
        let queue = locked(&self.shared.queue);
        queue.admission.admits(held, queue.waiting.len(), now)
    }

    /// Whether there is one thread alone, which has something to do.
    pub fn is_at_work_alone(&self) -> bool {
        let queue = locked(&self.shared.queue);
        matches!(*queue.began, [began] if began.is_some() || !queue.waiting.is_empty())
    }

    /// For how long every thread has been in one batch; nothing where one is not.
    pub fn held_up(&self, now: Instant) -> Duration {
        locked(&self.shared.queue).held_up(now)
    }

    /// Finish what was begun, and nothing more. A thread that does not come to an end soon is left to itself: it cannot be
    /// stopped.
    pub fn close(&self) {
        {
            let mut queue = locked(&self.shared.queue);
            queue.closed = true;
            queue.waiting.clear();
        }
        self.shared.given.notify_all();
        let began = Instant::now();
        while Arc::strong_count(&self.threads) > 1 && began.elapsed() <= CLOSE {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What a lock guards is whole whenever something may panic: of a model, whatever it was at is not asked for again.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn work(shared: &Shared, number: usize) {
    slice::shorten();
    let mut reader = Reader::default();
    while let Some(offers) = next(shared, number) {
        let began = Instant::now();
        let done = batch(shared, &mut **locked(&shared.models[number]), &mut reader, &offers, began);
        {
            let mut queue = locked(&shared.queue);
            queue.began[number] = None;
            ended(&mut queue, &done, began);
        }
        locked(&shared.done).push(done);
        (shared.tell)();
    }
}

/// Answer offers together, whatever happens: what fails is answered by the other way.
fn batch(shared: &Shared, model: &mut dyn Compute, reader: &mut Reader, offers: &[Offer], began: Instant) -> Done {
    let queued = offers.iter().map(|offer| began.saturating_duration_since(offer.arrived).as_secs_f64()).sum();
    let bodies: Vec<&[u8]> = offers.iter().map(|offer| &*offer.body).collect();
    let attempt = AssertUnwindSafe(|| answer(&shared.trade, model, reader, &bodies));
    let mut done = catch_unwind(attempt).unwrap_or_else(|_| nothing(bodies.len()));
    done.callers = offers.iter().map(|offer| offer.caller).collect();
    done.queued_seconds = queued;
    done
}

/// What is left to Python unasked takes no time here, and says nothing of what the others take.
fn ended(queue: &mut Queue, done: &Done, began: Instant) {
    if done.asked {
        let rows = done.rows.iter().sum();
        queue.admission.ended(began.elapsed().as_secs_f64(), done.callers.len(), rows);
    }
}

/// What to answer next, one offer at least; `None` when there shall be no more.
fn next(shared: &Shared, number: usize) -> Option<Vec<Offer>> {
    let mut queue = locked(&shared.queue);
    loop {
        if queue.closed {
            return None;
        }
        if let Some(first) = queue.waiting.front() {
            let now = Instant::now();
            let waited = now.saturating_duration_since(first.arrived);
            queue.admission.began(waited, now);
            queue.began[number] = Some(now);
            let count = shared.trade.together.first(queue.waiting.iter().map(|offer| offer.body.len()));
            let taken = queue.waiting.drain(..count).collect();
            let others = queue.idle > 0 && !queue.waiting.is_empty();
            drop(queue);
            if others {
                shared.given.notify_one();
            }
            return Some(taken);
        }
        queue.idle += 1;
        queue = shared.given.wait(queue).unwrap_or_else(PoisonError::into_inner);
        queue.idle -= 1;
    }
}

impl Together {
    /// How many of the bodies of these sizes are taken: one at least.
    fn first(self, sizes: impl Iterator<Item = usize>) -> usize {
        let mut bytes = 0;
        let fits = sizes.take(self.requests).take_while(|size| {
            bytes += size;
            bytes <= self.bytes
        });
        fits.count().max(1)
    }
}

fn nothing(count: usize) -> Done {
    Done { answers: vec![None; count], rows: vec![0; count], ..Done::default() }
}

/// A request that was read: its place in the batch, its first row, its number of rows and its id.
struct Asked<'a> {
    place: usize,
    first: usize,
    rows: usize,
    id: &'a str,
}

/// Rows of so many columns that a body has at most, by its commas.
#[allow(clippy::naive_bytecount)] // of few bytes
fn rows_at_most(body: &[u8], width: usize) -> usize {
    1 + (1 + body.iter().filter(|byte| **byte == b',').count()) / width
}

/// Answer bodies together, on this thread.
pub fn answer(trade: &Trade, model: &mut dyn Compute, reader: &mut Reader, bodies: &[&[u8]]) -> Done {
    let began = Instant::now();
    let width = trade.columns.all.len();
    let mut done = nothing(bodies.len());
    let mut rows = Rows::with_room(bodies.len() * width);
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
        let (chunk, more) = rest.split_at(fitting(rest, trade.together.rows));
        compute(trade, model, &rows, chunk, &mut done);
        rest = more;
    }
    done
}

fn safe(rows: &[f64], width: usize, most: f64) -> bool {
    most == f64::INFINITY || rows.chunks(width).all(|row| row.iter().map(|value| value * value).sum::<f64>() <= most)
}

/// How many of the first requests are computed together: of so many rows at most, and at least one.
fn fitting(asked: &[Asked<'_>], most: usize) -> usize {
    let first = asked[0].first;
    asked.iter().take_while(|request| request.first + request.rows - first <= most).count().max(1)
}

/// Compute requests together; where that fails, halves of them apart, and theirs, so that one that makes the model fail
/// is left alone.
fn compute(trade: &Trade, model: &mut dyn Compute, rows: &Rows, chunk: &[Asked<'_>], done: &mut Done) {
    if !computed(trade, model, rows, chunk, done) && chunk.len() > 1 {
        let (one, other) = chunk.split_at(chunk.len() / 2);
        compute(trade, model, rows, one, done);
        compute(trade, model, rows, other, done);
    }
}

/// Compute requests together, and tell whether the model has.
fn computed(trade: &Trade, model: &mut dyn Compute, rows: &Rows, chunk: &[Asked<'_>], done: &mut Done) -> bool {
    let width = trade.columns.all.len();
    let (first, last) = (chunk[0].first, &chunk[chunk.len() - 1]);
    let count = last.first + last.rows - first;
    let began = Instant::now();
    let block = &rows.graph[first * width..(first + count) * width];
    let form = &trade.form;
    let mut fits = false;
    done.asked = true;
    model.compute(block, &mut |values, each| {
        fits = values.len() == count * each && each == form.width.max(1);
        if !fits {
            return;
        }
        let computed = began.elapsed().as_secs_f64();
        let mut answered = 0;
        let writing = Instant::now();
        done.observed.reserve(count * (width + 1));
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
    fits
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::mpsc;

    use super::*;
    use crate::answer::{Told, Values};
    use crate::columns::{Column, Kind};
    use crate::compute::Take;

    const BAD: f64 = -1.0;
    const TOGETHER: Together = Together { requests: 64, rows: 256, bytes: 1000 };

    /// Answers every row with itself, but none beside `BAD`; tells what it was asked, and may be held up.
    struct Echo {
        asked: mpsc::Sender<Vec<f64>>,
        going: Option<mpsc::Receiver<()>>,
    }

    impl Compute for Echo {
        fn by(&self) -> &'static str {
            "echo"
        }

        fn pace(&self) -> Pace {
            Pace::ByRow
        }

        fn compute(&mut self, rows: &[f64], take: &mut Take<'_>) {
            let _ = self.asked.send(rows.to_vec());
            if let Some(going) = &self.going {
                let _ = going.recv();
            }
            if !rows.contains(&BAD) {
                take(&Values::Doubles(rows), 1);
            }
        }
    }

    /// Of one column, and told as it is.
    fn trade() -> Trade {
        let column = Column {
            datatype: "FP64".into(),
            kind: Kind::Number,
            single: false,
            low: -1e9,
            high: 1e9,
            missing: None,
            words: HashMap::new(),
            unseen: None,
        };
        let position = HashMap::from([("a".to_owned(), 0)]);
        let columns = Columns { all: vec![column], position, all_double: true, all_take_missing: false };
        let form = Form {
            before_id: vec![],
            after_id: vec![],
            before_values: b":".to_vec(),
            end: vec![],
            told: Told::Double,
            width: 0,
            observed: true,
        };
        Trade { columns, form, safe_square: f64::INFINITY, together: TOGETHER }
    }

    fn body(value: f64) -> Vec<u8> {
        format!(r#"{{"inputs":[{{"name":"a","datatype":"FP64","shape":[1],"data":[{value}]}}]}}"#).into_bytes()
    }

    #[test]
    fn a_request_that_makes_the_model_fail_is_left_alone() {
        let (asked, calls) = mpsc::channel();
        let bodies: Vec<Vec<u8>> = [1.0, 2.0, BAD, 4.0, 5.0, 6.0, 7.0, 8.0].map(body).to_vec();
        let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
        let done = answer(&trade(), &mut Echo { asked, going: None }, &mut Reader::default(), &bodies);
        let answers: Vec<_> = done.answers.iter().map(|body| body.as_deref().map(String::from_utf8_lossy)).collect();
        let wanted = ["1:1.0", "1:2.0", "", "1:4.0", "1:5.0", "1:6.0", "1:7.0", "1:8.0"];
        assert_eq!(answers, wanted.map(|body| (!body.is_empty()).then_some(body.into())));
        assert_eq!(done.rows, [1, 1, 0, 1, 1, 1, 1, 1]);
        assert!(done.asked);
        assert_eq!(done.calls.iter().map(|(rows, _)| *rows).collect::<Vec<_>>(), [2, 1, 4]);
        let sizes: Vec<_> = calls.try_iter().map(|rows| rows.len()).collect();
        assert_eq!(sizes, [8, 4, 2, 2, 1, 1, 4]);
        assert_eq!(done.observed.iter().step_by(2).copied().collect::<Vec<_>>(), [1.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    }

    #[test]
    fn what_the_model_fails_on_was_asked_and_what_cannot_be_read_was_not() {
        let (asked, _calls) = mpsc::channel();
        let model = &mut Echo { asked, going: None };
        let failed = answer(&trade(), model, &mut Reader::default(), &[&body(BAD)]);
        assert!(failed.asked && failed.calls.is_empty());
        assert!(!answer(&trade(), model, &mut Reader::default(), &[b"{"]).asked);
    }

    #[test]
    fn a_request_may_have_as_many_rows_as_it_has_commas() {
        assert_eq!(rows_at_most(&body(1.0), 1), 5);
        let values = ["1"; 256].join(",");
        for (width, rows) in [(1, 256), (4, 64), (256, 1)] {
            let shape = format!("[{rows},{width}]");
            let table = format!(r#"{{"inputs":[{{"name":"a","datatype":"FP64","shape":{shape},"data":[{values}]}}]}}"#);
            assert!((rows..rows + 8).contains(&rows_at_most(table.as_bytes(), width)), "{shape}");
        }
    }

    #[test]
    fn what_is_withdrawn_before_it_is_begun_is_never_computed() {
        let ((asked, calls), (go, going), (tell, told)) = (mpsc::channel(), mpsc::channel(), mpsc::channel());
        let models = vec![Box::new(Echo { asked, going: Some(going) }) as Box<dyn Compute>];
        let tell = Mutex::new(tell);
        let tell = Box::new(move || locked(&tell).send(()).unwrap());
        let lane = Lane::start(Arc::new(trade()), models, &start, 10, tell).unwrap();
        let caller = |place| Caller { place, generation: 7 };
        assert!(!lane.is_at_work_alone());
        lane.offer(&body(1.0), caller(1));
        lane.wake();
        assert_eq!(calls.recv().unwrap(), [1.0]);
        assert!(lane.is_at_work_alone());
        for place in 2..6 {
            lane.offer(&body(f64::from(u8::try_from(place).unwrap())), caller(place));
        }
        lane.withdraw(caller(3));
        lane.withdraw(Caller { place: 4, generation: 6 });
        lane.withdraw(caller(1));
        go.send(()).unwrap();
        told.recv().unwrap();
        go.send(()).unwrap();
        assert_eq!(calls.recv().unwrap(), [2.0, 4.0, 5.0]);
        told.recv().unwrap();
        assert!(!lane.is_at_work_alone());
        let answered: Vec<_> = lane.take().iter().flat_map(|done| done.callers.clone()).map(|one| one.place).collect();
        assert_eq!(answered, [1, 2, 4, 5]);
        lane.close();
        assert_eq!(Arc::strong_count(&lane.threads), 1);
    }

    /// Of some pace, and never asked.
    struct Paced(Pace);

    impl Compute for Paced {
        fn by(&self) -> &'static str {
            "nothing"
        }

        fn pace(&self) -> Pace {
            self.0
        }

        fn compute(&mut self, _: &[f64], _: &mut Take<'_>) {
            unreachable!()
        }
    }

    #[test]
    fn what_waits_is_enough_once_another_like_it_would_not_be_brief() {
        let table = [
            (Pace::ByRow, 1, 64, [false, false, true, false], "three are brief"),
            (Pace::ByRow, 1, 2, [false, true, true, false], "no more than two are computed together"),
            (Pace::ByRow, 2, 64, [false; 4], "others compute meanwhile"),
            (Pace::ByCall, 1, 64, [false; 4], "more of them take less time together"),
            (Pace::Waits, 1, 64, [false; 4], "nobody waits for it"),
        ];
        for (pace, threads, requests, enough, why) in table {
            let mut trade = trade();
            trade.together.requests = requests;
            let models = (0..threads).map(|_| Box::new(Paced(pace)) as Box<dyn Compute>).collect();
            // No thread is started.
            let lane = Lane::start(Arc::new(trade), models, &|_, _| Ok(()), 10, Box::new(|| ())).unwrap();
            let offered = || [1, 2, 3, 4].map(|place| lane.offer(&body(1.0), Caller { place, generation: 1 }));
            assert_eq!(offered(), [false; 4], "nothing was seen yet");
            let mut queue = locked(&lane.shared.queue);
            #[allow(clippy::cast_precision_loss)]
            let each_row = 99e-6 / (3 * queue.waiting[0].rows) as f64;
            queue.admission.ended(each_row, 1, 1);
            queue.waiting.clear();
            drop(queue);
            assert_eq!(offered(), enough, "{why}");
        }
    }

    #[test]
    fn a_thread_that_cannot_be_started_leaves_none_behind() {
        let (asked, _calls) = mpsc::channel();
        let one = || Box::new(Echo { asked: asked.clone(), going: None }) as Box<dyn Compute>;
        let (ending, ended) = mpsc::channel();
        let ending = Mutex::new(ending);
        let only_one = move |name: String, job: Job| {
            if name != "lane-0" {
                return Err(io::Error::other("no more"));
            }
            let ending = locked(&ending).clone();
            let told = move || {
                job();
                let _ = ending.send(name);
            };
            start("one".into(), Box::new(told))
        };
        assert!(Lane::start(Arc::new(trade()), vec![one(), one()], &only_one, 10, Box::new(|| ())).is_err());
        drop(only_one);
        assert_eq!(ended.iter().collect::<Vec<_>>(), ["lane-0"]);
    }

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
                let count = fitting(rest, TOGETHER.rows);
                found.push(count);
                rest = &rest[count..];
            }
            found
        };
        assert_eq!(sizes(&[1, 1, 1]), [3]);
        assert_eq!(sizes(&[TOGETHER.rows, 1]), [1, 1]);
        assert_eq!(sizes(&[TOGETHER.rows - 1, 1, 1]), [2, 1]);
        assert_eq!(sizes(&[200, 100, TOGETHER.rows, 10, 246, 1]), [1, 1, 1, 2, 1]);
    }

    #[test]
    fn bodies_are_taken_together_up_to_a_number_and_to_some_bytes() {
        let table = [
            (&[10, 10, 10][..], 3),
            (&[10; 70], 64),
            (&[TOGETHER.bytes, 1], 1),
            (&[TOGETHER.bytes + 1, 1], 1),
            (&[1, TOGETHER.bytes - 1, 1], 2),
        ];
        for (sizes, count) in table {
            assert_eq!(TOGETHER.first(sizes.iter().copied()), count, "{sizes:?}");
        }
    }
}
