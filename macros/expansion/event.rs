pub struct OrderPlaced {
    pub order: OrderId,
}
impl ::monolift::Event for OrderPlaced {
    const MODULE: &'static str = "orders";
    const NAME: &'static str = "order-placed";
    const VERSION: u32 = 2u32;
    const KEEP: ::core::time::Duration = ::core::time::Duration::from_millis(
        172800000u64,
    );
    const PAYLOAD: ::core::option::Option<::core::time::Duration> = ::core::option::Option::Some(
        ::core::time::Duration::from_millis(86400000u64),
    );
    fn key(&self) -> ::core::option::Option<::std::string::String> {
        ::monolift::event::key_of(&self.order)
    }
    fn upcast(
        __version: u32,
        __old: &str,
    ) -> ::core::result::Result<Self, ::std::string::String> {
        old(__version, __old).map_err(|error| ::std::string::ToString::to_string(&error))
    }
}
