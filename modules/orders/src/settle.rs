//! An order's way from being written down to its end.

use crate::{
    OrdersModule,
    refusal::{Refusal, Stop},
    table::{self, Kept},
    work::{Fulfil, GiveUp, Settle, Undo},
};
use monolift::{Perform, Tx, async_trait};
use orders_api::{NewOrder, Order, OrderChanged, OrderState, OrdersError};
use payments_api::{PaymentState, PaymentsError};
use shop_types::{Cents, OrderId, now_ms};
use std::{error::Error, time::Duration};
use stock_api::StockError;

/// When somebody else looks after an order whose caller has not: after the caller's own deadline.
const LEFT_ALONE: Duration = Duration::from_secs(6);
/// When an order that cannot be placed is given up.
const TOO_LONG_MS: i64 = 15_000;
/// When what is undone by hand at once is undone by durable work instead.
const BY_HAND: Duration = Duration::from_secs(2);

/// Who undoes an order that is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Undoing {
    /// The caller, at once, so that it finds nothing held. If that fails, it comes later.
    AtOnce,
    /// Durable work: what refuses the order may be that a module fails, which more calls do not help.
    Later,
}

type Failure = Box<dyn Error + Send + Sync>;

/// What came of taking the payment and selling the units.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    All,
    /// Somebody has undone the order.
    Closed,
}

impl OrdersModule {
    /// Writes an order down, unless it is there. From here on it is decided, come what may.
    pub(crate) async fn write_down(
        &self,
        id: &OrderId,
        request: NewOrder,
    ) -> Result<Kept, OrdersError> {
        let new = Kept::new(id.clone(), request);
        let mut tx = self.db.write().await?;
        if table::insert(&mut tx, &new).await? {
            let settle = Settle { order: id.clone() };
            self.work.enqueue_keyed(&mut tx, &id.0, LEFT_ALONE, &settle).await?;
            tx.commit().await?;
            return Ok(new);
        }
        drop(tx);
        let kept = self.kept(id).await?;
        if kept.request == new.request { Ok(kept) } else { Err(OrdersError::KeyReused) }
    }

    /// The order once it is decided. Only the caller has the card: without it the order is placed if
    /// it has been paid.
    pub(crate) async fn settle(
        &self,
        kept: Kept,
        card: Option<String>,
    ) -> Result<Kept, OrdersError> {
        if kept.state != OrderState::Placing {
            return Ok(kept);
        }
        let id = &kept.id;
        let undoing = if card.is_some() { Undoing::AtOnce } else { Undoing::Later };
        let secured = match card {
            Some(card) => self.secure(&kept, card).await,
            None => self.secured(&kept).await,
        };
        match secured {
            Ok(total) => {
                let placed = Kept { state: OrderState::Placed, total, ..kept.clone() };
                if self.decide_placed(&placed).await? {
                    return Ok(placed);
                }
                // Somebody else has decided meanwhile.
            }
            Err(Stop::Refused(refusal)) => {
                self.decide_refused(id, "placing", &refusal, undoing).await?;
            }
            Err(Stop::Unknown(error)) => {
                self.give_up_later(&kept).await?;
                return Err(error);
            }
        }
        self.kept(id).await
    }

    /// Holds the units and the money. The result is what they cost.
    async fn secure(&self, kept: &Kept, card: String) -> Result<Cents, Stop> {
        let NewOrder { user, lines, .. } = kept.request.clone();
        self.users.profile(user).await?;
        let held = self.stock.reserve(kept.id.clone(), lines).await?;
        self.payments.authorise(kept.id.clone(), held.total, card).await?;
        Ok(held.total)
    }

    /// What the units and the money cost, if its caller has come so far as to hold both.
    async fn secured(&self, kept: &Kept) -> Result<Cents, Stop> {
        let payment = match self.payments.payment(kept.id.clone()).await {
            Ok(payment) if payment.state != PaymentState::Refunded => payment,
            Ok(_) | Err(PaymentsError::UnknownPayment(_)) => {
                return Err(Stop::Refused(Refusal::TookTooLong));
            }
            Err(error) => return Err(error.into()),
        };
        // They are held already, unless it was for too long.
        self.stock.reserve(kept.id.clone(), kept.request.lines.clone()).await?;
        Ok(payment.amount)
    }

