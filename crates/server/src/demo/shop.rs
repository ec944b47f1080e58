//! The app that `baluarte demo` puts itself in front of: a small shop that knows nothing of passwords or limits.
//!
//! It stands for an app somebody already runs, so it learns who is calling only from the headers that every upstream
//! gets (`Remote-User`, `Remote-Email`, `Remote-Groups`), and it would be wrong to let anybody reach its port directly.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    convert::Infallible,
    future::Future,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Form, Json, Router,
    body::Body,
    extract::{FromRequestParts, Path, Query, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post, put},
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    catalogue::{PRODUCTS, Product},
    html::{escape, page, price, put_html},
};

/// Serves the shop until `stop` resolves.
pub(super) async fn serve(listener: TcpListener, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    axum::serve(listener, router()).with_graceful_shutdown(stop).await
}

/// | path | what | made for `access =` |
/// | --- | --- | --- |
/// | `/` | the page: products, basket, who is calling | `public` |
/// | `/products`, `/style.css`, `/healthz` | | `public` |
/// | `/whoami` | the headers that say who is calling | `public` |
/// | `/slow?ms=`, `/stream` | an answer that takes its time, and one that comes in ten parts | `public` |
/// | `/basket`, `/orders` | what the caller wants and has bought | `signed-in` |
/// | `/reports` | turnover by product | `plan:pro` |
/// | `/admin` | everybody's orders | `role:admin` |
/// | `/export` | the same for programs | `scope:orders` |
pub(super) fn router() -> Router {
    Router::new()
        .route("/", get(front_page))
        .route("/style.css", get(style))
        .route("/pictures/{file}", get(picture))
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
        .route("/healthz", get(|| async { Json(json!({ "ok": true })) }))
        .route("/products", get(|| async { Json(PRODUCTS) }))
        .route("/whoami", get(whoami))
        .route("/slow", get(slow))
        .route("/stream", get(ten_parts))
        .route("/basket", get(show_basket).post(add_by_form))
        .route("/basket/{product}", put(add_to_basket).delete(take_from_basket))
        .route("/orders", get(list_orders).post(place_order))
        .route("/orders/new", post(place_order_by_form))
        .route("/reports", get(turnover))
        .route("/export", get(export))
        .route("/admin", get(admin_page))
        .fallback(nothing_here)
        .with_state(Arc::<Mutex<Shop>>::default())
}

/// A demo runs for an afternoon, but nothing in it grows without end.
const CUSTOMERS_MAX: usize = 1_000;
const ORDERS_MAX: usize = 1_000;
const PIECES_MAX: u32 = 99;

/// Pieces by product id.
type Basket = BTreeMap<&'static str, u32>;

#[derive(Debug, Default)]
struct Shop {
    baskets: HashMap<String, Basket>,
    /// Newest first.
    orders: VecDeque<Order>,
    next_order: u64,
}

#[derive(Debug, Clone, Serialize)]
struct Order {
    number: u64,
    customer: String,
    email: String,
    items: Basket,
    total_cents: u32,
}

type Shared = State<Arc<Mutex<Shop>>>;

/// Who is calling, as Baluarte says. Empty fields: nobody has signed in.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Caller {
    pub(super) user: String,
    pub(super) email: String,
    pub(super) groups: Vec<String>,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let groups = text(&parts.headers, "remote-groups");
        let groups = groups.split(',').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned).collect();
        Ok(Self { user: text(&parts.headers, "remote-user"), email: text(&parts.headers, "remote-email"), groups })
    }
}

/// A caller that somebody has signed in as; 401 for a route that was left open by mistake.
struct Customer(Caller);

impl<S: Sync> FromRequestParts<S> for Customer {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Ok(caller) = Caller::from_request_parts(parts, state).await;
        if caller.user.is_empty() {
            Err(Refusal(StatusCode::UNAUTHORIZED, "the shop was not told who is calling"))
        } else {
            Ok(Self(caller))
        }
    }
}

struct Refusal(StatusCode, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

async fn whoami(caller: Caller, headers: HeaderMap) -> Json<Value> {
    Json(json!({
        "caller": caller,
        "request_id": text(&headers, "x-request-id"),
        "forwarded_for": text(&headers, "x-forwarded-for"),
        "signed_identity": headers.contains_key("x-baluarte-identity"),
    }))
}

#[derive(Deserialize)]
struct SlowQuery {
    #[serde(default)]
    ms: u64,
}

/// Ten seconds at most.
async fn slow(Query(query): Query<SlowQuery>) -> Json<Value> {
    let waited = query.ms.min(10_000);
    tokio::time::sleep(Duration::from_millis(waited)).await;
    Json(json!({ "waited_ms": waited }))
}

/// One line every fifth of a second: visible with `curl -N`, and only if nobody on the way collects it first.
async fn ten_parts() -> Response {
    let lines = stream::iter(1..=10).then(|part| async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok::<_, Infallible>(Bytes::from(format!("part {part} of 10\n")))
    });
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(lines)).into_response()
}

