//! The refusals of HTTP jobs, and the only place where they meet status codes.

use std::time::Duration;

use baluarte_db::DbError;
use baluarte_web::{
    Invalid, Problem,
    problem::{INVALID_FIELDS, UNAVAILABLE},
};

use super::model::HttpJobError;

baluarte_web::problems! {
    HTTP_JOB_NOT_FOUND = NOT_FOUND "jobs.http_job_not_found" {
        title: "No such job", "No existe ese trabajo", "Esse trabalho não existe";
        explanation: "There is no job with this identifier, or it is somebody else's.", "No hay ningún trabajo con este identificador, o es de otra persona.", "Não há trabalho com este identificador, ou ele é de outra pessoa.";
        remedy: "Check the identifier; jobs that ended long ago are deleted.", "Revisa el identificador; los trabajos que terminaron hace mucho se borran.", "Confira o identificador; trabalhos que terminaram há muito são apagados.";
    }
    HTTP_JOB_ENDED = CONFLICT "jobs.http_job_ended" {
        title: "The job has ended", "El trabajo ya terminó", "O trabalho já terminou";
        explanation: "What is done or given up cannot be taken back.", "Lo que está hecho o abandonado no se puede retirar.", "O que está feito ou abandonado não pode ser retirado.";
        remedy: "Nothing is left to cancel.", "No queda nada que cancelar.", "Não resta nada para cancelar.";
    }
}

impl From<HttpJobError> for Problem {
    fn from(err: HttpJobError) -> Self {
        match err {
            HttpJobError::Invalid(wrong) => {
                let mut invalid = Invalid::default();
                wrong.into_iter().for_each(|(pointer, problem)| invalid.add(pointer, problem));
                invalid.finish().err().unwrap_or_else(|| Self::of(&INVALID_FIELDS))
            }
            HttpJobError::NotFound => Self::of(&HTTP_JOB_NOT_FOUND),
            HttpJobError::Ended => Self::of(&HTTP_JOB_ENDED),
            HttpJobError::Forbidden(denied) => Self::forbidden(&denied),
            HttpJobError::Storage(DbError::Unavailable(_)) => Self::of(&UNAVAILABLE).retry_after(Duration::from_secs(5)),
            HttpJobError::Storage(_) => Self::internal(&err),
        }
    }
}
