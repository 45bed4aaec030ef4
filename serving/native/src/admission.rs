//! Which requests are let in: as many as can be answered soon. The same rules as `server/admission.py`, which says why.

use std::time::{Duration, Instant};

const BURST_SECONDS: f64 = 0.25;
const TARGET_SECONDS: f64 = 0.05;
const INTERVAL: Duration = Duration::from_millis(250);
const LEAST_PER_THREAD: usize = 4;
const SHARE: f64 = 0.1;
const WORTH_REFUSING_SECONDS: f64 = 100e-6;

/// Decides by the time that batches take.
pub struct Admission {
    threads: usize,
    at_once: usize,
    most: usize,
    seconds: f64,
    each: f64,
    late_since: Option<Instant>,
}

impl Admission {
    /// `threads` compute at once, `at_once` requests each; `most` is the cap.
    pub fn new(threads: usize, at_once: usize, most: usize) -> Self {
        Self { threads, at_once, most, seconds: 0.0, each: 0.0, late_since: None }
    }

    /// Whether one more is let in while `held` requests are admitted, `waiting` of them not begun.
    pub fn admits(&self, held: usize, waiting: usize, now: Instant) -> bool {
        if held < (LEAST_PER_THREAD * self.threads).min(self.most) {
            return true;
        }
        if held >= self.most {
            return false;
        }
        let late = self.each > WORTH_REFUSING_SECONDS
            && self.late_since.is_some_and(|since| now.saturating_duration_since(since) > INTERVAL);
        let bound = if late { TARGET_SECONDS } else { BURST_SECONDS };
        #[allow(clippy::cast_precision_loss)]
        let batches = (1 + waiting / (self.threads * self.at_once)) as f64;
        batches * self.seconds <= bound
    }

    /// The oldest request, which had waited for so long, is begun at `now`.
    pub fn began(&mut self, waited: Duration, now: Instant) {
        if waited.as_secs_f64() <= TARGET_SECONDS {
            self.late_since = None;
        } else if self.late_since.is_none() {
            self.late_since = Some(now);
        }
    }

    /// A batch of so many requests took this long.
    pub fn ended(&mut self, seconds: f64, requests: usize) {
        #[allow(clippy::cast_precision_loss)]
        let each = seconds / requests as f64;
        let towards = |average: f64, last: f64| if average > 0.0 { average + (last - average) * SHARE } else { last };
        self.seconds = towards(self.seconds, seconds);
        self.each = towards(self.each, each);
    }
}
