//! What notify records in the audit log.

baluarte_audit::actions! {
    MESSAGE_RESENT = "notify.message.resent", Notice, "A message that nobody had taken was put into the queue again.";
    MESSAGE_REVEALED = "notify.message.revealed", Info, "Somebody looked up whom a message was for.";
    SUPPRESSION_ADDED = "notify.suppression.added", Notice, "Nothing is sent to an address any more.";
    SUPPRESSION_REMOVED = "notify.suppression.removed", Notice, "An address gets messages again.";
}
