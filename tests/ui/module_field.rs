#[monolift::module(name = "stock")]
pub struct StockModule {
    count: u32,
}

fn main() {}