/// People see their basket on the front page: also those who come here from signing in.
async fn show_basket(State(shop): Shared, Customer(caller): Customer, headers: HeaderMap) -> Response {
    if is_browser(&headers) {
        return Redirect::to("./").into_response();
    }
    let basket = lock(&shop).baskets.get(&caller.user).cloned().unwrap_or_default();
    Json(json!({ "items": basket, "total_cents": total_cents(&basket) })).into_response()
}

fn is_browser(headers: &HeaderMap) -> bool {
    text(headers, "accept").contains("text/html")
}

async fn add_to_basket(State(shop): Shared, Customer(caller): Customer, Path(product): Path<String>) -> Result<StatusCode, Refusal> {
    put_one(&shop, &caller, &product)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn take_from_basket(State(shop): Shared, Customer(caller): Customer, Path(product): Path<String>) -> StatusCode {
    if let Some(basket) = lock(&shop).baskets.get_mut(&caller.user) {
        basket.remove(product.as_str());
    }
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct AddForm {
    product: String,
}

async fn add_by_form(State(shop): Shared, Customer(caller): Customer, Form(form): Form<AddForm>) -> Result<Redirect, Refusal> {
    put_one(&shop, &caller, &form.product)?;
    // Relative, so that the shop works under any path it is mounted at.
    Ok(Redirect::to("./"))
}

fn put_one(shop: &Mutex<Shop>, caller: &Caller, product: &str) -> Result<(), Refusal> {
    let product = PRODUCTS.iter().find(|known| known.id == product).ok_or(Refusal(StatusCode::NOT_FOUND, "no such product"))?;
    let mut shop = lock(shop);
    if shop.baskets.len() >= CUSTOMERS_MAX && !shop.baskets.contains_key(&caller.user) {
        return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, "the shop is full"));
    }
    let pieces = shop.baskets.entry(caller.user.clone()).or_default().entry(product.id).or_default();
    *pieces = (*pieces + 1).min(PIECES_MAX);
    Ok(())
}

async fn list_orders(State(shop): Shared, Customer(caller): Customer, headers: HeaderMap) -> Response {
    let orders: Vec<Order> = lock(&shop).orders.iter().filter(|order| order.customer == caller.user).cloned().collect();
    if is_browser(&headers) {
        return page("Corner Shop: your orders", &caller, &order_list("Your orders", &orders)).into_response();
    }
    Json(json!({ "items": orders })).into_response()
}

async fn export(State(shop): Shared) -> Json<Value> {
    Json(json!({ "items": lock(&shop).orders }))
}

async fn place_order(State(shop): Shared, Customer(caller): Customer) -> Result<Response, Refusal> {
    Ok((StatusCode::CREATED, Json(order_basket(&shop, caller)?)).into_response())
}

async fn place_order_by_form(State(shop): Shared, Customer(caller): Customer) -> Result<Redirect, Refusal> {
    order_basket(&shop, caller)?;
    Ok(Redirect::to("../"))
}

fn order_basket(shop: &Mutex<Shop>, caller: Caller) -> Result<Order, Refusal> {
    let mut shop = lock(shop);
    let items = shop.baskets.remove(&caller.user).unwrap_or_default();
    if items.is_empty() {
        return Err(Refusal(StatusCode::CONFLICT, "the basket is empty"));
    }
    shop.next_order += 1;
    let order = Order { number: shop.next_order, customer: caller.user, email: caller.email, total_cents: total_cents(&items), items };
    shop.orders.push_front(order.clone());
    shop.orders.truncate(ORDERS_MAX);
    Ok(order)
}

async fn turnover(State(shop): Shared) -> Json<Value> {
    let shop = lock(&shop);
    let mut pieces = Basket::new();
    for (product, count) in shop.orders.iter().flat_map(|order| &order.items) {
        *pieces.entry(product).or_default() += count;
    }
    Json(json!({ "orders": shop.orders.len(), "pieces": pieces, "total_cents": total_cents(&pieces) }))
}

fn total_cents(items: &Basket) -> u32 {
    items.iter().map(|(id, pieces)| pieces * product(id).price_cents).sum()
}

fn product(id: &str) -> &'static Product {
    PRODUCTS.iter().find(|product| product.id == id).expect("baskets hold only products of this list")
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("shop.css")).into_response()
}

