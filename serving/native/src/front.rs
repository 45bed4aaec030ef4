//! The front: the thread that accepts connections, and answers ordinary requests by the lane.
//!
//! It knows one kind of request and one kind of answer. A connection that brings anything else, or whose request the
//! lane leaves, is handed over to Python with the bytes that it has brought: so every rule of HTTP and of the protocol is
//! Python's. What times a connection may take is Python's, too, but for waiting idle and for reading an answer. Python
//! gives a connection back once it waits for nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener as StdListener, TcpStream as StdStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant, SystemTime};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use slab::Slab;

use crate::compute::Compute;
use crate::count::Counts;
use crate::feed::Feed;
use crate::http::{Address, Found, MAX_HEAD};
use crate::lane::{Caller, Done, Lane, Start, Trade, locked};
use crate::request::Reader;
use crate::slice;

/// What wakes the thread: the lane's answers, and what Python asks.
const WAKER: Token = Token(usize::MAX);
/// Tokens from here on are listening sockets.
const LISTENERS: usize = usize::MAX - 64;
const READ: usize = 16 << 10;
/// How long a request may take to arrive before Python waits for the rest of it.
const PART: Duration = Duration::from_millis(100);
/// How often connections are looked at: while something is under way, and while all of them are idle.
const LOOK: Duration = Duration::from_millis(50);
const IDLE_LOOK: Duration = Duration::from_millis(500);
/// For how long at a time nothing is seen to while the only thread of the lane computes.
const MEANWHILE: Duration = Duration::from_millis(1);
const DATE: Duration = Duration::from_millis(500);
/// Bytes of all requests that are held here; beyond them Python decides.
const MAX_HELD: usize = 32 << 20;

/// What the front knows of the server.
pub struct Rules {
    pub address: Address,
    /// The head of a good answer, up to what differs; and the head and body for a request that is too late.
    pub head: Vec<u8>,
    pub late: (Vec<u8>, Vec<u8>),
    pub connections: usize,
    pub in_flight: usize,
    pub timeout: Duration,
    pub idle: Duration,
    pub write: Duration,
}

/// A connection that is Python's from now on, what was read from it and is not answered, and how long ago that began.
pub struct Handed {
    pub stream: StdStream,
    pub bytes: Vec<u8>,
    pub spent: Duration,
}

/// What both sides see.
pub struct Shared {
    pub lane: Lane,
    rules: Rules,
    pub counts: Mutex<Counts>,
    /// What the monitor is told.
    pub feed: Mutex<Feed>,
    pub handed: Mutex<Vec<Handed>>,
    returned: Mutex<Vec<StdStream>>,
    pub asked: AtomicUsize,
    draining: AtomicBool,
    closing: AtomicBool,
    tell: Box<dyn Fn() + Send + Sync>,
}

