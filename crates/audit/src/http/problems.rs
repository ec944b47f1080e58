//! The audit log's problem codes, and the only place where its errors meet status codes.

use baluarte_db::DbError;
use baluarte_web::{
    Problem,
    problem::{INVALID_FIELDS, UNAVAILABLE},
};
use std::time::Duration;

use crate::AuditError;

baluarte_web::problems! {
    ENTRY_NOT_FOUND = NOT_FOUND "audit.entry_not_found" {
        title: "No such entry", "No existe esa entrada", "Essa entrada não existe";
        explanation: "The audit log has no entry with this number: it was never made, or was removed because of its age.", "El registro de auditoría no tiene ninguna entrada con ese número: nunca existió o se eliminó por su antigüedad.", "O registro de auditoria não tem nenhuma entrada com esse número: ela nunca existiu ou foi removida pela idade.";
        remedy: "Look for it in the list of entries.", "Búscala en la lista de entradas.", "Procure-a na lista de entradas.";
    }
    CALL_NOT_FOUND = NOT_FOUND "audit.call_not_found" {
        title: "No such recorded call", "No existe esa llamada registrada", "Essa chamada registrada não existe";
        explanation: "The audit log has no recorded call of this name: there never was one, or it was removed because of its age.", "El registro de auditoría no tiene ninguna llamada con ese nombre: nunca existió o se eliminó por su antigüedad.", "O registro de auditoria não tem nenhuma chamada com esse nome: ela nunca existiu ou foi removida pela idade.";
        remedy: "Look for it in the list of recorded calls.", "Búscala en la lista de llamadas registradas.", "Procure-a na lista de chamadas registradas.";
    }
}

impl From<AuditError> for Problem {
    fn from(err: AuditError) -> Self {
        match &err {
            AuditError::EntryNotFound => Self::of(&ENTRY_NOT_FOUND),
            AuditError::CallNotFound => Self::of(&CALL_NOT_FOUND),
            AuditError::BadCursor(bad) => Self::of(&INVALID_FIELDS).field("cursor", bad.to_string()),
            AuditError::Forbidden(denied) => Self::forbidden(denied),
            AuditError::Storage(DbError::Unavailable(_)) => Self::of(&UNAVAILABLE).retry_after(Duration::from_secs(2)),
            AuditError::Internal(_) | AuditError::Storage(_) => Self::internal(&err),
        }
    }
}
