//! What happens when descriptors run out. A process of its own, for the limit is the process's.

mod support;

use ringmq_drive::Options;
use std::fs::File;
use std::io::{Read, Write};
use support::{Process, Scripted, client, echo, with_each_driver_on_files};

/// Descriptors this process may have.
const LIMIT: u64 = 300;

fn set_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a pointer to a local struct of the right type.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = LIMIT.min(limit.rlim_max);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
}

#[test]
fn clients_are_turned_away_while_descriptors_are_short_and_served_again_later() {
    set_limit();
    with_each_driver_on_files(|kind| {
        let process = Process::start(kind, 1, &Options::default(), |_, recorder| Scripted::new(recorder, echo));
        let mut served = client(&process);
        served.write_all(b"a").unwrap();
        served.read_exact(&mut [0]).unwrap();

        let mut hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        // Room for the client's own descriptor and no more.
        hoard.pop();
        let mut refused = client(&process);
        assert!(matches!(refused.read(&mut [0]), Ok(0) | Err(_)), "{kind}");
        served.write_all(b"b").unwrap();
        served.read_exact(&mut [0]).unwrap();
        drop(hoard);

        let mut later = client(&process);
        later.write_all(b"c").unwrap();
        later.read_exact(&mut [0]).unwrap();
        drop((served, refused, later));
        let stats = process.stop();
        assert!(stats[0].accept_failures >= 1 && stats[0].accept_failures < 20, "{kind}: {stats:?}");
        assert!(stats[0].refused >= 1, "{kind}: {stats:?}");
    });
}
