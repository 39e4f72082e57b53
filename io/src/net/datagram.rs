//! What sockets for datagrams have in common, whichever addresses they have.

/// Receiving and sending; everything but how a socket is made and how an address is written.
macro_rules! datagrams {
    ($type:ident, $std:ty, $address:ty) => {
        impl $type {
            /// Sends a datagram to the peer of [`connect`](Self::connect), as one piece.
            ///
            /// # Cancel safety
            ///
            /// Dropped before it returns, it has sent nothing.
            ///
            /// # Errors
            ///
            /// Those of the system, for instance that it is too long, or that the peer of an earlier one was not
            /// there; the runtime has been shut down.
            pub async fn send(&self, datagram: &[u8]) -> io::Result<usize> {
                let send = |io: &$std| io.send(datagram);
                self.source.run(Direction::Write, send).await
            }

            /// Receives a datagram from the peer of [`connect`](Self::connect). What does not fit is lost.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: a datagram is taken and returned in one step.
            ///
            /// # Errors
            ///
            /// Those of the system; the runtime has been shut down.
            pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
                let recv = |io: &$std| io.recv(buffer);
                self.source.run(Direction::Read, recv).await
            }

            /// Receives a datagram from anybody, and says from whom. What does not fit is lost.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: a datagram is taken and returned in one step.
            ///
            /// # Errors
            ///
            /// Those of the system; the runtime has been shut down.
            pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, $address)> {
                let recv = |io: &$std| io.recv_from(buffer);
                self.source.run(Direction::Read, recv).await
            }

            /// Looks at the next datagram without taking it.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost.
            ///
            /// # Errors
            ///
            /// Those of the system; the runtime has been shut down.
            pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
                let peek = |io: &$std| super::connection::peek(io, buffer);
                self.source.run(Direction::Read, peek).await
            }

            /// Sends a datagram to the peer without waiting.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) when there is no room; as for [`send`](Self::send).
            pub fn try_send(&self, datagram: &[u8]) -> io::Result<usize> {
                self.source.try_io(Direction::Write, |io| io.send(datagram))
            }

            /// Receives a datagram that is there.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) when there is none; as for [`recv`](Self::recv).
            pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
                self.source.try_io(Direction::Read, |io| io.recv(buffer))
            }

            /// Receives a datagram that is there, and says from whom.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) when there is none; as for [`recv_from`](Self::recv_from).
            pub fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, $address)> {
                self.source
                    .try_io(Direction::Read, |io| io.recv_from(buffer))
            }

            /// Polls [`recv_from`](Self::recv_from). One task at a time waits this way.
            ///
            /// # Errors
            ///
            /// As for [`recv_from`](Self::recv_from).
            pub fn poll_recv_from(
                &self,
                cx: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<(usize, $address)>> {
                let recv = |io: &$std| io.recv_from(buffer);
                self.source.poll_io(Direction::Read, cx, recv)
            }

            /// The address of this end.
            ///
            /// # Errors
            ///
            /// Those of the system.
            pub fn local_addr(&self) -> io::Result<$address> {
                self.source.io().local_addr()
            }

            /// The address of the peer of [`connect`](Self::connect).
            ///
            /// # Errors
            ///
            /// Those of the system, above all that it is not connected.
            pub fn peer_addr(&self) -> io::Result<$address> {
                self.source.io().peer_addr()
            }
        }
    };
}

pub(super) use datagrams;
