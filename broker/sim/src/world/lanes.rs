//! The mesh between simulated shards: real rings of small capacity whose batches arrive late, in order.

use crate::dice::Dice;
use ringmq_mesh::ring::{Consumer, Producer, ring};

/// A batch and when it may be read, nanoseconds.
type Batch = (u64, Vec<u8>);

/// The way from one shard to another, one lane.
pub(crate) struct Way {
    producer: Producer<Batch>,
    consumer: Consumer<Batch>,
    /// Popped from the ring before its time.
    early: Option<Batch>,
    /// When the last batch arrives: the next cannot be earlier.
    last_ns: u64,
    /// Batches that went this way, all the time.
    pub(crate) sent: u64,
}

impl Way {
    pub(crate) fn new(capacity: usize) -> Self {
        let (producer, consumer) = ring(capacity);
        Self { producer, consumer, early: None, last_ns: 0, sent: 0 }
    }

    /// Sends a batch; returns when it arrives, or the batch if the ring is full.
    pub(crate) fn send(
        &mut self,
        now_ns: u64,
        delay_max_ns: u64,
        batch: Vec<u8>,
        dice: &mut Dice,
    ) -> Result<u64, Vec<u8>> {
        let at_ns = (now_ns + dice.within(0, delay_max_ns)).max(self.last_ns);
        match self.producer.push((at_ns, batch)) {
            Ok(()) => {
                self.last_ns = at_ns;
                self.sent += 1;
                Ok(at_ns)
            }
            Err((_, batch)) => Err(batch),
        }
    }

    /// The next batch if it has arrived, or when it will.
    pub(crate) fn receive(&mut self, now_ns: u64) -> Result<Vec<u8>, Option<u64>> {
        match self.early.take().or_else(|| self.consumer.pop()) {
            None => Err(None),
            Some((at_ns, batch)) if at_ns <= now_ns => Ok(batch),
            Some((at_ns, batch)) => {
                self.early = Some((at_ns, batch));
                Err(Some(at_ns))
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.early.is_none() && self.consumer.is_empty()
    }
}
