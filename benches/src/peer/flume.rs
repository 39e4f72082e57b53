//! flume's channel, which runs on every runtime.

use flume::{Receiver, Sender};

use super::{Get, Put};

impl<T: Send + 'static> Put<T> for Sender<T> {
    #[inline]
    async fn put(&self, item: T) {
        assert!(self.send_async(item).await.is_ok(), "the getter is gone");
    }

    #[inline]
    fn put_at_once(&self, item: T) {
        assert!(self.try_send(item).is_ok(), "the queue has a place");
    }

    fn close(self) {}
}

impl<T: Send + 'static> Get<T> for Receiver<T> {
    #[inline]
    async fn get(&mut self) -> Option<T> {
        self.recv_async().await.ok()
    }
}
