//! In every mode that a call can take.

use super::*;
use monolift::testing::{Mode, RunningSystem, Setting, System, every_mode, user};
use payments_api::PaymentsClient;

async fn start(mode: Mode) -> (RunningSystem, PaymentsClient) {
    let settings = [("most_cents", Setting::from(1_000)), ("slow_millis", 20.into())];
    let system =
        System::new(mode).module::<PaymentsModule>().settings("payments", settings).start().await;
    let payments = system.client();
    (system, payments)
}

fn order() -> OrderId {
    OrderId("1".to_owned())
}

#[every_mode]
async fn a_payment_goes_only_forwards(mode: Mode) {
    let (system, payments) = start(mode).await;
    let pay = |amount| payments.authorise(order(), Cents(amount), "card".into());
    assert!(matches!(payments.capture(order()).await, Err(PaymentsError::UnknownPayment(_))));
    for _ in 0..2 {
        assert_eq!(pay(700).await.unwrap().state, PaymentState::Authorised);
    }
    assert!(matches!(pay(701).await, Err(PaymentsError::OtherAmount(_))));
    for _ in 0..2 {
        let captured = payments.capture(order()).await.unwrap();
        assert_eq!((captured.state, captured.amount), (PaymentState::Captured, Cents(700)));
    }
    // An authorisation that was sent again, and comes late.
    assert_eq!(pay(700).await.unwrap().state, PaymentState::Captured);
    for _ in 0..2 {
        payments.refund(order()).await.unwrap();
        assert_eq!(payments.payment(order()).await.unwrap().state, PaymentState::Refunded);
    }
    assert!(matches!(pay(700).await, Err(PaymentsError::Closed(_))));
    assert!(matches!(payments.capture(order()).await, Err(PaymentsError::Closed(_))));
    system.stop().await;
}

#[every_mode]
async fn a_refund_that_comes_first_closes_the_payment(mode: Mode) {
    let (system, payments) = start(mode).await;
    payments.refund(order()).await.unwrap();
    let late = payments.authorise(order(), Cents(1), "card".into()).await;
    assert!(matches!(late, Err(PaymentsError::Closed(id)) if id == order()));
    system.stop().await;
}

#[every_mode]
async fn the_provider_can_be_told_to_decline_or_to_be_slow(mode: Mode) {
    let (system, payments) = start(mode).await;
    for (amount, card) in [(1_001, "card"), (1, "decline")] {
        let declined = payments.authorise(order(), Cents(amount), card.into()).await;
        assert!(matches!(declined, Err(PaymentsError::Declined(Cents(of))) if of == amount));
    }
    let begun = std::time::Instant::now();
    payments.authorise(order(), Cents(1), "slow".into()).await.unwrap();
    assert!(begun.elapsed().as_millis() >= 20);
    system.stop().await;
}

#[every_mode]
async fn a_payment_belongs_to_the_customer_who_has_authorised_it(mode: Mode) {
    let (system, modules) = start(mode).await;
    let ada: PaymentsClient = system.client_as(user("ada"));
    let bob: PaymentsClient = system.client_as(user("bob"));
    let payment = ada.authorise(order(), Cents(700), "card".into()).await.unwrap();
    assert_eq!(ada.payment(order()).await.unwrap(), payment);
    assert_eq!(modules.payment(order()).await.unwrap(), payment);
    // In work of its own, orders takes it: it stays theirs.
    let payment = modules.capture(order()).await.unwrap();
    assert_eq!(ada.payment(order()).await.unwrap(), payment);
    let hidden = bob.payment(order()).await;
    assert!(matches!(hidden, Err(PaymentsError::UnknownPayment(id)) if id == order()));
    let nobody: PaymentsClient = system.client_of_no_one();
    assert!(matches!(nobody.payment(order()).await, Err(PaymentsError::Call(_))));
    system.stop().await;
}
