//! Public keys as authenticators give them (COSE, RFC 9052), and what they sign with.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};

use super::cbor::Value;

/// What is asked for, the best first: Ed25519, P-256 and RSA with SHA-256. All that browsers bring with them can do one of these.
pub(super) const ALGORITHMS: [i64; 3] = [-8, -7, -257];

/// A key of one of [`ALGORITHMS`].
pub(super) enum PublicKey<'a> {
    Ed25519(&'a [u8]),
    P256 { x: &'a [u8], y: &'a [u8] },
    Rsa { n: &'a [u8], e: &'a [u8] },
}

impl<'a> PublicKey<'a> {
    /// `None`: damaged, or of another kind.
    pub(super) fn read(cose: &'a [u8]) -> Option<Self> {
        let (map, rest) = Value::first(cose)?;
        if !rest.is_empty() {
            return None;
        }
        let number = |label| map.entry(&Value::Int(label)).and_then(Value::int);
        let bytes = |label| map.entry(&Value::Int(label)).and_then(Value::bytes);
        match (number(1)?, number(3)?) {
            (1, -8) if number(-1) == Some(6) => bytes(-2).filter(|x| x.len() == 32).map(Self::Ed25519),
            (2, -7) if number(-1) == Some(1) => {
                let (x, y) = (bytes(-2)?, bytes(-3)?);
                (x.len() == 32 && y.len() == 32).then_some(Self::P256 { x, y })
            }
            (3, -257) => {
                let (n, e) = (bytes(-1)?, bytes(-2)?);
                // 2,048 to 4,096 bits: larger ones only cost time.
                ((256..=512).contains(&n.len()) && (1..=4).contains(&e.len())).then_some(Self::Rsa { n, e })
            }
            _ => None,
        }
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok(),
            Self::P256 { x, y } => {
                let point = [&[4], *x, *y].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature).is_ok()
            }
            Self::Rsa { n, e } => RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok(),
        }
    }
}
