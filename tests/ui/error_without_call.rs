#[derive(Debug, thiserror::Error, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[error("it failed")]
pub struct PlainError;

#[monolift::interface(module = "stock")]
pub trait Stock {
    async fn level(&self, sku: String) -> Result<u32, PlainError>;
}

fn main() {}
