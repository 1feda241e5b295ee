use monolift::{Db, Delivery, Failure, On};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[monolift::event(module = "stock")]
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct SoldOut {
    pub sku: String,
}

#[monolift::module(name = "orders", on = [SoldOut])]
pub struct OrdersModule {
    db: Db,
}

#[monolift::async_trait]
impl On<SoldOut> for OrdersModule {
    async fn on(&self, event: Delivery<SoldOut>) -> Result<(), Failure> {
        let Some(tx) = event.begin(&self.db).await? else { return Ok(()) };
        Ok(tx.commit().await?)
    }
}

fn main() {}
