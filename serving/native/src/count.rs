//! What the front has done, in numbers: totals since it began.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::lane::Done;

/// Upper ends of the buckets that times are counted in, as the server's metrics have them.
pub struct Counts {
    bounds: Vec<f64>,
    /// Answers by bucket; the last is beyond all bounds.
    pub buckets: Vec<u64>,
    pub answered: u64,
    pub late: u64,
    pub seconds: f64,
    pub failed_seconds: f64,
    pub rows: u64,
    pub begun: u64,
    pub queued_seconds: f64,
    pub read_seconds: f64,
    pub computed_seconds: f64,
    pub written_seconds: f64,
    /// Calls of the model and their seconds, by the number of rows.
    pub calls: BTreeMap<usize, (u64, f64)>,
    /// When the last of them ended.
    pub last: Option<Instant>,
}

impl Counts {
    pub fn new(bounds: Vec<f64>) -> Self {
        let buckets = vec![0; bounds.len() + 1];
        Self {
            bounds,
            buckets,
            answered: 0,
            late: 0,
            seconds: 0.0,
            failed_seconds: 0.0,
            rows: 0,
            begun: 0,
            queued_seconds: 0.0,
            read_seconds: 0.0,
            computed_seconds: 0.0,
            written_seconds: 0.0,
            calls: BTreeMap::new(),
            last: None,
        }
    }

    /// A batch of the lane's; each of its requests is counted with the batch's time.
    pub fn batch(&mut self, done: &Done) {
        let answered = done.rows.iter().filter(|rows| **rows > 0).count();
        #[allow(clippy::cast_precision_loss)]
        let requests = answered as f64;
        self.begun += answered as u64;
        self.queued_seconds += done.queued_seconds;
        self.read_seconds += done.read_seconds * requests;
        self.computed_seconds += done.computed_seconds * requests;
        self.written_seconds += done.written_seconds * requests;
        for (rows, seconds) in &done.calls {
            let call = self.calls.entry(*rows).or_default();
            call.0 += 1;
            call.1 += seconds;
        }
        if done.asked {
            self.last = Some(Instant::now());
        }
    }

    /// An answer that took so long from its request's first byte.
    pub fn answer(&mut self, seconds: f64) {
        self.answered += 1;
        self.time(seconds);
        self.seconds += seconds;
    }

    /// A request that was told it was too late.
    pub fn too_late(&mut self, seconds: f64) {
        self.late += 1;
        self.time(seconds);
        self.failed_seconds += seconds;
    }

    fn time(&mut self, seconds: f64) {
        let at = self.bounds.partition_point(|bound| *bound < seconds);
        self.buckets[at] += 1;
    }
}
