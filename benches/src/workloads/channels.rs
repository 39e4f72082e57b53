//! What does it cost to hand an item from task to task?
//!
//! Items are eight bytes and nobody works on them, so the table shows the channel and the wake-ups it
//! causes. With few workers, how often both ends meet a full or an empty queue depends on the scheduler;
//! at other capacities the order may differ. Tokio has no queue with many consumers: its users put the
//! receiver behind a mutex, as in `queue_4_to_4`, or take async-channel, as in the row after it, where
//! every runtime runs that same channel, or flume's in the next. The `mpsc` rows are the channels with one
//! receiver: Tokio's are those of the queue's rows too. Where everyone is told everything, an operation is one
//! value that one of them gets; they are told in bursts that fit the channel, so nothing is ever missed, which
//! would be cheaper.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use smol::channel;

use crate::peer::{Answer, Follower, Get, Latest, News, Peer, Put, Reply};
use crate::workload::{Case, Sample, Scale, Workload, timed_in_task};

const CAPACITY: usize = 128;

pub(super) fn cases() -> Vec<Case> {
    let one_consumer = |producers| OneConsumer { producers };
    vec![
        Case::new(
            "queue_1_to_1",
            "an item, one producer, one consumer, capacity 128",
            one_consumer(1),
        ),
        Case::new(
            "queue_4_to_1",
            "an item, four producers, one consumer, capacity 128",
            one_consumer(4),
        ),
        Case::new(
            "queue_4_to_4",
            "an item, four producers, four consumers, capacity 128",
            ManyToMany(Kind::Own),
        ),
        Case::new(
            "queue_4_to_4_async_channel",
            "the same over async-channel, on every runtime",
            ManyToMany(Kind::AsyncChannel),
        ),
        Case::new(
            "queue_4_to_4_flume",
            "the same over flume, on every runtime",
            ManyToMany(Kind::Flume),
        ),
        Case::new(
            "mpsc_1_to_1",
            "a value, one sender, capacity 128",
            Mpsc { senders: 1 },
        ),
        Case::new(
            "mpsc_4_to_1",
            "a value, four senders, capacity 128",
            Mpsc { senders: 4 },
        ),
        Case::new(
            "broadcast_channel",
            "one of 8 receivers gets a value, sent in bursts of 64",
            BroadcastChannel,
        ),
        Case::new(
            "watch_channel",
            "one of 8 receivers sees a change",
            WatchChannel,
        ),
        Case::new(
            "oneshot_same_task",
            "a oneshot made, sent and received in one task",
            OneshotSameTask,
        ),
        Case::new(
            "request_reply",
            "a request by queue, answered by oneshot, between two tasks",
            RequestReply,
        ),
    ]
}

struct OneConsumer {
    producers: u64,
}

impl Workload for OneConsumer {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let producers = self.producers;
        let each = scale.of(400_000) / producers;
        timed_in_task(peer, each * producers, async move {
            let (putter, getter) = P::queue(CAPACITY);
            pump::<P, _, _>(putter, vec![getter], producers, each).await;
        })
    }
}

struct Mpsc {
    senders: u64,
}

impl Workload for Mpsc {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let senders = self.senders;
        let each = scale.of(400_000) / senders;
        timed_in_task(peer, each * senders, async move {
            let (sender, receiver) = P::channel(CAPACITY);
            pump::<P, _, _>(sender, vec![receiver], senders, each).await;
        })
    }
}

const FOLLOWERS: usize = 8;

/// Has so many tasks follow, each of which is told `told` numbers; after every `burst` of them, told to all, `send` is
/// called with the numbers of the next one.
async fn tell_all<P: Peer, F: Follower>(
    followers: Vec<F>,
    told: u64,
    burst: u64,
    send: impl Fn(u64),
) {
    let n_told = Arc::new(AtomicUsize::new(0));
    let (all_told, mut all_were_told) = P::queue(1);
    let n_followers = followers.len();
    let tasks: Vec<_> = followers
        .into_iter()
        .map(|mut follower| {
            let (n_told, all_told) = (n_told.clone(), all_told.clone());
            P::spawn(async move {
                for expected in 1..=told {
                    assert_eq!(follower.next().await, expected, "missed, or out of order");
                    if expected % burst != 0 {
                        continue;
                    }
                    // ORDERING(told): Release, so that the last has seen that this one was told;
                    // ORDERING(told): Acquire, in case this is the last.
                    if (n_told.fetch_add(1, Ordering::AcqRel) + 1) % n_followers == 0 {
                        all_told.put(()).await;
                    }
                }
            })
        })
        .collect();
    for number in 1..=told {
        send(number);
        if number % burst == 0 {
            all_were_told.get().await.expect("they hold the other end");
        }
    }
    for task in tasks {
        task.await;
    }
}

