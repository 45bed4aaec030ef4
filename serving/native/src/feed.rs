//! Telling the monitor what was answered, never waiting for it: what it does not take at once waits in a bounded buffer, and
//! what finds no room there, or no monitor at all, is dropped and counted.
//!
//! The datagrams are `penstock_serving.monitor.wire`'s. Rows are numbered, dropped ones too; a feed's boot id says whose
//! numbers they are.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

const HEADER: usize = 28;
const MAX_DATAGRAM: usize = 64 << 10;
/// What is sent at once is about as long: whoever counts it has little to do at a time.
const BLOCK: usize = 32 << 10;
const MAX_WAITING: usize = 8 << 20;
/// What is less than a block is sent as often.
const EVERY: Duration = Duration::from_millis(100);
/// How often the monitor is told how far the numbering is when nothing else is told: another one may have taken its place.
const BEAT: Duration = Duration::from_secs(1);
/// How soon, at the earliest, a monitor that had no room is asked again.
const AGAIN: Duration = Duration::from_millis(1);
/// For how long what waits is still sent at the end.
const FINISH: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
enum Kind {
    Rows = 1,
    Position = 3,
}

/// Rows numbered so far: taken by the monitor's socket, dropped, and still in the buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FeedCounts {
    pub sent: u64,
    pub dropped: u64,
    pub waiting: u64,
}

/// Rows that follow one another, behind room for the header.
struct Block {
    first: u64,
    rows: u32,
    content: Vec<u8>,
}

pub struct Feed {
    path: PathBuf,
    boot: u64,
    /// Numbers of a row.
    width: usize,
    socket: Option<UnixDatagram>,
    waiting: VecDeque<Block>,
    /// Whether the last one that waits is still added to.
    open: bool,
    /// Bytes that wait.
    held: usize,
    /// The number of the next row, and how far the monitor was told of the numbering.
    next: u64,
    heard: u64,
    sent: u64,
    dropped: u64,
    flushed: Instant,
    beaten: Instant,
    /// Until when nothing is sent, as the monitor had no room.
    rests: Option<Instant>,
}

impl Feed {
    /// To the socket at `path`, under a boot id of its own, of rows of so many numbers.
    pub fn new(path: PathBuf, boot: u64, width: usize, now: Instant) -> Self {
        Self {
            path,
            boot,
            width,
            socket: None,
            waiting: VecDeque::new(),
            open: false,
            held: 0,
            next: 0,
            heard: 0,
            sent: 0,
            dropped: 0,
            flushed: now,
            beaten: now,
            rests: None,
        }
    }

    /// Numbers of a row: its columns and its prediction.
    pub fn width(&self) -> usize {
        self.width
    }

    pub fn counts(&self) -> FeedCounts {
        FeedCounts { sent: self.sent, dropped: self.dropped, waiting: self.next - self.sent - self.dropped }
    }

    /// Whether rows wait to be sent.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Number rows, and keep them until they are sent.
    pub fn add(&mut self, rows: &[f64]) {
        let size = 8 * self.width;
        for row in rows.chunks_exact(self.width) {
            if self.held + size > MAX_WAITING || HEADER + size > MAX_DATAGRAM {
                self.open = false;
                self.dropped += 1;
            } else {
                let block = self.block(size);
                block.rows += 1;
                for value in row {
                    block.content.extend_from_slice(&value.to_le_bytes());
                }
                self.held += size;
            }
            self.next += 1;
        }
    }

    /// The block that has room for one more row.
    fn block(&mut self, size: usize) -> &mut Block {
        let fits = self.waiting.back().is_some_and(|last| self.open && last.content.len() + size <= BLOCK);
        if !fits {
            self.open = true;
            let mut content = Vec::with_capacity(HEADER + size * ((BLOCK - HEADER) / size).max(1));
            content.resize(HEADER, 0);
            self.waiting.push_back(Block { first: self.next, rows: 0, content });
        }
        let last = self.waiting.len() - 1;
        &mut self.waiting[last]
    }

