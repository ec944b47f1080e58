//! A fixed answer.

use baluarte_proxy::ResponseBody;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

#[derive(Debug, Clone, Default)]
pub(crate) struct Fixed {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    pub(crate) content_type: Option<HeaderValue>,
}

impl Fixed {
    pub(crate) fn answer(&self) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::Full(self.body.clone()));
        *response.status_mut() = self.status;
        if let Some(content_type) = &self.content_type {
            response.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
        }
        response
    }
}
