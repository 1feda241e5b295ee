//! Orders, and the jobs that complete them. Jobs are rows of a table, written in the orders' own
//! transactions.
//!
//! Giving back what a refused order holds is left out, because no order is refused in the
//! benchmark.

use super::{
    Place,
    book::{Book, broken, now_ms},
    messages::{Authorise, Mail, NewOrder, Order, Reserve},
    parts::Others,
};
use sqlx::{Sqlite, Transaction};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{sync::Notify, task::JoinSet};
use tonic::Status;

const JOBS: &str = "
    CREATE TABLE jobs (
        kind           TEXT   NOT NULL,
        order_id       TEXT   NOT NULL,
        due_at_ms      BIGINT NOT NULL,
        leased_till_ms BIGINT NOT NULL,
        PRIMARY KEY (kind, order_id)
    );
    CREATE INDEX jobs_by_due ON jobs (due_at_ms);";
/// Delay before a job takes over an order: longer than the caller's own deadline.
const LEFT_ALONE_MS: i64 = 6_000;
const LEASE_MS: i64 = 10_000;
/// The number of jobs that run at the same time.
const AT_ONCE: usize = 8;

/// The part of the shop that places orders.
pub(super) struct Orders<O> {
    book: Book,
    others: O,
    jobs: Notify,
}

type Tx = Transaction<'static, Sqlite>;

impl<O: Others> Orders<O> {
    pub(super) async fn open(folder: &Path, others: O) -> anyhow::Result<Self> {
        let schema = include_str!("../../../../migrations/orders/0001_orders.sql");
        let book = Book::open(folder, "orders", &format!("{schema}{JOBS}")).await?;
        Ok(Self { book, others, jobs: Notify::new() })
    }

    async fn enqueue(tx: &mut Tx, kind: &str, id: &str, delay_ms: i64) -> Result<(), Status> {
        sqlx::query("INSERT INTO jobs VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING")
            .bind(kind)
            .bind(id)
            .bind(now_ms() + delay_ms)
            .execute(&mut **tx)
            .await
            .map(drop)
            .map_err(broken)
    }

    async fn finish(tx: &mut Tx, kind: &str, id: &str) -> Result<(), Status> {
        sqlx::query("DELETE FROM jobs WHERE kind = $1 AND order_id = $2")
            .bind(kind)
            .bind(id)
            .execute(&mut **tx)
            .await
            .map(drop)
            .map_err(broken)
    }

    async fn write_down(&self, id: &str, order: &NewOrder, made: i64) -> Result<(), Status> {
        let request = serde_json::to_string(order).map_err(|_| Status::internal("JSON"))?;
        let mut tx = self.book.write().await?;
        sqlx::query(
            "INSERT INTO orders (id, user_id, request, state, total_cents, made_at_ms) \
             VALUES ($1, $2, $3, 'placing', 0, $4)",
        )
        .bind(id)
        .bind(&order.user)
        .bind(request)
        .bind(made)
        .execute(&mut *tx)
        .await
        .map_err(broken)?;
        Self::enqueue(&mut tx, "settle", id, LEFT_ALONE_MS).await?;
        tx.commit().await.map_err(broken)
    }

    /// Reserves the units, authorises the payment, and decides.
    async fn settle(&self, id: &str, order: NewOrder) -> Result<i64, Status> {
        self.others.check_user(&order.user).await?;
        let reserve = Reserve { order: id.to_owned(), lines: order.lines };
        let cents = self.others.reserve(reserve).await?;
        self.others.authorise(Authorise { order: id.to_owned(), cents }).await?;
        let mut tx = self.book.write().await?;
        sqlx::query(
            "UPDATE orders SET state = 'placed', total_cents = $1 \
             WHERE id = $2 AND state = 'placing'",
        )
        .bind(cents)
        .bind(id)
        .execute(&mut *tx)
        .await
        .map_err(broken)?;
        Self::finish(&mut tx, "settle", id).await?;
        Self::enqueue(&mut tx, "fulfil", id, 0).await?;
        tx.commit().await.map_err(broken)?;
        self.jobs.notify_one();
        Ok(cents)
    }

    async fn fulfil(&self, id: &str, order: NewOrder) -> Result<(), Status> {
        self.others.capture(id).await?;
        self.others.sell(id).await?;
        let email = self.others.email(&order.user).await?;
        let subject = format!("your order {id} is placed");
        let mail = Mail { id: format!("{id}-placed"), user: order.user, email, subject };
        self.others.send(mail).await
    }

    async fn perform(&self, kind: &str, id: &str) -> Result<(), Status> {
        let (request,): (String,) = sqlx::query_as("SELECT request FROM orders WHERE id = $1")
            .bind(id)
            .fetch_one(&self.book.reads)
            .await
            .map_err(broken)?;
        let order: NewOrder =
            serde_json::from_str(&request).map_err(|_| Status::internal("JSON"))?;
        match kind {
            "settle" => return self.settle(id, order).await.map(drop),
            _ => self.fulfil(id, order).await?,
        }
        let mut tx = self.book.write().await?;
        Self::finish(&mut tx, kind, id).await?;
        tx.commit().await.map_err(broken)
    }

    async fn claim(&self, most: usize) -> Result<Vec<(String, String)>, Status> {
        let now = now_ms();
        let mut tx = self.book.write().await?;
        let claimed = sqlx::query_as(
            "UPDATE jobs SET leased_till_ms = $2 WHERE rowid IN \
             (SELECT rowid FROM jobs WHERE due_at_ms <= $1 AND leased_till_ms <= $1 \
              ORDER BY due_at_ms LIMIT $3) RETURNING kind, order_id",
        )
        .bind(now)
        .bind(now + LEASE_MS)
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(&mut *tx)
        .await
        .map_err(broken)?;
        tx.commit().await.map_err(broken)?;
        Ok(claimed)
    }

    /// Runs jobs as long as the process runs. A failed job runs again after its lease.
    pub(super) async fn work(self: Arc<Self>) {
        let mut at_work = JoinSet::new();
        loop {
            let room = AT_ONCE - at_work.len();
            let claimed = match room {
                0 => Vec::new(),
                room => self.claim(room).await.unwrap_or_default(),
            };
            let more = room > 0 && claimed.len() == room;
            for (kind, id) in claimed {
                let orders = Arc::clone(&self);
                at_work.spawn(async move {
                    if let Err(error) = orders.perform(&kind, &id).await {
                        eprintln!("{kind} {id}: {error}");
                    }
                });
            }
            if more {
                continue;
            }
            let room = at_work.len() < AT_ONCE;
            tokio::select! {
                Some(_) = at_work.join_next() => {}
                () = self.jobs.notified(), if room => {}
                () = tokio::time::sleep(Duration::from_secs(1)), if room => {}
            }
        }
    }
}

#[tonic::async_trait]
impl<O: Others> Place for Orders<O> {
    async fn place(&self, order: NewOrder) -> Result<Order, Status> {
        if order.lines.is_empty() || order.lines.iter().any(|line| line.quantity == 0) {
            return Err(Status::invalid_argument("an order has lines, and units on each"));
        }
        let (id, made_at_ms) = (format!("{:032x}", rand::random::<u128>()), now_ms());
        self.write_down(&id, &order, made_at_ms).await?;
        let total = self.settle(&id, order.clone()).await?;
        let NewOrder { user, lines } = order;
        Ok(Order { id, user, lines, state: "placed".to_owned(), total, made_at_ms })
    }
}