    /// Send what makes a datagram; ten times a second all that there is, and how far the numbering is where that is news, or
    /// was not told for a while.
    pub fn send(&mut self, now: Instant) {
        let due = now.saturating_duration_since(self.flushed) >= EVERY;
        if due {
            self.flushed = now;
        }
        let left = if due { 0 } else { usize::from(self.open) };
        let enough = due || self.waiting.len() > left;
        if !enough || self.rests.is_some_and(|until| now < until) {
            return;
        }
        self.rests = None;
        let beats = self.next > 0 && now.saturating_duration_since(self.beaten) >= BEAT;
        let tells = due && (beats || self.heard < self.next);
        if tells {
            self.beaten = now;
        }
        if self.empty(left).and_then(|()| if tells { self.position() } else { Ok(()) }).is_err() {
            self.rests = Some(now + AGAIN);
        }
    }

    /// Send what is left, for a while; what the monitor does not take by then is dropped.
    pub fn finish(&mut self) {
        let began = Instant::now();
        while self.heard < self.next && began.elapsed() < FINISH {
            if self.empty(0).and_then(|()| self.position()).is_ok() {
                break;
            }
            thread::sleep(AGAIN);
        }
        self.dropped = self.next - self.sent;
        self.waiting.clear();
        self.held = 0;
    }

    /// Send blocks until so many are left. An error means that the monitor has no room now.
    fn empty(&mut self, left: usize) -> io::Result<()> {
        while self.waiting.len() > left {
            let Some(mut block) = self.waiting.pop_front() else { break };
            let columns = u16::try_from(self.width - 1).unwrap_or_default();
            block.content[..HEADER].copy_from_slice(&self.header(Kind::Rows, columns, block.rows, block.first));
            match self.offer(&block.content) {
                Ok(taken) => {
                    let rows = u64::from(block.rows);
                    self.held -= block.content.len() - HEADER;
                    if taken {
                        self.sent += rows;
                    } else {
                        self.dropped += rows;
                    }
                }
                Err(error) => {
                    self.waiting.push_front(block);
                    return Err(error);
                }
            }
        }
        self.open = self.open && !self.waiting.is_empty();
        Ok(())
    }

    /// Tell how far the numbering is; an error as of `empty`. A monitor that is not there is told another time: it shall know
    /// what it missed.
    fn position(&mut self) -> io::Result<()> {
        if self.offer(&self.header(Kind::Position, 0, 0, self.next))? {
            self.heard = self.next;
        }
        Ok(())
    }

    fn header(&self, kind: Kind, columns: u16, records: u32, first: u64) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(b"PSM1");
        header[4] = kind as u8;
        header[6..8].copy_from_slice(&columns.to_le_bytes());
        header[8..12].copy_from_slice(&records.to_le_bytes());
        header[12..20].copy_from_slice(&self.boot.to_le_bytes());
        header[20..].copy_from_slice(&first.to_le_bytes());
        header
    }

    /// Offer a datagram, and tell whether it was taken; an error means that there is no room now.
    fn offer(&mut self, content: &[u8]) -> io::Result<bool> {
        let Some(socket) = self.socket.take().or_else(opened) else { return Ok(false) };
        // Not connected: a confined server may not connect.
        let sent = loop {
            match socket.send_to(content, &self.path) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                sent => break sent,
            }
        };
        match sent {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Ok(false),
            _ => self.socket = Some(socket),
        }
        sent.map(|_| true)
    }
}

