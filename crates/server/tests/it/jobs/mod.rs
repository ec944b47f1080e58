//! The queue, with the built binary.

mod schedules;

use baluarte_testkit::{Baluarte, Client};

use crate::outside::PASSWORD;

/// So that no limit meets a test that asks often.
const LIMITS: &str =
    "[limits.api]\nrate = \"10000/s\"\n[limits.user]\nrate = \"10000/s\"\nburst = 1000\n[limits.login]\nrate = \"1000/s\"\n";

async fn admin(app: &Baluarte) -> Client {
    app.create_user("root@example.com", PASSWORD, "admin");
    app.sign_in("root@example.com", PASSWORD).await
}
