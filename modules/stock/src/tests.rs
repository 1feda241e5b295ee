//! In every mode that a call can take.

use super::*;
use monolift::CallErrorKind;
use monolift::testing::{Mode, RunningSystem, Setting, System, every_mode, user};
use stock_api::StockClient;

async fn start(mode: Mode, hold_seconds: u32) -> (RunningSystem, StockClient) {
    let settings = [("demo", Setting::from(false)), ("hold_seconds", hold_seconds.into())];
    let system =
        System::new(mode).module::<StockModule>().settings("stock", settings).start().await;
    // Reserving, selling and releasing are for every user.
    let stock: StockClient = system.client_as(user("ada").with_role("staff"));
    for (sku, price, on_hand) in [("pot", 2_900, 10), ("tea", 450, 10)] {
        let (sku, name) = (Sku(sku.to_owned()), sku.to_owned());
        stock.add(Product { sku, name, price: Cents(price), on_hand }).await.unwrap();
    }
    (system, stock)
}

fn order(number: impl ToString) -> OrderId {
    OrderId(number.to_string())
}

fn lines(lines: &[(&str, u32)]) -> Vec<Line> {
    lines
        .iter()
        .map(|(sku, quantity)| Line { sku: Sku((*sku).into()), quantity: *quantity })
        .collect()
}

async fn on_hand(stock: &StockClient, sku: &str) -> u32 {
    stock.level(Sku(sku.to_owned())).await.unwrap().on_hand
}

#[every_mode]
async fn what_is_held_is_sold_or_put_back(mode: Mode) {
    let (system, stock) = start(mode, 60).await;
    for _ in 0..2 {
        let held = stock.reserve(order(1), lines(&[("tea", 2), ("pot", 1), ("tea", 1)])).await;
        assert_eq!(held.unwrap().total, Cents(3 * 450 + 2_900));
        assert_eq!(on_hand(&stock, "tea").await, 7);
    }
    for _ in 0..2 {
        stock.sell(order(1)).await.unwrap();
        assert_eq!(on_hand(&stock, "tea").await, 7);
    }
    // An order that is cancelled after it was sold.
    for _ in 0..2 {
        stock.release(order(1)).await.unwrap();
        assert_eq!((on_hand(&stock, "tea").await, on_hand(&stock, "pot").await), (10, 10));
    }
    assert!(matches!(stock.sell(order(1)).await, Err(StockError::Closed(_))));
    system.stop().await;
}

#[every_mode]
async fn what_is_released_before_it_is_reserved_holds_nothing(mode: Mode) {
    let (system, stock) = start(mode, 60).await;
    stock.release(order(1)).await.unwrap();
    let late = stock.reserve(order(1), lines(&[("tea", 1)])).await;
    assert!(matches!(late, Err(StockError::Closed(id)) if id == order(1)));
    assert_eq!(on_hand(&stock, "tea").await, 10);
    system.stop().await;
}

#[every_mode]
async fn an_order_has_all_of_its_lines_or_none(mode: Mode) {
    let (system, stock) = start(mode, 60).await;
    let many = stock.reserve(order(1), lines(&[("pot", 1), ("tea", 11)])).await;
    assert!(matches!(many, Err(StockError::SoldOut(sku)) if sku.0 == "tea"));
    let unknown = stock.reserve(order(1), lines(&[("pot", 1), ("zinc", 1)])).await;
    assert!(matches!(unknown, Err(StockError::UnknownProduct(sku)) if sku.0 == "zinc"));
    assert_eq!((on_hand(&stock, "tea").await, on_hand(&stock, "pot").await), (10, 10));
    system.stop().await;
}

#[every_mode]
async fn nothing_is_sold_twice(mode: Mode) {
    let (system, stock) = start(mode, 60).await;
    let buying: Vec<_> = (0..32)
        .map(|number| {
            let stock = stock.clone();
            let both =
                if number % 2 == 0 { [("tea", 1), ("pot", 1)] } else { [("pot", 1), ("tea", 1)] };
            tokio::spawn(async move { stock.reserve(order(number), lines(&both)).await.is_ok() })
        })
        .collect();
    let mut bought = 0;
    for one in buying {
        bought += u32::from(one.await.unwrap());
    }
    assert_eq!((bought, on_hand(&stock, "tea").await, on_hand(&stock, "pot").await), (10, 0, 0));
    system.stop().await;
}

#[every_mode]
async fn what_is_held_for_too_long_is_put_back(mode: Mode) {
    let (system, stock) = start(mode, 0).await;
    stock.reserve(order(1), lines(&[("tea", 4)])).await.unwrap();
    assert_eq!(on_hand(&stock, "tea").await, 6);
    // The sweep comes every ten seconds.
    for _ in 0..300 {
        if on_hand(&stock, "tea").await == 10 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(on_hand(&stock, "tea").await, 10);
    assert!(matches!(stock.sell(order(1)).await, Err(StockError::Closed(_))));
    system.stop().await;
}

#[every_mode]
async fn products_are_listed_a_page_at_a_time(mode: Mode) {
    let (system, stock) = start(mode, 60).await;
    let first = stock.products(None, Some(1)).await.unwrap();
    assert_eq!((first.items[0].name.as_str(), first.next.as_deref()), ("pot", Some("pot")));
    let second = stock.products(first.next, Some(1)).await.unwrap();
    assert_eq!((second.items[0].name.as_str(), second.next), ("tea", None));
    let again = stock.add(second.items[0].clone()).await;
    assert!(matches!(again, Err(StockError::ProductExists(_))));
    assert_eq!(stock.restock(Sku("tea".into()), 5).await.unwrap().on_hand, 15);
    let unknown = stock.restock(Sku("zinc".into()), 5).await;
    assert!(matches!(unknown, Err(StockError::UnknownProduct(_))));
    let much = stock.restock(Sku("tea".into()), u32::MAX).await;
    assert!(matches!(much, Err(StockError::WrongProduct(_))));
    system.stop().await;
}

#[every_mode]
async fn only_staff_fills_the_shelf(mode: Mode) {
    let (system, _) = start(mode, 60).await;
    let customer: StockClient = system.client_as(user("ada"));
    let module: StockClient = system.client();
    let nobody: StockClient = system.client_of_no_one();
    let tea = customer.product(Sku("tea".into())).await.unwrap();
    assert_eq!(nobody.product(Sku("tea".into())).await.unwrap(), tea);
    for (client, kind) in [
        (&customer, CallErrorKind::Forbidden),
        (&module, CallErrorKind::Forbidden),
        (&nobody, CallErrorKind::Unauthenticated),
    ] {
        for refused in [
            client.restock(Sku("tea".into()), 5).await.unwrap_err(),
            client.add(Product { sku: Sku("zinc".into()), ..tea.clone() }).await.unwrap_err(),
        ] {
            assert!(
                matches!(&refused, StockError::Call(error) if error.kind() == kind),
                "{refused}"
            );
        }
    }
    assert_eq!(on_hand(&customer, "tea").await, 10);
    system.stop().await;
}
