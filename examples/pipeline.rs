//! A pipeline: two producers, three slower consumers, and a queue between them that holds five items.
//!
//! A full queue holds the producers back, so that the program never has more than five items in memory. When the
//! producers are through, the queue is shut down, and the consumers take what is left. Nobody outlives the group.

use std::time::Duration;

use rt::sync::Queue;
use rt::{BoxError, TaskGroup};

const N_ITEMS: u32 = 10;

struct Item {
    producer: &'static str,
    number: u32,
}

async fn produce(producer: &'static str, queue: Queue<Item>) -> Result<(), BoxError> {
    for number in 1..=N_ITEMS {
        rt::sleep(Duration::from_millis(5)).await;
        queue.put(Item { producer, number }).await?;
        println!("{producer} has put item {number}, {} wait", queue.len());
    }
    Ok(())
}

/// Takes items until there will be no more, and tells how many it was.
async fn consume(consumer: u32, queue: Queue<Item>) -> Result<u32, BoxError> {
    let mut n_items = 0;
    while let Ok(item) = queue.get().await {
        rt::sleep(Duration::from_millis(20)).await;
        let Item { producer, number } = item;
        println!("consumer {consumer} is through with item {number} of {producer}");
        n_items += 1;
    }
    Ok(n_items)
}

/// Runs the pipeline to its end, and tells how many items each consumer had.
pub(crate) async fn pipeline() -> Result<[u32; 3], BoxError> {
    let queue = Queue::bounded(5);
    let consumers = TaskGroup::scope(async |group| {
        let consumers = [1, 2, 3].map(|number| group.spawn(consume(number, queue.clone())));
        // A group inside of the group: here it goes on when all producers are through.
        TaskGroup::scope(async |producers| {
            for name in ["Ada", "Bob"] {
                producers.spawn_named(name, produce(name, queue.clone()));
            }
            Ok(())
        })
        .await?;
        queue.shutdown();
        Ok(consumers)
    })
    .await?;
    Ok(consumers.map(|consumer| consumer.result()))
}

#[rt::main]
async fn main() -> Result<(), BoxError> {
    let n_items = pipeline().await?;
    println!("the consumers had {n_items:?} items");
    Ok(())
}
