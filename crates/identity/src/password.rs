//! Passwords: which are good enough, and how they are hashed without hurting anybody else.

/// Why a password cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    #[error("a password has at least 8 characters")]
    TooShort,
    #[error("a password has at most 256 characters")]
    TooLong,
    #[error("that password is among the first that attackers try")]
    Common,
    #[error("a password must not be the account's own address or name")]
    Personal,
}