async fn front_page(State(shop): Shared, caller: Caller) -> Html<String> {
    let basket = lock(&shop).baskets.get(&caller.user).cloned().unwrap_or_default();
    let mut body = String::from("<h2>Things you can buy</h2><ul class=\"products\">");
    for product in PRODUCTS {
        let Product { id, name, price_cents, .. } = product;
        put_html(
            &mut body,
            format_args!(
                "<li><img class=\"picture\" src=\"pictures/{id}.svg\" alt=\"\" width=\"48\" height=\"48\"><h3>{name}</h3><p>{}</p>\
                 <form method=\"post\" action=\"basket\"><input type=\"hidden\" name=\"product\" value=\"{id}\">\
                 <button>Add<span class=\"for-readers\"> {name}</span> to basket</button></form></li>",
                price(*price_cents)
            ),
        );
    }
    body.push_str("</ul><h2>Your basket</h2>");
    if basket.is_empty() {
        body.push_str(if caller.user.is_empty() { "<p>Sign in, and it is yours to fill.</p>" } else { "<p>Nothing in it yet.</p>" });
    } else {
        body.push_str("<ul class=\"basket\">");
        for (id, pieces) in &basket {
            put_html(&mut body, format_args!("<li>{pieces} × {}</li>", product(id).name));
        }
        let total = price(total_cents(&basket));
        put_html(
            &mut body,
            format_args!("</ul><form method=\"post\" action=\"orders/new\"><button class=\"buy\">Order for {total}</button></form>"),
        );
    }
    page("Corner Shop", &caller, &body)
}

async fn admin_page(State(shop): Shared, caller: Caller) -> Html<String> {
    let orders: Vec<Order> = lock(&shop).orders.iter().cloned().collect();
    page("Corner Shop: orders", &caller, &order_list("All orders", &orders))
}

fn order_list(title: &str, orders: &[Order]) -> String {
    let mut body = format!("<h2>{title}</h2>");
    if orders.is_empty() {
        body.push_str("<p>None yet.</p>");
        return body;
    }
    body.push_str("<table><thead><tr><th>Order</th><th>Customer</th><th>Pieces</th><th>Total</th></tr></thead><tbody>");
    for order in orders {
        let (number, email, pieces) = (order.number, escape(&order.email), order.items.values().sum::<u32>());
        let total = price(order.total_cents);
        put_html(&mut body, format_args!("<tr><td>{number}</td><td>{email}</td><td>{pieces}</td><td>{total}</td></tr>"));
    }
    body.push_str("</tbody></table>");
    body
}

async fn nothing_here(caller: Caller) -> (StatusCode, Html<String>) {
    let body = "<h2>There is nothing here</h2><p><a href=\"/\">Back to the shop</a></p>";
    (StatusCode::NOT_FOUND, page("Corner Shop: nothing here", &caller, body))
}

async fn picture(Path(file): Path<String>) -> Response {
    let known = PRODUCTS.iter().find(|product| file.strip_suffix(".svg") == Some(product.id));
    match known {
        Some(product) => ([(header::CONTENT_TYPE, "image/svg+xml")], product.svg()).into_response(),
        None => Refusal(StatusCode::NOT_FOUND, "no such picture").into_response(),
    }
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

/// A panic elsewhere leaves the demo's data as it was.
fn lock(shop: &Mutex<Shop>) -> MutexGuard<'_, Shop> {
    shop.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use axum::http::{Request, Response};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn call(shop: &Router, method: &str, path: &str, user: &str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).header("remote-user", user).header("remote-email", "<b>@x.io");
        let response: Response<Body> = shop.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_basket_belongs_to_whom_the_header_names() {
        let shop = router();
        assert_eq!(call(&shop, "PUT", "/basket/mug", "ana").await.0, StatusCode::NO_CONTENT);
        assert!(call(&shop, "GET", "/basket", "ana").await.1.contains("\"total_cents\":1490"));
        assert!(call(&shop, "GET", "/basket", "bob").await.1.contains("\"total_cents\":0"));
        assert_eq!(call(&shop, "GET", "/basket", "").await.0, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn every_product_has_a_picture_and_a_wrong_address_a_page() {
        let shop = router();
        for product in PRODUCTS {
            let (status, svg) = call(&shop, "GET", &format!("/pictures/{}.svg", product.id), "").await;
            assert!(status == StatusCode::OK && svg.starts_with("<svg"), "{}", product.id);
        }
        let (status, page) = call(&shop, "GET", "/nowhere", "").await;
        assert!(status == StatusCode::NOT_FOUND && page.contains("nothing here"), "{page}");
    }

    #[tokio::test]
    async fn an_order_empties_the_basket_and_shows_on_the_admin_page_escaped() {
        let shop = router();
        call(&shop, "PUT", "/basket/lamp", "ana").await;
        assert_eq!(call(&shop, "POST", "/orders", "ana").await.0, StatusCode::CREATED);
        assert_eq!(call(&shop, "POST", "/orders", "ana").await.0, StatusCode::CONFLICT);
        let page = call(&shop, "GET", "/admin", "root").await.1;
        assert!(page.contains("&lt;b&gt;@x.io") && page.contains("€49.00"), "{page}");
    }
}
