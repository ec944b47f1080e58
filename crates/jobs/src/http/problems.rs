//! The refusals of the queue, and the only place where they meet status codes.

use std::time::Duration;

use baluarte_db::DbError;
use baluarte_web::{Problem, problem::UNAVAILABLE};

use crate::JobsError;

baluarte_web::problems! {
    JOB_NOT_FOUND = NOT_FOUND "jobs.job_not_found" {
        title: "No such job", "No existe ese trabajo", "Esse trabalho não existe";
        explanation: "There is no job with this identifier.", "No hay ningún trabajo con este identificador.", "Não há trabalho com este identificador.";
        remedy: "Check the identifier; jobs that ended long ago are deleted.", "Revisa el identificador; los trabajos que terminaron hace mucho se borran.", "Confira o identificador; trabalhos que terminaram há muito são apagados.";
    }
    SCHEDULE_NOT_FOUND = NOT_FOUND "jobs.schedule_not_found" {
        title: "No such schedule", "No existe esa programación", "Essa programação não existe";
        explanation: "The program has no schedule of this name.", "El programa no tiene ninguna programación con este nombre.", "O programa não tem programação com este nome.";
        remedy: "Take a name from the list of schedules.", "Toma un nombre de la lista de programaciones.", "Use um nome da lista de programações.";
    }
    NOT_RETRYABLE = CONFLICT "jobs.not_retryable" {
        title: "The job cannot be tried again", "El trabajo no se puede reintentar", "O trabalho não pode ser tentado de novo";
        explanation: "It waits, runs or is done already, or another job has its unique key.", "Ya espera, se ejecuta o está hecho, u otro trabajo tiene su clave única.", "Ele já espera, roda ou está feito, ou outro trabalho tem a sua chave única.";
        remedy: "Look at it again; cancel the other job, or wait for it.", "Míralo de nuevo; cancela el otro trabajo o espéralo.", "Veja de novo; cancele o outro trabalho ou espere por ele.";
    }
    NOT_CANCELABLE = CONFLICT "jobs.not_cancelable" {
        title: "The job is over", "El trabajo ya terminó", "O trabalho já terminou";
        explanation: "What is done, dead or canceled cannot be canceled.", "Lo que está hecho, muerto o cancelado no se puede cancelar.", "O que está feito, morto ou cancelado não pode ser cancelado.";
        remedy: "Nothing is left to do.", "No queda nada que hacer.", "Não resta nada a fazer.";
    }
    BAD_PAYLOAD = UNPROCESSABLE_ENTITY "jobs.bad_payload" {
        title: "The payload cannot be used", "La carga no se puede usar", "A carga não pode ser usada";
        explanation: "It is not what this kind of job needs, or it is too long.", "No es lo que necesita este tipo de trabajo, o es demasiado larga.", "Não é o que este tipo de trabalho precisa, ou é longa demais.";
        remedy: "Start from the payload that is shown and change values only.", "Parte de la carga que se muestra y cambia solo valores.", "Parta da carga mostrada e mude apenas valores.";
    }
    BAD_FILTER = UNPROCESSABLE_ENTITY "jobs.bad_filter" {
        title: "Say which jobs", "Indica qué trabajos", "Diga quais trabalhos";
        explanation: "Only dead and canceled jobs are tried again in bulk.", "Solo los trabajos muertos y cancelados se reintentan en bloque.", "Só trabalhos mortos e cancelados são tentados de novo em bloco.";
        remedy: "Set state to dead or canceled.", "Pon state en dead o canceled.", "Defina state como dead ou canceled.";
    }
}

impl From<JobsError> for Problem {
    fn from(err: JobsError) -> Self {
        match err {
            JobsError::JobNotFound(_) => Self::of(&JOB_NOT_FOUND),
            JobsError::ScheduleNotFound => Self::of(&SCHEDULE_NOT_FOUND),
            JobsError::NotRetryable => Self::of(&NOT_RETRYABLE),
            JobsError::NotCancelable => Self::of(&NOT_CANCELABLE),
            JobsError::BadPayload(why) => Self::of(&BAD_PAYLOAD).field("/payload", why),
            JobsError::BadFilter => Self::of(&BAD_FILTER).field("/state", "is dead or canceled"),
            JobsError::Forbidden(denied) => Self::forbidden(&denied),
            JobsError::Storage(DbError::Unavailable(_)) => Self::of(&UNAVAILABLE).retry_after(Duration::from_secs(5)),
            JobsError::Storage(_) => Self::internal(&err),
        }
    }
}