/// The thread's owner.
pub struct Front {
    pub shared: Arc<Shared>,
    waker: Arc<Waker>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Front {
    /// Answer what comes to listening sockets, by models on a thread each, which `start` starts. `tell` is called on the
    /// front's thread when a connection was handed over.
    #[allow(clippy::too_many_arguments)] // each is one thing that the server has
    pub fn start(
        sockets: Vec<StdListener>,
        trade: Arc<Trade>,
        models: Vec<Box<dyn Compute>>,
        start: &Start,
        rules: Rules,
        counts: Counts,
        feed: Feed,
        tell: Box<dyn Fn() + Send + Sync>,
    ) -> std::io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let mut listeners = Vec::new();
        for (number, socket) in sockets.into_iter().enumerate() {
            socket.set_nonblocking(true)?;
            let mut listener = TcpListener::from_std(socket);
            poll.registry().register(&mut listener, Token(LISTENERS + number), Interest::READABLE)?;
            listeners.push(listener);
        }
        let woken = Arc::clone(&waker);
        let here = Arc::new(OnceLock::<Thread>::new());
        let thread = Arc::clone(&here);
        let answered = Box::new(move || {
            let _ = woken.wake();
            if let Some(thread) = thread.get() {
                thread.unpark();
            }
        });
        let lane = Lane::start(trade, models, start, rules.in_flight, answered)?;
        let shared = Arc::new(Shared {
            lane,
            rules,
            counts: Mutex::new(counts),
            feed: Mutex::new(feed),
            handed: Mutex::default(),
            returned: Mutex::default(),
            asked: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            tell,
        });
        let desk = Desk {
            shared: Arc::clone(&shared),
            registry: poll.registry().try_clone()?,
            listeners,
            connections: Slab::new(),
            generation: 0,
            asked: 0,
            held: 0,
            offered: Offered::Nothing,
            reader: Reader::default(),
            piece: Box::new([0; READ]),
            waiting_to_accept: false,
            busy: false,
            date: (Instant::now(), httpdate::fmt_http_date(SystemTime::now())),
        };
        let run = move || {
            let _ = here.set(thread::current());
            if catch_unwind(AssertUnwindSafe(|| desk.run(poll))).is_err() {
                // Nobody would answer any more; whoever started the server starts it again.
                std::process::abort();
            }
        };
        let thread = thread::Builder::new().name("front".into()).spawn(run)?;
        Ok(Self { shared, waker, thread: Mutex::new(Some(thread)) })
    }

    /// Take back a connection that waits for nothing.
    pub fn take_back(&self, stream: StdStream) {
        locked(&self.shared.returned).push(stream);
        let _ = self.waker.wake();
    }

    /// Hand over every connection as soon as it waits for no answer.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Release);
        let _ = self.waker.wake();
    }

    /// End the thread, and every connection it has.
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        let _ = self.waker.wake();
        if let Some(thread) = locked(&self.thread).take() {
            let _ = thread.join();
        }
        self.shared.lane.close();
    }
}

/// A request that the lane has.
struct Asked {
    /// Where its bytes end.
    end: usize,
    began: Instant,
    deadline: Instant,
}

struct Connection {
    stream: TcpStream,
    generation: u64,
    /// What was read and is not answered.
    bytes: Vec<u8>,
    /// Whether more may be there to be read.
    unread: bool,
    asked: Option<Asked>,
    /// What is not written yet of the last answer.
    unwritten: Vec<u8>,
    /// Whether no other answer comes after it.
    ends: bool,
    /// When what it does now began.
    since: Instant,
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Stays,
    Ends,
    GoesToPython,
}

/// Whether requests were offered to the lane, and nobody was told yet to compute them.
#[derive(Clone, Copy, Default, PartialEq)]
enum Offered {
    #[default]
    Nothing,
    Some,
    /// To be computed before more is read.
    Enough,
}

struct Desk {
    shared: Arc<Shared>,
    registry: Registry,
    listeners: Vec<TcpListener>,
    connections: Slab<Connection>,
    generation: u64,
    asked: usize,
    /// Bytes that were read and are not answered.
    held: usize,
    offered: Offered,
    reader: Reader,
    /// What is read at once.
    piece: Box<[u8; READ]>,
    /// Whether connections wait that could not be accepted.
    waiting_to_accept: bool,
    /// Whether something may be under way.
    busy: bool,
    date: (Instant, String),
}

