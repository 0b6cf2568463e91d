//! What io_uring offers here: the kernel decides, and so do containers, whose default rules often forbid it.
//!
//! Every feature is tried rather than inferred from a version number, for distributions move features back.

use io_uring::{Builder, IoUring, Probe, opcode, types};
use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

/// What the kernel, and the container this process runs in, allow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features {
    /// Why the io_uring driver cannot run; `None` if it can.
    pub refusal: Option<String>,
    /// The kernel's release, for example `6.12.1`.
    pub kernel: String,
    /// One thread submits, and the kernel may rely on it (6.0).
    pub single_issuer: bool,
    /// Completions are worked out when the shard asks for them, in batches (6.1).
    pub defer_taskrun: bool,
    /// Completions do not interrupt the shard (5.19).
    pub coop_taskrun: bool,
    /// Shared receive buffers (5.19). Required.
    pub buffer_ring: bool,
    /// One accept operation for many connections (5.19). Required.
    pub multishot_accept: bool,
    /// One receive operation for many messages (6.0). Without it a message costs one operation more.
    pub multishot_receive: bool,
    /// Rings can wake each other (5.18). Without it shards wake each other by eventfd.
    pub msg_ring: bool,
}

/// Entries of the ring that features are tried on.
const TRIAL_ENTRIES: u32 = 8;

/// Buffer group of the trial.
const TRIAL_GROUP: u16 = 0;

impl Features {
    /// A ring builder with every flag that is available.
    pub(crate) fn builder(&self) -> Builder {
        let mut builder = IoUring::builder();
        builder.setup_clamp().setup_submit_all();
        if self.single_issuer {
            builder.setup_single_issuer();
        }
        if self.coop_taskrun || self.defer_taskrun {
            builder.setup_coop_taskrun().setup_taskrun_flag();
        }
        if self.defer_taskrun {
            builder.setup_defer_taskrun();
        }
        builder
    }

    fn named(&self) -> [(&'static str, bool); 7] {
        [
            ("SINGLE_ISSUER", self.single_issuer),
            ("DEFER_TASKRUN", self.defer_taskrun),
            ("COOP_TASKRUN", self.coop_taskrun),
            ("buffer ring", self.buffer_ring),
            ("multishot accept", self.multishot_accept),
            ("multishot receive", self.multishot_receive),
            ("MSG_RING", self.msg_ring),
        ]
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(refusal) = &self.refusal {
            return write!(f, "io_uring not usable: {refusal}");
        }
        let list = |wanted: bool| {
            let names: Vec<&str> =
                self.named().into_iter().filter(|(_, has)| *has == wanted).map(|(name, _)| name).collect();
            names.join(", ")
        };
        write!(f, "io_uring on Linux {}: {}", self.kernel, list(true))?;
        let missing = list(false);
        if missing.is_empty() { Ok(()) } else { write!(f, "; missing: {missing}") }
    }
}

/// Asks the kernel. Takes well under a millisecond and leaves nothing behind.
#[must_use]
pub fn probe() -> Features {
    let mut features = Features { kernel: release(), ..Features::default() };
    features.refusal = try_all(&mut features).err();
    features
}

fn try_all(features: &mut Features) -> Result<(), String> {
    IoUring::new(TRIAL_ENTRIES).map_err(|error| explain(&error))?;
    if !builds(&Features::default()) {
        return Err(format!("Linux {} is too old, 5.19 is needed; use --driver epoll", features.kernel));
    }
    features.coop_taskrun = builds(&Features { coop_taskrun: true, ..Features::default() });
    features.single_issuer = builds(&Features { single_issuer: true, ..Features::default() });
    features.defer_taskrun = builds(&Features { single_issuer: true, defer_taskrun: true, ..Features::default() });
    let mut ring = features.builder().build(TRIAL_ENTRIES).map_err(|error| explain(&error))?;
    let mut probe = Probe::new();
    if ring.submitter().register_probe(&mut probe).is_ok() {
        features.msg_ring = probe.is_supported(opcode::MsgRingData::CODE);
        // No probe tells about multishot accept; it appeared in the same release as this operation.
        features.multishot_accept = probe.is_supported(opcode::Socket::CODE);
    }
    try_receive(features, &mut ring).map_err(|error| explain(&error))?;
    if !features.buffer_ring || !features.multishot_accept || !ring.params().is_feature_ext_arg() {
        return Err(format!("Linux {} is too old, 5.19 is needed; use --driver epoll", features.kernel));
    }
    Ok(())
}

fn builds(features: &Features) -> bool {
    features.builder().build(TRIAL_ENTRIES).is_ok()
}

/// Receives one byte through a one-buffer ring with a multishot receive.
fn try_receive(features: &mut Features, ring: &mut IoUring) -> io::Result<()> {
    let Ok(buffers) = crate::uring::trial_buffers(ring) else { return Ok(()) };
    features.buffer_ring = true;
    let (mut ours, theirs) = UnixStream::pair()?;
    io::Write::write_all(&mut ours, b"x")?;
    drop(ours);
    let receive = opcode::RecvMulti::new(types::Fd(theirs.as_raw_fd()), TRIAL_GROUP).build();
    // SAFETY: the buffers outlive the ring's use of them: the socket's other end is closed, so that the receive ends
    // by itself, and its last completion is awaited below.
    if unsafe { ring.submission().push(&receive) }.is_err() {
        return Ok(());
    }
    loop {
        ring.submit_and_wait(1)?;
        for completion in ring.completion() {
            features.multishot_receive |= completion.result() == 1 && io_uring::cqueue::more(completion.flags());
            if !io_uring::cqueue::more(completion.flags()) {
                drop(buffers);
                return Ok(());
            }
        }
    }
}

fn explain(error: &io::Error) -> String {
    let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    let reason = match (error.raw_os_error(), disabled.trim()) {
        (Some(libc::EPERM), "1" | "2") => "switched off by the sysctl kernel.io_uring_disabled".to_owned(),
        (Some(libc::EPERM | libc::EACCES), _) => "forbidden here, probably by the container's seccomp rules".to_owned(),
        (Some(libc::ENOSYS), _) => "not in this kernel, or hidden by seccomp rules".to_owned(),
        (Some(libc::ENOMEM), _) => "not enough lockable memory (ulimit -l)".to_owned(),
        _ => error.to_string(),
    };
    format!("{reason}; use --driver epoll")
}

fn release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}
