//! The refusals of webhooks, and the only place where they meet status codes.

use std::time::Duration;

use baluarte_db::DbError;
use baluarte_web::{
    Invalid, Problem,
    problem::{INVALID_FIELDS, UNAVAILABLE},
};

use crate::WebhooksError;

baluarte_web::problems! {
    ENDPOINT_NOT_FOUND = NOT_FOUND "webhooks.endpoint_not_found" {
        title: "No such endpoint", "No existe ese destino", "Esse destino não existe";
        explanation: "There is no webhook endpoint with this identifier.", "No hay ningún destino de webhooks con este identificador.", "Não há destino de webhooks com este identificador.";
        remedy: "Look at the list of endpoints.", "Mira la lista de destinos.", "Veja a lista de destinos.";
    }
    DELIVERY_NOT_FOUND = NOT_FOUND "webhooks.delivery_not_found" {
        title: "No such delivery", "No existe esa entrega", "Essa entrega não existe";
        explanation: "This endpoint has no delivery with this identifier, or it is so old that it was deleted.", "Este destino no tiene ninguna entrega con este identificador, o es tan antigua que se borró.", "Este destino não tem entrega com este identificador, ou ela é tão antiga que foi apagada.";
        remedy: "Look at the endpoint's list of deliveries.", "Mira la lista de entregas del destino.", "Veja a lista de entregas do destino.";
    }
    TOO_MANY_ENDPOINTS = CONFLICT "webhooks.too_many_endpoints" {
        title: "Too many endpoints", "Demasiados destinos", "Destinos demais";
        explanation: "There are as many webhook endpoints as webhooks.max_endpoints allows.", "Hay tantos destinos de webhooks como permite webhooks.max_endpoints.", "Há tantos destinos de webhooks quanto webhooks.max_endpoints permite.";
        remedy: "Delete one that nobody needs, or raise the limit in the configuration.", "Borra uno que nadie necesite o sube el límite en la configuración.", "Apague um que ninguém precise ou aumente o limite na configuração.";
    }
    ENDPOINT_DISABLED = CONFLICT "webhooks.endpoint_disabled" {
        title: "The endpoint is disabled", "El destino está desactivado", "O destino está desativado";
        explanation: "Nothing is sent to this endpoint.", "No se envía nada a este destino.", "Nada é enviado a este destino.";
        remedy: "Enable it first.", "Actívalo primero.", "Ative-o primeiro.";
    }
    EVENT_ERASED = CONFLICT "webhooks.event_erased" {
        title: "The event was erased", "El evento se borró", "O evento foi apagado";
        explanation: "The event was about somebody whose account was deleted, and what it said was erased with it.", "El evento trataba de alguien cuya cuenta se eliminó, y su contenido se borró con ella.", "O evento era sobre alguém cuja conta foi excluída, e o seu conteúdo foi apagado com ela.";
        remedy: "Nothing is left to be sent: the endpoint was told with the event user.deleted.", "No queda nada que enviar: al destino se le avisó con el evento user.deleted.", "Não resta nada a enviar: o destino foi avisado com o evento user.deleted.";
    }
}

impl From<WebhooksError> for Problem {
    fn from(err: WebhooksError) -> Self {
        match err {
            WebhooksError::Invalid(wrong) => {
                let mut invalid = Invalid::default();
                wrong.into_iter().for_each(|(pointer, problem)| invalid.add(pointer, problem));
                invalid.finish().err().unwrap_or_else(|| Self::of(&INVALID_FIELDS))
            }
            WebhooksError::EndpointNotFound => Self::of(&ENDPOINT_NOT_FOUND),
            WebhooksError::DeliveryNotFound => Self::of(&DELIVERY_NOT_FOUND),
            WebhooksError::TooMany(_) => Self::of(&TOO_MANY_ENDPOINTS),
            WebhooksError::Disabled => Self::of(&ENDPOINT_DISABLED),
            WebhooksError::Erased => Self::of(&EVENT_ERASED),
            WebhooksError::Forbidden(denied) => Self::forbidden(&denied),
            WebhooksError::Storage(DbError::Unavailable(_)) => Self::of(&UNAVAILABLE).retry_after(Duration::from_secs(5)),
            WebhooksError::Secrets(_) | WebhooksError::Storage(_) => Self::internal(&err),
        }
    }
}
