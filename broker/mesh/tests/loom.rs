//! Every interleaving, within loom's bounds, of the ring, the wake protocol and the interest table.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p ringmq-mesh --release --test loom`. Each model that could pass for the
//! wrong reason has a *canary* beside it: the same model with a weakened part, which loom must catch.
#![cfg(loom)]

#[path = "loom/interest.rs"]
mod interest;
#[path = "loom/park.rs"]
mod park;
#[path = "loom/ring.rs"]
mod ring;

/// Explores a model, with at most `preemptions` involuntary switches of thread in one execution.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// Asserts that some execution of a model fails, and with the message that is meant.
fn explore_canary(preemptions: usize, expected: &str, model: impl Fn() + Sync + Send + 'static) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| explore(preemptions, model)));
    let payload = outcome.expect_err("the weakened variant passed: the model proves nothing");
    let message = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or_default();
    assert!(message.contains(expected), "failed for another reason: {message}");
}