impl Desk {
    fn run(mut self, mut poll: Poll) {
        slice::shorten();
        let mut events = Events::with_capacity(1024);
        let mut looked = Instant::now();
        while !self.shared.closing.load(Ordering::Acquire) {
            let pause = if self.busy { LOOK } else { IDLE_LOOK };
            if self.shared.lane.is_at_work_alone() {
                // What comes meanwhile could only wait there, and each time that it is read interrupts the model.
                thread::park_timeout(MEANWHILE);
                // The waker was told beforehand, so the poll sees to it at once that what comes up thereby is computed.
                self.answers();
            }
            if poll.poll(&mut events, Some(pause)).is_err() {
                // Interrupted; anything else would come again, and is not to be answered by ending.
                self.compute();
                continue;
            }
            for event in &events {
                match event.token() {
                    Token(number) if number >= LISTENERS && event.token() != WAKER => self.accept(),
                    WAKER => {
                        self.answers();
                        self.take_back();
                    }
                    Token(place) => self.moved(place),
                }
            }
            let now = Instant::now();
            if now - looked >= pause || self.draining() {
                looked = now;
                self.look(now);
            }
            self.compute();
            self.shared.asked.store(self.asked, Ordering::Release);
        }
        let shared = Arc::clone(&self.shared);
        // Nobody shall wait for an answer, or for a connection, while the monitor is told the rest.
        drop(self);
        locked(&shared.feed).finish();
    }

    /// See to it that what was offered is computed: here, or by a thread. What callers had sent beforehand, and comes up as
    /// they are answered, is for a thread: others wait to be read.
    fn compute(&mut self) {
        if std::mem::take(&mut self.offered) == Offered::Nothing {
            return;
        }
        if let Some(done) = self.shared.lane.answer_here(&mut self.reader) {
            self.answer(Instant::now(), done);
            if std::mem::take(&mut self.offered) == Offered::Nothing {
                return;
            }
        }
        self.shared.lane.wake();
    }

    fn draining(&self) -> bool {
        self.shared.draining.load(Ordering::Acquire)
    }

    fn accept(&mut self) {
        self.waiting_to_accept = false;
        for number in 0..self.listeners.len() {
            self.accept_at(number);
        }
    }

