//! The thread of the endpoint: it waits for connections, reads a request from each, and writes the answer.
//!
//! One thread serves all, and nothing it does on a socket waits, so a client that sends nothing or reads nothing holds
//! up nobody. Everything is bounded: the connections, the length of a request, the time without progress; a
//! connection carries one request. Whoever comes while all places are taken is told so.

use std::io::{self, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::answer::{Refusal, answer, refuse};

/// Connections at one time.
const MOST_CLIENTS: usize = 16;

/// Bytes that a request may have.
const LONGEST_REQUEST: usize = 1024;

/// How long a client may take to send its request, and how long an answer may lie there without being read.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait when the system refuses what it was asked for: no descriptors are left, for instance.
const BREAK: Duration = Duration::from_millis(100);

pub(super) struct Server {
    listener: UnixListener,
    /// Closed from the other end when this is to end.
    bell: UnixStream,
    clients: Vec<Client>,
    /// Nobody is let in before.
    deaf_until: Option<Instant>,
}

impl Server {
    pub(super) fn new(listener: UnixListener, bell: UnixStream) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            bell,
            clients: Vec::new(),
            deaf_until: None,
        })
    }

    /// Serves until the bell rings.
    pub(super) fn serve(mut self) {
        while let Some(ready) = self.wait() {
            // From the end, because it may remove; those who come now are looked at next time.
            for index in (0..self.clients.len()).rev() {
                let client = &mut self.clients[index];
                let is_over = ready.clients[index] && client.advance().is_none();
                if is_over || client.deadline <= Instant::now() {
                    self.clients.swap_remove(index);
                }
            }
            if ready.listener {
                self.let_in();
            }
        }
    }

    /// Waits until there is something to do; none when this is to end.
    fn wait(&mut self) -> Option<Ready> {
        let now = Instant::now();
        self.deaf_until = self.deaf_until.filter(|until| *until > now);
        let mut fds = vec![PollFd::new(&self.bell, PollFlags::IN)];
        fds.extend(self.clients.iter().map(Client::interest));
        if self.deaf_until.is_none() {
            fds.push(PollFd::new(&self.listener, PollFlags::IN));
        }
        let deadlines = self.clients.iter().map(|client| client.deadline);
        let next = deadlines.chain(self.deaf_until).min();
        let limit = next.map(|next| timespec(next.saturating_duration_since(now)));
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => fds.iter_mut().for_each(PollFd::clear_revents),
            Err(_) => {
                std::thread::sleep(BREAK);
                fds.iter_mut().for_each(PollFd::clear_revents);
            }
        }
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let clients = &fds[1..=self.clients.len()];
        (!is_ready(&fds[0])).then(|| Ready {
            clients: clients.iter().map(is_ready).collect(),
            listener: fds.get(1 + self.clients.len()).is_some_and(is_ready),
        })
    }

    /// Lets in those who wait, as many as there are places in all, so that those inside get their turn.
    fn let_in(&mut self) {
        for _ in 0..MOST_CLIENTS {
            match self.listener.accept() {
                Ok((stream, _)) => self.welcome(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.deaf_until = Some(Instant::now() + BREAK);
                    return;
                }
            }
        }
    }

    fn welcome(&mut self, stream: UnixStream) {
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let refusal = match is_same_user(&stream) {
            false => Some(Refusal::User),
            true if self.clients.len() >= MOST_CLIENTS => Some(Refusal::Busy),
            true => None,
        };
        match refusal {
            // A line fits into the buffer of a connection that was just made.
            Some(refusal) => drop(send(&stream, refuse(refusal).as_bytes())),
            None => self.clients.push(Client {
                stream,
                deadline: Instant::now() + PATIENCE,
                state: State::Asks(Vec::new()),
            }),
        }
    }
}

/// What there is to do.
struct Ready {
    /// For each client, whether its socket is ready.
    clients: Vec<bool>,
    listener: bool,
}

