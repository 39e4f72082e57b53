//! Pipes: one end writes what the other reads.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rt_tasks_runtime::reactor::Source;
use rustix::io::ioctl_fionbio;

use super::connection::{Connection, reads, shown, tries, waits, writes};
use super::system;

/// Makes a pipe: what is written to the [`Sender`] is read from the [`Receiver`].
///
/// # Errors
///
/// Those of the system, above all that there are no descriptors left. There is no runtime here.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use rt::io::{AsyncReadExt, AsyncWriteExt};
/// # rt_tasks_runtime::block_on(async {
/// let (mut sender, mut receiver) = rt::net::pipe()?;
/// sender.write_all(b"all there is").await?;
/// drop(sender);
/// let mut heard = String::new();
/// receiver.read_to_string(&mut heard).await?;
/// assert_eq!(heard, "all there is");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn pipe() -> io::Result<(Sender, Receiver)> {
    let (receiver, sender) = system::pipe()?;
    let sender = Sender::register(sender)?;
    Ok((sender, Receiver::register(receiver)?))
}

/// The end of a pipe to write to; made by [`pipe`].
///
/// The reader has the end once this is dropped, with all its duplicates. When the other end is gone, writing fails
/// with [`BrokenPipe`](io::ErrorKind::BrokenPipe).
pub struct Sender {
    source: Source<File>,
}

/// The end of a pipe to read from; made by [`pipe`].
pub struct Receiver {
    source: Source<File>,
}

macro_rules! end {
    ($type:ident) => {
        impl $type {
            fn register(fd: OwnedFd) -> io::Result<Self> {
                Ok(Self {
                    source: Source::new(File::from(fd))?,
                })
            }

            /// Takes an end of a pipe over and puts it into non-blocking mode: that of a child process, or one that was
            /// opened by its name.
            ///
            /// # Errors
            ///
            /// It is nothing that the system can wait for, above all a file; others of the system. There is no runtime
            /// here.
            pub fn from_std(end: impl Into<OwnedFd>) -> io::Result<Self> {
                let end = end.into();
                ioctl_fionbio(&end, true)?;
                Self::register(end)
            }

            /// Hands it out, still in non-blocking mode.
            pub fn into_std(self) -> OwnedFd {
                self.source.into_inner().into()
            }
        }

        impl Connection for $type {
            type Io = File;

            fn source(&self) -> &Source<File> {
                &self.source
            }
        }

        impl Connection for &$type {
            type Io = File;

            fn source(&self) -> &Source<File> {
                &self.source
            }
        }

        shown!($type);
    };
}

end!(Sender);
end!(Receiver);

writes!([] Sender);
writes!([] & Sender);
waits!(Sender: writable);
tries!(Sender: write);

reads!([] Receiver);
reads!([] & Receiver);
waits!(Receiver: readable);
tries!(Receiver: read);
