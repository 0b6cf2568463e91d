//! What must hold for arbitrary bytes in the place of a header of the PROXY protocol. The body of one fuzz target, also
//! run over the seed corpus and over random bytes by the tests of `ringmq-core`.

use ringmq_core::proxy_protocol::{Header, V2_BYTES_MAX, read};

/// Reads `data` as the beginning of a connection. Returns whether it was a whole header.
pub fn header(data: &[u8]) -> bool {
    let result = read(data);
    match result {
        Ok(Header::Partial) => {
            assert!(data.len() < V2_BYTES_MAX, "waits for ever");
            false
        }
        Ok(Header::Whole { used, .. }) => {
            assert!(used <= data.len().min(V2_BYTES_MAX));
            assert_eq!(read(&data[..used]), result, "what follows is of no meaning");
            assert_eq!(read(&data[..used - 1]), Ok(Header::Partial));
            true
        }
        Err(error) => {
            assert_eq!(read(&[data, b"\r\n"].concat()), Err(error), "nothing can mend it");
            false
        }
    }
}
