//! What identity records in the audit log.

baluarte_audit::actions! {
    USER_REGISTERED = "identity.user.registered", Info, "Somebody registered an account for themselves.";
    REGISTRATION_REPEATED = "identity.user.registered_again", Info, "Somebody tried to register an address that has an account; its owner was told by mail.";
    EMAIL_VERIFIED = "identity.email.verified", Info, "The owner of an account confirmed its address with a link from a mail.";
    VERIFICATION_MAILED = "identity.email.verification_mailed", Info, "A link to confirm an address was mailed again.";
    PROFILE_UPDATED = "identity.user.updated", Info, "Somebody changed their own profile.";
    USER_DELETED = "identity.user.deleted", Notice, "An account was deleted, by its owner or by an administrator, and everything that was known of its owner.";
    SESSION_BEGUN = "identity.session.begun", Info, "Somebody signed in.";
    SIGN_IN_FAILED = "identity.session.failed", Notice, "Somebody gave a wrong address or password when signing in.";
    SIGN_IN_REFUSED = "identity.session.refused", Notice, "Somebody gave the right password but may not sign in: the account is disabled or its address not confirmed.";
    SESSION_CONFIRMED = "identity.session.confirmed", Info, "Somebody signed in showed again who they are.";
    SESSION_ENDED = "identity.session.ended", Info, "Somebody signed a device of theirs out.";
    SESSIONS_ENDED = "identity.session.ended_all", Notice, "Sessions of an account were ended together.";
    REFRESH_REUSED = "identity.refresh_token.reused", Alert, "A refresh token was used a second time: somebody has a copy. Its session has ended.";
    PASSWORD_WRONG = "identity.password.wrong", Notice, "Somebody signed in was asked for their password again and got it wrong.";
    PASSWORD_CHANGED = "identity.password.changed", Notice, "Somebody changed their password; their other sessions ended.";
    RESET_MAILED = "identity.password.reset_mailed", Notice, "A link to choose a new password was mailed.";
    PASSWORD_RESET = "identity.password.reset", Notice, "Somebody chose a new password with a link from a mail; all their sessions ended.";
    USER_CREATED = "identity.user.created", Notice, "An administrator or the operator created an account for somebody.";
    USER_DISABLED = "identity.user.disabled", Notice, "An account was disabled; its sessions ended.";
    USER_ENABLED = "identity.user.enabled", Notice, "A disabled account may sign in again.";
    ROLE_CHANGED = "identity.user.role_changed", Warning, "An account got another role.";
    SIGNING_KEY_MADE = "identity.signing_key.made", Notice, "A key that signs access tokens was made and published.";
    SIGNING_KEY_FORGOTTEN = "identity.signing_key.forgotten", Info, "A key that signed access tokens was forgotten: nothing it signed is still good.";
    FACTOR_ASKED = "identity.factor.asked", Info, "Somebody gave the right password and was asked for a second factor.";
    FACTOR_WRONG = "identity.factor.wrong", Notice, "Somebody who knows the password gave a wrong second factor.";
    CODE_SENT = "identity.factor.code_sent", Info, "A code was sent to an account's address or telephone.";
    FACTOR_BEGUN = "identity.factor.begun", Info, "Somebody began to set up a second factor.";
    FACTOR_ADDED = "identity.factor.added", Notice, "An account got a second factor; its other sessions ended.";
    PHONE_CHANGED = "identity.factor.phone_changed", Warning, "An account's codes go to another telephone number; its other sessions ended.";
    PASSKEY_ADDED = "identity.passkey.added", Notice, "An account got a passkey, which signs in without a password.";
    PASSKEY_RENAMED = "identity.passkey.renamed", Info, "Somebody gave a passkey of theirs another name.";
    PASSKEY_REMOVED = "identity.passkey.removed", Warning, "An account lost a passkey; its other sessions and trusted devices ended.";
    PASSKEY_REFUSED = "identity.passkey.refused", Notice, "A passkey that is known was used, and what it signed was not right or not for here.";
    PASSKEY_COPIED = "identity.passkey.copied", Alert, "A passkey's count of signatures went back: somebody has a copy of it. It was not taken.";
    FACTOR_REMOVED = "identity.factor.removed", Warning, "An account lost a second factor; its other sessions and trusted devices ended.";
    FACTORS_RESET = "identity.factor.reset", Alert, "The operator took away all second factors of an account; all its sessions ended.";
    RECOVERY_USED = "identity.recovery_code.used", Notice, "Somebody signed in with a recovery code.";
    RECOVERY_REPLACED = "identity.recovery_code.replaced", Notice, "Somebody was given new recovery codes; earlier ones are void.";
    DEVICE_TRUSTED = "identity.trusted_device.added", Notice, "A browser is asked for no second factor for a while.";
    DEVICE_FORGOTTEN = "identity.trusted_device.removed", Info, "A browser is asked for the second factor again.";
}
