#[monolift::module(name = "stock")]
pub struct StockModule(monolift::Tasks);

fn main() {}
