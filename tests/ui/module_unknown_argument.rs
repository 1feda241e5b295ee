#[monolift::module(name = "stock", provide = Stock)]
pub struct StockModule;

fn main() {}