    fn accept_at(&mut self, number: usize) {
        loop {
            match self.listeners[number].accept() {
                Ok((stream, _)) => self.welcome(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(_) => {
                    // Too many open files: the next look tries again.
                    self.waiting_to_accept = true;
                    return;
                }
            }
        }
    }

    fn take_back(&mut self) {
        let returned = std::mem::take(&mut *locked(&self.shared.returned));
        for stream in returned {
            self.welcome(TcpStream::from_std(stream));
        }
    }

    fn welcome(&mut self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        if self.connections.len() >= self.shared.rules.connections {
            self.give(stream, Vec::new(), Duration::ZERO);
            return;
        }
        self.generation += 1;
        let connection = Connection {
            stream,
            generation: self.generation,
            bytes: Vec::new(),
            unread: false,
            asked: None,
            unwritten: Vec::new(),
            ends: false,
            since: Instant::now(),
        };
        let place = self.connections.insert(connection);
        let stream = &mut self.connections[place].stream;
        if self.registry.register(stream, Token(place), Interest::READABLE | Interest::WRITABLE).is_err() {
            self.connections.remove(place);
        }
        // Its first request is often there already.
        self.moved(place);
    }

    /// A connection can be read or written.
    fn moved(&mut self, place: usize) {
        let Some(connection) = self.connections.get_mut(place) else { return };
        if !connection.unwritten.is_empty() && !goes_on(connection) {
            self.end(place);
            return;
        }
        self.busy = true;
        let fate = self.go_on(place);
        self.settle(place, fate);
        if self.offered == Offered::Enough {
            self.compute();
        }
    }

    /// Read, and ask what was read.
    fn go_on(&mut self, place: usize) -> Fate {
        let max_body = self.shared.rules.address.max_body;
        let connection = &mut self.connections[place];
        let before = connection.bytes.len();
        // Of what comes after a request that is asked, no more than a piece is taken before the answer.
        let most = connection.asked.as_ref().map_or(MAX_HEAD + max_body, |asked| asked.end);
        let there = read(connection, &mut self.piece, most + READ);
        self.held += connection.bytes.len() - before;
        match there {
            false => Fate::Ends,
            true if self.held > MAX_HELD && connection.asked.is_none() && connection.unwritten.is_empty() => {
                Fate::GoesToPython
            }
            true => self.ask(place),
        }
    }

    fn ask(&mut self, place: usize) -> Fate {
        let now = Instant::now();
        let draining = self.draining();
        let rules = &self.shared.rules;
        let connection = &mut self.connections[place];
        if connection.asked.is_some() || !connection.unwritten.is_empty() || connection.bytes.is_empty() {
            return Fate::Stays;
        }
        match rules.address.look(&connection.bytes) {
            Found::Part => Fate::Stays,
            Found::Other => Fate::GoesToPython,
            Found::Whole { body, end, patience } => {
                let lane = &self.shared.lane;
                if draining || !lane.takes(self.asked, now, rules.timeout) {
                    return Fate::GoesToPython;
                }
                let patience = patience.map_or(rules.timeout, Duration::from_millis).min(rules.timeout);
                connection.asked = Some(Asked { end, began: connection.since, deadline: now + patience });
                self.asked += 1;
                let caller = Caller { place, generation: connection.generation };
                self.offered = if self.shared.lane.offer(&connection.bytes[body..end], caller) {
                    Offered::Enough
                } else {
                    Offered::Some
                };
                Fate::Stays
            }
        }
    }

    fn settle(&mut self, place: usize, fate: Fate) {
        match fate {
            Fate::Stays => {}
            Fate::Ends => self.end(place),
            Fate::GoesToPython => {
                let mut connection = self.connections.remove(place);
                self.held -= connection.bytes.len();
                if self.registry.deregister(&mut connection.stream).is_ok() {
                    let begun = !connection.bytes.is_empty();
                    let spent = if begun { connection.since.elapsed() } else { Duration::ZERO };
                    self.give(connection.stream, connection.bytes, spent);
                }
            }
        }
    }

    fn end(&mut self, place: usize) {
        let mut connection = self.connections.remove(place);
        if connection.asked.is_some() {
            self.asked -= 1;
            self.shared.lane.withdraw(Caller { place, generation: connection.generation });
        }
        self.held -= connection.bytes.len();
        let _ = self.registry.deregister(&mut connection.stream);
    }

    fn give(&self, stream: TcpStream, bytes: Vec<u8>, spent: Duration) {
        locked(&self.shared.handed).push(Handed { stream: StdStream::from(stream), bytes, spent });
        (self.shared.tell)();
    }

    /// Take what the lane has answered.
    fn answers(&mut self) {
        let now = Instant::now();
        for done in self.shared.lane.take() {
            self.answer(now, done);
        }
    }

    fn answer(&mut self, now: Instant, done: Done) {
        let shared = Arc::clone(&self.shared);
        let mut counts = locked(&shared.counts);
        counts.batch(&done);
        let mut feed = locked(&shared.feed);
        let width = feed.width();
        let mut first = 0;
        for ((caller, body), rows) in done.callers.iter().zip(done.answers).zip(done.rows) {
            let observed = &done.observed[first..first + rows * width];
            first += rows * width;
            let Some(connection) = self.connections.get_mut(caller.place) else { continue };
            if connection.generation != caller.generation {
                continue;
            }
            let Some(asked) = connection.asked.take() else { continue };
            self.asked -= 1;
            let Some(body) = body else {
                self.settle(caller.place, Fate::GoesToPython);
                continue;
            };
            feed.add(observed);
            counts.rows += rows as u64;
            counts.answer((now - asked.began).as_secs_f64());
            self.write(caller.place, now, asked.end, Message::Good, &body);
        }
        drop(counts);
        feed.send(now);
    }

    /// Answer the request that ends at `end`, and go on with what comes after it.
    fn write(&mut self, place: usize, now: Instant, end: usize, message: Message, body: &[u8]) {
        if now - self.date.0 > DATE {
            self.date = (now, httpdate::fmt_http_date(SystemTime::now()));
        }
        let head = match message {
            Message::Good => &self.shared.rules.head,
            Message::Late => &self.shared.rules.late.0,
        };
        let draining = self.draining();
        let connection = &mut self.connections[place];
        connection.bytes.drain(..end);
        self.held -= end;
        connection.since = now;
        // What else it has asked already is Python's to answer.
        connection.ends = draining && connection.bytes.is_empty() && !connection.unread;
        let mut text = Vec::with_capacity(head.len() + body.len() + 96);
        text.extend_from_slice(head);
        text.extend_from_slice(b"date: ");
        text.extend_from_slice(self.date.1.as_bytes());
        text.extend_from_slice(if connection.ends { b"\r\nconnection: close" } else { b"" });
        text.extend_from_slice(b"\r\ncontent-length: ");
        text.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
        text.extend_from_slice(b"\r\n\r\n");
        text.extend_from_slice(body);
        connection.unwritten = text;
        if !goes_on(connection) {
            self.end(place);
            return;
        }
        let fate = if connection.unread { self.go_on(place) } else { self.ask(place) };
        self.settle(place, fate);
    }

    /// End what has taken too long, and hand over what is not for here.
    fn look(&mut self, now: Instant) {
        if self.waiting_to_accept {
            self.accept();
        }
        let draining = self.draining();
        let mut feed = locked(&self.shared.feed);
        feed.send(now);
        self.busy = self.waiting_to_accept
            || self.asked > 0
            || feed.is_waiting()
            || self.connections.iter().any(|(_, one)| !one.bytes.is_empty() || !one.unwritten.is_empty());
        drop(feed);
        let places: Vec<usize> = self.connections.iter().map(|(place, _)| place).collect();
        for place in places {
            let rules = &self.shared.rules;
            let connection = &mut self.connections[place];
            let spent = now.saturating_duration_since(connection.since);
            if let Some(asked) = connection.asked.take_if(|asked| asked.deadline <= now) {
                self.asked -= 1;
                self.shared.lane.withdraw(Caller { place, generation: connection.generation });
                // What the lane makes of it, where it was begun, is nobody's any more.
                self.generation += 1;
                connection.generation = self.generation;
                locked(&self.shared.counts).too_late((now - asked.began).as_secs_f64());
                let body = self.shared.rules.late.1.clone();
                self.write(place, now, asked.end, Message::Late, &body);
            } else if connection.asked.is_some() {
            } else if !connection.unwritten.is_empty() {
                if spent > rules.write {
                    self.end(place);
                }
            } else if draining || (!connection.bytes.is_empty() && spent > PART) {
                self.settle(place, Fate::GoesToPython);
            } else if connection.bytes.is_empty() && spent > rules.idle {
                self.end(place);
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Message {
    Good,
    Late,
}

/// Read what is there, up to `most` bytes in all; tells whether the caller is still there.
fn read(connection: &mut Connection, piece: &mut [u8; READ], most: usize) -> bool {
    loop {
        connection.unread = connection.bytes.len() > most - READ;
        if connection.unread {
            return true;
        }
        match connection.stream.read(piece) {
            Ok(0) => return false,
            Ok(count) => {
                if connection.bytes.is_empty() {
                    connection.since = Instant::now();
                }
                connection.bytes.extend_from_slice(&piece[..count]);
                if count < READ {
                    return true;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// Write what is left to write; tells whether the caller is still there, and not at the end.
fn goes_on(connection: &mut Connection) -> bool {
    write_more(connection) && !(connection.ends && connection.unwritten.is_empty())
}

/// Write what is left to write; tells whether the caller is still there.
fn write_more(connection: &mut Connection) -> bool {
    let mut written = 0;
    let there = loop {
        if written == connection.unwritten.len() {
            break true;
        }
        match connection.stream.write(&connection.unwritten[written..]) {
            Ok(0) => break false,
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break false,
        }
    };
    connection.unwritten.drain(..written);
    there
}