/// A connection.
struct Client {
    stream: UnixStream,
    deadline: Instant,
    state: State,
}

enum State {
    /// Its request is on its way; this much has come.
    Asks(Vec<u8>),
    /// It reads the answer, of which so many bytes are sent.
    Hears(Vec<u8>, usize),
}

impl Client {
    fn interest(&self) -> PollFd<'_> {
        let flags = match self.state {
            State::Asks(_) => PollFlags::IN,
            State::Hears(..) => PollFlags::OUT,
        };
        PollFd::new(&self.stream, flags)
    }

    /// Goes on as far as that is possible without waiting; none when it is over.
    fn advance(&mut self) -> Option<()> {
        if let State::Asks(request) = &mut self.state {
            let line = read_line(&self.stream, request)?;
            if let Some(line) = line {
                self.state = State::Hears(answer(line).into_bytes(), 0);
            }
        }
        if let State::Hears(text, n_sent) = &mut self.state {
            let n_new = send_what_fits(&self.stream, &text[*n_sent..])?;
            *n_sent += n_new;
            if *n_sent == text.len() {
                return None;
            }
            // Begun anew only by progress: somebody who reads nothing must not stay.
            if n_new > 0 {
                self.deadline = Instant::now() + PATIENCE;
            }
        }
        Some(())
    }
}

/// Reads what has come. Some of some when the request is there, some of none when more is to come; none when
/// the connection is over.
fn read_line<'a>(stream: &UnixStream, request: &'a mut Vec<u8>) -> Option<Option<&'a [u8]>> {
    let mut buffer = [0; LONGEST_REQUEST];
    loop {
        let mut reader = stream;
        match reader.read(&mut buffer) {
            Ok(0) if request.is_empty() => return None,
            // A line without an end is one all the same.
            Ok(0) => return Some(Some(request)),
            Ok(n_read) => request.extend_from_slice(&buffer[..n_read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return None,
        }
        if let Some(end) = request.iter().position(|byte| *byte == b'\n') {
            return Some(Some(&request[..end]));
        }
        if request.len() > LONGEST_REQUEST {
            return Some(Some(request));
        }
    }
}

/// Writes until the socket is full; the number of bytes, or none when the connection is over.
fn send_what_fits(stream: &UnixStream, text: &[u8]) -> Option<usize> {
    let mut n_sent = 0;
    while n_sent < text.len() {
        match send(stream, &text[n_sent..]) {
            Ok(n_new) => n_sent += n_new,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(n_sent)
}

fn timespec(duration: Duration) -> Timespec {
    // One millisecond more than asked for: systems that count in milliseconds round down, and would return too early.
    let duration = duration + Duration::from_millis(1);
    Timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Writes without raising a signal when the other end is gone: the program may have set `SIGPIPE` to kill it.
#[cfg(target_os = "linux")]
fn send(stream: &UnixStream, text: &[u8]) -> io::Result<usize> {
    use rustix::net::SendFlags;
    Ok(rustix::net::send(stream, text, SendFlags::NOSIGNAL)?)
}

/// Writes. A Rust program ignores the signal that it gets when the other end is gone.
#[cfg(not(target_os = "linux"))]
fn send(mut stream: &UnixStream, text: &[u8]) -> io::Result<usize> {
    io::Write::write(&mut stream, text)
}

/// Whether the process at the other end runs as our user. Not even the system's own user may: who may enter the folder of
/// another user is not the one this was turned on for.
#[cfg(target_os = "linux")]
fn is_same_user(stream: &UnixStream) -> bool {
    let peer = rustix::net::sockopt::socket_peercred(stream);
    peer.is_ok_and(|peer| peer.uid == rustix::process::geteuid())
}

/// The folder keeps others away.
#[cfg(not(target_os = "linux"))]
fn is_same_user(_: &UnixStream) -> bool {
    true
}
