//! What the pages of the sample shop share.

use std::fmt::Write as _;

use axum::response::Html;

use super::shop::Caller;

pub(super) fn page(title: &str, caller: &Caller, body: &str) -> Html<String> {
    let who = if caller.user.is_empty() {
        "<a class=\"button\" href=\"/auth/login?return_to=/\">Sign in</a> <a href=\"/auth/register?return_to=/\">Create an account</a>"
            .to_owned()
    } else {
        format!(
            "<span>{} <small>{}</small></span> <a href=\"/auth/account\">Account</a>\
             <form method=\"post\" action=\"/auth/logout\"><button>Sign out</button></form>",
            escape(&caller.email),
            escape(&caller.groups.join(", "))
        )
    };
    Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><link rel=\"stylesheet\" href=\"style.css\"></head><body>\
         <header><h1><a href=\"./\">Corner Shop</a></h1><nav aria-label=\"Account\">{who}</nav></header><main>{body}</main>\
         <footer><p>A sample app. It has no accounts, no sessions and no limits of its own: Baluarte in front of it does.</p>\
         <nav aria-label=\"Doors\"><a href=\"whoami\">Who am I?</a> <a href=\"orders\">Orders (signed in)</a> \
         <a href=\"reports\">Reports (plan pro)</a> <a href=\"admin\">All orders (administrators)</a> <a href=\"stream\">A stream</a></nav>\
         </footer></body></html>"
    ))
}

pub(super) fn price(cents: u32) -> String {
    format!("€{}.{:02}", cents / 100, cents % 100)
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(super) fn put_html(into: &mut String, html: std::fmt::Arguments<'_>) {
    into.write_fmt(html).expect("writing to a string cannot fail");
}
