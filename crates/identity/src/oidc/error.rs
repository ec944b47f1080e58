/// Why signing in with an account elsewhere did not work. No text in it holds a token, a code or what the provider wrote besides
/// error codes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    #[error("no such provider")]
    UnknownProvider,
    /// Too old, finished already, begun in another browser, or never ours.
    #[error("signing in there has to begin again")]
    Over,
    /// The person, or somebody who decides for them, said no.
    #[error("the provider says {0:?}")]
    Declined(String),
    #[error("the provider cannot be reached: {0}")]
    Unreachable(String),
    /// Whatever came back does not prove who somebody is.
    #[error("what the provider says is not taken: {0}")]
    NotTaken(String),
    /// More people are coming back from providers than is healthy.
    #[error("too many sign-ins at once")]
    Busy,
    /// That account elsewhere signs somebody else in.
    #[error("connected to another account")]
    Taken,
    #[error("no more connected accounts")]
    TooMany,
    #[error("no such connected account")]
    NotFound,
    /// Without it its owner could not sign in any more.
    #[error("the last way in has to stay")]
    LastWayIn,
}

impl LoginError {
    pub(crate) fn not_taken(why: impl Into<String>) -> Self {
        Self::NotTaken(why.into())
    }
}
