//! Argon2id in PHC strings: `$argon2id$v=19$m=19456,t=2,p=1$salt$tag`, with `keyid=cA` where the pepper took part.

use std::{fmt, str::FromStr};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use baluarte_kernel::Secret;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use subtle::ConstantTimeEq;

const SALT_BYTES: usize = 16;
const TAG_BYTES: usize = 32;
/// More than 32 MiB, the largest that glibc ever keeps for itself: memory of this size goes back to the system when it is
/// freed. What is reserved and not touched costs nothing.
const RESERVED_BLOCKS: usize = (33 << 20) / Block::SIZE;
/// Says in the stored string that the pepper took part: base64 of `p`.
const PEPPERED: &str = "cA";

/// How much work one hash is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
}

/// A stored password hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) cost: Cost,
    pub(super) peppered: bool,
    salt: Vec<u8>,
    tag: Vec<u8>,
}

/// The text is not one of our hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadHash;

impl Stored {
    pub(super) fn new(cost: Cost, peppered: bool) -> Self {
        let salt = rand::random::<[u8; SALT_BYTES]>();
        Self { cost, peppered, salt: salt.to_vec(), tag: Vec::new() }
    }

    /// Fills in the tag for this password.
    pub(super) fn seal(mut self, password: &Secret, pepper: &Secret, memory: &mut Vec<Block>) -> Result<Self, argon2::Error> {
        self.tag = self.compute(password, pepper, memory)?.to_vec();
        Ok(self)
    }

    /// Constant time in the tag.
    pub(super) fn matches(&self, password: &Secret, pepper: &Secret, memory: &mut Vec<Block>) -> Result<bool, argon2::Error> {
        Ok(self.compute(password, pepper, memory)?.ct_eq(&self.tag).into())
    }

    fn compute(&self, password: &Secret, pepper: &Secret, memory: &mut Vec<Block>) -> Result<[u8; TAG_BYTES], argon2::Error> {
        let params = Params::new(self.cost.memory_kib, self.cost.passes, 1, Some(TAG_BYTES))?;
        if memory.len() < params.block_count() {
            memory.reserve_exact(params.block_count().max(RESERVED_BLOCKS));
            memory.resize(params.block_count(), Block::new());
        }
        let secret = if self.peppered { pepper.expose().as_bytes() } else { b"" };
        let argon2 = Argon2::new_with_secret(secret, Algorithm::Argon2id, Version::V0x13, params)?;
        let mut tag = [0; TAG_BYTES];
        argon2.hash_password_into_with_memory(password.expose().as_bytes(), &self.salt, &mut tag, memory)?;
        Ok(tag)
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$argon2id$v=19$m={},t={},p=1", self.cost.memory_kib, self.cost.passes)?;
        if self.peppered {
            write!(f, ",keyid={PEPPERED}")?;
        }
        write!(f, "${}${}", STANDARD_NO_PAD.encode(&self.salt), STANDARD_NO_PAD.encode(&self.tag))
    }
}

impl FromStr for Stored {
    type Err = BadHash;
    fn from_str(text: &str) -> Result<Self, BadHash> {
        let mut parts = text.strip_prefix("$argon2id$v=19$").ok_or(BadHash)?.split('$');
        let (Some(params), Some(salt), Some(tag), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(BadHash);
        };
        let (mut memory_kib, mut passes, mut peppered) = (None, None, false);
        for param in params.split(',') {
            match param.split_once('=').ok_or(BadHash)? {
                ("m", value) => memory_kib = Some(value.parse().map_err(|_| BadHash)?),
                ("t", value) => passes = Some(value.parse().map_err(|_| BadHash)?),
                ("p", "1") => {}
                ("keyid", PEPPERED) => peppered = true,
                _ => return Err(BadHash),
            }
        }
        let cost = Cost { memory_kib: memory_kib.ok_or(BadHash)?, passes: passes.ok_or(BadHash)? };
        let decode = |text| STANDARD_NO_PAD.decode(text).map_err(|_| BadHash);
        Ok(Self { cost, peppered, salt: decode(salt)?, tag: decode(tag)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: Cost = Cost { memory_kib: 64, passes: 2 };

    #[test]
    fn a_hash_reads_back_what_it_prints() {
        for peppered in [false, true] {
            let stored = Stored::new(COST, peppered).seal(&Secret::new("x"), &Secret::new("p"), &mut Vec::new()).unwrap();
            assert_eq!(stored.to_string().parse(), Ok(stored));
        }
        for text in ["", "$argon2i$v=19$m=64,t=2,p=1$AA$AA", "$argon2id$v=19$m=64,t=2,p=2$AA$AA", "$argon2id$v=19$m=64,t=2,p=1$AA"] {
            assert_eq!(text.parse::<Stored>(), Err(BadHash), "{text}");
        }
    }

    #[test]
    fn a_hash_by_the_reference_implementation_verifies() {
        // `echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1`, from the test vectors of phc-winner-argon2.
        let stored: Stored = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc".parse().unwrap();
        let mut memory = Vec::new();
        assert_eq!(stored.matches(&Secret::new("password"), &Secret::default(), &mut memory), Ok(true));
        assert_eq!(stored.matches(&Secret::new("passwore"), &Secret::default(), &mut memory), Ok(false));
    }

    #[test]
    fn the_pepper_takes_part() {
        let mut memory = Vec::new();
        let stored = Stored::new(COST, true).seal(&Secret::new("x"), &Secret::new("pepper"), &mut memory).unwrap();
        assert_eq!(stored.matches(&Secret::new("x"), &Secret::new("pepper"), &mut memory), Ok(true));
        assert_eq!(stored.matches(&Secret::new("x"), &Secret::new("other"), &mut memory), Ok(false));
    }
}
