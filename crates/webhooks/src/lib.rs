#![doc = include_str!("../README.md")]

mod actions;
mod config;
mod error;
mod forget;
mod http;
mod jobs;
mod model;
mod problems;
mod service;
mod store;

use baluarte_db::{Migration, Migrations};

pub use actions::ACTIONS;
pub use config::WebhooksConfig;
pub use error::WebhooksError;
pub use jobs::SUBSCRIPTIONS;
pub use model::{
    Delivery, DeliveryId, DeliveryState, DisabledReason, Endpoint, EndpointChange, EndpointId, NewEndpoint, TEST_EVENT, Wanted,
};
pub use problems::PROBLEMS;
pub use service::{DeliveryDetail, Parts, Webhooks};

pub const MIGRATIONS: Migrations = Migrations {
    component: "webhooks",
    steps: &[
        Migration::common("0001_webhooks", include_str!("../migrations/0001_webhooks.sql")),
        Migration::common("0002_people", include_str!("../migrations/0002_people.sql")),
    ],
};
