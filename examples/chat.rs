//! A chat: whoever connects gives a name, and from then on everybody reads what the others say.
//!
//! ```text
//! cargo run --example chat -- 127.0.0.1:4000     # then, elsewhere and several times: nc 127.0.0.1 4000
//! ```
//!
//! Each client is a connection of one server, and has a receiver of one broadcast channel. Who reads more slowly than
//! the others talk is told how much was missed, and holds nobody up. Ctrl-C says goodbye to everybody.

use std::env;
use std::io;
use std::time::Duration;

use rt::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use rt::net::{OwnedReadHalf, OwnedWriteHalf, ServeOptions, Server, TcpListener, TcpStream, serve};
use rt::sync::broadcast::{self, Receiver, RecvError, Sender};

/// Messages that are kept for those who read slowly.
const N_KEPT: usize = 256;

/// Bytes that a line may have.
const LONGEST_LINE: u64 = 4096;

/// How long a client may take to give its name.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is said, and by whom: everybody but the speaker reads it.
#[derive(Clone)]
struct Message {
    speaker: u64,
    text: String,
}

/// Serves the chat until the server is told to end.
pub(crate) fn chat(listener: TcpListener) -> Server {
    let (room, _) = broadcast::channel(N_KEPT);
    let mut n_clients = 0;
    serve(listener, ServeOptions::default(), move |stream, peer| {
        n_clients += 1;
        let client = Client {
            number: n_clients,
            room: room.clone(),
        };
        async move {
            // A client that hangs up is nothing to report.
            if let Err(error) = client.talk(stream).await {
                eprintln!("{peer}: {error}");
            }
        }
    })
}

struct Client {
    number: u64,
    room: Sender<Message>,
}

impl Client {
    /// Talks with one client until it hangs up, or the server ends.
    async fn talk(self, stream: TcpStream) -> io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read);
        write.write_all(b"your name, please\n").await?;
        let Ok(name) = rt::timeout(PATIENCE, read_line(&mut lines)).await else {
            return write.write_all(b"too late\n").await;
        };
        let Some(name) = name? else {
            return Ok(());
        };
        let messages = self.room.subscribe();
        // Before the welcome: whoever comes after it has missed it, and whoever came before it reads it.
        self.say(format!("{name} is here"));
        let ended = self.take_part(&name, lines, messages, &mut write).await;
        self.say(format!("{name} has gone"));
        ended?;
        write.write_all(b"goodbye\n").await
    }

    /// Says to the room what the client says.
    async fn listen(&self, name: &str, lines: &mut BufReader<OwnedReadHalf>) -> io::Result<()> {
        while let Some(line) = read_line(lines).await? {
            self.say(format!("{name}: {line}"));
        }
        Ok(())
    }

    /// Welcomes the client; then each of the two goes on from where it is, and the first to end ends the other.
    async fn take_part(
        &self,
        name: &str,
        mut lines: BufReader<OwnedReadHalf>,
        messages: Receiver<Message>,
        write: &mut OwnedWriteHalf,
    ) -> io::Result<()> {
        let welcome = format!("welcome, {name}\n");
        write.write_all(welcome.as_bytes()).await?;
        rt::select! {
            ended = self.listen(name, &mut lines) => ended,
            ended = self.tell(messages, write) => ended,
            () = rt::cancelled() => Ok(()),
        }
    }

    /// Tells the client what is said in the room.
    async fn tell(
        &self,
        mut messages: Receiver<Message>,
        write: &mut OwnedWriteHalf,
    ) -> io::Result<()> {
        loop {
            let line = match messages.recv().await {
                Ok(message) if message.speaker == self.number => continue,
                Ok(message) => format!("{}\n", message.text),
                Err(RecvError::Lagged(n_missed)) => format!("({n_missed} messages were missed)\n"),
                Err(_) => return Ok(()),
            };
            write.write_all(line.as_bytes()).await?;
        }
    }

    fn say(&self, text: String) {
        println!("{text}");
        // Nobody may be there to hear it.
        let _ = self.room.send(Message {
            speaker: self.number,
            text,
        });
    }
}

/// The next line; none at the end.
async fn read_line(lines: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<String>> {
    let mut line = String::new();
    if lines.take(LONGEST_LINE).read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    Ok(Some(line.trim_end().to_owned()))
}

#[rt::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:4000".to_owned());
    let listener = TcpListener::bind(address).await?;
    // It counts from here on, before anybody can know that there is something to stop.
    let interrupted = rt::signal::ctrl_c();
    println!("listening on {}", listener.local_addr()?);
    let server = chat(listener);
    interrupted.await?;
    server.drain(Duration::from_secs(5)).await;
    Ok(())
}
