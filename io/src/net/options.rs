//! Options of sockets, for every type that has them: the same before a connection is made and after.

/// The sizes of the system's buffers.
macro_rules! buffer_options {
    ($type:ident) => {
        impl $type {
            /// How many bytes the system keeps that were received and not yet read (`SO_RCVBUF`).
            ///
            /// # Errors
            ///
            /// Those of the system.
            pub fn recv_buffer_size(&self) -> std::io::Result<usize> {
                socket2::SockRef::from(self).recv_buffer_size()
            }

            /// Asks the system to keep so many bytes that were received. It may take another number; Linux takes twice
            /// as many, for its own records.
            ///
            /// # Errors
            ///
            /// Those of the system.
            pub fn set_recv_buffer_size(&self, size: usize) -> std::io::Result<()> {
                socket2::SockRef::from(self).set_recv_buffer_size(size)
            }

            /// How many bytes the system keeps that were written and not yet sent (`SO_SNDBUF`).
            ///
            /// # Errors
            ///
            /// Those of the system.
            pub fn send_buffer_size(&self) -> std::io::Result<usize> {
                socket2::SockRef::from(self).send_buffer_size()
            }

            /// Asks the system to keep so many bytes that were written; see
            /// [`set_recv_buffer_size`](Self::set_recv_buffer_size).
            ///
            /// # Errors
            ///
            /// Those of the system.
            pub fn set_send_buffer_size(&self, size: usize) -> std::io::Result<()> {
                socket2::SockRef::from(self).set_send_buffer_size(size)
            }
        }
    };
}

/// What TCP can be told.
macro_rules! tcp_options {
    ($type:ident) => {
        impl $type {
            /// Whether small writes are sent at once instead of being gathered (`TCP_NODELAY`).
            ///
            /// # Errors
            ///
            /// Those of the system.
            pub fn nodelay(&self) -> std::io::Result<bool> {
                socket2::SockRef::from(self).tcp_nodelay()
            }

            /// Has small writes sent at once, or gathered (`TCP_NODELAY`).
            ///
            /// # Errors
            ///
            /// Those of the system.
            pub fn set_nodelay(&self, nodelay: bool) -> std::io::Result<()> {
                socket2::SockRef::from(self).set_tcp_nodelay(nodelay)
            }

            /// How long closing goes on sending what is left (`SO_LINGER`), in whole seconds.
            ///
            /// # Errors
            ///
            /// Those of the system.
            pub fn linger(&self) -> std::io::Result<Option<std::time::Duration>> {
                socket2::SockRef::from(self).linger()
            }

            /// Sets how long closing goes on sending what is left (`SO_LINGER`); zero resets the connection instead.
            ///
            /// Any other time makes closing, and so dropping, wait for it, and the thread with it.
            ///
            /// # Errors
            ///
            /// Those of the system.
            pub fn set_linger(&self, linger: Option<std::time::Duration>) -> std::io::Result<()> {
                socket2::SockRef::from(self).set_linger(linger)
            }

            /// Whether a silent connection is probed (`SO_KEEPALIVE`).
            ///
            /// # Errors
            ///
            /// Those of the system.
            pub fn keepalive(&self) -> std::io::Result<bool> {
                socket2::SockRef::from(self).keepalive()
            }

            /// Has a silent connection probed, so that a peer that vanished is noticed: reading then fails.
            ///
            /// By default the system begins after two hours; see [`set_keepalive_times`](Self::set_keepalive_times).
            ///
            /// # Errors
            ///
            /// Those of the system.
            pub fn set_keepalive(&self, keepalive: bool) -> std::io::Result<()> {
                socket2::SockRef::from(self).set_keepalive(keepalive)
            }

            /// Has the connection probed once it was silent for `idle`, then at each `interval`, until `n_probes` have
            /// stayed unanswered. The system counts in whole seconds.
            ///
            /// # Errors
            ///
            /// Those of the system, above all for times of less than a second.
            pub fn set_keepalive_times(
                &self,
                idle: std::time::Duration,
                interval: std::time::Duration,
                n_probes: u32,
            ) -> std::io::Result<()> {
                let times = socket2::TcpKeepalive::new()
                    .with_time(idle)
                    .with_interval(interval)
                    .with_retries(n_probes);
                socket2::SockRef::from(self).set_tcp_keepalive(&times)
            }

            /// How many routers a packet may pass (`IP_TTL`).
            ///
            /// # Errors
            ///
            /// Those of the system.
            pub fn ttl(&self) -> std::io::Result<u32> {
                socket2::SockRef::from(self).ttl_v4()
            }

            /// Sets how many routers a packet may pass (`IP_TTL`).
            ///
            /// # Errors
            ///
            /// Those of the system.
            pub fn set_ttl(&self, ttl: u32) -> std::io::Result<()> {
                socket2::SockRef::from(self).set_ttl_v4(ttl)
            }
        }
    };
}

pub(super) use {buffer_options, tcp_options};
