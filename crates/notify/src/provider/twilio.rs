//! Text messages through Twilio (API 2010-04-01).

use std::time::Duration;

use baluarte_kernel::{Secret, Timestamp};
use baluarte_outbound::{BoundedResponse, Outbound, Request};
use serde::Deserialize;

use super::{Accepted, Found, Parcel, Refused, Suppress, by_status, clip, not_answered};
use crate::{TwilioConfig, callback::TWILIO_PATH};

pub(crate) struct Twilio {
    outbound: Outbound,
    /// `…/2010-04-01/Accounts/AC…`
    account: String,
    user: String,
    token: Secret,
    /// `From` or `MessagingServiceSid`, and what stands there.
    sender: (&'static str, String),
    /// Where the state of a message is reported; absent: nowhere.
    callback: Option<String>,
}

/// The longest time Twilio keeps a message that it cannot deliver yet.
const LONGEST_VALIDITY: u64 = 36_000;

impl Twilio {
    pub(crate) fn new(config: &TwilioConfig, public_url: &str, outbound: Outbound) -> Self {
        let service = config.messaging_service.trim();
        let sender =
            if service.is_empty() { ("From", config.phone_number.trim().to_owned()) } else { ("MessagingServiceSid", service.to_owned()) };
        Self {
            outbound,
            account: format!("{}/2010-04-01/Accounts/{}", config.api_base.trim_end_matches('/'), config.account_sid),
            user: config.account_sid.clone(),
            token: config.auth_token.clone(),
            sender,
            // Twilio refuses a message whose callback it could never reach.
            callback: (config.callbacks && public_url.starts_with("https://")).then(|| format!("{public_url}{TWILIO_PATH}")),
        }
    }

    fn signed(&self, request: Request) -> Request {
        request.basic(&self.user, self.token.expose())
    }

    pub(crate) async fn send(&self, parcel: Parcel<'_>) -> Result<Accepted, Refused> {
        let Parcel { id, to, content, now, useful_until, .. } = parcel;
        // Not delivered later than it makes sense.
        let validity = useful_until.since(now).as_secs().clamp(1, LONGEST_VALIDITY).to_string();
        let callback = self.callback.as_ref().map(|url| format!("{url}?message={id}"));
        let mut form = vec![("To", to), (self.sender.0, &self.sender.1), ("Body", &content.text), ("ValidityPeriod", &validity)];
        if let Some(callback) = &callback {
            form.push(("StatusCallback", callback));
        }
        let request = self.signed(self.outbound.post(&format!("{}/Messages.json", self.account))).form(&form);
        let response = request.send().await.map_err(|err| not_answered(&err))?;
        if response.status.is_success() {
            return Ok(Accepted { reference: response.json::<Sent>().ok().map(|sent| sent.sid) });
        }
        Err(refused(&response, now))
    }

    /// Looks for the same text to the same number. An answer that does not come leaves it open.
    pub(crate) async fn find(&self, parcel: Parcel<'_>, since: Timestamp) -> Found {
        // Not by date: a message that is still queued has none by which it could be asked for.
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("To", parcel.to).append_pair("PageSize", "50").finish();
        let request = self.signed(self.outbound.get(&format!("{}/Messages.json?{query}", self.account)));
        let Ok(response) = request.send().await else { return Found::Unknown };
        let Ok(list) = response.json::<List>() else { return Found::Unknown };
        // Their clock and ours may differ a little.
        let since = since.minus(Duration::from_secs(120));
        let same =
            |message: &Listed| message.body.as_deref() == Some(&parcel.content.text) && message.created_at().is_none_or(|at| at >= since);
        match list.messages.into_iter().find(same) {
            Some(message) => Found::Accepted(Accepted { reference: Some(message.sid) }),
            None => Found::Never,
        }
    }

    /// Looks at the account: sends nothing.
    pub(crate) async fn check(&self) -> Result<String, String> {
        #[derive(Deserialize)]
        struct Account {
            #[serde(default)]
            status: String,
        }
        let request = self.signed(self.outbound.get(&format!("{}.json", self.account)));
        let response = request.send().await.map_err(|err| err.to_string())?;
        if !response.status.is_success() {
            let Trouble { message, .. } = Trouble::read(&response);
            return Err(format!("Twilio answers with status {}: {message}", response.status.as_u16()));
        }
        let account: Account = response.json().map_err(|err| err.to_string())?;
        if account.status == "active" {
            Ok("the account is active".to_owned())
        } else {
            Err(format!("the account is {:?}", clip(&account.status)))
        }
    }
}

#[derive(Deserialize)]
struct Sent {
    sid: String,
}

#[derive(Deserialize)]
struct List {
    messages: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    sid: String,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    date_created: Option<String>,
}

impl Listed {
    /// `Fri, 15 Jan 2027 08:00:00 +0000`: the form of HTTP dates but for the zone.
    fn created_at(&self) -> Option<Timestamp> {
        let at = httpdate::parse_http_date(&self.date_created.as_deref()?.replace("+0000", "GMT")).ok()?;
        let since_1970 = at.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Timestamp::from_unix_seconds(i64::try_from(since_1970.as_secs()).ok()?))
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Trouble {
    code: u32,
    message: String,
}

impl Trouble {
    fn read(response: &BoundedResponse) -> Self {
        let read: Self = response.json().unwrap_or_default();
        Self { message: clip(&read.message), ..read }
    }
}

fn refused(response: &BoundedResponse, now: Timestamp) -> Refused {
    let Trouble { code, message } = Trouble::read(response);
    let why = format!("Twilio error {code}: {message}");
    match code {
        // Not a number, no mobile telephone: nobody can send there.
        21_211 | 21_214 | 21_217 | 21_614 => Refused::Address(why, Suppress::Bounced),
        // They answered STOP.
        21_610 => Refused::Address(why, Suppress::OptedOut),
        // Empty, too long, or a text that it will not send.
        21_602 | 21_617 | 21_619 | 21_654 => Refused::Message(why),
        // Too much at once for this sender.
        14_107 | 20_429 | 21_611 => match by_status(response, now, &why) {
            Some(limited @ Refused::Provider { pause: Some(_), .. }) => limited,
            _ => Refused::Provider { why, pause: Some(Duration::from_secs(30)) },
        },
        // Our sender or our account cannot, whatever the message: 20003, 21408, 21606, 21612 and more.
        _ => by_status(response, now, &why).unwrap_or(Refused::Provider { why, pause: None }),
    }
}
