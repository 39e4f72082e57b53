//! SHA-256 digests, and how they travel in the header `Repr-Digest` (RFC 9530).

use std::io::{self, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;
use sha2::Sha256;

/// The SHA-256 digest of some content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    /// The header's name.
    pub(crate) const HEADER: &'static str = "repr-digest";

    pub(crate) fn of(content: &[u8]) -> Self {
        Digest(Sha256::digest(content).into())
    }

    /// Reads to the end.
    pub(crate) fn of_reader(reader: &mut impl Read) -> io::Result<Self> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(Digest(hasher.finalize().into())),
                Ok(n) => hasher.update(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The header's value.
    pub(crate) fn header(&self) -> String {
        format!("sha-256=:{}:", STANDARD.encode(self.0))
    }

    /// Finds the digest in a header's value; there may be others beside it.
    pub(crate) fn from_header(value: &str) -> Option<Self> {
        value.split(',').find_map(|entry| {
            let text = entry.trim().strip_prefix("sha-256=:")?.strip_suffix(':')?;
            let bytes = STANDARD.decode(text).ok()?;
            Some(Digest(bytes.try_into().ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_the_header() {
        // The example of RFC 9530, appendix D.
        let content = br#"{"hello": "world"}"#;
        let value = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
        assert_eq!(Digest::of(content).header(), value);
        assert_eq!(
            Digest::of_reader(&mut &content[..]).unwrap(),
            Digest::of(content)
        );
        let several = format!("sha-512=:AA==:, {value}");
        assert_eq!(Digest::from_header(&several), Some(Digest::of(content)));
        assert_eq!(Digest::from_header("sha-256=:AA==:"), None);
    }
}
