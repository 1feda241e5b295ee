#[::monolift::async_trait]
pub trait Stock: ::core::marker::Send + ::core::marker::Sync + 'static {
    /// Holds units in the caller's transaction.
    async fn reserve_in(
        &self,
        tx: LocalTx<'_>,
        order: &str,
        lines: Vec<Line>,
    ) -> Result<Reservation, StockError>;
}
///Calls [`Stock`], wherever its module runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StockClient {
    link: ::monolift::link::Link<dyn Stock>,
}
#[allow(clippy::too_many_arguments)]
impl StockClient {
    /// A client that calls `module` directly, such as a fake in a test.
    #[allow(dead_code)]
    pub fn new(module: impl Stock) -> Self {
        Self {
            link: ::monolift::link::Link::to(::std::sync::Arc::new(module)),
        }
    }
    ///Holds units in the caller's transaction.
    pub async fn reserve_in(
        &self,
        tx: LocalTx<'_>,
        order: &str,
        lines: Vec<Line>,
    ) -> Result<Reservation, StockError> {
        let module = self.link.here(0usize)?;
        let mut lent = tx.lent();
        let call = ::std::boxed::Box::pin(async {
            let mut begun = lent.begin().await?;
            module.reserve_in(begun.tx(), order, lines).await
        });
        let answer = self.link.call_local(0usize, call).await;
        lent.end(answer).await
    }
}
#[::monolift::async_trait]
impl Stock for StockClient {
    async fn reserve_in(
        &self,
        tx: LocalTx<'_>,
        order: &str,
        lines: Vec<Line>,
    ) -> Result<Reservation, StockError> {
        StockClient::reserve_in(self, tx, order, lines).await
    }
}
const _: () = {
    const _: &[u8] = ::core::include_bytes!(
        ::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")
    );
    static METHODS: [::monolift::interface::Method; 0usize] = [];
    static LOCAL: [::monolift::call::Callee; 1usize] = [
        ::monolift::call::Callee {
            module: "stock",
            interface: "Stock",
            method: "reserve_in",
            deadline: ::core::option::Option::Some(
                ::core::time::Duration::from_nanos(2000000000u64),
            ),
            rule: ::core::option::Option::None,
            meter: ::monolift::call::Meter::new(),
        },
    ];
    static DESCRIPTOR: ::monolift::interface::InterfaceDescriptor = ::monolift::interface::InterfaceDescriptor {
        module: "stock",
        name: "Stock",
        docs: "",
        methods: &METHODS,
        local: &LOCAL,
        routes: ::core::option::Option::None,
        hash: ::std::sync::OnceLock::new(),
    };
    impl ::monolift::link::Interface for dyn Stock {
        type Client = StockClient;
        const MODULE: &'static str = "stock";
        #[inline]
        fn descriptor() -> &'static ::monolift::interface::InterfaceDescriptor {
            &DESCRIPTOR
        }
        fn client(link: ::monolift::link::Link<Self>) -> StockClient {
            StockClient { link }
        }
        fn invoke<P: ::monolift::interface::Protocol>(
            client: StockClient,
            method: usize,
            input: P::Input,
        ) -> ::monolift::__private::BoxFuture<'static, P::Output> {
            match method {
                _ => {
                    ::std::boxed::Box::pin(
                        ::core::future::ready(P::unknown_method(input)),
                    )
                }
            }
        }
    }
    ::monolift::__register_interface!(dyn Stock, StockClient);
};
