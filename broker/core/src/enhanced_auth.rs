//! Enhanced authentication (MQTT 5.0, section 4.12): the place where methods such as SCRAM plug in.
//!
//! A method answers at once from what it holds; none is built in. Without a method of the name that a client asks for,
//! the client gets 0x8C, Bad authentication method [MQTT-4.12.0-1].

use alloc::boxed::Box;
use alloc::vec::Vec;
use ringmq_wire::ReasonCode;

/// A method that clients may name in CONNECT.
pub trait AuthMethod {
    /// The name, as in the property Authentication Method.
    fn name(&self) -> &str;

    /// Begins an exchange with a client.
    fn begin(&self, client_id: &str) -> Box<dyn AuthExchange>;
}

/// One exchange: CONNECT or AUTH 0x19 first, then AUTH 0x18 each way until it is done.
pub trait AuthExchange {
    /// Takes the client's next Authentication Data and writes the server's into `reply`.
    fn step(&mut self, data: &[u8], reply: &mut Vec<u8>) -> AuthStep;
}

/// How an exchange goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthStep {
    /// The client is to send more: AUTH 0x18 with the reply.
    Continue,
    /// The client is who it says; the reply goes with CONNACK or AUTH 0x00.
    Done,
    /// It is not.
    Refuse(ReasonCode),
}
