//! Which requests are let in: as many as can be answered soon. The same rules as `server/admission.py`, which says why.

use std::time::{Duration, Instant};

use crate::compute::Pace;

const BURST_SECONDS: f64 = 0.25;
const TARGET_SECONDS: f64 = 0.05;
const INTERVAL: Duration = Duration::from_millis(250);
const LEAST_PER_THREAD: usize = 4;
const SHARE: f64 = 0.1;
const WORTH_REFUSING_SECONDS: f64 = 100e-6;
/// Some ways to another thread and back.
const BRIEF_SECONDS: f64 = 100e-6;
/// How many times as long as usual a row is taken to have been.
const MOST_MORE: f64 = 4.0;

/// Decides by the time that batches take.
pub struct Admission {
    threads: usize,
    at_once: usize,
    most: usize,
    seconds: f64,
    each: f64,
    each_row: f64,
    late_since: Option<Instant>,
}

impl Admission {
    /// `threads` compute at once, `at_once` requests each; `most` is the cap.
    pub fn new(threads: usize, at_once: usize, most: usize) -> Self {
        Self { threads, at_once, most, seconds: 0.0, each: 0.0, each_row: 0.0, late_since: None }
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

    /// Whether so many rows take little time, by what the last ones took; not before there were any.
    pub fn is_brief(&self, rows: usize, pace: Pace) -> bool {
        #[allow(clippy::cast_precision_loss)]
        let these = self.each_row * rows as f64;
        let least = match pace {
            Pace::ByRow => 0.0,
            Pace::ByCall => self.seconds,
            Pace::Waits => f64::INFINITY,
        };
        self.seconds > 0.0 && these.max(least) <= BRIEF_SECONDS
    }

    /// The oldest request, which had waited for so long, is begun at `now`.
    pub fn began(&mut self, waited: Duration, now: Instant) {
        if waited.as_secs_f64() <= TARGET_SECONDS {
            self.late_since = None;
        } else if self.late_since.is_none() {
            self.late_since = Some(now);
        }
    }

    /// A batch of so many requests with so many rows took this long.
    pub fn ended(&mut self, seconds: f64, requests: usize, rows: usize) {
        #[allow(clippy::cast_precision_loss)]
        let (each, each_row) = (seconds / requests as f64, seconds / rows.max(1) as f64);
        let towards = |average: f64, last: f64| if average > 0.0 { average + (last - average) * SHARE } else { last };
        self.seconds = towards(self.seconds, seconds);
        self.each = towards(self.each, each);
        // Once held up (its share of the processor was used up, say) says nothing of what rows take.
        let usual = if self.each_row > 0.0 { each_row.min(self.each_row * MOST_MORE) } else { each_row };
        self.each_row = towards(self.each_row, usual);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_are_let_in_whatever_batches_take_and_the_most_are_a_cap() {
        let mut admission = Admission::new(1, 64, 10);
        let now = Instant::now();
        admission.ended(60.0, 1, 1);
        assert!(admission.admits(3, 3, now));
        assert!(!admission.admits(4, 4, now));
        assert!(!Admission::new(1, 64, 10).admits(10, 10, now));
    }

    #[test]
    fn as_many_wait_as_are_computed_in_a_quarter_of_a_second() {
        let mut admission = Admission::new(1, 64, 1000);
        let now = Instant::now();
        admission.ended(0.1, 64, 64);
        assert!(admission.admits(100, 127, now));
        assert!(!admission.admits(200, 128, now));
    }

    #[test]
    fn when_waiting_has_been_long_for_a_while_less_is_let_wait() {
        let mut admission = Admission::new(1, 64, 1000);
        let start = Instant::now();
        admission.ended(0.03, 64, 64);
        admission.began(Duration::from_millis(60), start);
        admission.began(Duration::from_millis(60), start + Duration::from_millis(200));
        assert!(admission.admits(100, 64, start + Duration::from_millis(240)));
        assert!(!admission.admits(100, 64, start + Duration::from_millis(260)));
        admission.began(Duration::from_millis(10), start + Duration::from_millis(270));
        assert!(admission.admits(100, 64, start + Duration::from_millis(280)));
    }

    #[test]
    fn what_is_brief_was_seen_to_be() {
        let mut admission = Admission::new(1, 64, 1000);
        let paces = [Pace::ByRow, Pace::ByCall, Pace::Waits];
        let brief = |admission: &Admission, rows| paces.map(|pace| admission.is_brief(rows, pace));
        assert_eq!(brief(&admission, 1), [false, false, false], "nothing was seen");
        admission.ended(10e-6, 1, 1);
        assert_eq!(brief(&admission, 1), [true, true, false]);
        assert_eq!(brief(&admission, 9), [true, true, false]);
        assert_eq!(brief(&admission, 11), [false, false, false]);
        admission.ended(0.002, 64, 64);
        assert_eq!(brief(&admission, 1), [true, false, false], "a call may take as long for one row as for many");
    }

    #[test]
    fn what_was_held_up_once_is_brief_still_and_what_takes_long_again_and_again_is_not() {
        let mut admission = Admission::new(1, 64, 1000);
        admission.ended(10e-6, 1, 1);
        admission.ended(0.05, 1, 1);
        assert!(admission.is_brief(7, Pace::ByRow));
        for _ in 0..10 {
            admission.ended(0.05, 1, 1);
        }
        assert!(!admission.is_brief(1, Pace::ByRow));
    }

    #[test]
    fn where_computing_takes_no_longer_than_refusing_nobody_is_refused_for_that() {
        let mut admission = Admission::new(1, 64, 1000);
        let start = Instant::now();
        admission.ended(0.004, 64, 64);
        admission.began(Duration::from_millis(60), start);
        assert!(admission.admits(900, 64 * 20, start + Duration::from_secs(1)));
    }
}
