//! What can be recorded: each component has one list of actions.

/// How much attention an entry deserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Everyday.
    Info,
    /// Worth seeing when one looks: a role was changed, a password reset.
    Notice,
    /// Worth a look by itself: repeated failures, a token used twice.
    Warning,
    /// Somebody should be told.
    Alert,
}

impl Severity {
    pub const ALL: [Self; 4] = [Self::Info, Self::Notice, Self::Warning, Self::Alert];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Alert => "alert",
        }
    }
}

/// Did it happen, or was it refused?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Success,
    Failure,
}

impl Status {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

/// Something that can happen, named `component.noun.verb`. Declared with [`actions!`](macro@crate::actions), never made up on the way.
#[derive(Debug, PartialEq, Eq)]
pub struct Action {
    pub name: &'static str,
    pub severity: Severity,
    /// One sentence for whoever reads the log.
    pub meaning: &'static str,
}

/// Declares the actions of a component, and `ACTIONS`, the list of them.
///
/// ```
/// baluarte_audit::actions! {
///     SHOP_OPENED = "shop.shop.opened", Info, "Somebody opened a shop.";
///     SHOP_CLOSED = "shop.shop.closed", Notice, "Somebody closed a shop, with everything in it.";
/// }
/// assert_eq!(ACTIONS.len(), 2);
/// assert_eq!(SHOP_CLOSED.name, "shop.shop.closed");
/// ```
#[macro_export]
macro_rules! actions {
    ($($name:ident = $text:literal, $severity:ident, $meaning:literal;)+) => {
        $(
            #[doc = $meaning]
            pub static $name: $crate::Action = $crate::Action { name: $text, severity: $crate::Severity::$severity, meaning: $meaning };
        )+
        /// Every action declared here; the server collects them into its documentation.
        pub static ACTIONS: &[&$crate::Action] = &[$(&$name,)+];
    };
}
