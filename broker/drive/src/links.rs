//! The rings between the shards of a process.
//!
//! Every ordered pair of shards has a data ring, a control ring, and a third ring on which emptied buffers travel back
//! to where they are filled.

use ringmq_core::machine::{Lane, SHARDS_MAX, ShardId};
use ringmq_mesh::ring::{Consumer, Producer, ring};
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Parcels that fit into one ring.
const RING_PARCELS: usize = 256;

/// What travels between shards.
#[derive(Debug)]
pub(crate) enum Parcel {
    /// What a machine appended to one lane in one turn or more.
    Batch(Vec<u8>),
    /// A connection that changes its shard.
    Connection(Box<HandedOver>),
}

/// What names a connection's socket.
#[derive(Debug)]
pub(crate) enum Descriptor {
    /// A file descriptor of the process.
    File(OwnedFd),
    /// A slot in the table of the ring of the shard that it is on its way to; it goes with that ring.
    Direct(i32),
}

impl Descriptor {
    /// The file descriptor.
    ///
    /// # Panics
    /// If it is a direct one: all shards of a process run the same driver with the same options.
    pub(crate) fn into_file(self) -> OwnedFd {
        match self {
            Self::File(fd) => fd,
            Self::Direct(slot) => panic!("direct descriptor {slot} given to a driver that has none"),
        }
    }
}

/// A connection on its way to another shard.
#[derive(Debug)]
pub(crate) struct HandedOver {
    pub(crate) socket: Descriptor,
    pub(crate) peer: SocketAddr,
    pub(crate) listener: u16,
    /// What was received before.
    pub(crate) bytes: Vec<u8>,
}

/// Set by a producer whose ring is full; cleared by the consumer that makes room, which also wakes the producer.
///
/// It is a wake protocol like that of [`ringmq_mesh::park`], with the roles exchanged. The producer may be on its way to
/// sleep when its wish is granted: its last look before it sleeps must therefore include [`WantsRoom::is_pending`].
#[derive(Debug, Default)]
pub(crate) struct WantsRoom(AtomicBool);

impl WantsRoom {
    /// Producer: announces the wish. After it the producer must try once more before it sleeps.
    pub(crate) fn announce(&self) {
        self.0.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Producer: false once the consumer has made room.
    pub(crate) fn is_pending(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Consumer, after taking from the ring: true if the producer must be woken.
    pub(crate) fn granted(&self) -> bool {
        // Pairs with the fence in `announce`: either this load sees the wish, or the producer's second try sees the
        // room made before this fence.
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::SeqCst)
    }
}

/// One shard's ends of the rings to and from another.
pub(crate) struct Link {
    /// By [`Lane`].
    pub(crate) send: [Producer<Parcel>; 2],
    /// By [`Lane`].
    pub(crate) receive: [Consumer<Parcel>; 2],
    /// Emptied buffers of ours that the other shard gives back.
    pub(crate) returned: Consumer<Vec<u8>>,
    /// Where to give back the other shard's buffers.
    pub(crate) give_back: Producer<Vec<u8>>,
    pub(crate) our_wish: Arc<WantsRoom>,
    /// We have a wish that we have not seen granted.
    pub(crate) wishing: bool,
    pub(crate) their_wish: Arc<WantsRoom>,
}

/// One shard's ends of all its rings.
pub struct Links {
    shard: ShardId,
    /// By the other shard's number; `None` at this shard's own.
    pub(crate) links: Vec<Option<Link>>,
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").field("shard", &self.shard).field("shards", &self.links.len()).finish()
    }
}

impl Links {
    /// The shard these ends belong to.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// Number of shards that are linked, this one included.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.links.len()
    }
}

/// The ring ends of `shards` shards, by shard number.
///
/// # Panics
/// If `shards` is 0 or more than [`SHARDS_MAX`].
#[must_use]
pub fn links(shards: usize) -> Vec<Links> {
    links_with_capacity(shards, RING_PARCELS)
}

/// Like [`links`] with room for `parcels` batches (a power of two) in every ring.
///
/// # Panics
/// If `shards` is 0 or more than [`SHARDS_MAX`].
#[must_use]
pub fn links_with_capacity(shards: usize, parcels: usize) -> Vec<Links> {
    assert!((1..=SHARDS_MAX).contains(&shards), "1 to {SHARDS_MAX} shards");
    let mut all: Vec<Links> = (0..shards)
        .map(|shard| Links {
            shard: ShardId(u8::try_from(shard).expect("at most SHARDS_MAX")),
            links: (0..shards).map(|_| None).collect(),
        })
        .collect();
    for low in 0..shards {
        for high in low + 1..shards {
            let (up, down) = pair(parcels);
            all[low].links[high] = Some(up);
            all[high].links[low] = Some(down);
        }
    }
    all
}

/// Both sides of the link between two shards.
fn pair(parcels: usize) -> (Link, Link) {
    let (up, down) = (Direction::new(parcels), Direction::new(parcels));
    let (up_wish, down_wish) = (Arc::new(WantsRoom::default()), Arc::new(WantsRoom::default()));
    let low = Link {
        send: up.send,
        receive: down.receive,
        returned: up.returned,
        give_back: down.give_back,
        our_wish: Arc::clone(&up_wish),
        wishing: false,
        their_wish: Arc::clone(&down_wish),
    };
    let high = Link {
        send: down.send,
        receive: up.receive,
        returned: down.returned,
        give_back: up.give_back,
        our_wish: down_wish,
        wishing: false,
        their_wish: up_wish,
    };
    (low, high)
}

/// Both ends of the rings that carry parcels one way, and of the ring that brings their buffers back.
struct Direction {
    send: [Producer<Parcel>; 2],
    receive: [Consumer<Parcel>; 2],
    returned: Consumer<Vec<u8>>,
    give_back: Producer<Vec<u8>>,
}

impl Direction {
    fn new(parcels: usize) -> Self {
        let (data, control) = (ring(parcels), ring(parcels));
        // Room for every buffer that can be under way, so that none is freed for lack of it.
        let (give_back, returned) = ring(parcels * 2);
        // In the order of `Lane`'s numbers.
        const { assert!(Lane::Data as usize == 0 && Lane::Control as usize == 1) };
        Self { send: [data.0, control.0], receive: [data.1, control.1], returned, give_back }
    }
}