struct BroadcastChannel;

impl Workload for BroadcastChannel {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const BURST: u64 = 64;
        let values = scale.of(500) * BURST;
        timed_in_task(peer, values * FOLLOWERS as u64, async move {
            let news = P::News::new(CAPACITY);
            let followers = (0..FOLLOWERS).map(|_| news.follow()).collect();
            tell_all::<P, _>(followers, values, BURST, |number| news.send(number)).await;
        })
    }
}

struct WatchChannel;

impl Workload for WatchChannel {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let changes = scale.of(10_000);
        timed_in_task(peer, changes * FOLLOWERS as u64, async move {
            let latest = P::Latest::new();
            let watchers = (0..FOLLOWERS).map(|_| latest.watch()).collect();
            tell_all::<P, _>(watchers, changes, 1, |number| latest.set(number)).await;
        })
    }
}

enum Kind {
    Own,
    AsyncChannel,
    Flume,
}

struct ManyToMany(Kind);

impl Workload for ManyToMany {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const ENDS: u64 = 4;
        let each = scale.of(400_000) / ENDS;
        match self.0 {
            Kind::Own => timed_in_task(peer, each * ENDS, async move {
                let (putter, getter) = P::shared_queue(CAPACITY);
                let getters = vec![getter; ENDS as usize];
                pump::<P, _, _>(putter, getters, ENDS, each).await;
            }),
            Kind::AsyncChannel => timed_in_task(peer, each * ENDS, async move {
                let (putter, getter) = channel::bounded(CAPACITY);
                let getters = vec![getter; ENDS as usize];
                pump::<P, _, _>(putter, getters, ENDS, each).await;
            }),
            Kind::Flume => timed_in_task(peer, each * ENDS, async move {
                let (putter, getter) = flume::bounded(CAPACITY);
                let getters = vec![getter; ENDS as usize];
                pump::<P, _, _>(putter, getters, ENDS, each).await;
            }),
        }
    }
}

/// Moves the numbers `0..each` from each producer to the getters, and checks that all came through.
async fn pump<P: Peer, S: Put<u64>, R: Get<u64>>(
    putter: S,
    getters: Vec<R>,
    producers: u64,
    each: u64,
) {
    let consumers: Vec<_> = getters
        .into_iter()
        .map(|mut getter| {
            P::spawn(async move {
                let (mut count, mut sum) = (0, 0);
                while let Some(item) = getter.get().await {
                    count += 1;
                    sum += item;
                }
                (count, sum)
            })
        })
        .collect();
    let producers: Vec<_> = (0..producers)
        .map(|_| {
            let putter = putter.clone();
            P::spawn(async move {
                for item in 0..each {
                    putter.put(item).await;
                }
            })
        })
        .collect();
    let expected = producers.len() as u64;
    for producer in producers {
        producer.await;
    }
    putter.close();
    let (mut count, mut sum) = (0, 0);
    for consumer in consumers {
        let (n, s) = consumer.await;
        count += n;
        sum += s;
    }
    assert_eq!(count, expected * each, "items lost or doubled");
    assert_eq!(sum, expected * (each * (each - 1) / 2), "items changed");
}

struct OneshotSameTask;

impl Workload for OneshotSameTask {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let values = scale.of(300_000);
        timed_in_task(peer, values, async move {
            for i in 0..values {
                let (reply, answer) = P::oneshot();
                reply.send(i);
                assert_eq!(answer.receive().await, i);
            }
        })
    }
}

struct RequestReply;

impl Workload for RequestReply {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let requests = scale.of(50_000);
        timed_in_task(peer, requests, request_reply::<P>(requests))
    }
}

/// Asks a server task so many times, and waits for each answer.
pub(super) async fn request_reply<P: Peer>(requests: u64) {
    let (ask, mut asked) = P::queue::<(u64, P::Reply<u64>)>(10);
    let server = P::spawn(async move {
        while let Some((question, reply)) = asked.get().await {
            reply.send(question + 1);
        }
    });
    for i in 0..requests {
        let (reply, answer) = P::oneshot();
        ask.put((i, reply)).await;
        assert_eq!(answer.receive().await, i + 1);
    }
    ask.close();
    server.await;
}