fn opened() -> Option<UnixDatagram> {
    UnixDatagram::unbound().ok().filter(|socket| socket.set_nonblocking(true).is_ok())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const WIDTH: usize = 3;
    const BOOT: u64 = 0x0102_0304_0506_0708;

    /// A monitor's socket that is read when it is asked to.
    struct Monitor {
        path: PathBuf,
        socket: UnixDatagram,
    }

    impl Monitor {
        fn new() -> Self {
            static NUMBER: AtomicUsize = AtomicUsize::new(0);
            let name = format!("penstock-feed-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            let socket = UnixDatagram::bind(&path).unwrap();
            socket.set_nonblocking(true).unwrap();
            Self { path, socket }
        }

        fn feed(&self, width: usize, now: Instant) -> Feed {
            Feed::new(self.path.clone(), BOOT, width, now)
        }

        /// What has come: kind, number of the first record, and the numbers.
        fn heard(&self, width: usize) -> Vec<(u8, u64, Vec<f64>)> {
            let mut all = Vec::new();
            let mut content = vec![0; MAX_DATAGRAM + 1];
            while let Ok(size) = self.socket.recv(&mut content) {
                let datagram = &content[..size];
                let number = |from: usize, to: usize| {
                    datagram[from..to].iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
                };
                assert_eq!((&datagram[..4], datagram[5]), (&b"PSM1"[..], 0));
                let (kind, columns, records, boot, first) =
                    (datagram[4], number(6, 8), number(8, 12), number(12, 20), number(20, 28));
                assert_eq!(boot, BOOT);
                assert_eq!(columns, if kind == 1 { width as u64 - 1 } else { 0 });
                let values: Vec<f64> =
                    datagram[HEADER..].chunks(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect();
                assert_eq!(values.len() as u64, records * width as u64);
                all.push((kind, first, values));
            }
            all
        }
    }

    impl Drop for Monitor {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn rows(first: usize, count: usize, width: usize) -> Vec<f64> {
        (first * width..(first + count) * width).map(|value| value as f64).collect()
    }

    fn counts(sent: u64, dropped: u64, waiting: u64) -> FeedCounts {
        FeedCounts { sent, dropped, waiting }
    }

    #[test]
    fn a_few_rows_are_told_when_it_is_time_and_then_how_far_the_numbering_is() {
        let (monitor, began) = (Monitor::new(), Instant::now());
        let mut feed = monitor.feed(WIDTH, began);
        feed.add(&rows(0, 2, WIDTH));
        feed.send(began);
        feed.add(&rows(2, 1, WIDTH));
        assert_eq!((monitor.heard(WIDTH), feed.counts(), feed.is_waiting()), (vec![], counts(0, 0, 3), true));
        feed.send(began + EVERY);
        assert_eq!(monitor.heard(WIDTH), [(1, 0, rows(0, 3, WIDTH)), (3, 3, vec![])]);
        assert_eq!((feed.counts(), feed.is_waiting()), (counts(3, 0, 0), false));
        feed.send(began + 2 * EVERY);
        assert_eq!(monitor.heard(WIDTH), []);
        // Another monitor may have come in place of the one that was told.
        for beat in 1..4 {
            feed.send(began + BEAT * beat);
            feed.send(began + BEAT * beat + EVERY);
            assert_eq!(monitor.heard(WIDTH), [(3, 3, vec![])]);
        }
    }

    #[test]
    fn who_has_nothing_to_tell_says_nothing() {
        let (monitor, began) = (Monitor::new(), Instant::now());
        let mut feed = monitor.feed(WIDTH, began);
        feed.send(began + BEAT);
        assert_eq!(monitor.heard(WIDTH), []);
    }

    #[test]
    fn a_datagram_that_is_full_is_told_at_once() {
        let (monitor, now) = (Monitor::new(), Instant::now());
        let mut feed = monitor.feed(WIDTH, now);
        let full = (BLOCK - HEADER) / (8 * WIDTH);
        feed.add(&rows(0, full, WIDTH));
        feed.send(now);
        assert_eq!(monitor.heard(WIDTH), []);
        feed.add(&rows(full, 1, WIDTH));
        feed.send(now);
        assert_eq!(monitor.heard(WIDTH), [(1, 0, rows(0, full, WIDTH))]);
        assert_eq!(feed.counts(), counts(full as u64, 0, 1));
    }

    #[test]
    fn what_a_monitor_has_no_room_for_waits_until_it_has() {
        let (monitor, began) = (Monitor::new(), Instant::now());
        let mut feed = monitor.feed(WIDTH, began);
        let count = MAX_WAITING / (8 * WIDTH);
        feed.add(&rows(0, count, WIDTH));
        feed.send(began + EVERY);
        let before = feed.counts();
        assert!(before.sent > 0 && before.waiting > 0 && before.dropped == 0, "{before:?}");
        let mut heard = monitor.heard(WIDTH);
        feed.send(began + EVERY + AGAIN / 2);
        assert_eq!(feed.counts(), before);
        let mut number = 1;
        while feed.is_waiting() || feed.heard < feed.next {
            number += 1;
            feed.send(began + EVERY * number);
            heard.append(&mut monitor.heard(WIDTH));
        }
        let (kind, first, _) = heard.pop().unwrap();
        assert_eq!((kind, first), (3, count as u64));
        let mut next = 0;
        for (_, first, values) in heard {
            assert_eq!(first, next as u64);
            let more = values.len() / WIDTH;
            assert_eq!(values, rows(next, more, WIDTH));
            next += more;
        }
        assert_eq!((next, feed.counts()), (count, counts(count as u64, 0, 0)));
        assert!(feed.waiting.is_empty() && feed.held == 0);
    }

    #[test]
    fn beyond_the_buffer_rows_are_dropped_and_keep_their_numbers() {
        let (monitor, began) = (Monitor::new(), Instant::now());
        let mut feed = monitor.feed(WIDTH, began);
        let fit = MAX_WAITING / (8 * WIDTH);
        feed.add(&rows(0, fit + 5, WIDTH));
        assert_eq!(feed.counts(), counts(0, 5, fit as u64));
        while feed.counts().sent == 0 {
            feed.send(began + EVERY);
        }
        feed.add(&rows(fit + 5, 1, WIDTH));
        let mut heard = Vec::new();
        let mut number = 1;
        while feed.is_waiting() || feed.heard < feed.next {
            heard.append(&mut monitor.heard(WIDTH));
            number += 1;
            feed.send(began + EVERY * number);
        }
        heard.append(&mut monitor.heard(WIDTH));
        assert_eq!(
            heard[heard.len() - 2..],
            [(1, fit as u64 + 5, rows(fit + 5, 1, WIDTH)), (3, fit as u64 + 6, vec![])]
        );
        assert_eq!(feed.counts(), counts(fit as u64 + 1, 5, 0));
    }

    #[test]
    fn a_row_that_fits_into_no_datagram_is_dropped() {
        let now = Instant::now();
        for (width, sent) in [((MAX_DATAGRAM - HEADER) / 8, 1), ((MAX_DATAGRAM - HEADER) / 8 + 1, 0)] {
            let monitor = Monitor::new();
            let mut feed = monitor.feed(width, now);
            feed.add(&rows(0, 1, width));
            feed.send(now + EVERY);
            assert_eq!(feed.counts(), counts(sent, 1 - sent, 0));
            assert_eq!(monitor.heard(width).last(), Some(&(3, 1, vec![])));
        }
    }

    #[test]
    fn without_a_monitor_rows_are_dropped_and_the_next_one_knows_how_many() {
        let began = Instant::now();
        let monitor = Monitor::new();
        let mut feed = monitor.feed(WIDTH, began);
        let path = monitor.path.clone();
        drop(monitor);
        feed.add(&rows(0, 4, WIDTH));
        feed.send(began + EVERY);
        assert_eq!((feed.counts(), feed.is_waiting()), (counts(0, 4, 0), false));
        let monitor = Monitor { socket: UnixDatagram::bind(&path).unwrap(), path };
        monitor.socket.set_nonblocking(true).unwrap();
        feed.send(began + 2 * EVERY);
        assert_eq!(monitor.heard(WIDTH), [(3, 4, vec![])]);
        feed.add(&rows(4, 1, WIDTH));
        feed.send(began + 3 * EVERY);
        assert_eq!(monitor.heard(WIDTH), [(1, 4, rows(4, 1, WIDTH)), (3, 5, vec![])]);
    }

    #[test]
    fn at_the_end_what_is_left_is_told_to_who_reads_it() {
        let monitor = Monitor::new();
        let mut feed = monitor.feed(WIDTH, Instant::now());
        feed.add(&rows(0, 2, WIDTH));
        feed.finish();
        assert_eq!(monitor.heard(WIDTH), [(1, 0, rows(0, 2, WIDTH)), (3, 2, vec![])]);
        let many = MAX_WAITING / (8 * WIDTH);
        feed.add(&rows(2, many, WIDTH));
        feed.finish();
        let told = feed.counts();
        assert!(told.sent > 2 && told.dropped > 0 && told.waiting == 0, "{told:?}");
        assert_eq!(told.sent + told.dropped, many as u64 + 2);
    }
}
