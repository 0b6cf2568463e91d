//! `ringmq-floor`: the bare forwarder as a program. See [`ringmq_bench::floor`].

use clap::{Parser, ValueEnum};
use ringmq_bench::floor::{self, Counters, Stop};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

/// Moves MQTT frames without being a broker: the floor of every scenario.
///
/// Prints `listening on ADDR:PORT` when it accepts connections, and what went through when SIGINT or SIGTERM ends it.
#[derive(Debug, Parser)]
#[command(name = "ringmq-floor", version)]
struct Arguments {
    /// How to talk to the kernel.
    #[arg(long, value_enum, default_value_t = Driver::Uring)]
    driver: Driver,
    /// Where to listen; port 0 lets the kernel choose.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:1883")]
    tcp: SocketAddr,
    /// Run on this core only.
    #[arg(long, value_name = "N")]
    core: Option<usize>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Driver {
    Uring,
    Epoll,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(Counters { received, delivered, dropped }) => {
            println!("received {received} delivered {delivered} dropped {dropped}");
            if dropped == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("ringmq-floor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<Counters> {
    floor::raise_descriptor_limit()?;
    if let Some(core) = arguments.core {
        floor::pin_to_core(core)?;
    }
    let stop = Stop::new()?;
    let listener = floor::listen(arguments.tcp)?;
    println!("listening on {}", floor::local_address(&listener)?);
    io::stdout().flush()?;
    match arguments.driver {
        Driver::Uring => floor::uring::run(&listener, &stop),
        Driver::Epoll => floor::epoll::run(&listener, &stop),
    }
}
