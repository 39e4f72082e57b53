//! A terminal without a person: what is written to it is kept, and keys are typed by the test.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// How long a test waits for something to be shown.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Terminal {
    keyboard: File,
    /// Kept open: what the program did to the terminal can be seen after its end.
    screen: File,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// One with 30 lines of 120 columns.
    pub(crate) fn open() -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let path = OsStr::from_bytes(name.as_bytes());
        let screen = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .unwrap();
        let size = Winsize {
            ws_row: 30,
            ws_col: 120,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&screen, size).unwrap();
        let keyboard = File::from(ours);
        let written = Arc::new(Mutex::new(Vec::new()));
        let (mut from, to) = (keyboard.try_clone().unwrap(), written.clone());
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // An error, when nobody has the other end open any more.
            while let Ok(n_read @ 1..) = from.read(&mut buffer) {
                to.lock().unwrap().extend_from_slice(&buffer[..n_read]);
            }
        });
        Self {
            keyboard,
            screen,
            written,
        }
    }

    /// Starts a program on it.
    pub(crate) fn start(&self, command: &mut Command) -> Child {
        let end = || Stdio::from(self.screen.try_clone().unwrap());
        command.stdin(end()).stdout(end()).stderr(end());
        command.env("TERM", "xterm-256color").spawn().unwrap()
    }

    pub(crate) fn press(&self, keys: &str) {
        let mut keyboard = &self.keyboard;
        keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// All that was written so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Waits until this has been written since the last call with something written.
    #[track_caller]
    pub(crate) fn await_text(&self, text: &str) {
        let began = Instant::now();
        while !self.text().contains(text) {
            assert!(
                began.elapsed() < PATIENCE,
                "never showed {text:?}: {:?}",
                self.text()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Forgets what was written.
    pub(crate) fn clear(&self) {
        self.written.lock().unwrap().clear();
    }

    /// Fails unless the terminal is as a shell wants it: whole lines with an echo, on the usual screen.
    #[track_caller]
    pub(crate) fn assert_restored(&self) {
        let modes = tcgetattr(self.screen.as_fd()).unwrap().local_modes;
        assert!(
            modes.contains(LocalModes::ICANON | LocalModes::ECHO),
            "{modes:?}"
        );
        self.await_text("\x1b[?1049l");
    }
}
