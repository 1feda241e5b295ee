//! What was sold, and what each customer bought: a read model that is fed by what orders tell, with names from stock.

mod day;
mod table;
#[cfg(test)]
mod tests;

use monolift::{Db, Delivery, Failure, On, Page, Principal, ReadModel, Retry, async_trait};
use orders_api::{OrderChanged, OrderState};
use reports_api::{Bought, Purchase, Reports, ReportsError, Sale};
use shop_types::{Line, UserId};
use std::time::Duration;
use stock_api::{StockClient, StockError};

/// The module.
#[monolift::module(provides = Reports, on = [OrderChanged])]
pub struct ReportsModule {
    db: Db,
    model: ReadModel,
    stock: StockClient,
}

#[async_trait]
impl On<OrderChanged> for ReportsModule {
    // The names of products are waited for.
    const RETRY: Retry =
        Retry { first: Duration::from_millis(500), most: Duration::from_secs(5), attempts: 5_000 };

    async fn on(&self, event: Delivery<OrderChanged>) -> Result<(), Failure> {
        match event.state {
            OrderState::Placed => {
                let bought = self.named(&event.lines).await?;
                let Some(mut tx) = event.begin(&self.db).await? else { return Ok(()) };
                table::add(&mut tx, event.build(), &event, &bought).await?;
                Ok(tx.commit().await?)
            }
            OrderState::Cancelled | OrderState::Refused => {
                let Some(mut tx) = event.begin(&self.db).await? else { return Ok(()) };
                table::take_back(&mut tx, event.build(), &event).await?;
                Ok(tx.commit().await?)
            }
            OrderState::Placing => Ok(()),
        }
    }
}

impl ReportsModule {
    /// Lines with the names of their products. One without a name has its number.
    async fn named(&self, lines: &[Line]) -> Result<Vec<Bought>, Failure> {
        let mut bought = Vec::with_capacity(lines.len());
        for Line { sku, quantity } in lines.iter().cloned() {
            let name = match self.stock.product(sku.clone()).await {
                Ok(product) => product.name,
                Err(StockError::UnknownProduct(sku)) => sku.0,
                Err(error) => return Err(error.into()),
            };
            bought.push(Bought { sku, name, quantity });
        }
        Ok(bought)
    }
}

#[async_trait]
impl Reports for ReportsModule {
    async fn sales(
        &self,
        day: String,
        after: Option<String>,
        limit: Option<u32>,
    ) -> Result<Page<Sale>, ReportsError> {
        let size = Page::<Sale>::size(limit);
        let mut tx = self.db.read().await?;
        let build = self.model.answering(&mut tx).await?;
        let after = after.unwrap_or_default();
        let sales = table::sales(&mut tx, build, &day, &after, size + 1).await?;
        tx.commit().await?;
        Ok(Page::of(sales, size, |sale| sale.sku.0.clone()))
    }

    async fn history(
        &self,
        user: UserId,
        after: Option<String>,
        limit: Option<u32>,
    ) -> Result<Page<Purchase>, ReportsError> {
        Principal::current()?.is(&user)?;
        let size = Page::<Purchase>::size(limit);
        let mut tx = self.db.read().await?;
        let build = self.model.answering(&mut tx).await?;
        let after = after.unwrap_or_default();
        let bought = table::purchases(&mut tx, build, &user, &after, size + 1).await?;
        tx.commit().await?;
        Ok(Page::of(bought, size, |purchase| purchase.order.0.clone()))
    }
}