    /// Has the order refused when its time is over, whatever else does not answer.
    async fn give_up_later(&self, kept: &Kept) -> Result<(), OrdersError> {
        let left = TOO_LONG_MS.saturating_sub(now_ms() - kept.made_at_ms);
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
        let mut tx = self.db.write().await?;
        let give_up = GiveUp { order: kept.id.clone() };
        self.work.enqueue_keyed(&mut tx, &kept.id.0, left, &give_up).await?;
        Ok(tx.commit().await?)
    }

    /// `false` when somebody else has decided about the order.
    async fn decide_placed(&self, placed: &Kept) -> Result<bool, OrdersError> {
        let id = &placed.id;
        let mut tx = self.db.write().await?;
        if !table::set_placed(&mut tx, id, placed.total).await? {
            return Ok(false);
        }
        self.work.cancel::<Settle>(&mut tx, &id.0).await?;
        self.work.enqueue(&mut tx, &Fulfil { order: id.clone() }).await?;
        self.publish(&mut tx, placed).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Tells other modules of an order that is placed, or is not any more.
    pub(crate) async fn publish(&self, tx: &mut Tx<'_>, kept: &Kept) -> Result<(), sqlx::Error> {
        let Order { id: order, user, lines, state, total, made_at_ms } = kept.clone().order();
        let changed = OrderChanged { order, user, state, lines, total, made_at_ms };
        self.events.publish(tx, &changed).await
    }

    async fn decide_refused(
        &self,
        id: &OrderId,
        from: &str,
        refusal: &Refusal,
        undoing: Undoing,
    ) -> Result<(), OrdersError> {
        let mut tx = self.db.write().await?;
        let Some(refused) = table::set_refused(&mut tx, id, from, refusal).await? else {
            return Ok(());
        };
        if from == "placed" {
            self.publish(&mut tx, &refused).await?;
        }
        self.work.cancel::<Settle>(&mut tx, &id.0).await?;
        let undo = Undo { order: id.clone() };
        let at_once = undoing == Undoing::AtOnce;
        let delay = if at_once { BY_HAND } else { Duration::ZERO };
        self.work.enqueue_keyed(&mut tx, &id.0, delay, &undo).await?;
        tx.commit().await?;
        if at_once && self.give_back(id).await.is_ok() {
            let mut tx = self.db.write().await?;
            self.work.cancel::<Undo>(&mut tx, &id.0).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Takes the payment and sells the units.
    async fn take(&self, id: &OrderId) -> Result<Taken, Failure> {
        match self.payments.capture(id.clone()).await {
            Ok(_) => {}
            Err(PaymentsError::Closed(_)) => return Ok(Taken::Closed),
            Err(error) => return Err(error.into()),
        }
        match self.stock.sell(id.clone()).await {
            Ok(()) => Ok(Taken::All),
            Err(StockError::Closed(_)) => Ok(Taken::Closed),
            Err(error) => Err(error.into()),
        }
    }

    /// Nothing is held or paid for the order, now or later.
    async fn give_back(&self, id: &OrderId) -> Result<(), Failure> {
        self.payments.refund(id.clone()).await?;
        self.stock.release(id.clone()).await?;
        Ok(())
    }

    async fn kept(&self, id: &OrderId) -> Result<Kept, OrdersError> {
        table::find(&self.db, id).await?.ok_or_else(|| OrdersError::UnknownOrder(id.clone()))
    }
}

#[async_trait]
impl Perform<Settle> for OrdersModule {
    async fn perform(&self, Settle { order }: Settle) -> Result<(), Failure> {
        let kept = self.kept(&order).await?;
        self.settle(kept, None).await?;
        Ok(())
    }
}

#[async_trait]
impl Perform<GiveUp> for OrdersModule {
    async fn perform(&self, GiveUp { order }: GiveUp) -> Result<(), Failure> {
        let refusal = Refusal::TookTooLong;
        Ok(self.decide_refused(&order, "placing", &refusal, Undoing::Later).await?)
    }
}

#[async_trait]
impl Perform<Fulfil> for OrdersModule {
    async fn perform(&self, Fulfil { order }: Fulfil) -> Result<(), Failure> {
        let kept = self.kept(&order).await?;
        if kept.state == OrderState::Placed && self.take(&order).await? == Taken::Closed {
            // It was cancelled meanwhile; or its units were held for too long, and it is undone.
            let refusal = Refusal::TookTooLong;
            self.decide_refused(&order, "placed", &refusal, Undoing::Later).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Perform<Undo> for OrdersModule {
    async fn perform(&self, Undo { order }: Undo) -> Result<(), Failure> {
        self.give_back(&order).await
    }
}
